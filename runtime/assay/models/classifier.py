"""Classification: logits to labels with probabilities."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from assay.inputs.validation import check_count, check_flag
from assay.models.activations import sigmoid, softmax
from assay.models.base import STREAMED_TOGETHER, Float32, Model
from assay.models.streams.progress import show_progress
from assay.models.tasks import ranking, zero_shot
from assay.models.tasks.long_texts import Aggregate, Long, LongScores
from assay.models.tasks.zero_shot import ZeroShot
from assay.models.thresholds import Threshold, check_threshold
from assay.ort.batching import Limits

__all__ = ["Classifier", "Prediction"]


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
        windows: How many windows of the text were read: 1, or more for a long text with long="windows". The scores of
            several windows of a softmax need not sum to 1 where they are aggregated by "max".
    """

    label: str
    score: float
    scores: dict[str, float]
    labels: list[str]
    windows: int = 1

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
        long: Long | None = None,
        aggregate: Aggregate = "max",
    ) -> Prediction:
        """Classify one text, or one pair for a bundle of pairs (osmosis: objective, response).

        Args:
            text: The text, or the first of the pair.
            text_pair: The second text of the pair.
            truncate: Cut a text that the bundle would refuse as too long.
            threshold: For a multi-label bundle, the least probability of a label that the row has, 0.5 by default: one
                number from 0 to 1, or a mapping of labels to numbers.
            long: What to do with a text that is longer than the model reads: "error", "truncate", or "windows", which
                reads all of it in overlapping windows (assay.models.tasks.long_texts). By default what the bundle does.
            aggregate: How "windows" become one score per label: "max", "mean", or "first" for that window's.

        Raises:
            InputError: An argument is not a text or a threshold, or the text is longer than the model reads.
            NumericalError: A logit is NaN or infinite.
        """
        limits = check_threshold(threshold, self.manifest)
        return self._name(self._score_single(text, text_pair, truncate, long, aggregate), limits)[0]

    def predict_batch(
        self,
        batch: object,
        *,
        truncate: bool = False,
        threshold: Threshold | None = None,
        progress: bool = False,
        batch_tokens: int | None = None,
        long: Long | None = None,
        aggregate: Aggregate = "max",
    ) -> list[Prediction]:
        """Return one Prediction per row of `batch`, in its order. See `logits` for the rows, `predict` for the rest."""
        limits = check_threshold(threshold, self.manifest)
        return self._name(self._score_batch(batch, truncate, progress, batch_tokens, long, aggregate), limits)

    def stream(
        self,
        rows: object,
        *,
        batch_size: int = STREAMED_TOGETHER,
        truncate: bool = False,
        threshold: Threshold | None = None,
    ) -> Iterator[Prediction]:
        """Return an iterator over the Prediction of each row, in order.

        `rows` is an iterable of rows, which may be endless. It is read in this thread and only as far as the next
        answers need, so memory is bounded. A row that cannot be answered raises its error, with its index, after the
        answers to the rows before it.

        Args:
            rows: Texts, or for a bundle of pairs tuples of two texts.
            batch_size: How many rows are read before they are answered together: 1 answers each row at once, and more
                rows use the cores better.
            truncate: As `predict`.
            threshold: As `predict`.

        Raises:
            InputError: As `logits`, and for an argument that is wrong.
            NumericalError: As `logits`.
        """
        limits = check_threshold(threshold, self.manifest)
        windows = self._stream_logits(rows, batch_size, truncate)
        return (prediction for logits in windows for prediction in self._name(self._score_logits(logits), limits))

    def predict_proba(
        self, batch: object, *, truncate: bool = False, progress: bool = False, batch_tokens: int | None = None
    ) -> Float32:
        """Return the probabilities, float32 [n, labels], of n rows in their order; a column per label of `classes_`.

        A softmax over the labels, or for a multi-label bundle a sigmoid per label. See `logits` for the rest.
        """
        return self._activate(self.logits(batch, truncate=truncate, progress=progress, batch_tokens=batch_tokens))

    def zero_shot(
        self,
        texts: object,
        labels: Sequence[str] | str,
        hypothesis_template: str = "This example is {}.",
        multi_label: bool = False,
        *,
        entailment: str | None = None,
        truncate: bool = False,
        progress: bool = False,
        batch_tokens: int | None = None,
    ) -> ZeroShot | list[ZeroShot]:
        """Classify texts by labels of the caller's choice, with a model of natural language inference.

        The numbers are those of transformers' zero-shot-classification pipeline; its rules are in
        assay.models.tasks.zero_shot.
        A call answers len(texts) * len(labels) pairs as one batch, and encodes each text and each label once.

        Args:
            texts: A text, or an iterable of texts, which may be empty.
            labels: The candidate labels: a list, or a str with commas between them.
            hypothesis_template: A text with {} where the label goes.
            multi_label: Score each label alone, since several may be right; else the scores of a text sum to 1.
            entailment: The model's label that means entailment. Default: the first one that starts with "entail".
            truncate: Cut a text that the bundle would refuse as too long.
            progress: As `logits`; a row is a text with a label.
            batch_tokens: As `logits`.

        Returns:
            A dict of sequence, labels (best first) and scores; a list of these for an iterable.

        Raises:
            InputError: The bundle does not read pairs or has no label for entailment, or an argument is wrong; with the
                index of a wrong text.
            NumericalError: A logit is NaN or infinite; with the index of the text.
        """
        ranking.require_pairs(self.manifest, "zero_shot")
        columns = zero_shot.find_entailment(entailment, self.labels)
        candidates = zero_shot.check_labels(labels)
        hypotheses = zero_shot.write_hypotheses(hypothesis_template, candidates)
        check_flag(multi_label, "multi_label")
        premises = zero_shot.check_texts(texts)
        check_flag(truncate, "truncate")
        limits = Limits(tokens=check_count(batch_tokens, "batch_tokens"))
        rows = len(premises) * len(candidates)
        with zero_shot.rows_of_texts(len(candidates)), show_progress(progress, rows) as report:
            logits = self._runner.run_crossed(premises, hypotheses, truncate, limits, report)
        scores = zero_shot.score_labels(logits, *columns, multi_label=multi_label).tolist()
        answers = [zero_shot.order(text, candidates, row) for text, row in zip(premises, scores, strict=True)]
        return answers[0] if isinstance(texts, str) else answers

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
        scores = self._score_logits(self._check_logits(logits))
        return self._name(scores, check_threshold(threshold, self.manifest))

    def _name(self, scores: LongScores, limits: tuple[float, ...] | None) -> list[Prediction]:
        """Return the Prediction of each row of scores; `limits` are the thresholds of a multi-label bundle."""
        predictions = []
        for row, windows in zip(scores.scores, scores.windows.tolist(), strict=True):
            best = int(row.argmax())  # the first of equals, as in transformers
            named = dict(zip(self.labels, row.tolist(), strict=True))
            has = [self.labels[best]]
            if limits is not None:
                has = [name for (name, score), limit in zip(named.items(), limits, strict=True) if score >= limit]
            predictions.append(Prediction(self.labels[best], float(row[best]), named, has, windows))
        return predictions

    def _activate(self, logits: Float32) -> Float32:
        """Return the probabilities [n, labels] of `logits` [n, labels], by the bundle's activation."""
        return sigmoid(logits) if self.manifest.activation == "sigmoid" else softmax(logits)
