"""From what a user names to what the peers load: a whole checkpoint, and assay's fp32 bundle of it.

    python -m benchmarks.suite.model MODEL WORK FILE        writes the Prepared as JSON to FILE

A process of its own, so that no PyTorch stays in the one that times. What was prepared stays in WORK, by the hash of
the weights and of the exporter's sources, and is used again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

from assay.errors import AssayError
from assay_export import checkpoint, exporter
from assay_export.progress import Terminal
from assay_export.source import resolve
from benchmarks import standins
from benchmarks.peers import PeerError
from benchmarks.suite.samples import write_json
from benchmarks.suite.setup import Prepared

STANDIN = "standin:"


def prepare(model: str, work: Path) -> Prepared:
    """Find, build or download MODEL, merge its adapter, export it.

    Raises:
        AssayError: there is no such checkpoint, or it does not pass the fp32 gate.
    """
    name = model.removeprefix(STANDIN)
    random_weights = model.startswith(STANDIN)
    if random_weights:
        folder = work / f"standin-{name}"
        if name not in ("osmosis", "maxwell"):
            raise PeerError(f"there is no stand-in called {name!r}, expected osmosis or maxwell")
        if not folder.exists():
            progress(f"building {folder}, with random weights")
            standins.build_checkpoint(name, folder)
        source = str(folder)
    else:
        found = resolve(model)
        folder, name, source = found.folder, found.name, model
    weights = sha256(sorted(folder.glob("*.safetensors")))
    place = work / f"{name}-{weights[:12]}-{sha256(sorted(Path(exporter.__file__).parent.rglob('*.py')))[:8]}"
    if (folder / "adapter_config.json").exists():
        merged = place / "merged"
        if not merged.exists():
            with standins.new_folder(merged) as partial:
                checkpoint.load(checkpoint.locate(folder), []).reference.module.save_pretrained(partial)
        folder = merged
    bundle = place / "bundle"
    if not bundle.exists():
        exporter.export(source, bundle, progress=Terminal())
    return Prepared(name, str(folder), str(bundle), str(place), weights, random_weights)


def sha256(paths: Iterable[Path]) -> str:
    """The hash of the files' bytes, one after the other.

    Raises:
        PeerError: there are none.
    """
    digest, any_file = hashlib.sha256(), False
    for path in paths:
        any_file = True
        with path.open("rb") as file:
            while piece := file.read(1 << 24):
                digest.update(piece)
    if not any_file:
        raise PeerError("the checkpoint has no *.safetensors: pickled weights are not read")
    return digest.hexdigest()


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    model, work, out = sys.argv[1:]
    try:
        prepared = prepare(model, Path(work))
    except AssayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    write_json(Path(out), dataclasses.asdict(prepared))
    return 0


if __name__ == "__main__":
    sys.exit(main())
