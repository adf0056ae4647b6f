"""A bundle appears at its target whole or not at all.

It is written into a hidden folder beside the target, which is renamed at the end; a bundle that it replaces is set
aside under another hidden name for that moment. What a killed process left is recognised by its lock, which the kernel
released: the next export to the same place removes a half-written folder, and puts back a bundle that was set aside.
"""

import contextlib
import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from assay.bundle.manifest import MANIFEST_NAME
from assay_export.errors import ExportError


def check_target(target: Path, force: bool) -> None:
    """Refuses a target that exists, or, with `force`, one that is not a bundle and so not ours to replace."""
    try:
        if not target.exists() and not target.is_symlink():
            return
    except OSError as error:  # a name that is too long, a loop of links
        raise ExportError(f"{target} cannot be written to: {error.strerror}; choose another --out") from error
    if not force:
        raise ExportError(f"{target} exists: choose another --out, or pass --force to replace it")
    is_empty_folder = target.is_dir() and not any(target.iterdir())
    if target.is_symlink() or not (is_empty_folder or (target / MANIFEST_NAME).is_file()):
        raise ExportError(f"{target} exists and is not a bundle, so --force does not replace it: choose another --out")


@contextlib.contextmanager
def staged(target: Path, force: bool) -> Iterator[Path]:
    """A folder to write into; it becomes `target` when the block ends well and is removed when it does not."""
    target = target.absolute()
    check_target(target, force)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clean_up_after_the_killed(target)
        check_target(target, force)
        folder = Path(tempfile.mkdtemp(prefix=_prefix(target, "partial"), dir=target.parent))
    except OSError as error:
        raise ExportError(f"{target.parent} cannot be written to: {error.strerror}; choose another --out") from error
    lock = _lock(folder)
    try:
        folder.chmod(0o777 & ~_umask())  # mkdtemp's 0700 would hide the bundle from a service's user
        yield folder
        check_target(target, force)
        _replace(folder, target)
    except OSError as error:
        raise ExportError(f"{target} could not be written: {error}; nothing was left there") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _replace(folder: Path, target: Path) -> None:
    if not target.exists():
        folder.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=_prefix(target, "replaced"), dir=target.parent))
    lock = _lock(target)  # on the folder itself, whatever it is called: see _clean_up_after_the_killed
    try:
        target.rename(old)
        try:
            folder.rename(target)
        except BaseException:
            old.rename(target)
            raise
    finally:
        if lock is not None:
            os.close(lock)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)


def _clean_up_after_the_killed(target: Path) -> None:
    for kind in ("replaced", "partial"):
        for folder in target.parent.glob(glob.escape(_prefix(target, kind)) + "*"):
            lock = _lock(folder)
            if lock is None:
                continue
            if kind == "replaced" and not target.exists() and (folder / MANIFEST_NAME).is_file():
                folder.rename(target)
            else:
                shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """A lock on the folder itself, None where another process holds it. It goes with the process."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _prefix(target: Path, kind: str) -> str:
    return f".{target.name}.{kind}-"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
