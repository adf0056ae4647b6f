"""assay: the variants of a bundle through the public API, on the device in the peer's name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import assay
from assay.bundle.folder import open_bundle
from assay.devices import parse_device
from assay.inputs.validation import Row
from benchmarks.suite.setup import Float32, Mode, Setup, parse_row

__all__ = ["list_files", "make", "prepare"]


def prepare(name: str, setup: Setup) -> None:
    """Export a bundle with the peer's variant, gates included, unless the variant is that of the fp32 bundle.

    A stand-in with random weights cannot pass the int8 gate and keep its layers in int8. Its int8 bundle is ungated,
    as its manifest says, and has the speed of a model that passes at once.
    """
    _, variant = parse_name(name)
    folder = locate_bundle(name, setup)
    if folder.exists():
        return
    if setup.random_weights and variant == "int8":
        from benchmarks.standins import ungated

        ungated.add_int8(Path(setup.checkpoint), Path(setup.bundle), folder)
        return
    from assay_export.exporter import export
    from assay_export.progress import Terminal

    export(setup.checkpoint, folder, input=setup.input, variants=["fp32", variant], progress=Terminal())


def locate_bundle(name: str, setup: Setup) -> Path:
    """Return the folder of the bundle that the peer loads."""
    _, variant = parse_name(name)
    return Path(setup.bundle) if variant == "fp32" else Path(setup.work) / f"bundle-{variant}"


def parse_name(name: str) -> tuple[str, str]:
    """Split a peer's name into device and variant. On TensorRT, int8 is the variant int8_qdq."""
    device, _, variant = name.removeprefix("assay-").rpartition("-")
    return device or "cpu", "int8_qdq" if (device, variant) == ("tensorrt", "int8") else variant


class AssayPeer:
    """assay.load and Model.logits, as a user calls them, in the mode that is measured."""

    def __init__(self, name: str, setup: Setup, mode: Mode) -> None:
        self._name, self._setup, self._mode = name, setup, mode
        self._model: Any = None

    def load(self) -> None:
        device, variant = parse_name(self._name)
        folder = locate_bundle(self._name, self._setup)
        self._model = assay.load(folder, device, variant, self._setup.threads, mode=self._mode)

    def run(self, rows: Sequence[Row]) -> Float32:
        batch: list[Row] = [parse_row(row) for row in rows]
        logits: Float32 = self._model.logits(batch, truncate=True)
        return logits


def list_files(name: str, setup: Setup) -> list[Path]:
    """List one graph, its weights and the tokenizer."""
    folder = locate_bundle(name, setup)
    device, variant = parse_name(name)
    graph = open_bundle(folder).choose(variant, parse_device(device).kind).graph
    return [folder / file for file in (*graph.files, "tokenizer.json")]


def make(name: str, setup: Setup, mode: Mode) -> AssayPeer:
    return AssayPeer(name, setup, mode)
