"""The execution providers of a session, with their options, as ONNX Runtime takes them.

Written from the documentation, checked by unit tests, and never run on a GPU yet:
https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#configuration-options
https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html#execution-provider-options
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.devices import CPU_PROVIDER, CUDA_PROVIDER, TENSORRT_PROVIDER, Device
from assay.gpu.buckets import rows_per_call
from assay.ort.session import Providers

__all__ = ["GpuOptions", "cuda", "tensorrt"]


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """What a caller may choose: the bytes of CUDA's arena, None for no limit, and whether CUDA graphs are captured."""

    memory_limit: int | None = None
    cuda_graphs: bool = False


_OPT_ROWS = 8
"""TensorRT takes any number of rows up to a call's most and is fastest at one: this. A guess, measured nowhere yet."""


def cuda(device: Device, chosen: GpuOptions) -> Providers:
    """CUDA alone; the CPU provider is there for what computes shapes (placement.py)."""
    return [(CUDA_PROVIDER, _cuda_options(device, chosen)), (CPU_PROVIDER, {})]


def tensorrt(
    device: Device, chosen: GpuOptions, inputs: Sequence[str], length: int, engines: Path, timing: Path
) -> Providers:
    """TensorRT for one length bucket; `engines` and `timing` are folders of its cache (engine_cache.py).

    A session has one optimisation profile, because ONNX Runtime builds several but always runs the first
    (microsoft/onnxruntime#23965, #31624). With a profile given, the engine is built when the session is created, and
    never rebuilt behind a request.

    trt_fp16_enable and trt_int8_enable stay off: the network is then strongly typed, and every tensor has the type
    that the graph was gated with (CreateNodeComputeInfoFromGraph in tensorrt_execution_provider.cc). Nothing turns
    off TF32 for the products that are left in float32; docs/gpu.md says what does.
    """
    most = rows_per_call(length)
    options = {
        "device_id": str(device.index),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(engines),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(timing),
        "trt_profile_min_shapes": _shapes(inputs, 1, length),
        "trt_profile_opt_shapes": _shapes(inputs, min(_OPT_ROWS, most), length),
        "trt_profile_max_shapes": _shapes(inputs, most, length),
    }
    return [
        (TENSORRT_PROVIDER, options),
        (CUDA_PROVIDER, _cuda_options(device, chosen)),
        (CPU_PROVIDER, {}),
    ]


def _cuda_options(device: Device, chosen: GpuOptions) -> dict[str, str]:
    options = {
        "device_id": str(device.index),
        # ONNX Runtime's default, TF32, keeps 10 bits of mantissa, which is not what fp32 was gated with. PyTorch's
        # default for matrix products is the same as here: off.
        "use_tf32": "0",
        # The default, EXHAUSTIVE, times kernels and keeps the fastest of the moment: other rounding in another process.
        "cudnn_conv_algo_search": "DEFAULT",
        # Lengths come in buckets, so the arena sees few sizes. Growing by powers of two would take up to twice of each.
        "arena_extend_strategy": "kSameAsRequested",
    }
    if chosen.memory_limit is not None:
        options["gpu_mem_limit"] = str(chosen.memory_limit)
    if chosen.cuda_graphs:
        options["enable_cuda_graph"] = "1"
    return options


def _shapes(inputs: Sequence[str], rows: int, length: int) -> str:
    return ",".join(f"{name}:{rows}x{length}" for name in inputs)
