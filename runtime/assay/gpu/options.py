"""The options of `assay.load` that are for GPUs only. Without imports, so that reading them costs no time."""

from dataclasses import dataclass

__all__ = ["GpuOptions"]


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """Options of a caller: the most bytes of CUDA's arena (None: no limit), and whether CUDA graphs are captured."""

    memory_limit: int | None = None
    cuda_graphs: bool = False
