"""Cache TensorRT's engines between processes, and decide which ones to trust.

An engine takes minutes to build, and is valid for one graph with its weights, one GPU and one version of TensorRT and
ONNX Runtime. ONNX Runtime names the files by the graph's structure alone and loads any file with the right name, so a
fine-tuned model could answer with the weights of another one. Therefore every combination has a separate folder:

    <cache>/tensorrt/<digest of the key>/lock
                                         timing/        how long TensorRT's kernels took here, for the next build
                                         0128/          the engine for calls of 128 tokens
                                         0128/seal.json the whole key, and the SHA-256 of every file

An engine is built in a temporary folder, which is sealed and renamed at the end: the remains of a killed process are
never read. An engine is used only if its seal matches the key and the files. One process at a time builds for a key;
the others wait and use the result.
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
from assay.system.file_lock import exclusive

__all__ = ["EngineCache", "Folders", "locate_cache"]

_LOG = logging.getLogger("assay")
_SEAL = "seal.json"


def locate_cache(environment: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """Return the folder of Assay's caches: $ASSAY_CACHE, or "assay" in the platform's cache folder of the user."""
    # Not a default value: libraries replace os.environ (datasets does, around its processes).
    environment = os.environ if environment is None else environment
    if environment.get("ASSAY_CACHE"):
        return Path(environment["ASSAY_CACHE"])
    if platform == "win32" and environment.get("LOCALAPPDATA"):
        return Path(environment["LOCALAPPDATA"]) / "assay" / "cache"
    if platform == "darwin":
        return Path.home() / "Library" / "Caches" / "assay"
    # https://specifications.freedesktop.org/basedir-spec/: relative paths must be ignored.
    given = Path(environment.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "assay"


@dataclass(frozen=True, slots=True)
class Folders:
    """The cache folders of one session. `is_built` tells whether they already contain the engine."""

    engines: Path
    timing: Path
    is_built: bool


class EngineCache:
    """The engines of one key: the names and values of a graph with its weights, a GPU, and versions."""

    def __init__(self, root: Path, key: Mapping[str, str]) -> None:
        self._key = dict(key)
        digest = hashlib.sha256(json.dumps(self._key, sort_keys=True).encode()).hexdigest()
        self.folder = root / "tensorrt" / digest[:32]

    @contextlib.contextmanager
    def open(self, length: int) -> Iterator[Folders]:
        """Provide the folders for the session of one length. If the engine is not built yet, the block must build it.

        A block that builds holds the lock, and the engine is kept if the block ends without an exception. Loading an
        engine needs neither the lock nor write permission.

        Raises:
            ProviderError: The cache cannot be written.
        """
        engines, timing = self.folder / f"{length:04}", self.folder / "timing"
        with _cache_errors(self.folder):
            is_built = self._is_trusted(engines, quiet=True)
        if is_built:
            yield Folders(engines, timing, True)
            return
        with contextlib.ExitStack() as stack:
            with _cache_errors(self.folder):
                # Closed to other users: an engine can run code in the process that loads it.
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                stack.enter_context(exclusive(self.folder / "lock", f"TensorRT engines in {self.folder}"))
                is_built = self._is_trusted(engines, quiet=False)  # another process may have built it
                building = _make_empty(self.folder / "building")
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
        except (OSError, ValueError, RecursionError):
            seal = {}
        found = {"key": self._key, "files": _hash_files(engines)}
        if seal == found and found["files"]:
            return True
        if not quiet:
            _LOG.warning("%s: does not match its seal for this machine and these versions; building it again", engines)
        return False

    def _seal(self, engines: Path) -> None:
        files = _hash_files(engines)
        if not files:
            raise ProviderError(
                f"{engines}: TensorRT wrote no engine, expected one: it supports no part of this graph; "
                "use device='cuda'"
            )
        (engines / _SEAL).write_text(json.dumps({"key": self._key, "files": files}, indent=1), encoding="utf-8")


def _hash_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in `folder` except the seal, by name."""
    hashes = {}
    for path in sorted(folder.iterdir()):
        if path.name != _SEAL:
            with path.open("rb") as file:
                hashes[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def _make_empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed, since this one has the lock
    folder.mkdir(mode=0o700)
    return folder


def _copy(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    if source.is_dir():
        return Path(shutil.copytree(source, target))
    return _make_empty(target)


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
