"""A scratch bundle whose int8 graph passed no gate, for the speed of stand-ins. Its manifest says so."""

import hashlib
import json
import shutil
from pathlib import Path

from assay.bundle import manifest
from assay.bundle.manifest import MANIFEST_NAME, seal
from assay_export.graphs.entry import make_entry
from assay_export.graphs.writer import Dialect
from assay_export.variants.int8.kernels.variant import FILE
from benchmarks.errors import BenchmarkError
from benchmarks.standins import plain_int8
from benchmarks.standins.standins import create_folder

__all__ = ["add_int8", "choose_bundle"]


def choose_bundle(bundle: Path, checkpoint: Path, work: Path, ungated: bool) -> Path:
    """Return a bundle with the variant int8: `bundle` if it has it, else with `ungated` a copy of it in `work`.

    Raises:
        BenchmarkError: The bundle has no int8 and is not to get the ungated graph.
        AssayError: The bundle or the checkpoint cannot be read.
    """
    described = manifest.read(bundle / MANIFEST_NAME)
    if Dialect.KERNELS.value in described.variants.get("int8", {}):
        return bundle
    if not ungated:
        raise BenchmarkError(
            f"{bundle} has no int8 variant: export it with --variants fp32,int8, or pass --ungated for a stand-in"
        )
    portable = described.variants["fp32"][Dialect.PORTABLE.value]
    weights = described.files[portable.data[0] if portable.data else portable.file].sha256[:12]
    folder = work / f"{described.name}-{weights}-ungated"
    if not folder.exists():
        add_int8(checkpoint, bundle, folder)
    return folder


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
