from pathlib import Path

import pytest

from assay.devices import Device
from assay.gpu import providers
from assay.gpu.buckets import all_lengths
from assay.gpu.providers import GpuOptions

GPU = Device("cuda", 3)
TENSORRT = Device("tensorrt", 0)
INPUTS = ("input_ids", "attention_mask")


def test_cuda_has_its_index_no_tf32_no_timed_kernels_and_an_arena_that_grows_by_what_is_asked() -> None:
    (cuda, options), cpu = providers.cuda(GPU, GpuOptions())
    assert (cuda, cpu) == ("CUDAExecutionProvider", ("CPUExecutionProvider", {}))
    assert options == {
        "device_id": "3",
        "use_tf32": "0",
        "cudnn_conv_algo_search": "DEFAULT",
        "arena_extend_strategy": "kSameAsRequested",
    }


def test_the_arena_limit_and_cuda_graphs_are_set_where_they_are_asked_for() -> None:
    options = providers.cuda(GPU, GpuOptions(2 << 30, True))[0][1]
    assert (options["gpu_mem_limit"], options["enable_cuda_graph"]) == ("2147483648", "1")


@pytest.mark.parametrize(("length", "opt", "most"), [(32, 8, 128), (512, 8, 8), (1_024, 4, 4), (8_192, 1, 1)])
def test_a_tensorrt_session_has_one_profile_of_one_length(length: int, opt: int, most: int) -> None:
    chosen = providers.tensorrt(TENSORRT, GpuOptions(), INPUTS, length, Path("/engines"), Path("/timing"))
    assert [name for name, _ in chosen] == [
        "TensorrtExecutionProvider",
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ]
    options = chosen[0][1]
    for key, rows in {"min": 1, "opt": opt, "max": most}.items():
        assert options[f"trt_profile_{key}_shapes"] == f"input_ids:{rows}x{length},attention_mask:{rows}x{length}"


def test_engines_and_timings_are_cached_in_the_folders_given_and_precision_is_left_to_the_graph() -> None:
    options = providers.tensorrt(TENSORRT, GpuOptions(), INPUTS, 64, Path("/engines"), Path("/timing"))[0][1]
    assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "1"
    assert (options["trt_engine_cache_path"], options["trt_timing_cache_path"]) == ("/engines", "/timing")
    assert not {"trt_fp16_enable", "trt_bf16_enable", "trt_int8_enable"} & set(options)


def test_what_tensorrt_leaves_to_cuda_has_cudas_options() -> None:
    cuda = providers.tensorrt(TENSORRT, GpuOptions(1 << 30), INPUTS, 64, Path("e"), Path("t"))[1]
    assert cuda == providers.cuda(TENSORRT, GpuOptions(1 << 30))[0]


@pytest.mark.parametrize("max_length", [16, 512, 8_192])
def test_every_option_is_a_string_as_onnx_runtime_wants_them(max_length: int) -> None:
    for length in all_lengths(max_length):
        chosen = providers.tensorrt(TENSORRT, GpuOptions(1), INPUTS, length, Path("e"), Path("t"))
        for _, options in [*chosen, *providers.cuda(GPU, GpuOptions(1, True))]:
            assert all(isinstance(value, str) for value in options.values())
