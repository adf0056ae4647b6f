"""assay: the bundle's variants through the public API, on the device in the peer's name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import assay
from assay.bundle import manifest
from assay.inputs.validation import Row
from benchmarks.suite.setup import Float32, Mode, Setup, as_row


def prepare(name: str, setup: Setup) -> None:
    """A bundle with the peer's variant, by the export and its gates; every peer has the fp32 bundle already.

    A stand-in of random weights cannot pass the int8 gate and keep its layers in int8. Its int8 bundle is an ungated
    one, which says so in its manifest: the speed of a model that passes at once.
    """
    _, variant = split(name)
    folder = bundle(name, setup)
    if folder.exists():
        return
    if setup.random_weights and variant == "int8":
        from benchmarks.suite import ungated

        ungated.bundle(Path(setup.checkpoint), Path(setup.bundle), folder)
        return
    from assay_export.exporter import export
    from assay_export.progress import Terminal

    export(setup.checkpoint, folder, input=setup.input, variants=["fp32", variant], progress=Terminal())


def bundle(name: str, setup: Setup) -> Path:
    """The folder of the bundle that the peer loads."""
    _, variant = split(name)
    return Path(setup.bundle) if variant == "fp32" else Path(setup.work) / f"bundle-{variant}"


def split(name: str) -> tuple[str, str]:
    """Device and variant: "assay-tensorrt-int8" is int8_qdq, the variant that TensorRT has int8 as."""
    device, _, variant = name.removeprefix("assay-").rpartition("-")
    return device or "cpu", "int8_qdq" if (device, variant) == ("tensorrt", "int8") else variant


class AssayPeer:
    """assay.load and Model.logits, as a user has them, in the mode that is measured."""

    def __init__(self, name: str, setup: Setup, mode: Mode) -> None:
        self._name, self._setup, self._mode = name, setup, mode
        self._model: Any = None

    def load(self) -> None:
        device, variant = split(self._name)
        folder = bundle(self._name, self._setup)
        self._model = assay.load(folder, device, variant, self._setup.threads, mode=self._mode)

    def run(self, rows: Sequence[object]) -> Float32:
        batch: list[Row] = [as_row(row) for row in rows]
        logits: Float32 = self._model.logits(batch, truncate=True)
        return logits


def files(name: str, setup: Setup) -> list[Path]:
    """What is read to load: one graph, its weights and the tokenizer."""
    folder = bundle(name, setup)
    device, variant = split(name)
    graphs = manifest.read(folder / manifest.MANIFEST_NAME).variants[variant]
    graph = graphs["cpu"] if device == "cpu" and "cpu" in graphs else graphs["portable"]
    return [folder / file for file in (*graph.files, "tokenizer.json")]


def make(name: str, setup: Setup, mode: Mode) -> AssayPeer:
    return AssayPeer(name, setup, mode)
