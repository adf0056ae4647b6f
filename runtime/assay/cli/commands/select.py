"""assay select: the rows of a file with the highest scores, with a quota per group. See docs/guide/annotate.md."""

import argparse
import sys

from assay.cli.options import UsageError, add_format

__all__ = ["HELP", "add_arguments", "run"]

HELP = "write the rows of a file with the highest scores, as many of every group as asked"

SOME_SKIPPED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input", metavar="INPUT", help="a file that assay annotate reads or writes; - is standard input"
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUTPUT", help="a file of the same format; - is standard output"
    )
    parser.add_argument(
        "--top", required=True, type=int, metavar="K", help="rows to keep: in all, or of every group and bin"
    )
    parser.add_argument(
        "--by", default="score", metavar="COLUMN", help="column of the score, or a dotted path to it; default: score"
    )
    groups = parser.add_mutually_exclusive_group()
    groups.add_argument("--group", metavar="COLUMN", help="keep K rows of every value of this column")
    groups.add_argument("--per-label", action="store_true", help="keep K rows of every label: --group label")
    parser.add_argument(
        "--bins", metavar="EDGES", help="keep K rows of every range of scores: rising numbers with commas, as 0,50,100"
    )
    parser.add_argument(
        "--on-error",
        choices=("raise", "skip"),
        default="raise",
        help="a row without a finite score ends the run (raise, default), or is left out (skip)",
    )
    parser.add_argument("--force", action="store_true", help="replace OUTPUT")
    add_format(parser, ("jsonl", "csv", "tsv"), "standard input and output")


def run(args: argparse.Namespace) -> int:
    bins = None
    if args.bins is not None:
        try:
            bins = [float(edge) for edge in args.bins.split(",")]
        except ValueError:
            raise UsageError(
                f"found --bins {args.bins!r:.80}, expected numbers with commas, such as 0,50,100"
            ) from None
    from assay.select.job import Job
    from assay.select.run import select

    summary = select(
        Job(
            source=args.input,
            target=args.output,
            top=args.top,
            by=args.by,
            group="label" if args.per_label else args.group,
            bins=bins,
            on_error=args.on_error,
            force=args.force,
            format=args.format,
            quoting=args.quoting,
        )
    )
    notes = [f"{summary.selected:,} of {summary.rows:,} rows"]
    if args.group is not None or args.per_label or bins is not None:
        notes.append(f"{summary.quotas:,} {'quota' if summary.quotas == 1 else 'quotas'} with rows")
    if summary.outside:
        notes.append(f"{summary.outside:,} outside the bins")
    if summary.skipped:
        notes.append(f"{summary.skipped:,} without a score")
    print(f"assay: {args.output}: {', '.join(notes)}", file=sys.stderr)
    return SOME_SKIPPED if summary.skipped else 0
