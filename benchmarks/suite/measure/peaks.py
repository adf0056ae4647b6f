"""Measures how fast this machine multiplies matrices at each precision.

    python -m benchmarks.suite.measure.peaks '{"threads": 2, "device": "cpu"}'

A process like a peer's. It measures in the run and with its threads, on a product the size of a feed-forward layer; on
a CPU in PyTorch and in ONNX Runtime, because either can be the faster.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["main"]

ROWS, WIDTH, COLUMNS = 512, 1024, 4096  # tokens by ModernBERT-large's hidden size by 4 times as much
FEW_ROWS = 32  # torch._int_mm takes no fewer than 17 on CUDA
REPEATS, SECONDS = 5, 0.6
PRODUCTS_SECONDS = 0.5  # for the model's own products of one length


def measure_peak(make: Callable[[int], Callable[[], object]]) -> float:
    """Measure operations per second: the best of some repeats of many calls each.

    PyTorch emulates bfloat16 where the CPU has no AVX-512, at 1/1,000 of float32's rate. A product that would take
    much longer than the measurement is timed on few rows only.

    Args:
        make: Returns a product of this many rows.
    """
    few = make(FEW_ROWS)
    least = min(time_call(few) for _ in range(2))  # the first call has set-up to do
    if least * ROWS / FEW_ROWS > 10 * SECONDS:
        return 2 * FEW_ROWS * WIDTH * COLUMNS / least
    call = make(ROWS)
    call()
    best = 0.0
    for _ in range(REPEATS):
        calls, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < SECONDS / REPEATS or not calls:
            call()
            calls += 1
        best = max(best, 2 * ROWS * WIDTH * COLUMNS * calls / elapsed)
    return best


def time_call(call: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure_best(call: Callable[[npt.NDArray[np.int64]], object], ids: npt.NDArray[np.int64]) -> float:
    """Return the least seconds of some calls after one that is not timed."""
    call(ids)
    best, begin = float("inf"), time.perf_counter()
    while best == float("inf") or time.perf_counter() - begin < PRODUCTS_SECONDS:
        start = time.perf_counter()
        call(ids)
        best = min(best, time.perf_counter() - start)
    return best


class Peaks:
    """The questions that the process answers (worker.serve)."""

    def __init__(self, threads: int, device: str) -> None:
        import torch

        torch.set_num_threads(threads)
        self._threads, self._device, self._torch = threads, device, torch

    def peaks(self) -> dict[str, Any]:
        """Measure operations per second by precision."""
        types = ["float32", "bfloat16"] if self._device == "cpu" else ["float32", "bfloat16", "float16"]
        names = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
        measured = {names[name]: measure_peak(partial(self._multiply_floats, name)) for name in types}
        if self._device == "cuda":
            return measured | {"int8": measure_peak(self._multiply_int8_cuda)}
        measured["fp32"] = max(measured["fp32"], measure_peak(self._multiply_onnxruntime))
        return measured | {"int8": measure_peak(self._multiply_int8_cpu)}

    def products(self, portable: str, lengths: list[int]) -> dict[str, Any]:
        """Time the linear layers of a model as bare int8 products in ONNX Runtime, and return seconds by tokens.

        Args:
            portable: The bundle's portable float32 graph.
            lengths: Numbers of tokens.
        """
        from benchmarks.engines.products import bare_products, read_layers

        call = bare_products(read_layers(Path(portable)), self._threads)
        return {"seconds": {str(tokens): measure_best(call, np.zeros((1, tokens), np.int64)) for tokens in lengths}}

    def _multiply_floats(self, name: str, rows: int) -> Callable[[], object]:
        torch = self._torch
        kind = getattr(torch, name)
        left = torch.randn(rows, WIDTH, device=self._device).to(kind)
        right = torch.randn(WIDTH, COLUMNS, device=self._device).to(kind)
        return self._wait_for(lambda: left @ right)

    def _multiply_int8_cuda(self, rows: int) -> Callable[[], object]:
        torch = self._torch
        left = torch.randint(-127, 128, (rows, WIDTH), dtype=torch.int8, device="cuda")
        right = torch.randint(-127, 128, (COLUMNS, WIDTH), dtype=torch.int8, device="cuda").t()
        return self._wait_for(lambda: torch._int_mm(left, right))

    def _wait_for(self, call: Callable[[], object]) -> Callable[[], object]:
        if self._device == "cpu":
            return call

        def synchronised() -> object:
            result = call()
            self._torch.cuda.synchronize()
            return result

        return synchronised

    def _multiply_onnxruntime(self, rows: int) -> Callable[[], object]:
        """ONNX Runtime's float32 product with a constant, which it packs when the graph is loaded."""
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        right = np.random.default_rng(0).standard_normal((WIDTH, COLUMNS), np.float32)
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, WIDTH])]
        outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, COLUMNS])]
        nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
        graph = helper.make_graph(nodes, "product", inputs, outputs, [numpy_helper.from_array(right, "w")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        left = np.random.default_rng(1).standard_normal((rows, WIDTH), np.float32)
        return lambda: session.run(None, {"x": left})

    def _multiply_int8_cpu(self, rows: int) -> Callable[[], object]:
        """ONNX Runtime's product of uint8 and int8, its fastest pair, quantisation included."""
        from benchmarks.engines.products import Layer, bare_products

        call = bare_products([Layer(False, WIDTH, COLUMNS)], self._threads)
        ids = np.zeros((1, rows), np.int64)
        return lambda: call(ids)


def main() -> None:
    """Serve the questions of the parent process."""
    from benchmarks.suite.measure.worker import serve_process

    serve_process(lambda: Peaks(**json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
