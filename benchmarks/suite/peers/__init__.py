"""The peers: the name of each, its precision, the packages it needs and the module that implements it.

Nothing heavy is imported here, because a peer's process imports that module only. A module of peers that have an
environment of their own imports its packages inside its functions, because the suite's own process calls `list_files`.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from assay.inputs.validation import Row
from benchmarks.errors import BenchmarkError
from benchmarks.suite.environments import HERE, Environment
from benchmarks.suite.setup import Float32, Mode, Setup

__all__ = ["NO_PEERS", "PEERS", "Factory", "Known", "Peer", "Precision", "find_peer", "list_files", "make", "prepare"]

Precision = Literal["fp32", "bf16", "fp16", "int8"]


class Peer(Protocol):
    """An implementation under test. Its process makes one, loads it once and calls it from one thread."""

    def load(self) -> None:
        """Load the model, ready to answer."""

    def run(self, rows: Sequence[Row]) -> Float32:
        """Compute logits, float32 [rows, labels], in order.

        In latency mode the rows are one request, and share a call if the peer batches at all. In throughput mode the
        peer splits them as suits it best.
        """


class Factory(Protocol):
    """The function `make` of a peer's module. A module that has to make files first also has `prepare`."""

    def __call__(self, name: str, setup: Setup, mode: Mode) -> Peer: ...


@dataclass(frozen=True)
class Known:
    """What is known of a peer before it is imported."""

    name: str
    module: str
    precision: Precision
    needs: tuple[str, ...]  # distributions; the version of the first is the peer's
    extra: str  # the extra of this project that installs `needs`
    devices: tuple[str, ...] = ("cpu",)
    inputs: tuple[str, ...] = ("pair", "text")
    environment: str = ""  # the name of the peer's own environment, if it has one (make bench-peers)
    on_request: bool = False  # measured only if --peers names it

    @property
    def how_to_install(self) -> str:
        """The command that installs `needs`."""
        return (
            f"make bench-peers PEERS={self.environment}" if self.environment else f"pip install 'assay[{self.extra}]'"
        )

    def missing(self, environment: Environment = HERE) -> list[str]:
        """List the distributions that are not installed in the peer's environment."""
        return [name for name in self.needs if not _is_installed(name, environment)]

    def versions(self, environment: Environment = HERE) -> dict[str, str]:
        """Return the versions of the distributions that the peer needs; of its own environment under that name."""
        suffix = f" in {self.environment}" if self.environment else ""
        found = {name: environment.find(name) for name in self.needs}
        return {f"{name}{suffix}": distribution.version for name, distribution in found.items() if distribution}


def _is_installed(name: str, environment: Environment = HERE) -> bool:
    return environment.find(name) is not None


_TORCH, _OPTIMUM = ("torch", "transformers"), ("optimum-onnx", "onnxruntime", "transformers")
_OPENVINO, _ASSAY = ("openvino", "tokenizers"), ("assay", "onnxruntime")
_GPU_OPTIMUM, _GPU_ASSAY = ("optimum-onnx", "onnxruntime-gpu", "transformers"), ("assay", "onnxruntime-gpu")
_INTEL = ("optimum-intel", "openvino", "nncf", "transformers")
_SENTENCE = ("sentence-transformers", "transformers", "torch")
_BOTH, _CUDA = ("cpu", "cuda"), ("cuda",)

PEERS = {
    peer.name: peer
    for peer in (
        Known("torch-fp32", "pytorch", "fp32", _TORCH, "export", _BOTH),
        Known("torch-bf16", "pytorch", "bf16", _TORCH, "export"),
        Known("torch-fp16", "pytorch", "fp16", _TORCH, "export", _CUDA),
        Known("torch-compile", "pytorch", "fp32", _TORCH, "export", _BOTH),
        Known("transformers-pipeline", "transformers_pipeline", "fp32", _TORCH, "export", _BOTH),
        Known(
            "sentence-transformers",
            "cross_encoder",
            "fp32",
            ("sentence-transformers", *_TORCH),
            "bench",
            _BOTH,
            ("pair",),
        ),
        Known("optimum-fp32", "optimum_ort", "fp32", _OPTIMUM, "export"),
        Known("optimum-int8", "optimum_ort", "int8", _OPTIMUM, "export"),
        Known("optimum-cuda", "optimum_ort", "fp32", _GPU_OPTIMUM, "export", _CUDA),
        Known("optimum-tensorrt", "optimum_ort", "fp32", _GPU_OPTIMUM, "export", _CUDA),
        Known("openvino-fp32", "openvino_ir", "fp32", _OPENVINO, "bench"),
        Known("openvino-bf16", "openvino_ir", "bf16", _OPENVINO, "bench"),
        Known("openvino-int8", "openvino_ir", "int8", (*_OPENVINO, "nncf"), "bench"),
        Known("optimum-intel-bf16", "optimum_intel", "bf16", _INTEL, "", environment="openvino"),
        Known("optimum-intel-int8", "optimum_intel", "int8", _INTEL, "", environment="openvino"),
        Known(
            "sentence-transformers-openvino-int8",
            "cross_encoder_int8",
            "int8",
            (*_SENTENCE, "optimum-intel", "openvino", "nncf"),
            "",
            inputs=("pair",),
            environment="sentence-transformers-openvino",
        ),
        Known(
            "sentence-transformers-onnx-int8",
            "cross_encoder_int8",
            "int8",
            (*_SENTENCE, "onnxruntime", "optimum-onnx"),
            "",
            inputs=("pair",),
            environment="sentence-transformers-onnx",
        ),
        Known(
            "onnxruntime-openvino-fp32",
            "ort_session",
            "fp32",
            ("onnxruntime-openvino", "tokenizers"),
            "",
            environment="onnxruntime-openvino",
        ),
        Known(
            "onnxruntime-ep-openvino-fp32",
            "ort_session",
            "fp32",
            ("onnxruntime-ep-openvino", "onnxruntime", "tokenizers"),
            "",
            environment="onnxruntime-ep-openvino",
        ),
        Known(
            "transformers-exporters-fp32",
            "ort_session",
            "fp32",
            ("transformers", "onnxruntime", "torch"),
            "",
            environment="transformers-exporters",
        ),
        Known("torchao-int8", "torchao_int8", "int8", ("torchao", *_TORCH), "", environment="torchao"),
        Known("torchao-int8-compile", "torchao_int8", "int8", ("torchao", *_TORCH), "", environment="torchao"),
        Known("assay-fp32", "assay_bundle", "fp32", _ASSAY, "cpu"),
        Known("assay-int8", "assay_bundle", "int8", _ASSAY, "cpu"),
        # A format for GPUs, whose export takes long: half an hour for a ModernBERT-large.
        Known("assay-fp16", "assay_bundle", "fp16", _ASSAY, "cpu", on_request=True),
        Known("assay-cuda-fp32", "assay_bundle", "fp32", _GPU_ASSAY, "gpu", _CUDA),
        Known("assay-cuda-fp16", "assay_bundle", "fp16", _GPU_ASSAY, "gpu", _CUDA),
        Known("assay-tensorrt-fp16", "assay_bundle", "fp16", _GPU_ASSAY, "gpu", _CUDA),
        Known("assay-tensorrt-int8", "assay_bundle", "int8", _GPU_ASSAY, "gpu", _CUDA),
    )
}

NO_PEERS = {
    "text-embeddings-inference": "a Rust server. The build that was tried could not download its dependencies",
    "llama.cpp": "has no DeBERTa, and is built from C++ sources, which this suite does not do",
}
"""What people run as well and the suite cannot measure, each with the reason."""


def find_peer(name: str) -> Known:
    """Find the peer of that name.

    Raises:
        BenchmarkError: There is none.
    """
    if name in NO_PEERS:
        raise BenchmarkError(f"{name} is no peer of the suite: {NO_PEERS[name]}")
    if name not in PEERS:
        raise BenchmarkError(f"no peer is called {name!r}, expected one of {', '.join(PEERS)}")
    return PEERS[name]


def make(name: str, setup: Setup, mode: Mode) -> Peer:
    """Make the peer without loading it."""
    factory: Factory = _import_module(name).make
    return factory(name, setup, mode)


def prepare(name: str, setup: Setup) -> None:
    """Make the files that the peer needs, once. Most peers need none."""
    module = _import_module(name)
    if hasattr(module, "prepare"):
        module.prepare(name, setup)


def _import_module(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{find_peer(name).module}")


def list_files(name: str, setup: Setup) -> list[Path]:
    """List the files that the peer reads to load the model."""
    found: list[Path] = _import_module(name).list_files(name, setup)
    return found
