"""assay predict: labels of texts or pairs."""

import argparse
import sys

from assay.cli.options import (
    add_bundle,
    add_json,
    add_threshold,
    print_json,
    read_manifest,
    read_threshold,
)
from assay.cli.rows import add_rows, answer_rows
from assay.errors import InputError

__all__ = ["HELP", "add_arguments", "run"]

HELP = "classify texts or pairs of texts with a classification bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    add_rows(
        parser, "texts to classify; for a bundle of pairs the two texts of one pair (osmosis: objective, response)"
    )
    add_threshold(parser)
    add_json(parser, "a JSON object per row: label, score, scores of all labels, and labels of a multi-label bundle")


def run(args: argparse.Namespace) -> int:
    manifest = read_manifest(args)
    if manifest.task != "classification":
        raise InputError(f"{args.bundle}: is a regression bundle, expected a classification bundle; use assay score")
    threshold = read_threshold(args, manifest)
    for model, logits in answer_rows(args, manifest):
        from assay.models.classifier import Classifier

        assert isinstance(model, Classifier)  # as the manifest's task says
        for prediction in model.predictions(logits, threshold):
            if args.json:
                answer = {"label": prediction.label, "score": prediction.score, "scores": prediction.scores}
                print_json(answer | ({"labels": prediction.labels} if manifest.is_multi_label else {}))
            else:
                print("\t".join(f"{label}\t{prediction.scores[label]:.4f}" for label in prediction.labels))
        sys.stdout.flush()
    return 0
