"""assay score: scores of texts."""

import argparse
import sys
from typing import TYPE_CHECKING

from assay.cli.options import add_bundle, add_json, print_json, read_manifest
from assay.cli.rows import add_rows, answer_rows
from assay.errors import InputError

if TYPE_CHECKING:
    from assay.models.classifier import Classifier
    from assay.models.scorer import Scorer

__all__ = ["HELP", "add_arguments", "run"]

HELP = "score texts with a regression bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    add_rows(parser, "texts to score, one row each; for a bundle of pairs the two texts of one pair")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--scale", nargs=2, type=float, metavar=("MIN", "MAX"), help="rescale and clamp, as on Maxwell's model card"
    )
    form.add_argument("--evol", action="store_true", help="print the DEITA Evol-Complexity score, 1 to 6")
    add_json(parser, 'a JSON object per row: "score", or "evol_complexity" with --evol')


def run(args: argparse.Namespace) -> int:
    manifest = read_manifest(args)
    if manifest.task != "regression":
        raise InputError(f"{args.bundle}: is a classification bundle, expected a regression bundle; use assay predict")

    def check(model: "Classifier | Scorer") -> None:
        import numpy as np

        from assay.models.scorer import Scorer

        assert isinstance(model, Scorer)  # as the manifest's task says
        nothing = np.empty((0, 1), dtype=np.float32)
        _ = model.evol_complexities(nothing) if args.evol else model.scores(nothing, args.scale)

    for model, logits in answer_rows(args, manifest, check):
        from assay.models.scorer import Scorer

        assert isinstance(model, Scorer)
        if args.evol:
            for value in model.evol_complexities(logits).tolist():
                print_json({"evol_complexity": value}) if args.json else print(value)
        else:
            for value in model.scores(logits, args.scale).tolist():
                print_json({"score": value}) if args.json else print(f"{value:.6g}")
        sys.stdout.flush()
    return 0
