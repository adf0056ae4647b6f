"""Classification: logits to labels with probabilities."""

from dataclasses import dataclass

import numpy as np

from assay.models.base import Float32, Model

__all__ = ["Classifier", "Prediction", "sigmoid", "softmax"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one row.

    Attributes:
        label: The best label.
        score: Its probability.
        scores: The probability of every label, in logit order: a softmax over the labels, or for a multi-label bundle a
            sigmoid per label.
    """

    label: str
    score: float
    scores: dict[str, float]

    def __hash__(self) -> int:
        # `scores` is a dict, which cannot be hashed. Equal predictions have equal labels and scores all the same.
        return hash((self.label, self.score))


class Classifier(Model):
    """A bundle whose task is classification. assay.load returns it."""

    def predict(self, text: str, text_pair: str | None = None, *, truncate: bool = False) -> Prediction:
        """Classify one text, or one pair for a bundle of pairs (osmosis: objective, response).

        Args:
            text: The text, or the first of the pair.
            text_pair: The second text of the pair.
            truncate: Cut a text that the bundle would refuse as too long.

        Raises:
            InputError: An argument is not a text, or is longer than the model reads.
            NumericalError: A logit is NaN or infinite.
        """
        return self.predictions(self._run_single(text, text_pair, truncate))[0]

    def predict_batch(self, batch: object, *, truncate: bool = False) -> list[Prediction]:
        """Return one Prediction per row of `batch`, in its order. Arguments and errors are those of `logits`."""
        return self.predictions(self.logits(batch, truncate=truncate))

    def predictions(self, logits: Float32) -> list[Prediction]:
        """Return the Prediction of each row of `logits` [n, labels].

        Raises:
            InputError: `logits` has another shape.
            NumericalError: A logit is NaN or infinite; with the row's index.
        """
        predictions = []
        for row in self._activate(self._check_logits(logits)):
            best = int(row.argmax())  # the first of equals, as in transformers
            named = dict(zip(self.labels, row.tolist(), strict=True))
            predictions.append(Prediction(self.labels[best], float(row[best]), named))
        return predictions

    def _activate(self, logits: Float32) -> Float32:
        """Return the probabilities [n, labels] of `logits` [n, labels], by the bundle's activation."""
        return sigmoid(logits) if self.manifest.activation == "sigmoid" else softmax(logits)


def softmax(logits: Float32) -> Float32:
    """Return the softmax over the last axis in float32, shifted by the maximum as in transformers' pipeline."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Float32 = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


def sigmoid(logits: Float32) -> Float32:
    """Return 1 / (1 + exp(-x)) in float32, as in transformers' pipeline. Where exp overflows, 0 is the right result."""
    with np.errstate(over="ignore"):
        return np.float32(1.0) / (np.float32(1.0) + np.exp(-logits))
