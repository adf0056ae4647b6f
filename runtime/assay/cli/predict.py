"""assay predict: labels of texts or pairs."""

import argparse

from assay.cli.options import add_bundle, add_json, add_rows, given_rows, load_asked, manifest_of, print_json
from assay.errors import InputError

HELP = "classify texts or pairs of texts with a classification bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    add_rows(
        parser, "texts to classify; for a bundle of pairs the two texts of one pair (osmosis: objective, response)"
    )
    add_json(parser, "a JSON object per row: label, score and the scores of all labels")


def run(args: argparse.Namespace) -> int:
    manifest = manifest_of(args)
    if manifest.task != "classification":
        raise InputError(f"{args.bundle}: is a regression bundle, expected a classification bundle; use assay score")
    rows = given_rows(args, manifest)
    from assay.models.classifier import Classifier

    model = load_asked(args)
    assert isinstance(model, Classifier)  # as the manifest's task says
    for prediction in model.predict_batch(rows, truncate=args.truncate):
        if args.json:
            print_json({"label": prediction.label, "score": prediction.score, "scores": prediction.scores})
        else:
            print(f"{prediction.label}\t{prediction.score:.4f}")
    return 0
