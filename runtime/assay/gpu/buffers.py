"""Input and output memory on a GPU: allocated once per session, bound to every run, and never moved.

Without a binding, ONNX Runtime allocates inputs and outputs on the GPU in every run. With fixed addresses a run of a
shape can also be captured as a CUDA graph and replayed
(https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#using-cuda-graphs-preview).
Never run on a GPU yet; the tests run it with memory of the CPU.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DeviceBuffers"]

Ids = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

_NO_CAPTURE = "-1"  # the gpu_graph_id of a run that is neither captured nor replayed
_GRAPH_ID = "gpu_graph_id"


class DeviceBuffers:
    """The memory of one session. A run of any shape uses the beginning of it. Safe to use from several threads."""

    def __init__(
        self,
        ort: Any,
        session: Any,
        inputs: Sequence[str],
        tokens: int,
        rows: int,
        labels: int,
        memory: tuple[str, int],
    ) -> None:
        """Room for calls of `tokens` = batch x sequence and of `rows` rows. `memory` is ("cuda", index)."""
        self._ort = ort
        self._session = session
        self._memory = memory
        self._labels = labels
        self._staged = {name: np.zeros(tokens, np.int64) for name in inputs}
        self._inputs = {name: self._allocate((tokens,), np.int64) for name in inputs}
        self._logits = self._allocate((rows, labels), np.float32)
        self._binding = session.io_binding()
        self._shapes: dict[tuple[int, int], str] = {}
        # One set of buffers, one run at a time. A GPU works through one queue of kernels in any case.
        self._lock = threading.Lock()

    def run(self, values: dict[str, Ids], capture: bool) -> Float32:
        """The logits [batch, labels] of `values`, the inputs by name, all int64 [batch, sequence] of one shape.

        With `capture`, the first run of a shape is captured as a CUDA graph, which later runs of that shape replay.
        """
        shape = next(iter(values.values())).shape
        with self._lock:
            for name, buffer in self._inputs.items():
                self._staged[name][: values[name].size] = values[name].ravel()
                buffer.update_inplace(self._staged[name])
                self._binding.bind_input(name, *self._memory, np.int64, list(shape), buffer.data_ptr())
            output = [shape[0], self._labels]
            self._binding.bind_output("logits", *self._memory, np.float32, output, self._logits.data_ptr())
            options = self._ort.RunOptions()
            options.add_run_config_entry(_GRAPH_ID, self._graph(shape) if capture else _NO_CAPTURE)
            self._session.run_with_iobinding(self._binding, options)
            logits: Float32 = self._logits.numpy()[: shape[0]].copy()
        return logits

    def _graph(self, shape: tuple[int, ...]) -> str:
        """The number of the CUDA graph of `shape`, from 1: 0 is what ONNX Runtime takes where none is given."""
        batch, sequence = shape
        return self._shapes.setdefault((batch, sequence), str(len(self._shapes) + 1))

    def _allocate(self, shape: tuple[int, ...], kind: Any) -> Any:
        return self._ort.OrtValue.ortvalue_from_shape_and_type(shape, kind, *self._memory)
