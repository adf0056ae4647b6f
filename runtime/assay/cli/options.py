"""What the commands share: their common options, where their rows come from, and how they print an answer.

Nothing here imports numpy or ONNX Runtime: `assay --help` must answer at once.
"""

import argparse
import json
from typing import TYPE_CHECKING, Any

from assay.bundle.hub import open_bundle
from assay.inputs.files import read_rows
from assay.inputs.validation import Row, check_batch

if TYPE_CHECKING:
    from assay.bundle.folder import Bundle
    from assay.bundle.manifest import Manifest
    from assay.models.classifier import Classifier
    from assay.models.scorer import Scorer

__all__ = [
    "UsageError",
    "add_bundle",
    "add_device",
    "add_json",
    "add_revision",
    "add_rows",
    "add_threads",
    "add_variant",
    "bundle_of",
    "given_rows",
    "load_asked",
    "manifest_of",
    "positive",
    "print_json",
]


class UsageError(Exception):
    """Arguments that do not go together. Ends the command with exit code 2."""


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """The bundle, first of the arguments, and its revision on the Hub."""
    parser.add_argument("bundle", metavar="BUNDLE", help="folder that assay export made, or its name on the Hub")
    add_revision(parser)


def add_revision(parser: argparse.ArgumentParser) -> None:
    """Which commit of a bundle on the Hub."""
    parser.add_argument("--revision", metavar="REV", help="branch, tag or commit of a bundle on the Hub; default: main")


def add_rows(parser: argparse.ArgumentParser, texts: str) -> None:
    """The texts to answer, as arguments or from a file, and what a single model is to answer them with."""
    parser.add_argument("texts", metavar="TEXT", nargs="*", default=[], help=texts)
    parser.add_argument(
        "--file", metavar="FILE", help=".jsonl, .csv, .tsv or .txt; - reads JSON lines from standard input"
    )
    parser.add_argument("--truncate", action="store_true", help="cut texts that the bundle refuses as too long")
    add_variant(parser)
    add_device(parser, "auto")


def add_variant(parser: argparse.ArgumentParser) -> None:
    """Which of the bundle's variants runs."""
    parser.add_argument(
        "--variant", default="auto", help="fp32, int8, fp16, int8_qdq, or auto (default): the best for the device"
    )


def add_device(parser: argparse.ArgumentParser, *more: str) -> None:
    """Where a model runs, and on how many threads; `more` are devices beside those that every command knows."""
    names = " or ".join(("cuda:N, tensorrt" if more else "cuda:N or tensorrt", *more))
    parser.add_argument("--device", default="cpu", help=f"cpu (default), cuda, {names}")
    add_threads(parser)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """How many threads a run has on the CPU."""
    parser.add_argument("--threads", type=positive, metavar="N", help="threads of one run; default: the usable cores")


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """--json, of which `what` says what it prints."""
    parser.add_argument("--json", action="store_true", help=f"print {what}")


def manifest_of(args: argparse.Namespace) -> "Manifest":
    """The manifest of the bundle asked for, read before the model is loaded so that wrong arguments fail early."""
    return bundle_of(args).manifest


def bundle_of(args: argparse.Namespace) -> "Bundle":
    """The bundle asked for. One on the Hub keeps its commit in `args`, so that what is loaded later is that commit."""
    bundle = open_bundle(args.bundle, args.revision)
    args.revision = bundle.revision
    return bundle


def load_asked(args: argparse.Namespace) -> "Classifier | Scorer":
    """The model asked for, after `manifest_of`."""
    from assay.loading import load

    return load(args.bundle, args.device, args.variant, args.threads, revision=args.revision)


def given_rows(args: argparse.Namespace, manifest: "Manifest") -> list[Row]:
    """The rows of the command line: of --file, or its texts, of which two make the one row of a bundle of pairs.

    Raises UsageError for both, neither, or another number of texts; InputError for a text that is none.
    """
    if args.file is not None:
        if args.texts:
            raise UsageError("found TEXT and --file, expected one of the two")
        return read_rows(args.file, manifest.input)
    if not args.texts:
        raise UsageError("found neither TEXT nor --file, expected one of the two")
    if manifest.input == "text":
        return check_batch(args.texts, "text")
    if len(args.texts) != 2:
        raise UsageError(f"found {len(args.texts)} texts, expected two: this bundle reads pairs")
    return check_batch([tuple(args.texts)], "pair")


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on one line. Non-ASCII characters are escaped, so that any terminal takes it."""
    print(json.dumps(value, allow_nan=False))


def positive(word: str) -> int:
    """An option's integer of at least 1."""
    try:
        value = int(word)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"found {word!r}, expected an integer of at least 1")
    return value
