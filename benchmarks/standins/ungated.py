"""A scratch bundle whose int8 graph passed no gate, for the speed of stand-ins. Its manifest says so."""

import hashlib
import json
import shutil
from pathlib import Path

from assay.bundle.manifest import MANIFEST_NAME, seal
from assay_export.graphs.entry import make_entry
from assay_export.graphs.writer import Dialect
from assay_export.variants.int8.kernels.variant import FILE
from benchmarks.standins import plain_int8
from benchmarks.standins.standins import create_folder

__all__ = ["add_int8"]


def add_int8(checkpoint: Path, fp32: Path, folder: Path) -> None:
    """Copy the bundle `fp32` to the new `folder` and add the graph of `plain_int8`."""
    with create_folder(folder) as partial:
        shutil.copytree(fp32, partial, dirs_exist_ok=True)
        plain_int8.save(plain_int8.load(checkpoint), plain_int8.PlainRecipes(), partial / "onnx")
        document = json.loads((partial / MANIFEST_NAME).read_text(encoding="utf-8"))
        data = f"{FILE}_data"
        entry = make_entry(Dialect.KERNELS, FILE, [data])
        entry["parity"] = {"gate": "none: random weights, for speed only"}
        document["variants"]["int8"] = {Dialect.KERNELS.value: entry}
        for name in (FILE, data):
            content = (partial / name).read_bytes()
            document["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        (partial / MANIFEST_NAME).write_bytes(seal(document))
