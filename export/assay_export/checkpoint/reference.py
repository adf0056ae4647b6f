"""The PyTorch model that every graph is compared with."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["Feed", "ReferenceModel"]

# input_ids, attention_mask and, for some models, token_type_ids: int64 [batch, sequence].
Feed = dict[str, npt.NDArray[np.int64]]


class ReferenceModel:
    """A float32 sequence classifier in eval mode, called with numpy arrays."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module: Any = module

    def logits(self, feed: Feed) -> npt.NDArray[np.float32]:
        """Return the logits of `feed`, float32 [batch, labels]."""
        with torch.inference_mode():
            output = self.module(**{name: torch.from_numpy(array) for name, array in feed.items()}).logits
        result: npt.NDArray[np.float32] = output.float().numpy()
        return result

    def weights(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return every parameter by its name in the checkpoint. The arrays share the model's memory."""
        return {name: tensor.detach().numpy() for name, tensor in self.module.state_dict().items()}
