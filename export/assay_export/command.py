"""`assay export`: the command line of the export.

Heavy modules are imported when the command runs, not when its help is shown.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assay.files import to_text
from assay_export.checkpoint.presets import PRESETS

if TYPE_CHECKING:
    from assay_export.interruption import Interruptible

__all__ = ["HELP", "add_arguments", "run"]

HELP = "export a fine-tuned checkpoint to a bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to `parser`."""
    parser.add_argument(
        "source", metavar="SOURCE", help=f"{', '.join(PRESETS)}, a Hub id, or the folder of a checkpoint"
    )
    parser.add_argument("--out", metavar="BUNDLE", type=Path, required=True, help="the folder to write")
    parser.add_argument("--revision", help="branch, tag or commit on the Hub")
    parser.add_argument(
        "--base", metavar="FOLDER_OR_ID", help="the base model of an adapter, instead of the one that it names"
    )
    parser.add_argument(
        "--input", choices=["pair", "text"], help="what one row is (default: pair for DeBERTa classifiers, else text)"
    )
    parser.add_argument(
        "--labels",
        metavar="A,B,...",
        type=to_text,
        help="label names in logit order, in place of those of config.json",
    )
    parser.add_argument(
        "--variants", metavar="V,V", default="fp32", help="fp32 (the default), with any of int8, fp16 and int8_qdq"
    )
    parser.add_argument(
        "--calibration",
        metavar="FILE",
        type=Path,
        help="rows that int8 and fp16 are fitted to and gated on (.jsonl, .csv, .txt; default: built-in English text)",
    )
    parser.add_argument(
        "--max-flips", metavar="SHARE", type=float, help="int8: the share of labels that may flip (default 0.005)"
    )
    parser.add_argument(
        "--max-drift", metavar="MEAN", type=float, help="int8: the mean |delta| that is allowed (default 0.005)"
    )
    parser.add_argument(
        "--score-range",
        metavar=("LOW", "HIGH"),
        type=float,
        nargs=2,
        help="the range of a regression's output, so that scores can be rescaled",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing bundle")


def run(args: argparse.Namespace) -> int:
    """Export a checkpoint, print a summary and return the exit code."""
    from assay_export.interruption import Interruptible
    from assay_export.progress import Terminal

    progress = Interruptible(Terminal())
    with progress.listen():
        return _export(args, progress)


def _export(args: argparse.Namespace, progress: "Interruptible") -> int:
    _silence_libraries()
    from assay_export.bundle.summary import show
    from assay_export.exporter import export

    manifest = export(
        args.source,
        args.out,
        revision=args.revision,
        base=args.base,
        input=args.input,
        labels=None if args.labels is None else _split(args.labels),
        variants=_split(args.variants),
        calibration=args.calibration,
        max_flips=args.max_flips,
        max_drift=args.max_drift,
        score_range=args.score_range,
        force=args.force,
        progress=progress,
    )
    show(manifest, args.out)
    return 0


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",")]


def _silence_libraries() -> None:
    """Keep transformers, peft and the tracer from reporting on themselves; errors still arrive as exceptions."""
    import logging
    import warnings

    import transformers

    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
