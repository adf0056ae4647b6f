"""optimum's ORTModel: its export as it is, after its dynamic int8 quantisation, and on the GPU providers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime
from optimum.onnxruntime import ORTModelForSequenceClassification, ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig
from transformers import AutoTokenizer

from assay.inputs.validation import Row
from benchmarks.errors import BenchmarkError
from benchmarks.suite.peers.batches import run_in_batches
from benchmarks.suite.setup import Float32, Mode, Setup

__all__ = ["list_files", "make", "prepare"]

PROVIDERS = {"optimum-cuda": "CUDAExecutionProvider", "optimum-tensorrt": "TensorrtExecutionProvider"}
EXPORT = "optimum-export"  # the folder that all of these share


def prepare(name: str, setup: Setup) -> None:
    """Export once, and quantise for int8 with the recipe in optimum's documentation for AVX512-VNNI."""
    exported = setup.folder(EXPORT)
    if not (exported / "model.onnx").is_file():
        model = ORTModelForSequenceClassification.from_pretrained(setup.checkpoint, export=True, local_files_only=True)
        model.save_pretrained(exported)
    if name == "optimum-int8" and not (setup.folder(name) / "model_quantized.onnx").is_file():
        recipe = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=False)
        ORTQuantizer.from_pretrained(exported).quantize(recipe, save_dir=setup.folder(name))


class OrtPeer:
    """An ORTModel with ONNX Runtime's defaults, except for the number of threads."""

    def __init__(self, name: str, setup: Setup, mode: Mode) -> None:
        self._name, self._setup, self._mode = name, setup, mode
        self._model: Any = None
        self._tokenizer: Any = None

    def load(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._setup.threads
        provider = PROVIDERS.get(self._name, "CPUExecutionProvider")
        quantised = self._name == "optimum-int8"
        self._tokenizer = AutoTokenizer.from_pretrained(self._setup.bundle)
        self._model = ORTModelForSequenceClassification.from_pretrained(
            self._setup.folder(self._name if quantised else EXPORT),
            file_name="model_quantized.onnx" if quantised else "model.onnx",
            provider=provider,
            session_options=options,
            local_files_only=True,
        )
        if provider not in self._model.providers:
            raise BenchmarkError(f"{provider} did not load, ONNX Runtime uses {', '.join(self._model.providers)}")

    def run(self, rows: Sequence[Row]) -> Float32:
        return run_in_batches(rows, self._call, self._mode, self._setup.device)

    def _call(self, rows: Sequence[Row]) -> Float32:
        feed = self._tokenizer(
            list(rows), padding=True, truncation=True, max_length=self._setup.max_length, return_tensors="np"
        )
        logits: Float32 = self._model(**feed).logits
        return logits


def list_files(name: str, setup: Setup) -> list[Path]:
    """List the graph and its weights."""
    folder = setup.folder(name if name == "optimum-int8" else EXPORT)
    return [path for path in folder.iterdir() if path.suffix in (".onnx", ".onnx_data")]


def make(name: str, setup: Setup, mode: Mode) -> OrtPeer:
    return OrtPeer(name, setup, mode)
