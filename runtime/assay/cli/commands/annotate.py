"""assay annotate: the rows of a file with the model's answers as new columns. Formats: docs/guide/annotate.md."""

import argparse
import sys
from typing import TYPE_CHECKING

from assay.cli.options import (
    UsageError,
    add_bundle,
    add_device,
    add_format,
    add_threshold,
    add_variant,
    read_manifest,
    read_threshold,
)
from assay.files import to_text

if TYPE_CHECKING:
    from assay.models.base import Model

__all__ = ["HELP", "add_arguments", "run"]

HELP = "answer every row of a file and write it with the answers as new columns"

SOME_FAILED, INTERRUPTED = 3, 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    parser.add_argument(
        "input",
        metavar="INPUT",
        help=".jsonl, .ndjson, .csv or .tsv, each also .gz or .zst; .parquet; "
        "- answers rows on standard input as they arrive",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUTPUT", help="a file name as for INPUT; - is standard output"
    )
    add_format(parser, ("jsonl", "csv", "tsv"), "standard input and output")
    fields = parser.add_mutually_exclusive_group()
    fields.add_argument(
        "--text", metavar="FIELD", type=to_text, help="field of the text, or a dotted path to it; default: text"
    )
    fields.add_argument(
        "--pair",
        nargs=2,
        metavar=("FIELD", "FIELD"),
        type=to_text,
        help="fields of a pair's two texts; default: text text_pair",
    )
    parser.add_argument(
        "--scale", nargs=2, type=float, metavar=("MIN", "MAX"), help="rescale scores to this range and clamp them"
    )
    parser.add_argument(
        "--columns",
        metavar="NAMES",
        help="of label, labels, score, scores, evol_complexity, with commas; default: label,score, for a multi-label "
        "bundle labels,scores, for a regression score",
    )
    add_threshold(parser)
    parser.add_argument(
        "--on-error",
        choices=("raise", "null"),
        default="raise",
        help="a row that cannot be answered ends the run (raise, default), or is kept without answers (null)",
    )
    parser.add_argument("--resume", action="store_true", help="go on from what an interrupted run left")
    parser.add_argument("--report", metavar="FILE", help="write an HTML page about OUTPUT once it is complete")
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="only every N-th row, from the I-th on")
    parser.add_argument("--force", action="store_true", help="replace OUTPUT, and discard an interrupted run")
    parser.add_argument("--truncate", action="store_true", help="cut texts that the bundle refuses as too long")
    add_variant(parser)
    add_device(parser, "auto")


def run(args: argparse.Namespace) -> int:
    manifest = read_manifest(args)
    if args.text is not None and manifest.input == "pair":
        raise UsageError("found --text, expected --pair: this bundle reads pairs")
    if args.pair is not None and manifest.input == "text":
        raise UsageError("found --pair, expected --text: this bundle reads one text")
    from assay.annotate.job import Job
    from assay.annotate.progress import Progress
    from assay.annotate.run import StoppedError, annotate
    from assay.annotate.signals import stop_on_signals

    job = Job(
        source=args.input,
        target=args.output,
        fields=args.pair or (None if args.text is None else [args.text]),
        columns=None if args.columns is None else [name.strip() for name in args.columns.split(",")],
        scale=args.scale,
        threshold=read_threshold(args, manifest),
        on_error=args.on_error,
        truncate=args.truncate,
        shard=args.shard,
        resume=args.resume,
        force=args.force,
        format=args.format,
        quoting=args.quoting,
        report=args.report,
    )
    progress = Progress()
    try:
        with stop_on_signals() as stop:
            summary = annotate(job, manifest, lambda: _load(args), progress, stop)
    except StoppedError as error:
        print(f"assay: {error}", file=sys.stderr)
        return INTERRUPTED
    failed = f", {summary.failed:,} failed (see the column 'error')" if summary.failed else ""
    print(f"assay: {progress.rates()}; {job.target}: {summary.rows:,} rows{failed}", file=sys.stderr)
    return SOME_FAILED if summary.failed else 0


def _load(args: argparse.Namespace) -> "Model":
    """Load the model as options.load_model does, but for many rows."""
    from assay.loading import load

    return load(args.bundle, args.device, args.variant, args.threads, revision=args.revision, mode="throughput")
