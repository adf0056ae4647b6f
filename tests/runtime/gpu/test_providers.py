from pathlib import Path

import pytest

from assay.devices import Device
from assay.gpu import providers
from assay.gpu.buckets import list_buckets
from assay.gpu.options import GpuOptions

GPU = Device("cuda", 3)
TENSORRT = Device("tensorrt", 0)
INPUTS = ("input_ids", "attention_mask")


def test_cuda_has_its_index_no_tf32_no_timed_kernels_and_an_arena_that_grows_as_requested() -> None:
    (cuda, options), cpu = providers.configure_cuda(GPU, GpuOptions())
    assert (cuda, cpu) == ("CUDAExecutionProvider", ("CPUExecutionProvider", {}))
    assert options == {
        "device_id": "3",
        "use_tf32": "0",
        "cudnn_conv_algo_search": "DEFAULT",
        "arena_extend_strategy": "kSameAsRequested",
    }


def test_the_arena_limit_and_cuda_graphs_are_set_on_request() -> None:
    options = providers.configure_cuda(GPU, GpuOptions(2 << 30, True))[0][1]
    assert (options["gpu_mem_limit"], options["enable_cuda_graph"]) == ("2147483648", "1")


@pytest.mark.parametrize(("length", "opt", "most"), [(32, 8, 128), (512, 8, 8), (1_024, 4, 4), (8_192, 1, 1)])
def test_a_tensorrt_session_has_one_profile_of_one_length(length: int, opt: int, most: int) -> None:
    chosen = providers.configure_tensorrt(TENSORRT, GpuOptions(), INPUTS, length, Path("/engines"), Path("/timing"))
    assert [name for name, _ in chosen] == [
        "TensorrtExecutionProvider",
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ]
    options = chosen[0][1]
    for key, rows in {"min": 1, "opt": opt, "max": most}.items():
        assert options[f"trt_profile_{key}_shapes"] == f"input_ids:{rows}x{length},attention_mask:{rows}x{length}"


def test_engines_and_timings_are_cached_in_the_given_folders_and_the_graph_determines_the_precision() -> None:
    options = providers.configure_tensorrt(TENSORRT, GpuOptions(), INPUTS, 64, Path("/engines"), Path("/timing"))[0][1]
    assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "1"
    assert (options["trt_engine_cache_path"], options["trt_timing_cache_path"]) == ("/engines", "/timing")
    assert not {"trt_fp16_enable", "trt_bf16_enable", "trt_int8_enable"} & set(options)


def test_cuda_has_its_own_options_under_tensorrt() -> None:
    cuda = providers.configure_tensorrt(TENSORRT, GpuOptions(1 << 30), INPUTS, 64, Path("e"), Path("t"))[1]
    assert cuda == providers.configure_cuda(TENSORRT, GpuOptions(1 << 30))[0]


@pytest.mark.parametrize("max_length", [16, 512, 8_192])
def test_every_option_is_a_string(max_length: int) -> None:
    for length in list_buckets(max_length):
        chosen = providers.configure_tensorrt(TENSORRT, GpuOptions(1), INPUTS, length, Path("e"), Path("t"))
        for _, options in [*chosen, *providers.configure_cuda(GPU, GpuOptions(1, True))]:
            assert all(isinstance(value, str) for value in options.values())
