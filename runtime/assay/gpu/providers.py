"""Configure the execution providers of a GPU session. The options are documented here:
https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#configuration-options
https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html#execution-provider-options
"""

from collections.abc import Sequence
from pathlib import Path

from assay.devices import CPU_PROVIDER, CUDA_PROVIDER, TENSORRT_PROVIDER, Device
from assay.files import to_utf_8
from assay.gpu.buckets import limit_rows
from assay.gpu.options import GpuOptions
from assay.ort.session import Providers

__all__ = ["configure_cuda", "configure_tensorrt"]

_OPT_ROWS = 8
"""The number of rows that TensorRT optimises an engine for. It accepts any number up to that of the largest call. A
guess, not measured yet."""


def configure_cuda(device: Device, chosen: GpuOptions) -> Providers:
    """Return the providers for CUDA. The CPU provider computes shapes (placement.py)."""
    return [(CUDA_PROVIDER, _make_cuda_options(device, chosen)), (CPU_PROVIDER, {})]


def configure_tensorrt(
    device: Device, chosen: GpuOptions, inputs: Sequence[str], length: int, engines: Path, timing: Path
) -> Providers:
    """Return the providers for TensorRT and one length bucket.

    A session has one optimisation profile, because ONNX Runtime builds several but always runs the first
    (microsoft/onnxruntime#23965, #31624). With an explicit profile, the engine is built when the session is created,
    and never rebuilt during a request.

    trt_fp16_enable and trt_int8_enable stay off: the network is then strongly typed, and every tensor has the type
    that the graph was gated with (CreateNodeComputeInfoFromGraph in tensorrt_execution_provider.cc). No option turns
    off TF32 for products in float32; the GPU guide in docs says what does.

    Args:
        device: The GPU.
        chosen: The caller's options.
        inputs: The names of the graph's inputs.
        length: The bucket.
        engines: The folder for the engine (engine_cache.py).
        timing: The folder for TensorRT's timing cache.

    Returns:
        The providers with their options.
    """
    most = limit_rows(length)
    options = {
        "device_id": str(device.index),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": to_utf_8(engines),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": to_utf_8(timing),
        "trt_profile_min_shapes": _format_shapes(inputs, 1, length),
        "trt_profile_opt_shapes": _format_shapes(inputs, min(_OPT_ROWS, most), length),
        "trt_profile_max_shapes": _format_shapes(inputs, most, length),
    }
    return [
        (TENSORRT_PROVIDER, options),
        (CUDA_PROVIDER, _make_cuda_options(device, chosen)),
        (CPU_PROVIDER, {}),
    ]


def _make_cuda_options(device: Device, chosen: GpuOptions) -> dict[str, str]:
    options = {
        "device_id": str(device.index),
        # ONNX Runtime's default, TF32, keeps 10 bits of mantissa, and fp32 passed its gate with 23. PyTorch also turns
        # it off for matrix products by default.
        "use_tf32": "0",
        # The default, EXHAUSTIVE, selects the fastest kernel by timing, so that processes may round differently.
        "cudnn_conv_algo_search": "DEFAULT",
        # Lengths come in buckets, so the arena sees few sizes. Growing in powers of two could double each of them.
        "arena_extend_strategy": "kSameAsRequested",
    }
    if chosen.memory_limit is not None:
        options["gpu_mem_limit"] = str(chosen.memory_limit)
    if chosen.cuda_graphs:
        options["enable_cuda_graph"] = "1"
    return options


def _format_shapes(inputs: Sequence[str], rows: int, length: int) -> str:
    return ",".join(f"{name}:{rows}x{length}" for name in inputs)
