"""`assay export`: the command line of the export. Heavy imports wait until it runs (see assay.cli)."""

import argparse
from pathlib import Path

HELP = "export a fine-tuned checkpoint to a bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="osmosis, maxwell, a Hub id, or a checkpoint's folder")
    parser.add_argument("--out", metavar="BUNDLE", type=Path, required=True, help="the folder to write")
    parser.add_argument("--revision", help="branch, tag or commit on the Hub")
    parser.add_argument(
        "--base", metavar="FOLDER_OR_ID", help="the base model of an adapter, instead of the one it names"
    )
    parser.add_argument(
        "--input", choices=["pair", "text"], help="what one row is (default: pair for DeBERTa classifiers)"
    )
    parser.add_argument("--labels", metavar="A,B,...", help="label names in logit order, where config.json has none")
    parser.add_argument(
        "--variants", metavar="V,V", default="fp32", help="fp32 (the default), with int8, fp16 and int8_qdq as wanted"
    )
    parser.add_argument(
        "--calibration", metavar="FILE", type=Path, help="int8, fp16: rows to fit and gate on (.jsonl, .csv, .txt)"
    )
    parser.add_argument("--max-flips", metavar="SHARE", type=float, help="int8: labels that may flip (default 0.005)")
    parser.add_argument("--max-drift", metavar="MEAN", type=float, help="int8: mean |delta| allowed (default 0.005)")
    parser.add_argument("--force", action="store_true", help="replace a bundle that is there already")


def run(args: argparse.Namespace) -> int:
    from assay_export.interruption import Interruptible
    from assay_export.progress import Terminal

    progress = Interruptible(Terminal())
    progress.listen()
    _quieten()
    from assay_export.bundle.summary import show
    from assay_export.exporter import export
    from assay_export.variants.int8.gate import Limits

    manifest = export(
        args.source,
        args.out,
        revision=args.revision,
        base=args.base,
        row=args.input,
        labels=[label.strip() for label in args.labels.split(",")] if args.labels else None,
        variants=[variant.strip() for variant in args.variants.split(",")],
        calibration=args.calibration,
        limits=Limits.of(args.max_flips, args.max_drift),
        force=args.force,
        progress=progress,
    )
    show(manifest, args.out)
    return 0


def _quieten() -> None:
    """transformers, peft and the tracer report on themselves; errors reach the user as exceptions."""
    import logging
    import warnings

    import transformers

    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
