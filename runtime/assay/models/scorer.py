"""Regression: the score of a head with one output, and the arithmetic of a model card over it.

The score is the output itself or its sigmoid, as the bundle says.

The card of thethinkmachine/Maxwell-Task-Complexity-Scorer-v0.2 computes `pred * (max - min) + min`, clamps to [min,
max] and, for Evol-Complexity, rounds with torch.round, half to even: all on a float32 tensor. The arithmetic here is
the same to the last bit. The card then shows a scaled score as round(score, 2); score() does not round, so that scores
keep their order.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from assay.bundle.manifest import Scale
from assay.errors import BundleError, InputError
from assay.inputs.validation import describe
from assay.models.activations import sigmoid
from assay.models.base import STREAMED_TOGETHER, Float32, Model
from assay.models.tasks.long_texts import Aggregate, Long

__all__ = ["Scorer", "rescale"]

_UNIT = (0.0, 1.0)


class Scorer(Model):
    """A bundle whose task is regression. assay.load returns it."""

    def score(
        self,
        text: str,
        text_pair: str | None = None,
        *,
        scale: Sequence[float] | None = None,
        truncate: bool = False,
        long: Long | None = None,
        aggregate: Aggregate = "max",
    ) -> float:
        """Return the score of one text, or of one pair for a bundle of pairs.

        Args:
            text: The text, or the first of the pair.
            text_pair: The second text of the pair.
            scale: (min, max) to rescale the score to from the range that the bundle says, and to clamp it to. Without
                it the score is the head's own output, or its sigmoid if the bundle says so, and not clamped. (Maxwell
                was trained on 0..1 and may exceed both ends a little.)
            truncate: Cut a text that the bundle would refuse as too long.
            long: What to do with a text that is longer than the model reads: "error", "truncate", or "windows", which
                reads all of it in overlapping windows (assay.models.tasks.long_texts). By default what the bundle does.
            aggregate: How "windows" become one score, before it is rescaled: "max", "mean" or
                "first". `count_windows` says how many there are.

        Raises:
            InputError: An argument is not a text or a scale, or the text is longer than the model reads.
            BundleError: `scale` is given, but the bundle does not say the range of its output.
            NumericalError: The score is NaN or infinite.
        """
        limits = self._limits(scale)
        return float(self._rescale(self._score_single(text, text_pair, truncate, long, aggregate).scores, limits)[0])

    def score_batch(
        self,
        batch: object,
        *,
        scale: Sequence[float] | None = None,
        truncate: bool = False,
        progress: bool = False,
        batch_tokens: int | None = None,
        long: Long | None = None,
        aggregate: Aggregate = "max",
    ) -> Float32:
        """Return the scores, float32 [n], of n rows in their order. See `logits` for the rows, `score` for the rest."""
        limits = self._limits(scale)
        scored = self._score_batch(batch, truncate, progress, batch_tokens, long, aggregate)
        return self._rescale(scored.scores, limits)

    def stream(
        self,
        rows: object,
        *,
        batch_size: int = STREAMED_TOGETHER,
        scale: Sequence[float] | None = None,
        truncate: bool = False,
    ) -> Iterator[float]:
        """Return an iterator over the score of each row, in order.

        `rows` is an iterable of rows, which may be endless. It is read in this thread and only as far as the next
        answers need, so memory is bounded. A row that cannot be answered raises its error, with its index, after the
        answers to the rows before it.

        Args:
            rows: Texts, or for a bundle of pairs tuples of two texts.
            batch_size: How many rows are read before they are answered together: 1 answers each row at once, and more
                rows use the cores better.
            scale: As `score`.
            truncate: As `score`.

        Raises:
            InputError: As `logits`, and for an argument that is wrong.
            BundleError: As `score`.
            NumericalError: As `logits`.
        """
        limits = self._limits(scale)
        windows = self._stream_logits(rows, batch_size, truncate)
        return (score for logits in windows for score in self._apply(logits, limits).tolist())

    def scores(self, logits: Float32, scale: Sequence[float] | None = None) -> Float32:
        """Return the scores, float32 [n], of `logits` [n, 1].

        Raises:
            InputError: `logits` has another shape, or `scale` is not a scale.
            BundleError: As `score`.
            NumericalError: A logit is NaN or infinite; with the row's index.
        """
        return self._apply(self._check_logits(logits), self._limits(scale))

    def evol_complexity(self, text: str, *, truncate: bool = False) -> int:
        """Return the DEITA Evol-Complexity of one text, 1 to 6: rescaled, clamped, rounded half to even as on the card.

        Raises:
            BundleError: The bundle has no such scale.
            InputError: As `score`.
            NumericalError: As `score`.
        """
        limits = self._evol_limits()
        return int(self._round(self._run_single(text, None, truncate), limits)[0])

    def evol_complexity_batch(
        self, batch: object, *, truncate: bool = False, progress: bool = False, batch_tokens: int | None = None
    ) -> npt.NDArray[np.int64]:
        """Return the Evol-Complexity scores, int64 [n], of n rows in their order.

        See `logits` for the options. Errors as `evol_complexity`.
        """
        limits = self._evol_limits()
        logits = self.logits(batch, truncate=truncate, progress=progress, batch_tokens=batch_tokens)
        return self._round(logits, limits)

    def evol_complexities(self, logits: Float32) -> npt.NDArray[np.int64]:
        """Return the Evol-Complexity scores, int64 [n], of `logits` [n, 1]. Errors as `scores`."""
        return self._round(self._check_logits(logits), self._evol_limits())

    def _activate(self, logits: Float32) -> Float32:
        """Return the scores [n, 1] of `logits` [n, 1], by the bundle's activation."""
        return sigmoid(logits) if self.manifest.activation == "sigmoid" else logits

    def _apply(self, logits: Float32, limits: tuple[float, float] | None) -> Float32:
        """Return the scores [n] of `logits` [n, 1], rescaled to `limits` if there are any."""
        return self._rescale(self._activate(logits), limits)

    def _rescale(self, scores: Float32, limits: tuple[float, float] | None) -> Float32:
        """Return `scores` [n, 1] as [n], rescaled to `limits` if there are any."""
        output = scores[:, 0]
        return output if limits is None else rescale(output, *limits, native=self._scale().native)

    def _round(self, logits: Float32, limits: tuple[float, float]) -> npt.NDArray[np.int64]:
        return np.rint(self._apply(logits, limits)).astype(np.int64)

    def _limits(self, scale: object) -> tuple[float, float] | None:
        if scale is None:
            return None
        limits = _check_scale(scale)
        self._scale()  # raises where there is none
        return limits

    def _evol_limits(self) -> tuple[float, float]:
        scale = self.manifest.scale
        if scale is None or scale.evol_complexity is None:
            raise BundleError(
                f"{self._bundle.folder}: has no Evol-Complexity scale, which only Maxwell's model card defines; "
                "use score()"
            )
        low, high = scale.evol_complexity
        return float(low), float(high)

    def _scale(self) -> Scale:
        scale = self.manifest.scale
        if scale is None:
            raise BundleError(
                f"{self._bundle.folder}: does not say the range of its output, so scores cannot be rescaled; use "
                "score() without a scale, or export again with assay export --score-range LOW HIGH"
            )
        return scale


def rescale(output: Float32, low: float, high: float, native: tuple[float, float] = _UNIT) -> Float32:
    """Return `output` [n] rescaled from the range `native` to [low, high], and clamped to it.

    From 0..1 this is the card's expression on a float32 tensor, `output * (high - low) + low`. torch computes
    `high - low` in double precision, as Python does, and rounds each number to float32 where it meets the tensor; the
    product and the sum are each rounded to float32. Another range is mapped to 0..1 first, also in float32.
    """
    with np.errstate(over="ignore"):  # an infinite product is clamped like any other
        if native != _UNIT:
            output = (output - np.float32(native[0])) / np.float32(native[1] - native[0])
        scaled = output * np.float32(high - low) + np.float32(low)
    clamped: Float32 = np.minimum(np.maximum(scaled, np.float32(low)), np.float32(high))
    return clamped


def _check_scale(scale: object) -> tuple[float, float]:
    if not isinstance(scale, tuple | list) or len(scale) != 2 or not all(map(_is_number, scale)):
        found = describe(scale) if not isinstance(scale, tuple | list) else f"[{', '.join(map(describe, scale))}]"
        raise InputError(f"scale is {found}, expected two numbers, (min, max)")
    try:
        low, high = float(scale[0]), float(scale[1])
    except OverflowError:
        low, high = -math.inf, math.inf
    # The arithmetic is in float32, which must be able to tell the limits apart and to represent their distance.
    with np.errstate(over="ignore"):
        low32, high32, span32 = np.float32(low), np.float32(high), np.float32(high - low)
    if not (np.isfinite(low32) and np.isfinite(high32) and np.isfinite(span32) and low32 < high32):
        raise InputError(f"scale is ({low}, {high}), expected finite numbers, min below max, that float32 tells apart")
    return low, high


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
