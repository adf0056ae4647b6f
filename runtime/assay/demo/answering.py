"""What the page shows of one answer: the tokens, the scores and the times."""

import threading
import time
from typing import Any

from assay.inputs.tokenization import Tokens
from assay.inputs.validation import check_flag, check_single
from assay.models.base import Model, runner_of
from assay.models.classifier import Classifier
from assay.models.runner import Float32, refuse_non_finite
from assay.models.scorer import Scorer

__all__ = ["Answering"]


class Answering:
    """A model whose answers are JSON documents. One answer is computed at a time, so that the times are its own."""

    def __init__(self, model: Classifier | Scorer) -> None:
        self._model = model
        self._one_at_a_time = threading.Lock()

    def describe(self) -> dict[str, Any]:
        """Return what the page says about the model."""
        manifest, info = self._model.manifest, self._model.info
        return {
            "name": manifest.name,
            "task": manifest.task,
            "input": manifest.input,
            "labels": list(manifest.labels),
            "max_length": manifest.max_length,
            "refuses_long": manifest.truncation == "refuse",
            "variant": info["variant"],
            "device": info["device"],
            "threads": info["threads"],
        }

    def answer(self, text: object, text_pair: object, truncate: object) -> dict[str, Any]:
        """Answer one row.

        Args:
            text: The text, or the first of a pair.
            text_pair: The second text of a pair.
            truncate: Cut a text that the bundle would refuse as too long.

        Returns:
            The tokens; "label" and "scores", or "score"; and the milliseconds that each step took.

        Raises:
            InputError: The row is not what the bundle reads, or is too long.
            NumericalError: A logit is NaN or infinite.
        """
        row = check_single(text, text_pair, self._model.manifest.input)
        runner = runner_of(self._model)
        with self._one_at_a_time:
            start = time.perf_counter()
            (tokens,) = runner.tokenizer.encode([row], check_flag(truncate, "truncate"), None)
            tokenized = time.perf_counter()
            logits = runner.answer([tokens])
            answered = time.perf_counter()
        refuse_non_finite(logits, single=True)
        return _interpret(self._model, logits) | {
            "tokens": _spell(self._model, tokens),
            "milliseconds": {"tokens": 1000 * (tokenized - start), "model": 1000 * (answered - tokenized)},
        }


def _interpret(model: Model, logits: Float32) -> dict[str, Any]:
    if isinstance(model, Scorer):
        return {"score": float(model.scores(logits)[0])}
    assert isinstance(model, Classifier)
    (prediction,) = model.predictions(logits)
    return {"label": prediction.label, "scores": prediction.scores}


def _spell(model: Model, tokens: Tokens) -> list[dict[str, Any]]:
    """Return each token's id, its entry in the vocabulary, and whether it belongs to the second text."""
    words = runner_of(model).tokenizer.spell(tokens)
    numbers = zip(tokens.ids.tolist(), tokens.type_ids.tolist(), strict=True)
    return [
        {"id": number, "token": word, "second": bool(second)}
        for word, (number, second) in zip(words, numbers, strict=True)
    ]
