"""What the commands share: their common options, and how they print an answer.

Nothing here imports numpy or ONNX Runtime: `assay --help` must answer at once.
"""

import argparse
import json
from typing import TYPE_CHECKING, Any

from assay.bundle.hub import open_bundle
from assay.files import to_text

if TYPE_CHECKING:
    from assay.bundle.folder import Bundle
    from assay.bundle.manifest import Manifest
    from assay.models.classifier import Classifier
    from assay.models.scorer import Scorer
    from assay.models.thresholds import Threshold

__all__ = [
    "UsageError",
    "add_bundle",
    "add_device",
    "add_format",
    "add_json",
    "add_revision",
    "add_threads",
    "add_threshold",
    "add_variant",
    "load_model",
    "open_asked",
    "parse_positive",
    "print_json",
    "read_manifest",
    "read_threshold",
]


class UsageError(Exception):
    """Arguments that do not go together. Ends the command with exit code 2."""


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """Add the bundle, the first of the arguments, and its revision on the Hub."""
    parser.add_argument("bundle", metavar="BUNDLE", help="folder that assay export made, or its name on the Hub")
    add_revision(parser)


def add_revision(parser: argparse.ArgumentParser) -> None:
    """Add the commit of a bundle on the Hub."""
    parser.add_argument("--revision", metavar="REV", help="branch, tag or commit of a bundle on the Hub; default: main")


def add_variant(parser: argparse.ArgumentParser) -> None:
    """Add which of the bundle's variants runs."""
    parser.add_argument(
        "--variant", default="auto", help="fp32, int8, fp16, int8_qdq, or auto (default): the best for the device"
    )


def add_device(parser: argparse.ArgumentParser, *more: str) -> None:
    """Add where a model runs, and on how many threads; `more` are devices that not every command knows."""
    names = " or ".join(("cuda:N, tensorrt" if more else "cuda:N or tensorrt", *more))
    parser.add_argument("--device", default="cpu", help=f"cpu (default), cuda, {names}")
    add_threads(parser)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add how many threads a run uses on the CPU."""
    parser.add_argument(
        "--threads", type=parse_positive, metavar="N", help="threads of one run; default: the usable cores"
    )


def add_format(parser: argparse.ArgumentParser, kinds: tuple[str, ...], standard: str) -> None:
    """Add how rows are written: the format of `standard`, one of `kinds`, and the quoting of a table."""
    parser.add_argument("--format", choices=kinds, help=f"format of {standard}; default: jsonl")
    parser.add_argument(
        "--quoting",
        choices=("none", "minimal"),
        help="quotes in .csv and .tsv are text (none), or quote cells as RFC 4180 says (minimal); default: minimal for "
        ".csv, and for .tsv if all its quotes are consistent with it",
    )


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --json; `what` says what it prints."""
    parser.add_argument("--json", action="store_true", help=f"print {what}")


def add_threshold(parser: argparse.ArgumentParser) -> None:
    """Add the thresholds of a multi-label bundle."""
    parser.add_argument(
        "--threshold",
        metavar="[LABEL=]P",
        action="append",
        type=to_text,
        help="multi-label bundles: the least probability of a label that a row has (default 0.5), with LABEL= for one "
        "label; may be repeated",
    )


def read_threshold(args: argparse.Namespace, manifest: "Manifest") -> "Threshold | None":
    """Return what the options --threshold say. Raises UsageError or InputError where they say nothing clear."""
    from assay.models.thresholds import check_threshold

    given: dict[str, float] = {}
    for text in args.threshold or ():
        label, _, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise UsageError(f"found --threshold {text!r:.80}, expected a number or LABEL=NUMBER") from None
        if label in given:
            raise UsageError(f"found --threshold twice for {f'the label {label!r:.80}' if label else 'all labels'}")
        given[label] = value
    if not given:
        return None
    if "" in given:
        general = given.pop("")
        check_threshold(general, manifest)
        given = dict.fromkeys(manifest.labels, general) | given
    check_threshold(given, manifest)
    return given


def read_manifest(args: argparse.Namespace) -> "Manifest":
    """Return the manifest of the bundle, read before the model is loaded so that wrong arguments fail early."""
    return open_asked(args).manifest


def open_asked(args: argparse.Namespace) -> "Bundle":
    """Open the bundle. The commit of one on the Hub is stored in `args`, so that the same commit is loaded later."""
    bundle = open_bundle(args.bundle, args.revision)
    args.revision = bundle.revision
    return bundle


def load_model(args: argparse.Namespace) -> "Classifier | Scorer":
    """Load the model, after `read_manifest`."""
    from assay.loading import load

    return load(args.bundle, args.device, args.variant, args.threads, revision=args.revision)


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on one line. Non-ASCII characters are escaped, so that any terminal takes it."""
    print(json.dumps(value, allow_nan=False))


def parse_positive(word: str) -> int:
    """Return an option's integer, which must be at least 1."""
    try:
        value = int(word)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"found {word!r}, expected an integer of at least 1")
    return value
