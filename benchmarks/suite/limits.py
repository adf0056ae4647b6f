"""The limit: how fast this machine multiplies matrices at each precision, and what share of it is answers.

The peaks are measured, in the run and with its threads, on a product the size of a feed-forward layer; on a CPU in
PyTorch and in ONNX Runtime, since either can be the faster. The number of operations of an answer is that of PyTorch's
own model (reference.py). A GPU has its data sheet beside the measurement.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

ROWS, WIDTH, COLUMNS = 512, 1024, 4096  # tokens by ModernBERT-large's hidden size by 4 times as much
REPEATS, SECONDS = 5, 0.6

# Dense rates in operations per second and memory bandwidth in bytes per second, of NVIDIA's data sheets.
# L4: https://resources.nvidia.com/en-us-data-center-overview/l4-gpu-datasheet (with sparsity, halved)
DATA_SHEETS = {
    "NVIDIA L4": {"fp32": 30.3e12, "bf16": 121e12, "fp16": 121e12, "int8": 242e12, "bytes_per_second": 300e9},
}


def operations(probes: Mapping[str, float], tokens: float) -> float:
    """Operations of a sequence of `tokens`, from the counts at three lengths: layers cost a multiple of the tokens,
    attention one of their square. What does not depend on the tokens is left out: DeBERTa projects its table of
    relative positions in every call, which is a constant that can be folded."""
    lengths = np.array([float(length) for length in probes])
    # Scaled, so that the squares of small and large lengths can be told apart in floats.
    coefficients = np.polyfit(lengths / lengths.max(), np.array(list(probes.values()), np.float64), 2)
    coefficients[-1] = 0
    return float(np.polyval(coefficients, tokens / lengths.max()))


def share_of_limit(operations: float, seconds: float, peak: float) -> float:
    """What share of `peak` operations per second an answer of `operations` in `seconds` comes to."""
    return operations / seconds / peak


def roofline_seconds(operations: float, weight_bytes: float, sheet: dict[str, float], precision: str) -> float:
    """The least time of an answer on a data sheet's GPU: its arithmetic, or reading its weights once."""
    return max(operations / sheet[precision], weight_bytes / sheet["bytes_per_second"])


def _peak(call: Callable[[], object]) -> float:
    """Operations per second: the best of some repeats, each of many calls."""
    call()
    best = 0.0
    for _ in range(REPEATS):
        calls, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < SECONDS / REPEATS or not calls:
            call()
            calls += 1
        best = max(best, 2 * ROWS * WIDTH * COLUMNS * calls / elapsed)
    return best


class Peaks:
    """The process that measures. It answers like a peer's (worker.serve)."""

    def __init__(self, threads: int, device: str) -> None:
        import torch

        torch.set_num_threads(threads)
        self._threads, self._device, self._torch = threads, device, torch

    def peaks(self) -> dict[str, Any]:
        """Operations per second by precision."""
        types = ["float32", "bfloat16"] if self._device == "cpu" else ["float32", "bfloat16", "float16"]
        names = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
        measured = {names[name]: _peak(self._floats(name)) for name in types}
        if self._device == "cuda":
            return measured | {"int8": _peak(self._int8_cuda())}
        measured["fp32"] = max(measured["fp32"], _peak(self._onnxruntime()))
        return measured | {"int8": _peak(self._int8_cpu())}

    def _floats(self, name: str) -> Callable[[], object]:
        torch = self._torch
        kind = getattr(torch, name)
        left = torch.randn(ROWS, WIDTH, device=self._device).to(kind)
        right = torch.randn(WIDTH, COLUMNS, device=self._device).to(kind)
        return self._waiting(lambda: left @ right)

    def _int8_cuda(self) -> Callable[[], object]:
        torch = self._torch
        left = torch.randint(-127, 128, (ROWS, WIDTH), dtype=torch.int8, device="cuda")
        right = torch.randint(-127, 128, (COLUMNS, WIDTH), dtype=torch.int8, device="cuda").t()
        return self._waiting(lambda: torch._int_mm(left, right))

    def _waiting(self, call: Callable[[], object]) -> Callable[[], object]:
        if self._device == "cpu":
            return call

        def synchronised() -> object:
            result = call()
            self._torch.cuda.synchronize()
            return result

        return synchronised

    def _onnxruntime(self) -> Callable[[], object]:
        """ONNX Runtime's float32 product with a constant, which it packs when it is loaded."""
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        right = np.random.default_rng(0).standard_normal((WIDTH, COLUMNS), np.float32)
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [ROWS, WIDTH])]
        outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [ROWS, COLUMNS])]
        nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
        graph = helper.make_graph(nodes, "product", inputs, outputs, [numpy_helper.from_array(right, "w")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        left = np.random.default_rng(1).standard_normal((ROWS, WIDTH), np.float32)
        return lambda: session.run(None, {"x": left})

    def _int8_cpu(self) -> Callable[[], object]:
        """ONNX Runtime's product of uint8 with int8, the pair its kernels are fastest for, quantisation included."""
        from benchmarks.peers import Layer, bare_products

        call = bare_products([Layer(False, WIDTH, COLUMNS)], self._threads)
        ids = np.zeros((1, ROWS), np.int64)
        return lambda: call(ids)


def main() -> None:
    """`python -m benchmarks.suite.limits {"threads": 2, "device": "cpu"}`: a process like a peer's."""
    from benchmarks.suite.worker import protocol

    protocol(lambda: Peaks(**json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
