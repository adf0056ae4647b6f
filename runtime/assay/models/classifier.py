"""Classification: logits to labels with probabilities."""

from dataclasses import dataclass

import numpy as np

from assay.models.base import Float32, Model

__all__ = ["Classifier", "Prediction", "sigmoid", "softmax"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The best `label`, its `score`, and `scores` of every label in logit order.

    Scores are probabilities: of a softmax over the labels, or, for a multi-label bundle, one sigmoid per label.
    """

    label: str
    score: float
    scores: dict[str, float]


class Classifier(Model):
    """A bundle whose task is classification. Made by assay.load."""

    def predict(self, text: str, text_pair: str | None = None, *, truncate: bool = False) -> Prediction:
        """Classify one text, or one pair for a bundle of pairs (osmosis: objective, response).

        Raises InputError for what is not a text, and for one longer than the model reads where the bundle refuses these
        and `truncate` is false; NumericalError where a logit is NaN or infinite.
        """
        return self.predictions(self._single(text, text_pair, truncate)[None, :])[0]

    def predict_batch(self, batch: object, *, truncate: bool = False) -> list[Prediction]:
        """One Prediction per row of `batch`, in its order; rows and errors are those of `logits`."""
        return self.predictions(self.logits(batch, truncate=truncate))

    def predictions(self, logits: Float32) -> list[Prediction]:
        """What `logits` [n, labels] mean, a Prediction a row."""
        predictions = []
        for row in self._scores(logits):
            best = int(row.argmax())  # the first of equals, as in transformers
            named = dict(zip(self.labels, row.tolist(), strict=True))
            predictions.append(Prediction(self.labels[best], float(row[best]), named))
        return predictions

    def _scores(self, logits: Float32) -> Float32:
        """Probabilities [n, labels] of `logits` [n, labels], by the bundle's activation."""
        return sigmoid(logits) if self.manifest.activation == "sigmoid" else softmax(logits)


def softmax(logits: Float32) -> Float32:
    """Softmax over the last axis in float32, shifted by the maximum: the arithmetic of transformers' pipeline."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Float32 = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


def sigmoid(logits: Float32) -> Float32:
    """1 / (1 + exp(-x)) in float32, as in transformers' pipeline; where exp overflows, 0 is the right result."""
    with np.errstate(over="ignore"):
        return np.float32(1.0) / (np.float32(1.0) + np.exp(-logits))
