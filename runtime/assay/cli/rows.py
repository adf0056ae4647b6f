"""The rows of assay predict and assay score, from arguments, a file or standard input, and their logits."""

import argparse
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from assay.cli.options import UsageError, add_device, add_format, add_variant, load_model
from assay.files import to_text
from assay.inputs.files import Located, read_rows, read_windows
from assay.inputs.files.names import STANDARD
from assay.inputs.validation import Row, check_batch

if TYPE_CHECKING:
    from assay.bundle.manifest import Manifest
    from assay.models.base import Float32
    from assay.models.classifier import Classifier
    from assay.models.scorer import Scorer

__all__ = ["add_rows", "answer_rows"]

_ROWS_PER_WINDOW = 1_024


def add_rows(parser: argparse.ArgumentParser, texts: str) -> None:
    """Add the texts to answer, as arguments or from a file, and the options of the model that answers them."""
    parser.add_argument("texts", metavar="TEXT", nargs="*", default=[], type=to_text, help=texts)
    parser.add_argument(
        "--file",
        metavar="FILE",
        help=".jsonl, .csv, .tsv or .txt, each also .gz or .zst; - answers rows on standard input as they arrive",
    )
    add_format(parser, ("jsonl", "csv", "tsv", "txt"), "standard input")
    parser.add_argument("--truncate", action="store_true", help="cut texts that the bundle refuses as too long")
    add_variant(parser)
    add_device(parser, "auto")


def answer_rows(
    args: argparse.Namespace, manifest: "Manifest", check: "Callable[[Classifier | Scorer], None] | None" = None
) -> "Iterator[tuple[Classifier | Scorer, Float32]]":
    """Yield the model and the logits [n, labels] of the rows asked, those of standard input as they arrive.

    Args:
        args: The arguments of `add_rows` and of the bundle.
        manifest: That of the bundle.
        check: Is called with the model before it runs.

    Raises:
        UsageError: Texts and a file were given, or neither, or another number of texts than the bundle reads.
        InputError: A row is not a text or a pair, or is too long. A file is read whole before a row is answered.
        NumericalError: A logit is NaN or infinite.
    """
    if args.file is None and (args.format is not None or args.quoting is not None):
        raise UsageError("found --format or --quoting without --file, which they describe")
    if args.file == STANDARD and not args.texts:
        windows = read_windows(STANDARD, manifest.input, _ROWS_PER_WINDOW, format=args.format, quoting=args.quoting)
        model = load_model(args)
        if check is not None:
            check(model)
        for logits in _answer_arriving(model, windows, args.truncate):
            yield model, logits
    else:
        rows = _read_rows(args, manifest)
        model = load_model(args)
        if check is not None:
            check(model)
        yield model, model.logits(rows, truncate=args.truncate)


def _read_rows(args: argparse.Namespace, manifest: "Manifest") -> list[Row]:
    """Return the rows of --file, or those of the texts, of which two make the one row of a bundle of pairs."""
    if args.file is not None:
        if args.texts:
            raise UsageError("found TEXT and --file, expected one of the two")
        return read_rows(args.file, manifest.input, format=args.format, quoting=args.quoting)
    if not args.texts:
        raise UsageError("found neither TEXT nor --file, expected one of the two")
    if manifest.input == "text":
        return check_batch(args.texts, "text")
    if len(args.texts) != 2:
        found = f"{len(args.texts)} {'text' if len(args.texts) == 1 else 'texts'}"
        raise UsageError(f"found {found}, expected two: this bundle reads pairs")
    return check_batch([tuple(args.texts)], "pair")


def _answer_arriving(
    model: "Classifier | Scorer", arriving: Iterator[list[Located]], truncate: bool
) -> "Iterator[Float32]":
    """Yield the logits of the rows that have arrived on standard input, up to the first row without an answer."""
    from assay.models.streams.streaming import answer_windows

    windows: deque[list[Located]] = deque()

    def read() -> Iterator[list[Row]]:
        for window in arriving:
            windows.append(window)
            yield [located.row for located in window]

    for answered in answer_windows(model, read(), truncate=truncate):
        window = windows.popleft()
        if not answered.errors:
            yield answered.logits
            continue
        first = min(answered.errors)
        yield answered.logits[:first]
        error = answered.errors[first]
        raise type(error)(f"{window[first].where}: {error}") from error
