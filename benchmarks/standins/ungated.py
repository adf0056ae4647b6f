"""A scratch bundle whose int8 graph passed no gate, for the speed of stand-ins. Its manifest says so."""

import hashlib
import json
import shutil
from pathlib import Path

from assay.bundle.manifest import MANIFEST_NAME, seal
from assay.ort.batching import INT8_TOKENS_PER_CALL
from assay_export.graphs.cpu_session import GRAPH_OPTIMIZATION
from assay_export.graphs.writer import Dialect
from benchmarks.standins import plain_int8
from benchmarks.standins.standins import create_folder

__all__ = ["add_int8"]

INT8 = "onnx/model_int8.onnx"


def add_int8(checkpoint: Path, fp32: Path, folder: Path) -> None:
    """Copy the bundle `fp32` to the new `folder` and add the graph of `plain_int8`."""
    with create_folder(folder) as partial:
        shutil.copytree(fp32, partial, dirs_exist_ok=True)
        plain_int8.save(plain_int8.load(checkpoint), plain_int8.PlainRecipes(), partial / "onnx")
        document = json.loads((partial / MANIFEST_NAME).read_text(encoding="utf-8"))
        data = f"{INT8}_data"
        document["variants"]["int8"] = {
            "cpu": {
                "file": INT8,
                "data": [data],
                "inputs": ["input_ids"],
                "graph_optimization": GRAPH_OPTIMIZATION[Dialect.CPU],
                "parity": {"gate": "none: random weights, for speed only"},
                "tokens_per_call": INT8_TOKENS_PER_CALL,
            }
        }
        for name in (INT8, data):
            content = (partial / name).read_bytes()
            document["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        (partial / MANIFEST_NAME).write_bytes(seal(document))
