"""optimum-intel: its own OpenVINO export of the checkpoint, in bfloat16 and after its own static int8 quantisation.

It has an environment of its own, because its pins do not fit this project's.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assay.inputs.validation import Row
from benchmarks.suite.peers.batches import run_in_batches
from benchmarks.suite.setup import Float32, Mode, Setup

__all__ = ["list_files", "make", "prepare"]

BF16 = "optimum-intel-bf16"
ROWS = 64
"""Rows that are calibrated on, as many as for the peer openvino-int8."""


def prepare(name: str, setup: Setup) -> None:
    """Export, and for int8 quantise with the recipe in optimum-intel's documentation.

    It calibrates on the calibration text of the export.
    """
    folder = setup.folder(name)
    if (folder / "openvino_model.xml").is_file():
        return
    from optimum.intel import OVModelForSequenceClassification

    model = OVModelForSequenceClassification.from_pretrained(
        setup.checkpoint, export=True, compile=False, local_files_only=True
    )
    if name == BF16:
        model.save_pretrained(folder)
    else:
        _quantise(model, setup, folder)


def _quantise(model: Any, setup: Setup, folder: Path) -> None:
    from datasets import Dataset
    from optimum.intel import OVConfig, OVQuantizationConfig, OVQuantizer
    from transformers import AutoTokenizer

    from benchmarks.inputs.calibration import read_calibration

    tokenizer = AutoTokenizer.from_pretrained(setup.bundle)
    rows = read_calibration(setup.input)
    rows = rows[:: len(rows) // ROWS][:ROWS]
    texts = [(row,) if isinstance(row, str) else row for row in rows]
    data = Dataset.from_list([dict(tokenizer(*row, truncation=True, max_length=setup.max_length)) for row in texts])
    recipe = OVConfig(quantization_config=OVQuantizationConfig(bits=8, num_samples=ROWS))
    OVQuantizer.from_pretrained(model).quantize(calibration_dataset=data, ov_config=recipe, save_directory=folder)


class OptimumIntelPeer:
    """An OVModel with OpenVINO's hint for the mode. In throughput mode it gets batches of rows of similar length."""

    def __init__(self, name: str, setup: Setup, mode: Mode) -> None:
        self._name, self._setup, self._mode = name, setup, mode
        self._model: Any = None
        self._tokenizer: Any = None

    def load(self) -> None:
        from optimum.intel import OVModelForSequenceClassification
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(self._setup.bundle)
        # Its calls wait for their answer, so that one request at a time gets all cores in either mode.
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": str(self._setup.threads)}
        if self._name == BF16:
            settings["INFERENCE_PRECISION_HINT"] = "bf16"
        self._model = OVModelForSequenceClassification.from_pretrained(
            self._setup.folder(self._name), ov_config=settings, local_files_only=True
        )

    def run(self, rows: Sequence[Row]) -> Float32:
        return run_in_batches(rows, self._call, self._mode, self._setup.device)

    def _call(self, rows: Sequence[Row]) -> Float32:
        feed = self._tokenizer(
            list(rows), padding=True, truncation=True, max_length=self._setup.max_length, return_tensors="np"
        )
        logits: Float32 = self._model(**feed).logits
        return logits


def list_files(name: str, setup: Setup) -> list[Path]:
    """List the model and its weights."""
    return [setup.folder(name) / file for file in ("openvino_model.xml", "openvino_model.bin")]


def make(name: str, setup: Setup, mode: Mode) -> OptimumIntelPeer:
    return OptimumIntelPeer(name, setup, mode)
