from pathlib import Path
from typing import Any

import pytest

import assay
from assay import InputError
from assay.devices import parse_device


@pytest.mark.parametrize(
    ("text", "kind", "index"),
    [("cpu", "cpu", 0), ("cuda", "cuda", 0), ("cuda:0", "cuda", 0), ("cuda:7", "cuda", 7), ("tensorrt", "tensorrt", 0)],
)
def test_a_device_is_a_kind_and_an_index(text: str, kind: str, index: int) -> None:
    device = parse_device(text)
    assert (device.kind, device.index, device.on_gpu) == (kind, index, kind != "cpu")


@pytest.mark.parametrize(
    "device",
    [
        "",
        "gpu",
        "CPU",
        "cpu:0",
        "cuda:",
        "cuda:-1",
        "cuda:1.5",
        "cuda:1000",
        "cuda:1\n",
        "cuda:\u0661",
        "mps",
        None,
        0,
        b"cpu",
        "Auto",
    ],
)
def test_an_invalid_device_is_refused(device: Any, pair_bundle: Path) -> None:
    with pytest.raises(InputError, match=r"device is .*'cuda:N' or 'tensorrt', or 'auto' if"):
        assay.load(pair_bundle, device=device)


def test_auto_is_refused_where_several_models_are_loaded() -> None:
    with pytest.raises(InputError, match="device is 'auto'"):
        parse_device("auto")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpu_memory": 1 << 30}, "gpu_memory is .*expected None for device 'cpu'"),
        ({"cuda_graphs": True}, "cuda_graphs is True, expected False for device 'cpu'"),
        ({"cuda_graphs": True, "device": "tensorrt"}, "cuda_graphs is True, expected False for device 'tensorrt'"),
    ],
)
def test_an_option_for_another_device_is_refused(options: Any, message: str, pair_bundle: Path) -> None:
    with pytest.raises(InputError, match=message):
        assay.load(pair_bundle, **options)


@pytest.mark.parametrize("devices", [["cuda:0", "cuda:1"], ("cpu",), []])
def test_a_list_of_devices_is_refused_in_one_line_that_shows_the_way(devices: Any, pair_bundle: Path) -> None:
    with pytest.raises(InputError, match=r"expected one device: .* assay\.integrations\.ray with num_gpus=1") as caught:
        assay.load(pair_bundle, device=devices)
    assert "\n" not in str(caught.value)
