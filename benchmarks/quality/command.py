"""The options of `python -m benchmarks quality`. Heavy imports wait until the command runs."""

import argparse
import logging
import warnings
from pathlib import Path

from assay.errors import InstallationError

__all__ = ["HELP", "add_arguments", "run"]

HELP = "accuracy, F1 or errors on labelled rows, for PyTorch and every variant side by side"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a bundle's folder; or a checkpoint's folder, a Hub id, osmosis or maxwell, which is exported first",
    )
    parser.add_argument(
        "--data",
        metavar="FILE",
        type=Path,
        required=True,
        help="labelled rows: .jsonl, .csv or .tsv, plain, .gz or .zst",
    )
    fields = parser.add_mutually_exclusive_group(required=True)
    fields.add_argument("--text", metavar="FIELD", help="the field of the text; a.b is field b of field a")
    fields.add_argument("--pair", metavar="FIELD", nargs=2, help="the two fields of a pair (osmosis)")
    parser.add_argument(
        "--label",
        metavar="FIELD",
        required=True,
        help="the field of the correct answer: a label's name or index, or a score",
    )
    parser.add_argument(
        "--label-scale",
        metavar=("MIN", "MAX"),
        nargs=2,
        type=float,
        help="scorer: the scale of the labels, such as 1 6 (default: 0 1, the scale of the model)",
    )
    parser.add_argument(
        "--variants",
        metavar="V,V",
        help="variants of a bundle (default: all), or variants to export of a checkpoint (default: fp32)",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FOLDER_OR_ID",
        help="the checkpoint that a bundle was exported from, to compare with PyTorch",
    )
    parser.add_argument(
        "--peers",
        metavar="P,P",
        type=_split_names,
        default=[],
        help="peers of the benchmark suite to ask, too, such as openvino-int8,torchao-int8 (default: none)",
    )
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path("build/peers"),
        metavar="FOLDER",
        help="where make bench-peers installed the peers that have an environment of their own; default: build/peers",
    )
    parser.add_argument("--base", metavar="FOLDER_OR_ID", help="the base model of an adapter, as in assay export")
    parser.add_argument("--revision", help="branch, tag or commit on the Hub")
    parser.add_argument(
        "--device",
        default="cpu",
        help="device of the variants: cpu (default), cuda, cuda:N or tensorrt; PyTorch runs on the CPU",
    )
    parser.add_argument(
        "--work",
        metavar="FOLDER",
        type=Path,
        help="write the exported bundle there and keep it (default: a temporary one)",
    )
    parser.add_argument(
        "--changed",
        metavar="N",
        type=_parse_count,
        default=0,
        help="list N rows that a variant answers differently from PyTorch",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all metrics, bad rows and changed rows there")


def run(options: argparse.Namespace) -> int:
    """Print the report.

    Returns:
        The exit code: 1 if a variant failed, else 0.

    Raises:
        AssayError: The model or the data cannot be used, or no row is good.
    """
    try:
        from benchmarks.quality import evaluate
    except ModuleNotFoundError as error:
        raise InstallationError(
            f"quality needs {error.name}, which is not installed: pip install 'assay[export,bench]'"
        ) from error
    _silence_libraries()
    return evaluate.run(options)


def _silence_libraries() -> None:
    """Silence transformers, peft and the tracer. Errors still reach the user, as exceptions."""
    import transformers

    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in ("onnxscript", "torch.onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _split_names(words: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))


def _parse_count(word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise argparse.ArgumentTypeError(f"found {word!r}, expected a number of rows")
    return int(word)
