"""Open bundles from the Hugging Face Hub, and download their files when they are needed.

huggingface_hub downloads the files, resumes, and manages the cache; it is imported only for a name on the Hub. This
module decides which names mean the Hub, uses one commit for all files of a bundle, decides what to use without a
network, and selects the files. folder.py checks hashes, hub_errors.py words the errors, hub_retries.py tries again.
"""

import logging
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.bundle import folder
from assay.bundle.folder import Bundle, Choice
from assay.bundle.manifest import MANIFEST_NAME, read
from assay.errors import BundleError, InputError, one_line
from assay.inputs.validation import check_flag, describe
from assay.optional_packages import require

__all__ = ["HubBundle", "fetch", "open_bundle"]

_LOG = logging.getLogger("assay")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*")
_REVISION = re.compile(r"[^\s\x00-\x1f\x7f]+")  # git allows neither white space nor control characters in a name
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHECKPOINTS = ("osmosis", "maxwell")  # presets of assay export: checkpoints, not bundles


@dataclass(frozen=True, slots=True)
class HubBundle(Bundle):
    """A snapshot of one commit in the cache of huggingface_hub. Any file except the manifest may still be missing.

    `offline` says why nothing can be downloaded. It is empty where the Hub can be reached.
    """

    name: str
    commit: str
    offline: str

    @property
    def revision(self) -> str | None:
        return self.commit

    @property
    def remedy(self) -> str:
        return f"replace it with: assay fetch {self.name} --revision {self.commit}"

    def obtain(self, names: Iterable[str]) -> None:
        """Download those of `names` that are not in the cache. Raises BundleError if that fails."""
        missing = [name for name in names if not (self.folder / name).exists()]
        if missing and self.offline:
            raise BundleError(
                f"{self.name}: {', '.join(missing)} of commit {self.commit} is not in the Hub's cache and cannot be "
                f"downloaded ({self.offline}); where the Hub can be reached, fetch it first with the same --variant "
                f"and --device: assay fetch {self.name} --revision {self.commit}"
            )
        for name in missing:
            _download(_import_hub(self.name), self.name, name, self.commit)

    def replace(self, names: Iterable[str]) -> None:
        """Download `names` again, and replace them in the cache. Raises BundleError if that fails."""
        for name in names:
            _replace(_import_hub(self.name), self.name, name, self.commit, self.folder / name)

    def _suggest_variant(self, variant: str) -> str:
        wanted = f" with {variant}" if variant else ""
        return f"ask for one of these, or for a revision{wanted}"


def open_bundle(path: str | os.PathLike[str], revision: str | None = None, local_files_only: bool = False) -> Bundle:
    """Open the bundle in the folder `path`, or the one with that name on the Hub, and read its manifest.

    For a bundle on the Hub, only assay.json is downloaded. The revision is resolved to a commit once, so that a branch
    that moves cannot mix files of two commits. If the Hub cannot be reached (logged as a warning), or local_files_only
    or HF_HUB_OFFLINE is set, the commit that the cache has for that revision is used. A full commit that is in the
    cache is used without asking the Hub.

    Args:
        path: A folder, or a str like "org/name" if no such path exists.
        revision: Branch, tag or commit on the Hub. Default: main.
        local_files_only: Use only the cache.

    Returns:
        The bundle.

    Raises:
        InputError: The arguments do not go together.
        BundleError: There is no such bundle.
        InstallationError: huggingface_hub is needed and not installed.
    """
    _check_revision(revision)
    check_flag(local_files_only, "local_files_only")
    if not isinstance(path, str) or _NAME.fullmatch(path) is None or os.path.lexists(path):
        if isinstance(path, str) and path in _CHECKPOINTS and not os.path.lexists(path):
            raise BundleError(
                f"{path}: no such folder; {path} is a checkpoint, not a bundle; make a bundle of it with: "
                f"assay export {path} --out {path}"
            )
        if (revision is not None or local_files_only) and isinstance(path, str | os.PathLike):
            given = f"revision is {revision!r}" if revision is not None else "local_files_only is True"
            raise InputError(
                f"{given}, which is for the Hub, and {os.fspath(path)!r} is a local path; leave it out, or pass a str "
                "like 'organisation/name' that is not a path here"
            )
        return folder.open_bundle(path)
    return _open(path, revision or "main", local_files_only, fetching=False)


def fetch(
    path: str,
    revision: str | None,
    choose: Callable[[Bundle], Choice],
    say: Callable[[str], None],
) -> tuple[HubBundle, Choice, list[str]]:
    """Download the files of a variant for a device, and check them and all other files of the commit in the cache.

    Args:
        path: The name on the Hub.
        revision: Branch, tag or commit. Default: main.
        choose: Chooses the graph.
        say: Called with a message when damaged files are downloaded again.

    Returns:
        The bundle, the chosen graph, and the names of the files that were checked.

    Raises:
        InputError: As `open_bundle`, or `path` is local.
        BundleError: As `open_bundle`, or files on the Hub do not match its assay.json.
        InstallationError: As `open_bundle`.
    """
    _check_revision(revision)
    if _NAME.fullmatch(path) is None or os.path.lexists(path):
        raise InputError(
            f"{path}: is {'a local path' if os.path.lexists(path) else 'not a name on the Hub'}, expected the name of "
            "a bundle on the Hub (organisation/name); a local folder is checked with: assay verify"
        )
    opened = _open(path, revision or "main", local_files_only=False, fetching=True)
    choice = choose(opened)
    needed = opened.list_needed(choice)
    opened.obtain(needed)
    there = [name for name in opened.manifest.files if name in needed or (opened.folder / name).exists()]
    damaged = opened.find_damaged(there)
    if damaged:
        say(f"different from assay.json, downloading again: {', '.join(damaged)}")
        opened.replace(damaged)
    still = opened.find_damaged(damaged)
    if still:
        raise BundleError(
            f"{path}: {', '.join(still)} of commit {opened.commit} does not match its assay.json on the Hub itself; "
            "ask for another revision, or export the bundle and upload it again"
        )
    return opened, choice, there


def _check_revision(revision: object) -> None:
    if revision is not None and (not isinstance(revision, str) or _REVISION.fullmatch(revision) is None):
        raise InputError(f"revision is {describe(revision)}, expected a branch, a tag or a commit on the Hub, or None")


def _open(name: str, revision: str, local_files_only: bool, fetching: bool) -> HubBundle:
    """Resolve the revision and read assay.json.

    If `fetching`, an assay.json that is damaged in the cache is downloaded again, and a Hub that cannot be reached is
    an error unless the revision is a commit that is in the cache.
    """
    hub = _import_hub(name)
    offline = ""
    if local_files_only or hub.constants.HF_HUB_OFFLINE:
        offline = "local_files_only is set" if local_files_only else "HF_HUB_OFFLINE is set"
        if fetching:
            raise BundleError(f"{name}: {offline}, so nothing can be fetched; unset it")
    manifest = _find_cached(hub, name, revision)
    if not offline and (manifest is None or _COMMIT.fullmatch(revision) is None):
        commit, offline = _resolve(hub, name, revision, may_use_cache=manifest is not None and not fetching)
        if offline and manifest is not None:
            _LOG.warning("%s: %s; using commit %s from the cache", name, offline, manifest.parent.name)
        elif manifest is None or manifest.parent.name != commit:
            # By commit: while a branch moves, a download by its name could store one commit's file under another's.
            manifest = _download(hub, name, MANIFEST_NAME, commit)
            if revision != commit:
                # Makes the cache record the commit of the branch, for use without a network.
                _download(hub, name, MANIFEST_NAME, revision)
    if manifest is None:
        raise BundleError(
            f"{name}: no such folder here, and revision {revision} is not in the Hub's cache "
            f"{hub.constants.HF_HUB_CACHE} ({offline}); check the path, or fetch it first, where the Hub can be "
            f"reached: assay fetch {name} --revision {revision}"
        )
    commit = manifest.parent.name
    try:
        content = read(manifest)
    except BundleError as error:
        if not fetching:
            raise BundleError(
                f"{error}; replace a damaged copy in the cache with: assay fetch {name} --revision {commit}"
            ) from error
        manifest = _replace(hub, name, MANIFEST_NAME, commit, manifest)
        content = read(manifest)
    return HubBundle(manifest.parent.absolute(), content, name, commit, offline)


def _resolve(hub: Any, name: str, revision: str, may_use_cache: bool) -> tuple[str, str]:
    """Ask the Hub for the commit of `revision`.

    Returns:
        The commit and "". If the Hub cannot be reached and `may_use_cache`: "" and the reason. An error that the Hub
        answers is raised whatever is in the cache, because the model may have been withdrawn.
    """
    from assay.bundle import hub_errors

    try:
        # Not get_hf_file_metadata: huggingface_hub 0.36 retries it for 24 seconds if nobody answers.
        commit = hub.HfApi().model_info(name, revision=revision, timeout=hub.constants.HF_HUB_ETAG_TIMEOUT).sha
    except Exception as error:  # see hub_errors: what transports raise has no common base
        if may_use_cache and hub_errors.is_unreachable(error):
            return "", f"the Hub cannot be reached: {one_line(error, 200)}"
        raise hub_errors.explain(error, name, revision, "") from error
    return str(commit), ""


def _find_cached(hub: Any, name: str, revision: str) -> Path | None:
    """Find assay.json of `revision` in the cache. Raises InputError for a name that is not valid on the Hub."""
    try:
        found = hub.try_to_load_from_cache(name, MANIFEST_NAME, revision=revision)
    except ValueError as error:  # HFValidationError
        raise InputError(
            f"{name}: no such folder here, and not a valid name on the Hub ({one_line(error, 200)})"
        ) from error
    return Path(found) if isinstance(found, str) else None


def _download(hub: Any, name: str, file: str, revision: str, force: bool = False) -> Path:
    """Download one file into the cache, and return its path there."""
    from assay.bundle import hub_errors, hub_retries

    def download(again: bool) -> Path:
        return Path(hub.hf_hub_download(name, file, revision=revision, force_download=force or again))

    try:
        return hub_retries.retry(download, f"{name}: the download of {file}")
    except Exception as error:  # see hub_errors: what transports raise has no common base
        raise hub_errors.explain(error, name, revision, file) from error


def _replace(hub: Any, name: str, file: str, commit: str, path: Path) -> Path:
    """Download `file` again. Deletes `path` first, because huggingface_hub does not replace an existing link."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise BundleError(f"{path}: cannot be replaced ({one_line(error)}); delete it and fetch it again") from error
    return _download(hub, name, file, commit, force=True)


def _import_hub(name: str) -> Any:
    user = f"{name}: is not a folder here, and loading it from the Hub"
    require("huggingface_hub.constants", "'assay[hub]'", user)  # the package does not import its modules by itself
    return require("huggingface_hub", "'assay[hub]'", user)
