"""Turns what a user names into what the peers load: a whole checkpoint, and assay's fp32 bundle of it.

    python -m benchmarks.suite.preparation.model MODEL WORK FILE        writes the Prepared as JSON to FILE

What was prepared stays in WORK, named by the hashes of the weights and of the exporter's sources, and is reused.
"""

import dataclasses
import hashlib
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from assay.errors import AssayError
from assay_export import exporter
from assay_export.checkpoint import loading
from assay_export.checkpoint.files import CheckpointFiles, open_files
from assay_export.checkpoint.source import resolve
from assay_export.progress import Terminal
from benchmarks.errors import BenchmarkError
from benchmarks.standins.plain_int8 import PROBE
from benchmarks.standins.standins import build_checkpoint, create_folder
from benchmarks.suite.samples import write_json
from benchmarks.suite.setup import Prepared

__all__ = ["main", "prepare"]

STANDIN = "standin:"


def prepare(model: str, work: Path) -> Prepared:
    """Find, build or download MODEL, merge its adapter and export it.

    Raises:
        AssayError: There is no such checkpoint, or it does not pass the fp32 gate.
    """
    name = model.removeprefix(STANDIN)
    random_weights = model.startswith(STANDIN)
    if random_weights:
        folder = work / f"standin-{name}"
        if name not in ("osmosis", "maxwell"):
            raise BenchmarkError(f"no stand-in is called {name!r}, expected osmosis or maxwell")
        if not folder.exists():
            _say(f"building {folder}, with random weights")
            build_checkpoint(name, folder)
        source = str(folder)
    else:
        found = resolve(model)
        folder, name, source = found.folder, found.name, model
    files = open_files(folder)
    weights = hash_files(path for part in files.folders for path in sorted(part.glob("*.safetensors")))
    place = work / f"{name}-{weights[:12]}-{hash_files(sorted(Path(exporter.__file__).parent.rglob('*.py')))[:8]}"
    bundle = place / "bundle"
    if not bundle.exists():
        exporter.export(source, bundle, progress=Terminal())
    if files.base:
        folder = place / "merged"
        if not folder.exists():
            _say(f"merging the adapter into {folder}")
            _merge(files, bundle, folder)
    return Prepared(name, str(folder), str(bundle), str(place), weights, random_weights)


def _merge(files: CheckpointFiles, bundle: Path, folder: Path) -> None:
    """Write an adapter and its base as one model, with the bundle's tokenizer, to the new `folder`."""
    with create_folder(folder) as partial:
        loading.load(files, [PROBE]).reference.module.save_pretrained(partial)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(bundle / file, partial / file)


def hash_files(paths: Iterable[Path]) -> str:
    """Hash the bytes of the files, one after the other.

    Raises:
        BenchmarkError: There are no files.
    """
    digest, any_file = hashlib.sha256(), False
    for path in paths:
        any_file = True
        with path.open("rb") as file:
            while piece := file.read(1 << 24):
                digest.update(piece)
    if not any_file:
        raise BenchmarkError("the checkpoint has no *.safetensors, and pickled weights are not read: convert it")
    return digest.hexdigest()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Prepare the model named on the command line, and return the exit code."""
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
