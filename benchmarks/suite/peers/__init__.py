"""The peers: for each its name, its precision, what it needs installed and the module that holds it.

Nothing heavy is imported here: a peer's process imports its own module alone.
"""

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from benchmarks.peers import PeerError
from benchmarks.suite.setup import Float32, Mode, Setup

Precision = Literal["fp32", "bf16", "fp16", "int8"]


class Peer(Protocol):
    """An implementation under test. Its process makes one, loads it once and asks it from one thread."""

    def load(self) -> None:
        """Read the model, ready to answer."""

    def run(self, rows: Sequence[object]) -> Float32:
        """Logits float32 [rows, labels], in order. In latency mode the rows are one request, and share a call where
        the peer batches at all; in throughput mode the peer splits them as is best for it."""


class Factory(Protocol):
    """What a peer's module has as `make`, and, where files must be made first, `prepare`."""

    def __call__(self, name: str, setup: Setup, mode: Mode) -> Peer: ...


@dataclass(frozen=True)
class Known:
    """A peer by name. `needs` are distributions, the first one's version being the peer's."""

    name: str
    module: str
    precision: Precision
    needs: tuple[str, ...]
    extra: str  # of this project, that brings `needs`
    devices: tuple[str, ...] = ("cpu",)
    inputs: tuple[str, ...] = ("pair", "text")

    def missing(self) -> list[str]:
        """The distributions that are not installed."""
        return [name for name in self.needs if not _installed(name)]

    def versions(self) -> dict[str, str]:
        """The versions of what the peer needs."""
        return {name: importlib.metadata.version(name) for name in self.needs}


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


_TORCH, _OPTIMUM = ("torch", "transformers"), ("optimum-onnx", "onnxruntime", "transformers")
_OPENVINO, _ASSAY = ("openvino", "tokenizers"), ("assay", "onnxruntime")
_GPU_OPTIMUM, _GPU_ASSAY = ("optimum-onnx", "onnxruntime-gpu", "transformers"), ("assay", "onnxruntime-gpu")
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
        Known("assay-fp32", "assay_bundle", "fp32", _ASSAY, "cpu"),
        Known("assay-int8", "assay_bundle", "int8", _ASSAY, "cpu"),
        Known("assay-fp16", "assay_bundle", "fp16", _ASSAY, "cpu"),
        Known("assay-cuda-fp32", "assay_bundle", "fp32", _GPU_ASSAY, "gpu", _CUDA),
        Known("assay-cuda-fp16", "assay_bundle", "fp16", _GPU_ASSAY, "gpu", _CUDA),
        Known("assay-tensorrt-fp16", "assay_bundle", "fp16", _GPU_ASSAY, "gpu", _CUDA),
        Known("assay-tensorrt-int8", "assay_bundle", "int8", _GPU_ASSAY, "gpu", _CUDA),
    )
}


def known(name: str) -> Known:
    """The peer of that name.

    Raises:
        PeerError: there is none.
    """
    if name not in PEERS:
        raise PeerError(f"no peer is called {name!r}, expected of {', '.join(PEERS)}")
    return PEERS[name]


def make(name: str, setup: Setup, mode: Mode) -> Peer:
    """The peer, not loaded yet."""
    factory: Factory = _module(name).make
    return factory(name, setup, mode)


def prepare(name: str, setup: Setup) -> None:
    """Make in the peer's folder whatever it needs, once; nothing where its module prepares nothing."""
    module = _module(name)
    if hasattr(module, "prepare"):
        module.prepare(name, setup)


def _module(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{known(name).module}")


def files(name: str, setup: Setup) -> list[Path]:
    """The files of the model that the peer reads to load it."""
    found: list[Path] = _module(name).files(name, setup)
    return found
