"""A bundle appears at its target complete or not at all.

It is written into a hidden folder next to the target, which is flushed to disk and renamed at the end. A bundle that it
replaces is set aside under another hidden name for that moment. A lock, taken before any work begins, keeps two exports
from writing to one target. It also tells which hidden folders a killed process left behind: the next export to the same
target removes a half-written folder, and puts back a bundle that was set aside.
"""

import contextlib
import errno
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from assay.bundle.manifest import MANIFEST_NAME
from assay.errors import AssayError, one_line
from assay.files import sync_folder, sync_tree
from assay.system.file_lock import exclusive_at_once
from assay_export.errors import ExportError

__all__ = ["check_target", "stage"]

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
# Raised by a write without naming the file. Everything that an export writes is below its target.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def check_target(target: Path, force: bool) -> None:
    """Refuse a target that exists or, with `force`, one that is not a bundle and so must not be replaced.

    Raises:
        ExportError: The target is refused, or cannot be looked at.
    """
    try:
        if not target.exists() and not target.is_symlink():
            return
        is_empty_folder = target.is_dir() and not any(target.iterdir())
        is_bundle = (target / MANIFEST_NAME).is_file()
    except OSError as error:  # a name that is too long, a loop of links, a folder without permissions
        raise ExportError(f"{target} cannot be written to: {error.strerror}; choose another --out") from error
    if not force:
        raise ExportError(f"{target} exists: choose another --out, or pass --force to replace it")
    if target.is_symlink() or not (is_empty_folder or is_bundle):
        raise ExportError(f"{target} exists and is not a bundle, so --force does not replace it: choose another --out")


@contextlib.contextmanager
def stage(target: Path, force: bool) -> Iterator[Path]:
    """Provide a folder to write into, which becomes `target` if the block succeeds and is removed if it fails.

    Args:
        target: The bundle's folder. Folders above it are created.
        force: Whether a bundle at `target` is replaced.

    Raises:
        ExportError: `target` is refused or unwritable, another export is writing to it, or the block raised an OSError.
    """
    target = target.absolute()
    check_target(target, force)
    partial = _hide(target, "partial")
    with contextlib.ExitStack() as stack:
        try:
            stack.callback(_remove_empty, _find_missing(target.parent))
            target.parent.mkdir(parents=True, exist_ok=True)
            _lock(target, stack)
            _clean_up(target)
            check_target(target, force)
            partial.mkdir()
        except OSError as error:
            is_in_the_way = isinstance(error, FileExistsError | IsADirectoryError)
            place = error.filename if is_in_the_way else target.parent
            raise ExportError(f"{place} cannot be written to: {error.strerror}; choose another --out") from error
        try:
            yield partial
            sync_tree(partial)
            check_target(target, force)
            _move_into_place(partial, target)
        except AssayError:
            raise
        except OSError as error:
            raise _explain(error, target) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _lock(target: Path, stack: contextlib.ExitStack) -> None:
    """Lock the target until `stack` is closed. On a file system without locks, go on without one."""
    try:
        stack.enter_context(exclusive_at_once(_hide(target, "lock")))
    except BlockingIOError as error:
        raise ExportError(
            f"another export is writing to {target}: wait until it has ended, or choose another --out"
        ) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _move_into_place(partial: Path, target: Path) -> None:
    if not target.exists():
        partial.rename(target)
        sync_folder(target.parent)
        return
    replaced = _hide(target, "replaced")
    try:
        target.rename(replaced)
        partial.rename(target)
        sync_folder(target.parent)
    finally:
        if target.exists():
            shutil.rmtree(replaced, ignore_errors=True)
        else:
            replaced.rename(target)


def _find_missing(folder: Path) -> list[Path]:
    """Return the folders that must be made for `folder` to exist, the lowest first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove the folders that this export made if it failed, and nothing else is in them."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _clean_up(target: Path) -> None:
    """Remove what a killed export left behind. Its lock went with its process."""
    replaced = _hide(target, "replaced")
    if not target.exists() and (replaced / MANIFEST_NAME).is_file():
        replaced.rename(target)
    for folder in (replaced, _hide(target, "partial")):
        shutil.rmtree(folder, ignore_errors=True)


def _explain(error: OSError, target: Path) -> ExportError:
    """Blame the target only for errors of writing below it; any other error says itself what failed."""
    named = [Path(str(name)) for name in (error.filename, error.filename2) if name is not None]
    folders = (target, _hide(target, "partial"), _hide(target, "replaced"))
    is_ours = any(path.is_relative_to(folder) for path in named for folder in folders)
    if is_ours or (not named and error.errno in _DISK_ERRORS):
        return ExportError(f"{target} could not be written: {one_line(error)}; nothing was left there")
    return ExportError(f"the export failed: {one_line(error)}; nothing was written to {target}")


def _hide(target: Path, kind: str) -> Path:
    """Return the hidden name next to `target` for one purpose."""
    return target.parent / f".{target.name}.{kind}"
