"""OpenVINO on the bundle's portable graph: in float32, in bfloat16, and in int8 that NNCF calibrates.

The portable graph has fewer operators than a traced one, which is to OpenVINO's advantage.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from assay.bundle import manifest
from assay.inputs.tokenization import BundleTokenizer
from assay.inputs.validation import Row
from benchmarks.engines.openvino import quantise
from benchmarks.suite.setup import Float32, Mode, Setup, parse_row
from benchmarks.timing import Ids

__all__ = ["list_files", "make", "prepare"]

HINTS = {"openvino-fp32": "f32", "openvino-bf16": "bf16"}


def prepare(name: str, setup: Setup) -> None:
    """Quantise the model for int8."""
    if name != "openvino-int8":
        return
    bundle = Path(setup.bundle)
    quantise(bundle, manifest.read(bundle / manifest.MANIFEST_NAME), setup.folder(name))


def _find_portable(setup: Setup) -> manifest.Graph:
    return manifest.read(Path(setup.bundle) / manifest.MANIFEST_NAME).variants["fp32"]["portable"]


class OpenvinoPeer:
    """One request on all cores (latency), or a stream per core as its documentation advises (throughput).

    In throughput mode every row is a separate request without padding, longest first, so that streams end together.
    """

    def __init__(self, name: str, setup: Setup, mode: Mode) -> None:
        self._name, self._setup, self._mode = name, setup, mode
        self._tokenizer: Any = None
        self._compiled: Any = None
        self._request: Any = None

    def load(self) -> None:
        bundle = Path(self._setup.bundle)
        described = manifest.read(bundle / manifest.MANIFEST_NAME)
        data = (bundle / "tokenizer.json").read_bytes()
        self._tokenizer = BundleTokenizer(data, described.input, described.max_length, described.truncation)
        (path, *_) = list_files(self._name, self._setup)
        cores = self._setup.threads
        settings: dict[str, Any] = {"PERFORMANCE_HINT": self._mode.upper(), "INFERENCE_NUM_THREADS": cores}
        if self._mode == "throughput":
            settings["NUM_STREAMS"] = cores
        if self._name in HINTS:
            settings["INFERENCE_PRECISION_HINT"] = HINTS[self._name]
        self._compiled = openvino.Core().compile_model(str(path), "CPU", settings)
        self._request = self._compiled.create_infer_request()

    def run(self, rows: Sequence[Row]) -> Float32:
        tokens = [row.ids for row in self._tokenizer.encode([parse_row(row) for row in rows], True, 0)]
        if self._mode == "latency":
            return self._run_padded(tokens)
        return self._run_streams(tokens)

    def _run_padded(self, tokens: Sequence[Ids]) -> Float32:
        longest = max(map(len, tokens))
        ids, mask = np.zeros((2, len(tokens), longest), np.int64)  # the mask hides id 0
        for row, values in enumerate(tokens):
            ids[row, : len(values)], mask[row, : len(values)] = values, 1
        logits: Float32 = self._request.infer({"input_ids": ids, "attention_mask": mask})["logits"].copy()
        return logits

    def _run_streams(self, tokens: Sequence[Ids]) -> Float32:
        answers: list[Float32 | None] = [None] * len(tokens)
        queue = openvino.AsyncInferQueue(self._compiled)

        def keep(request: Any, index: int) -> None:
            answers[index] = request.get_output_tensor(0).data.copy()

        queue.set_callback(keep)
        for index in sorted(range(len(tokens)), key=lambda index: -len(tokens[index])):
            ids = tokens[index][None]
            queue.start_async({"input_ids": ids, "attention_mask": np.ones_like(ids)}, index)
        queue.wait_all()
        return np.concatenate([answer for answer in answers if answer is not None])


def list_files(name: str, setup: Setup) -> list[Path]:
    """List the model, which comes first, and its weights."""
    if name == "openvino-int8":
        folder = setup.folder(name)
        return [folder / "model.xml", folder / "model.bin"]
    return [Path(setup.bundle) / file for file in _find_portable(setup).files]


def make(name: str, setup: Setup, mode: Mode) -> OpenvinoPeer:
    return OpenvinoPeer(name, setup, mode)
