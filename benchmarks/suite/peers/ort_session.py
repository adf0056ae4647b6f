"""Sessions of ONNX Runtime in environments of their own: two ways to OpenVINO, and transformers' own ONNX export.

The tokenizer is the bundle's, opened by the tokenizers library: transformers 5 tokenizes for DeBERTa-v3 otherwise.
"""

import json
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

__all__ = ["list_files", "make", "prepare"]

BUILT_IN, PLUGIN = "onnxruntime-openvino-fp32", "onnxruntime-ep-openvino-fp32"
EXPORTER = "transformers-exporters-fp32"
PROVIDER = "OpenVINOExecutionProvider"
GRAPH = "model.onnx"  # as transformers.exporters names it


def prepare(name: str, setup: Setup) -> None:
    """Export with `transformers.exporters`, for any number of rows and tokens. The others use the bundle's graph."""
    folder = setup.folder(name)
    if name != EXPORTER or (folder / GRAPH).is_file():
        return
    import torch
    from transformers import AutoModelForSequenceClassification
    from transformers.exporters import OnnxConfig, OnnxExporter

    model: Any = AutoModelForSequenceClassification.from_pretrained(
        setup.checkpoint, dtype=torch.float32, local_files_only=True
    )
    ids = torch.ones(2, 16, dtype=torch.int64)
    sample = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    OnnxExporter().export(model.eval(), sample, config=OnnxConfig(dynamic=True)).save_pretrained(folder)


class SessionPeer:
    """A session with the defaults of its provider on the CPU, except for the number of threads."""

    def __init__(self, name: str, setup: Setup, mode: Mode) -> None:
        self._name, self._setup, self._mode = name, setup, mode
        self._session: Any = None
        self._tokenizer: Any = None

    def load(self) -> None:
        import onnxruntime

        bundle = Path(self._setup.bundle)
        described = manifest.read(bundle / manifest.MANIFEST_NAME)
        data = (bundle / "tokenizer.json").read_bytes()
        self._tokenizer = BundleTokenizer(data, described.input, described.max_length, described.truncation)
        graph, *_ = list_files(self._name, self._setup)
        options, threads = onnxruntime.SessionOptions(), self._setup.threads
        if self._name == EXPORTER:
            options.intra_op_num_threads = threads
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            return
        if self._name == PLUGIN:
            _add_plugin(onnxruntime, options, threads)
            self._session = onnxruntime.InferenceSession(graph, options)
        else:
            settings = {"device_type": "CPU", "num_of_threads": str(threads)}
            self._session = onnxruntime.InferenceSession(graph, options, providers=[(PROVIDER, settings)])
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


def _add_plugin(onnxruntime: Any, options: Any, threads: int) -> None:
    """Register the plugin and add its device for the CPU to the session's options.

    Raises:
        BenchmarkError: It offers no such device, as on an AMD processor.
    """
    import onnxruntime_ep_openvino

    onnxruntime.register_execution_provider_library(PROVIDER, onnxruntime_ep_openvino.get_library_path())
    cpu = onnxruntime.OrtHardwareDeviceType.CPU
    found = [
        device for device in onnxruntime.get_ep_devices() if device.ep_name == PROVIDER and device.device.type == cpu
    ]
    if not found:
        raise BenchmarkError(
            f"onnxruntime-ep-openvino registers with ONNX Runtime but offers no {PROVIDER} for this CPU"
        )
    # By default the plugin computes in bfloat16 where the CPU can, unlike the provider that is built in.
    settings = {"CPU": {"INFERENCE_NUM_THREADS": str(threads), "INFERENCE_PRECISION_HINT": "f32"}}
    options.add_provider_for_devices(found, {"load_config": json.dumps(settings)})


def list_files(name: str, setup: Setup) -> list[Path]:
    """List the graph, which comes first, and its weights."""
    if name == EXPORTER:
        return [setup.folder(name) / file for file in (GRAPH, f"{GRAPH}.data")]
    bundle = Path(setup.bundle)
    portable = manifest.read(bundle / manifest.MANIFEST_NAME).variants["fp32"]["portable"]
    return [bundle / file for file in portable.files]


def make(name: str, setup: Setup, mode: Mode) -> SessionPeer:
    return SessionPeer(name, setup, mode)
