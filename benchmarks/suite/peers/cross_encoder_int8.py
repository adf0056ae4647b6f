"""sentence-transformers' CrossEncoder on its int8 files for OpenVINO and ONNX Runtime, each in its own environment."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assay.inputs.validation import Row
from benchmarks.suite.peers.batches import ROWS
from benchmarks.suite.setup import Float32, Mode, Setup

__all__ = ["list_files", "make", "prepare"]

FILES = {
    "sentence-transformers-openvino-int8": ("openvino", "openvino/openvino_model_qint8_quantized.xml"),
    "sentence-transformers-onnx-int8": ("onnx", "onnx/model_qint8_avx512_vnni.onnx"),
}
"""By peer, the backend and the name that sentence-transformers gives its quantised file."""
CALIBRATION_ROWS = 300  # as many as sentence-transformers asks for


def prepare(name: str, setup: Setup) -> None:
    """Export, and quantise with sentence-transformers' own functions.

    By default the one for OpenVINO calibrates on a set from the Hub; here it gets single texts of the export's pairs.
    """
    backend, file = FILES[name]
    folder = setup.folder(name)
    if (folder / file).is_file():
        return
    from sentence_transformers import CrossEncoder
    from sentence_transformers.backend import (
        export_dynamic_quantized_onnx_model,
        export_static_quantized_openvino_model,
    )

    model: Any = CrossEncoder(
        setup.checkpoint, backend=backend, model_kwargs={"export": True}, local_files_only=True, device="cpu"
    )
    model.save_pretrained(str(folder))
    if backend == "onnx":
        export_dynamic_quantized_onnx_model(model, "avx512_vnni", str(folder))
        return
    from benchmarks.inputs.calibration import read_calibration

    texts = [row if isinstance(row, str) else row[1] for row in read_calibration(setup.input)]
    texts = (texts * (CALIBRATION_ROWS // len(texts) + 1))[:CALIBRATION_ROWS]
    data = setup.folder(f"{name}-texts")
    data.mkdir(exist_ok=True)
    lines = "".join(f"{json.dumps({'sentence': text})}\n" for text in texts)
    (data / "train.jsonl").write_text(lines, encoding="utf-8")
    export_static_quantized_openvino_model(
        model,
        None,
        str(folder),
        dataset_name=str(data),
        dataset_config_name="default",
        dataset_split="train",
        column_name="sentence",
    )


class CrossEncoderInt8Peer:
    """A CrossEncoder without an activation function: by default it applies a sigmoid to a single label."""

    def __init__(self, name: str, setup: Setup) -> None:
        self._name, self._setup = name, setup
        self._model: Any = None

    def load(self) -> None:
        import torch
        from sentence_transformers import CrossEncoder

        backend, file = FILES[self._name]
        settings: dict[str, Any] = {"file_name": file}
        if backend == "openvino":
            settings["ov_config"] = {"INFERENCE_NUM_THREADS": str(self._setup.threads)}
        else:
            import onnxruntime

            settings["session_options"] = onnxruntime.SessionOptions()
            settings["session_options"].intra_op_num_threads = self._setup.threads
        self._model = CrossEncoder(
            str(self._setup.folder(self._name)),
            backend=backend,
            max_length=self._setup.max_length,
            model_kwargs=settings,
            local_files_only=True,
            device="cpu",
            activation_fn=torch.nn.Identity(),
        )

    def run(self, rows: Sequence[Row]) -> Float32:
        pairs: Any = list(rows)
        logits: Float32 = self._model.predict(pairs, batch_size=ROWS[self._setup.device], show_progress_bar=False)
        return logits.reshape(len(rows), -1)


def list_files(name: str, setup: Setup) -> list[Path]:
    """List the model and its weights."""
    model = setup.folder(name) / FILES[name][1]
    return [model, model.with_suffix(".bin")] if model.suffix == ".xml" else [model]


def make(name: str, setup: Setup, mode: Mode) -> CrossEncoderInt8Peer:  # noqa: ARG001
    return CrossEncoderInt8Peer(name, setup)
