"""ONNX Runtime with the OpenVINO execution provider on the bundle's portable graph, in an environment of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assay.bundle import manifest
from assay.inputs.tokenization import BundleTokenizer
from assay.inputs.validation import Row
from benchmarks.errors import BenchmarkError
from benchmarks.suite.peers.batches import run_in_batches
from benchmarks.suite.setup import Float32, Mode, Setup, parse_row

__all__ = ["list_files", "make"]

PROVIDER = "OpenVINOExecutionProvider"


class OrtOpenvinoPeer:
    """A session with the provider's defaults for the CPU, except for the number of threads."""

    def __init__(self, setup: Setup, mode: Mode) -> None:
        self._setup, self._mode = setup, mode
        self._session: Any = None
        self._tokenizer: Any = None

    def load(self) -> None:
        import onnxruntime

        bundle = Path(self._setup.bundle)
        described = manifest.read(bundle / manifest.MANIFEST_NAME)
        data = (bundle / "tokenizer.json").read_bytes()
        self._tokenizer = BundleTokenizer(data, described.input, described.max_length, described.truncation)
        settings = {"device_type": "CPU", "num_of_threads": str(self._setup.threads)}
        path = bundle / described.variants["fp32"]["portable"].file
        self._session = onnxruntime.InferenceSession(str(path), providers=[(PROVIDER, settings)])
        if self._session.get_providers()[0] != PROVIDER:
            raise BenchmarkError(f"{PROVIDER} did not load, ONNX Runtime uses {self._session.get_providers()}")

    def run(self, rows: Sequence[Row]) -> Float32:
        return run_in_batches(rows, self._call, self._mode, self._setup.device)

    def _call(self, rows: Sequence[Row]) -> Float32:
        tokens = [row.ids for row in self._tokenizer.encode([parse_row(row) for row in rows], True, 0)]
        ids, mask = np.zeros((2, len(tokens), max(map(len, tokens))), np.int64)  # the mask hides id 0
        for row, values in enumerate(tokens):
            ids[row, : len(values)], mask[row, : len(values)] = values, 1
        logits: Float32 = self._session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
        return logits


def list_files(name: str, setup: Setup) -> list[Path]:  # noqa: ARG001
    """List the graph and its weights."""
    bundle = Path(setup.bundle)
    portable = manifest.read(bundle / manifest.MANIFEST_NAME).variants["fp32"]["portable"]
    return [bundle / file for file in portable.files]


def make(name: str, setup: Setup, mode: Mode) -> OrtOpenvinoPeer:  # noqa: ARG001
    return OrtOpenvinoPeer(setup, mode)
