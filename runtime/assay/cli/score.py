"""assay score: scores of texts."""

import argparse

from assay.cli.options import add_bundle, add_json, add_rows, given_rows, load_asked, manifest_of, print_json
from assay.errors import InputError

HELP = "score texts with a regression bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    add_rows(parser, "texts to score, each for itself; for a bundle of pairs the two texts of one pair")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--scale", nargs=2, type=float, metavar=("MIN", "MAX"), help="rescale from 0..1 and clamp, as on Maxwell's card"
    )
    form.add_argument("--evol", action="store_true", help="print the DEITA Evol-Complexity score, 1 to 6")
    add_json(parser, 'a JSON object per row: "score", or "evol_complexity" with --evol')


def run(args: argparse.Namespace) -> int:
    manifest = manifest_of(args)
    if manifest.task != "regression":
        raise InputError(f"{args.bundle}: is a classification bundle, expected a regression bundle; use assay predict")
    rows = given_rows(args, manifest)
    from assay.models.scorer import Scorer

    model = load_asked(args)
    assert isinstance(model, Scorer)  # as the manifest's task says
    if args.evol:
        for value in model.evol_complexity_batch(rows, truncate=args.truncate).tolist():
            print_json({"evol_complexity": value}) if args.json else print(value)
    else:
        for value in model.score_batch(rows, scale=args.scale, truncate=args.truncate).tolist():
            print_json({"score": value}) if args.json else print(f"{value:.6g}")
    return 0
