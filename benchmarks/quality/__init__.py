"""`python -m benchmarks quality`: how right a model is on labelled rows, in PyTorch and in every variant of its bundle.

task.py finds out what is asked of whom, data.py and labels.py read the rows, answers.py asks the models, metrics.py
measures (scikit-learn), evaluate.py puts it together and report.py prints. Heavy imports wait until the command runs.
"""

import argparse
import logging
import warnings
from pathlib import Path

from assay.errors import InstallationError

__all__ = ["HELP", "add_arguments", "run"]

HELP = "accuracy, F1 or errors on labelled rows, for PyTorch and every variant side by side"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a bundle's folder; or a checkpoint's folder, a Hub id, osmosis or maxwell, which is exported first",
    )
    parser.add_argument(
        "--data", metavar="FILE", type=Path, required=True, help="labelled rows: .jsonl, .csv or .tsv, plain or .gz"
    )
    fields = parser.add_mutually_exclusive_group(required=True)
    fields.add_argument("--text", metavar="FIELD", help="the field of the text; a.b is b within a")
    fields.add_argument("--pair", metavar="FIELD", nargs=2, help="the two fields of a pair (osmosis)")
    parser.add_argument(
        "--label",
        metavar="FIELD",
        required=True,
        help="the field of the right answer: a label's name or index; a score",
    )
    parser.add_argument(
        "--label-scale",
        metavar=("MIN", "MAX"),
        nargs=2,
        type=float,
        help="scorer: the scale of the labels, such as 1 6 (default: 0 1, the model's own)",
    )
    parser.add_argument(
        "--variants", metavar="V,V", help="of a bundle, default: all it has; to export of a checkpoint, default: fp32"
    )
    parser.add_argument(
        "--checkpoint", metavar="FOLDER_OR_ID", help="what a bundle was exported from: PyTorch is asked too"
    )
    parser.add_argument("--base", metavar="FOLDER_OR_ID", help="the base model of an adapter, as in assay export")
    parser.add_argument("--revision", help="branch, tag or commit on the Hub")
    parser.add_argument(
        "--device",
        default="cpu",
        help="of the variants: cpu (default), cuda, cuda:N or tensorrt; PyTorch is on the CPU",
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
        type=_count,
        default=0,
        help="list N rows that a variant answers differently from PyTorch",
    )
    parser.add_argument(
        "--json", metavar="FILE", type=Path, help="write everything there: metrics, bad and changed rows"
    )


def run(options: argparse.Namespace) -> int:
    """Prints the report and gives the exit code: 1 where a variant failed, else 0.

    Raises:
        AssayError: the model or the data cannot be used, or no row is good.
    """
    try:
        from . import evaluate
    except ModuleNotFoundError as error:
        raise InstallationError(
            f"{error.name} is not installed, and quality needs it: pip install 'assay[export,bench]'"
        ) from error
    _quieten()
    return evaluate.run(options)


def _quieten() -> None:
    """transformers, peft and the tracer report on themselves; errors reach the user as exceptions."""
    import transformers

    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in ("onnxscript", "torch.onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _count(word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise argparse.ArgumentTypeError(f"found {word!r}, expected a number of rows")
    return int(word)
