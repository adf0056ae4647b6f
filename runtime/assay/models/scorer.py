"""Regression: the head's own output, and the card's arithmetic over it.

The card of thethinkmachine/Maxwell-Task-Complexity-Scorer-v0.2 computes `pred * (max - min) + min`, clamps to [min,
max] and, for Evol-Complexity, rounds with torch.round: all on a float32 tensor, half to even. The same here, to the
bit. The card then shows a scaled score as round(score, 2); score() does not round, so that scores keep their order.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from assay.bundle.manifest import Scale
from assay.errors import BundleError, InputError
from assay.inputs.validation import describe
from assay.models.base import Float32, Model

__all__ = ["Scorer", "rescale"]


class Scorer(Model):
    """A bundle whose task is regression. Made by assay.load."""

    def score(
        self,
        text: str,
        text_pair: str | None = None,
        *,
        scale: Sequence[float] | None = None,
        truncate: bool = False,
    ) -> float:
        """The score of one text, or one pair for a bundle of pairs.

        Without `scale` it is the head's own output, neither clamped nor put through a sigmoid (Maxwell: trained on
        0..1, and may pass both ends a little). With `scale=(min, max)` it is rescaled from 0..1 and clamped, as on the
        card.

        Raises InputError for what is not a text or a scale, and for a text longer than the model reads unless
        `truncate`; BundleError for a `scale` where the bundle does not say that its output is 0..1; NumericalError for
        NaN or infinity.
        """
        limits = self._limits(scale)
        return float(_apply(self._single(text, text_pair, truncate), limits)[0])

    def score_batch(self, batch: object, *, scale: Sequence[float] | None = None, truncate: bool = False) -> Float32:
        """The scores, float32 [n], of n rows in their order; otherwise as `score`."""
        limits = self._limits(scale)
        return _apply(self.logits(batch, truncate=truncate)[:, 0], limits)

    def scores(self, logits: Float32, scale: Sequence[float] | None = None) -> Float32:
        """The scores, float32 [n], that `logits` [n, 1] mean; `scale` and errors as `score`."""
        return _apply(logits[:, 0], self._limits(scale))

    def evol_complexity(self, text: str, *, truncate: bool = False) -> int:
        """The DEITA Evol-Complexity of one text, 1 to 6: rescaled, clamped and rounded half to even, as on the card.

        Raises BundleError where the bundle has no such scale, otherwise as `score`.
        """
        limits = self._evol_limits()
        return int(np.rint(_apply(self._single(text, None, truncate), limits))[0])

    def evol_complexity_batch(self, batch: object, *, truncate: bool = False) -> npt.NDArray[np.int64]:
        """The Evol-Complexity scores, int64 [n], of n rows in their order."""
        limits = self._evol_limits()
        return np.rint(_apply(self.logits(batch, truncate=truncate)[:, 0], limits)).astype(np.int64)

    def evol_complexities(self, logits: Float32) -> npt.NDArray[np.int64]:
        """The Evol-Complexity scores, int64 [n], that `logits` [n, 1] mean. Raises BundleError as `evol_complexity`."""
        return np.rint(_apply(logits[:, 0], self._evol_limits())).astype(np.int64)

    def _scores(self, logits: Float32) -> Float32:
        """The logits themselves: a regression head's output is its score."""
        return logits

    def _limits(self, scale: object) -> tuple[float, float] | None:
        if scale is None:
            return None
        limits = _check_scale(scale)
        self._scale()
        return limits

    def _evol_limits(self) -> tuple[float, float]:
        low, high = self._scale().evol_complexity
        return float(low), float(high)

    def _scale(self) -> Scale:
        scale = self.manifest.scale
        if scale is None:
            raise BundleError(
                f"{self._bundle.folder}: does not say that its output is in 0..1, so it cannot be rescaled; "
                "use score() without a scale"
            )
        return scale


def rescale(output: Float32, low: float, high: float) -> Float32:
    """`output` * (high - low) + low, clamped to [low, high]: the card's expression on a float32 tensor.

    torch computes `high - low` in double precision, as Python does, and rounds each number to float32 where it meets
    the tensor; the product and the sum are each rounded to float32.
    """
    with np.errstate(over="ignore"):  # an infinite product is clamped like any other
        scaled = output * np.float32(high - low) + np.float32(low)
    clamped: Float32 = np.minimum(np.maximum(scaled, np.float32(low)), np.float32(high))
    return clamped


def _apply(output: Float32, limits: tuple[float, float] | None) -> Float32:
    return output if limits is None else rescale(output, *limits)


def _check_scale(scale: object) -> tuple[float, float]:
    if not isinstance(scale, tuple | list) or len(scale) != 2 or not all(map(_is_number, scale)):
        found = describe(scale) if not isinstance(scale, tuple | list) else f"[{', '.join(map(describe, scale))}]"
        raise InputError(f"scale is {found}, expected two numbers, (min, max)")
    try:
        low, high = float(scale[0]), float(scale[1])
    except OverflowError:
        low, high = -math.inf, math.inf
    # The arithmetic is float32's, so the limits must be told apart and their distance held by it.
    with np.errstate(over="ignore"):
        low32, high32, span32 = np.float32(low), np.float32(high), np.float32(high - low)
    if not (np.isfinite(low32) and np.isfinite(high32) and np.isfinite(span32) and low32 < high32):
        raise InputError(f"scale is ({low}, {high}), expected finite numbers, min below max, that float32 tells apart")
    return low, high


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
