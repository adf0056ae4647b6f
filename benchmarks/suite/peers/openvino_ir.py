"""OpenVINO, from the bundle's portable graph: in float32, in bfloat16, and as int8 by NNCF with calibration.

The portable graph is cleaner than a traced one, which is to OpenVINO's advantage.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from assay.bundle import manifest
from assay.inputs.tokenization import BundleTokenizer
from benchmarks import peers
from benchmarks.int8_peers import CALIBRATION_ROWS, CALIBRATION_TOKENS, tokenised_rows
from benchmarks.suite.setup import Float32, Mode, Setup, as_row

HINTS = {"openvino-fp32": "f32", "openvino-bf16": "bf16"}


def prepare(name: str, setup: Setup) -> None:
    """The int8 model by nncf.quantize with the transformer preset, SmoothQuant included."""
    if name != "openvino-int8":
        return
    bundle = Path(setup.bundle)
    rows = tokenised_rows(bundle, manifest.read(bundle / manifest.MANIFEST_NAME))
    calibration = [row[:, :CALIBRATION_TOKENS] for row in rows[:: len(rows) // CALIBRATION_ROWS][:CALIBRATION_ROWS]]
    peers.openvino_int8(bundle / _portable(setup).file, calibration, setup.folder(name))


def _portable(setup: Setup) -> manifest.Graph:
    return manifest.read(Path(setup.bundle) / manifest.MANIFEST_NAME).variants["fp32"]["portable"]


class OpenvinoPeer:
    """One request on all cores (latency), or a stream per core, which is what its documentation advises (throughput).

    In throughput mode every row is a request of its own without padding, longest first, so that streams end together.
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
        (path, *_) = files(self._name, self._setup)
        cores = self._setup.threads
        settings: dict[str, Any] = {"PERFORMANCE_HINT": self._mode.upper(), "INFERENCE_NUM_THREADS": cores}
        if self._mode == "throughput":
            settings["NUM_STREAMS"] = cores
        if self._name in HINTS:
            settings["INFERENCE_PRECISION_HINT"] = HINTS[self._name]
        self._compiled = openvino.Core().compile_model(str(path), "CPU", settings)
        self._request = self._compiled.create_infer_request()

    def run(self, rows: Sequence[object]) -> Float32:
        tokens = [row.ids for row in self._tokenizer.encode([as_row(row) for row in rows], True, 0)]
        if self._mode == "latency":
            return self._padded(tokens)
        return self._streamed(tokens)

    def _padded(self, tokens: Sequence[peers.Ids]) -> Float32:
        longest = max(map(len, tokens))
        ids, mask = np.zeros((2, len(tokens), longest), np.int64)  # the mask hides id 0
        for row, values in enumerate(tokens):
            ids[row, : len(values)], mask[row, : len(values)] = values, 1
        logits: Float32 = self._request.infer({"input_ids": ids, "attention_mask": mask})["logits"].copy()
        return logits

    def _streamed(self, tokens: Sequence[peers.Ids]) -> Float32:
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


def files(name: str, setup: Setup) -> list[Path]:
    """The model, first, and its weights."""
    if name == "openvino-int8":
        folder = setup.folder(name)
        return [folder / "model.xml", folder / "model.bin"]
    return [Path(setup.bundle) / file for file in _portable(setup).files]


def make(name: str, setup: Setup, mode: Mode) -> OpenvinoPeer:
    return OpenvinoPeer(name, setup, mode)
