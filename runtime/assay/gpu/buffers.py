"""Allocate input and output memory on a GPU once per session, and bind it to every run.

Without a binding, ONNX Runtime allocates inputs and outputs on the GPU in every run. Fixed addresses also allow a run
to be captured as a CUDA graph and replayed
(https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#using-cuda-graphs-preview).
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DeviceBuffers"]

Ids = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

_NO_CAPTURE = "-1"  # a gpu_graph_id for runs that are neither captured nor replayed
_GRAPH_ID = "gpu_graph_id"


class DeviceBuffers:
    """The memory of one session. A run of any shape uses its beginning. May be used from several threads."""

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
        """Allocate the memory.

        Args:
            ort: The module onnxruntime.
            session: The InferenceSession.
            inputs: The names of its inputs.
            tokens: The most tokens (batch x sequence) of one call.
            rows: The most rows of one call.
            labels: The number of columns of the logits.
            memory: ONNX Runtime's name of the memory and the index of the device: ("cuda", 0).
        """
        self._ort = ort
        self._session = session
        self._memory = memory
        self._labels = labels
        self._staged = {name: np.zeros(tokens, np.int64) for name in inputs}
        self._inputs = {name: self._allocate((tokens,), np.int64) for name in inputs}
        self._logits = self._allocate((rows, labels), np.float32)
        self._binding = session.io_binding()
        self._shapes: dict[tuple[int, int], str] = {}
        # One set of buffers serves one run at a time. The kernels of a GPU run in one queue in any case.
        self._lock = threading.Lock()

    def run(self, values: dict[str, Ids], capture: bool) -> Float32:
        """Run the session.

        Args:
            values: The inputs by name, all int64 [batch, sequence] of one shape.
            capture: Capture the first run of a shape as a CUDA graph, and replay it in later runs of that shape.

        Returns:
            The logits, float32 [batch, labels].
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
            options.add_run_config_entry(_GRAPH_ID, self._number_graph(shape) if capture else _NO_CAPTURE)
            self._session.run_with_iobinding(self._binding, options)
            logits: Float32 = self._logits.numpy()[: shape[0]].copy()
        return logits

    def _number_graph(self, shape: tuple[int, ...]) -> str:
        """Return the id of the CUDA graph of `shape`, from 1: ONNX Runtime uses 0 for runs without an id."""
        batch, sequence = shape
        return self._shapes.setdefault((batch, sequence), str(len(self._shapes) + 1))

    def _allocate(self, shape: tuple[int, ...], kind: Any) -> Any:
        return self._ort.OrtValue.ortvalue_from_shape_and_type(shape, kind, *self._memory)
