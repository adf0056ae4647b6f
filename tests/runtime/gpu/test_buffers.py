"""With memory of the CPU, which ONNX Runtime binds like that of a GPU. What CUDA does with it is not proved here."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.gpu.buffers import DeviceBuffers
from assay.ort import installation
from tests.runtime import tiny

INPUTS = ("input_ids", "attention_mask")
SHAPES = [(1, 3), (4, 8), (2, 16), (1, 3), (32, 1)]


class Recorder:
    """A session that notes the addresses and options of its runs and then runs."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.graph_ids: list[str] = []

    def io_binding(self) -> Any:
        return self.session.io_binding()

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        self.graph_ids.append(options.get_run_config_entry("gpu_graph_id"))
        self.session.run_with_iobinding(binding, options)


@pytest.fixture
def session(pair_bundle: Path) -> Any:
    path = str(pair_bundle / "onnx/model.onnx")
    return Recorder(installation.onnxruntime().InferenceSession(path, providers=["CPUExecutionProvider"]))


@pytest.fixture
def buffers(session: Any) -> DeviceBuffers:
    return DeviceBuffers(installation.onnxruntime(), session, INPUTS, 32, 32, 3, ("cpu", 0))


def values(shape: tuple[int, int]) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(sum(shape)).integers(6, len(tiny.WORDS), shape)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def expected(ids: np.ndarray) -> np.ndarray:
    return np.array([tiny.reference(row, tiny.weights(3)) for row in ids])


def test_runs_of_any_shape_share_memory_and_return_the_logits(buffers: DeviceBuffers) -> None:
    addresses = {name: buffer.data_ptr() for name, buffer in buffers._inputs.items()}
    for shape in SHAPES:
        given = values(shape)
        logits = buffers.run(given, capture=False)
        assert logits.shape == (shape[0], 3)
        assert np.allclose(logits, expected(given["input_ids"]), atol=1e-5)
    assert {name: buffer.data_ptr() for name, buffer in buffers._inputs.items()} == addresses


def test_a_later_run_does_not_change_an_earlier_answer(buffers: DeviceBuffers) -> None:
    first = buffers.run(values((1, 3)), capture=False)
    kept = first.copy()
    buffers.run(values((4, 8)), capture=False)
    assert np.array_equal(first, kept)


def test_every_shape_is_captured_once_under_its_own_id(buffers: DeviceBuffers, session: Recorder) -> None:
    for shape in SHAPES:
        buffers.run(values(shape), capture=True)
    assert session.graph_ids == ["1", "2", "3", "1", "4"]


def test_a_run_without_capture_is_marked_as_such(buffers: DeviceBuffers, session: Recorder) -> None:
    buffers.run(values((1, 3)), capture=False)
    assert session.graph_ids == ["-1"]


def test_several_threads_get_the_same_answers_as_one(buffers: DeviceBuffers) -> None:
    wrong: list[tuple[int, int]] = []

    def work(shape: tuple[int, int]) -> None:
        given = values(shape)
        for _ in range(50):
            if not np.allclose(buffers.run(given, capture=False), expected(given["input_ids"]), atol=1e-5):
                wrong.append(shape)

    threads = [threading.Thread(target=work, args=(shape,)) for shape in SHAPES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
