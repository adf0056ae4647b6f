"""assay predict: labels of texts or pairs."""

import argparse
import sys

from assay.cli.options import add_bundle, add_json, print_json, read_manifest
from assay.cli.rows import add_rows, answer_rows
from assay.errors import InputError

__all__ = ["HELP", "add_arguments", "run"]

HELP = "classify texts or pairs of texts with a classification bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    add_rows(
        parser, "texts to classify; for a bundle of pairs the two texts of one pair (osmosis: objective, response)"
    )
    add_json(parser, "a JSON object per row: label, score and the scores of all labels")


def run(args: argparse.Namespace) -> int:
    manifest = read_manifest(args)
    if manifest.task != "classification":
        raise InputError(f"{args.bundle}: is a regression bundle, expected a classification bundle; use assay score")
    for model, logits in answer_rows(args, manifest):
        from assay.models.classifier import Classifier

        assert isinstance(model, Classifier)  # as the manifest's task says
        for prediction in model.predictions(logits):
            if args.json:
                print_json({"label": prediction.label, "score": prediction.score, "scores": prediction.scores})
            else:
                print(f"{prediction.label}\t{prediction.score:.4f}")
        sys.stdout.flush()
    return 0
