"""The PyTorch model that every graph is compared with."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from assay_export.errors import CheckpointError

__all__ = ["Feed", "ReferenceModel", "refuse_infinite"]

# input_ids, attention_mask and, for some models, token_type_ids: int64 [batch, sequence].
Feed = dict[str, npt.NDArray[np.int64]]


class ReferenceModel:
    """A float32 sequence classifier in eval mode, called with numpy arrays."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module: Any = module
        self._dtype = torch.float32

    def logits(self, feed: Feed) -> npt.NDArray[Any]:
        """Return the logits of `feed`, float32 [batch, labels], or float64 inside `in_float64`."""
        with torch.inference_mode():
            output = self.module(**{name: torch.from_numpy(array) for name, array in feed.items()}).logits
        result: npt.NDArray[Any] = output.to(self._dtype).numpy()
        return result

    @contextlib.contextmanager
    def in_float64(self) -> Iterator[None]:
        """Compute in float64 inside the block. The weights are exactly what they were afterwards."""
        self.module.double()
        self._dtype = torch.float64
        try:
            yield
        finally:
            self.module.float()
            self._dtype = torch.float32

    def weights(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return every parameter by its name in the checkpoint. The arrays share the model's memory."""
        return {name: tensor.detach().numpy() for name, tensor in self.module.state_dict().items()}


def refuse_infinite(reference: ReferenceModel, logits: npt.NDArray[Any], place: str) -> None:
    """Refuse a model that does not answer with numbers.

    Args:
        reference: The model.
        logits: Its answer.
        place: What it was asked, such as "real text".

    Raises:
        CheckpointError: A logit is NaN or infinite. The message names a damaged weight if there is one.
    """
    if np.isfinite(logits).all():
        return
    weights = reference.module.state_dict().items()
    damaged = next((name for name, tensor in weights if not torch.isfinite(tensor).all()), None)
    reason = "its numbers grow beyond float32" if damaged is None else f"{damaged} has NaN or infinity in float32"
    raise CheckpointError(
        f"PyTorch itself answers NaN or infinity at {place}, expected finite logits: {reason}. Download or save the "
        "checkpoint again"
    )
