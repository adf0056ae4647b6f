"""Classification: logits to labels with probabilities."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from assay.models.base import Float32, Model
from assay.models.thresholds import Threshold, check_threshold

__all__ = ["Classifier", "Prediction", "sigmoid", "softmax"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one row.

    Attributes:
        label: The best label.
        score: Its probability.
        scores: The probability of every label, in logit order: a softmax over the labels, or for a multi-label bundle a
            sigmoid per label.
        labels: The labels that the row has, in logit order: those whose probability reaches the threshold in a
            multi-label bundle, which may be none of them; else the best label alone.
    """

    label: str
    score: float
    scores: dict[str, float]
    labels: list[str]

    def __hash__(self) -> int:
        # `scores` is a dict, which cannot be hashed. Equal predictions have equal labels and scores all the same.
        return hash((self.label, self.score))


class Classifier(Model):
    """A bundle whose task is classification. assay.load returns it."""

    def predict(
        self,
        text: str,
        text_pair: str | None = None,
        *,
        truncate: bool = False,
        threshold: Threshold | None = None,
    ) -> Prediction:
        """Classify one text, or one pair for a bundle of pairs (osmosis: objective, response).

        Args:
            text: The text, or the first of the pair.
            text_pair: The second text of the pair.
            truncate: Cut a text that the bundle would refuse as too long.
            threshold: For a multi-label bundle, the least probability of a label that the row has, 0.5 by default: one
                number from 0 to 1, or a mapping of labels to numbers.

        Raises:
            InputError: An argument is not a text or a threshold, or the text is longer than the model reads.
            NumericalError: A logit is NaN or infinite.
        """
        limits = check_threshold(threshold, self.manifest)
        return self._name(self._run_single(text, text_pair, truncate), limits)[0]

    def predict_batch(
        self, batch: object, *, truncate: bool = False, threshold: Threshold | None = None
    ) -> list[Prediction]:
        """Return one Prediction per row of `batch`, in its order. See `logits` for the rows, `predict` for the rest."""
        limits = check_threshold(threshold, self.manifest)
        return self._name(self.logits(batch, truncate=truncate), limits)

    def predict_proba(self, batch: object, *, truncate: bool = False) -> Float32:
        """Return the probabilities, float32 [n, labels], of n rows in their order; a column per label of `classes_`.

        A softmax over the labels, or for a multi-label bundle a sigmoid per label. See `logits` for the rest.
        """
        return self._activate(self.logits(batch, truncate=truncate))

    @property
    def classes_(self) -> npt.NDArray[np.str_]:
        """The labels in logit order as an array of str, under the name that scikit-learn gives them."""
        return np.array(self.labels)

    def predictions(self, logits: Float32, threshold: Threshold | None = None) -> list[Prediction]:
        """Return the Prediction of each row of `logits` [n, labels].

        Raises:
            InputError: `logits` has another shape, or `threshold` is not a threshold.
            NumericalError: A logit is NaN or infinite; with the row's index.
        """
        return self._name(self._check_logits(logits), check_threshold(threshold, self.manifest))

    def _name(self, logits: Float32, limits: tuple[float, ...] | None) -> list[Prediction]:
        """Return the Prediction of each row of finite `logits`; `limits` are the thresholds of a multi-label bundle."""
        predictions = []
        for row in self._activate(logits):
            best = int(row.argmax())  # the first of equals, as in transformers
            named = dict(zip(self.labels, row.tolist(), strict=True))
            has = [self.labels[best]]
            if limits is not None:
                has = [name for (name, score), limit in zip(named.items(), limits, strict=True) if score >= limit]
            predictions.append(Prediction(self.labels[best], float(row[best]), named, has))
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
