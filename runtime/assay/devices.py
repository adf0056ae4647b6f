"""Parse device strings, and name the execution providers that each device needs."""

import re
from dataclasses import dataclass
from typing import Literal

from assay.errors import InputError
from assay.inputs.validation import describe

__all__ = ["CPU_PROVIDER", "CUDA_PROVIDER", "KINDS", "TENSORRT_PROVIDER", "Device", "Kind", "parse_device"]

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"
TENSORRT_PROVIDER = "TensorrtExecutionProvider"

Kind = Literal["cpu", "cuda", "tensorrt"]
KINDS: tuple[Kind, ...] = ("cpu", "cuda", "tensorrt")


@dataclass(frozen=True, slots=True)
class Device:
    """A parsed device string: its kind and, for a GPU, its index."""

    kind: Kind
    index: int

    @property
    def on_gpu(self) -> bool:
        """Whether this is a GPU."""
        return self.kind != "cpu"

    @property
    def required(self) -> tuple[str, ...]:
        """The execution providers that must load. TensorRT leaves the nodes that it does not support to CUDA."""
        providers: dict[Kind, tuple[str, ...]] = {
            "cpu": (CPU_PROVIDER,),
            "cuda": (CUDA_PROVIDER,),
            "tensorrt": (TENSORRT_PROVIDER, CUDA_PROVIDER),
        }
        return providers[self.kind]

    def __str__(self) -> str:
        return f"{self.kind}:{self.index}" if self.kind == "cuda" else self.kind


def parse_device(device: object) -> Device:
    """Parse "cpu", "cuda" (the first GPU), "cuda:N" or "tensorrt" (on the first GPU).

    CUDA_VISIBLE_DEVICES determines which GPU is the first. Raises InputError for anything else.
    """
    if isinstance(device, list | tuple):
        raise InputError(
            f"device is {describe(device)}, expected one device: a model runs on one; for several GPUs run a process "
            "on each, such as assay.integrations.ray with num_gpus=1 and two actors (docs/guide/integrations.md)"
        )
    match = re.fullmatch(r"(cpu|cuda|tensorrt)|cuda:([0-9]{1,3})", device) if isinstance(device, str) else None
    if match is None:
        found = repr(device) if isinstance(device, str) else describe(device)
        raise InputError(
            f"device is {found}, expected 'cpu', 'cuda', 'cuda:N' or 'tensorrt', or 'auto' if one model is loaded"
        )
    kind: Kind = "cpu" if match[1] == "cpu" else "tensorrt" if match[1] == "tensorrt" else "cuda"
    return Device(kind, int(match[2] or 0))
