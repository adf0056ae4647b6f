"""Copies a bundle into a folder of its own: the files of the manifest, each checked, and the manifest."""

import os
import shutil
import tempfile
from pathlib import Path

from assay.bundle.folder import Bundle
from assay.bundle.manifest import MANIFEST_NAME
from assay.errors import InputError, one_line
from assay.files import sync_folder, sync_tree
from assay.inputs.validation import describe

__all__ = ["copy_bundle"]


def copy_bundle(bundle: Bundle, out: object) -> Path:
    """Copy every variant of `bundle` to the folder `out`, which appears completely or not at all.

    Of a bundle on the Hub, the files that are not in the cache are downloaded first.

    Returns:
        The folder.

    Raises:
        BundleError: A file is damaged, or cannot be downloaded.
        InputError: `out` is no path, exists, or cannot be written.
    """
    if not isinstance(out, str | os.PathLike) or not os.fspath(out) or "\0" in str(out):
        raise InputError(f"the folder is {describe(out)}, expected the path of a folder to write")
    target = Path(out).absolute()
    _refuse_existing(target)
    bundle.obtain(bundle.manifest.files)
    bundle.check_hashes(bundle.manifest.files)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.partial-", dir=target.parent) as staging:
            folder = Path(staging) / "bundle"
            for name in (*bundle.manifest.files, MANIFEST_NAME):
                place = folder / name
                place.parent.mkdir(parents=True, exist_ok=True)
                # In the Hub's cache the files are links; a copy must not share bytes that somebody may edit.
                shutil.copyfile(bundle.folder / name, place)
            sync_tree(folder)
            _refuse_existing(target)
            folder.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({one_line(error)}); nothing was left behind") from error
    return target


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise InputError(f"{target}: exists, expected a path that does not exist; remove it or choose another")
