"""The options of `assay.load`: their types, their checks, and what is passed on once they are checked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict, get_args

from assay.devices import Device
from assay.errors import InputError
from assay.gpu.options import GpuOptions
from assay.inputs.validation import check_flag, describe
from assay.ort.batching import Mode
from assay.system.threads import usable_cores

if TYPE_CHECKING:
    from assay.models.base import Model

__all__ = ["LoadOptions", "Options", "check_gpu_options", "check_mode", "check_threads"]

_MAX_THREADS = 1_024  # more than the cores of any machine that runs this


class Options(TypedDict, total=False):
    """The options of `load`, which documents them."""

    device: str
    variant: str
    threads: int | None
    verify: bool
    gpu_memory: int | None
    cuda_graphs: bool
    mode: Mode
    revision: str | None
    local_files_only: bool


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Checked options for loading one graph; see `load`. `reload` loads the same model again in another process."""

    threads: int
    verify: bool = True
    gpu: GpuOptions = field(default_factory=GpuOptions)
    mode: Mode = "latency"
    reload: "Callable[[], Model] | None" = None


def check_threads(threads: object) -> int:
    """Return the threads of one run: those asked for, or the cores that this process may use."""
    if threads is None:
        return usable_cores()
    if not isinstance(threads, int) or isinstance(threads, bool) or not 1 <= threads <= _MAX_THREADS:
        raise InputError(f"threads is {describe(threads)}, expected an integer from 1 to {_MAX_THREADS:,}, or None")
    return threads


def check_mode(mode: object) -> None:
    """Raise InputError unless `mode` is one of those of `load`."""
    if mode not in get_args(Mode):
        found = f"{mode!r:.80}" if isinstance(mode, str) else describe(mode)
        raise InputError(f"mode is {found}, expected 'latency' or 'throughput'")


def check_gpu_options(device: Device, gpu_memory: object, cuda_graphs: object) -> GpuOptions:
    """Check the options that are for GPUs only, for a target device."""
    captures = check_flag(cuda_graphs, "cuda_graphs")
    if gpu_memory is not None and (
        not isinstance(gpu_memory, int) or isinstance(gpu_memory, bool) or not 0 < gpu_memory < 1 << 63
    ):
        raise InputError(f"gpu_memory is {describe(gpu_memory)}, expected a number of bytes above 0, or None")
    if gpu_memory is not None and not device.on_gpu:
        raise InputError(f"gpu_memory is {describe(gpu_memory)}, expected None for device {str(device)!r}")
    if captures and device.kind != "cuda":
        raise InputError(f"cuda_graphs is True, expected False for device {str(device)!r}: it is for CUDA")
    return GpuOptions(gpu_memory, captures)
