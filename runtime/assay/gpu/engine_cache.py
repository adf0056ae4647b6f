"""Where TensorRT's engines are kept between processes, and when one is trusted.

An engine takes minutes to build and fits one graph with its weights, one GPU and one version of TensorRT and ONNX
Runtime. ONNX Runtime names the files by the graph's structure alone, and loads what has the right name; a fine-tuned
model of the same architecture would answer with another's weights. So every combination has a folder of its own:

    <cache>/tensorrt/<digest of the key>/lock
                                         timing/        how long TensorRT's kernels took here, for the next build
                                         0128/          the engine for calls of 128 tokens
                                         0128/seal.json the whole key, and the SHA-256 of every file

An engine is built in a folder of its own, which is sealed and renamed when it is done: what a killed process leaves is
never read. An engine is used only where its seal has this key and these files. One process at a time builds for a
key, and the others wait and use what it built.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from assay.errors import ProviderError, one_line
from assay.file_lock import exclusive

__all__ = ["EngineCache", "Folders", "cache_root"]

_LOG = logging.getLogger("assay")
_SEAL = "seal.json"


def cache_root(environment: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """The folder of Assay's caches: $ASSAY_CACHE, or "assay" in the user's cache folder of this platform."""
    # Not as a default value: libraries put another mapping there (datasets does, around its processes).
    environment = os.environ if environment is None else environment
    if environment.get("ASSAY_CACHE"):
        return Path(environment["ASSAY_CACHE"])
    if platform == "win32" and environment.get("LOCALAPPDATA"):
        return Path(environment["LOCALAPPDATA"]) / "assay" / "cache"
    if platform == "darwin":
        return Path.home() / "Library" / "Caches" / "assay"
    # https://specifications.freedesktop.org/basedir-spec/: a relative path is to be ignored.
    given = Path(environment.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "assay"


@dataclass(frozen=True, slots=True)
class Folders:
    """What a session is created with. `is_built` says whether the engine is there already."""

    engines: Path
    timing: Path
    is_built: bool


class EngineCache:
    """The engines of one key: a graph with its weights, a GPU, and versions, as names and values."""

    def __init__(self, root: Path, key: Mapping[str, str]) -> None:
        self._key = dict(key)
        digest = hashlib.sha256(json.dumps(self._key, sort_keys=True).encode()).hexdigest()
        self.folder = root / "tensorrt" / digest[:32]

    @contextlib.contextmanager
    def open(self, length: int) -> Iterator[Folders]:
        """The folders for the session of one length. Where the engine is not built yet, the block is to build it.

        A block that builds holds the lock, and its engine is kept where it ends without an exception. To load what is
        built needs no lock, and no right to write.

        Raises ProviderError where the cache cannot be written to.
        """
        engines, timing = self.folder / f"{length:04}", self.folder / "timing"
        with _cache_errors(self.folder):
            is_built = self._is_trusted(engines, quiet=True)
        if is_built:
            yield Folders(engines, timing, True)
            return
        with contextlib.ExitStack() as stack:
            with _cache_errors(self.folder):
                # Not for other users: who may write an engine may run code in the process that loads it.
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                stack.enter_context(exclusive(self.folder / "lock", f"TensorRT engines in {self.folder}"))
                is_built = self._is_trusted(engines, quiet=False)  # by whoever had the lock
                building = _fresh(self.folder / "building")
                own_timing = _copy(timing, self.folder / "building-timing")
            try:
                if is_built:
                    yield Folders(engines, timing, True)
                    return
                yield Folders(building, own_timing, False)
                with _cache_errors(self.folder):
                    self._seal(building)
                    _replace(building, engines)
                    _replace(own_timing, timing)
            finally:
                for left in (building, own_timing):
                    shutil.rmtree(left, ignore_errors=True)

    def _is_trusted(self, engines: Path, quiet: bool) -> bool:
        if not engines.is_dir():
            return False
        try:
            seal = json.loads((engines / _SEAL).read_bytes())
        except (OSError, ValueError):
            seal = {}
        found = {"key": self._key, "files": _hashes(engines)}
        if seal == found and found["files"]:
            return True
        if not quiet:
            _LOG.warning("%s: not what was sealed on this machine with these versions; it is built again", engines)
        return False

    def _seal(self, engines: Path) -> None:
        files = _hashes(engines)
        if not files:
            raise ProviderError(
                f"{engines}: TensorRT wrote no engine, expected one; it takes no part of this graph: use device='cuda'"
            )
        (engines / _SEAL).write_text(json.dumps({"key": self._key, "files": files}, indent=1), encoding="utf-8")


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 by name of every file in `folder`, but for the seal."""
    hashes = {}
    for path in sorted(folder.iterdir()):
        if path.name != _SEAL:
            with path.open("rb") as file:
                hashes[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed: this one has the lock
    folder.mkdir(mode=0o700)
    return folder


def _copy(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    if source.is_dir():
        return Path(shutil.copytree(source, target))
    return _fresh(target)


def _replace(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    source.rename(target)


@contextlib.contextmanager
def _cache_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ProviderError(
            f"{folder}: the cache of TensorRT engines cannot be used ({one_line(error)}); make it writable, or set "
            "ASSAY_CACHE to a folder that is"
        ) from error
