"""Bundles from the Hugging Face Hub: a name becomes a Bundle whose files are downloaded when they are needed.

huggingface_hub downloads, resumes, locks and keeps the files in its cache; it is imported only once a name of the Hub
was given. What is here: which name means the Hub, one commit for all files of a bundle, what is used where there is no
network, and which files. Hashes are bundle.py's, the words of errors hub_errors.py's.
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
from assay.devices import Kind
from assay.errors import BundleError, InputError, InstallationError, one_line
from assay.inputs.validation import check_flag, describe

__all__ = ["HubBundle", "fetch", "open_bundle"]

_LOG = logging.getLogger("assay")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*")
_REVISION = re.compile(r"[^\s\x00-\x1f\x7f]+")  # git takes no white space and no control characters in a name
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHECKPOINTS = ("osmosis", "maxwell")  # what assay export knows by these names are no bundles


@dataclass(frozen=True, slots=True)
class HubBundle(Bundle):
    """A snapshot in the cache of huggingface_hub, of one commit. Beside the manifest it may lack any file.

    `offline` says why nothing is downloaded, and is "" where the Hub is there.
    """

    name: str
    commit: str
    offline: str

    @property
    def revision(self) -> str | None:
        return self.commit

    @property
    def cure(self) -> str:
        return f"replace it with: assay fetch {self.name} --revision {self.commit}"

    def obtain(self, names: Iterable[str]) -> None:
        """Download what the cache lacks of `names`. Raises BundleError where that cannot be."""
        missing = [name for name in names if not (self.folder / name).exists()]
        if missing and self.offline:
            raise BundleError(
                f"{self.name}: {', '.join(missing)} of commit {self.commit} is not in the Hub's cache and cannot be "
                f"downloaded ({self.offline}); fetch it first, where the Hub can be reached, with --variant and "
                f"--device as here: assay fetch {self.name} --revision {self.commit}"
            )
        for name in missing:
            _download(_client(self.name), self.name, name, self.commit)

    def replace(self, names: Iterable[str]) -> None:
        """Download `names` again, over what the cache has. Raises BundleError where that cannot be."""
        for name in names:
            _replace(_client(self.name), self.name, name, self.commit, self.folder / name)

    def _adding(self, variant: str) -> str:
        asked = f" with {variant}" if variant else ""
        return f"ask for one of these, or for a revision{asked}"


def open_bundle(path: str | os.PathLike[str], revision: str | None = None, local_files_only: bool = False) -> Bundle:
    """The bundle in the folder `path` or, where there is none and `path` is a str like "org/name", that of the Hub.

    Of a bundle on the Hub only assay.json is downloaded here. Its revision (a branch, a tag or a commit; None is the
    branch main) is resolved once, so that a branch that moves cannot mix two commits. Where the Hub cannot be reached,
    or local_files_only or HF_HUB_OFFLINE is set, the commit that the cache has for that revision is used; the first is
    logged as a warning. A full commit that is in the cache is used without asking the Hub.

    Raises InputError for arguments that do not go together, BundleError where there is no such bundle,
    InstallationError where huggingface_hub is needed and is not there.
    """
    _check_revision(revision)
    check_flag(local_files_only, "local_files_only")
    if not isinstance(path, str) or _NAME.fullmatch(path) is None or os.path.lexists(path):
        if isinstance(path, str) and path in _CHECKPOINTS and not os.path.lexists(path):
            raise BundleError(
                f"{path}: no such folder; {path} is a checkpoint, of which a bundle is made with: "
                f"assay export {path} --out {path}"
            )
        if (revision is not None or local_files_only) and isinstance(path, str | os.PathLike):
            given = f"revision is {revision!r}" if revision is not None else "local_files_only is True"
            raise InputError(
                f"{given}, which is for the Hub, and {os.fspath(path)!r} is a local path; leave it out, or give a str "
                "like 'organisation/name' that is no path here"
            )
        return folder.open_bundle(path)
    return _open(path, revision or "main", local_files_only, fetching=False)


def fetch(
    path: str, revision: str | None, variant: str, device: Kind, say: Callable[[str], None]
) -> tuple[HubBundle, Choice, list[str]]:
    """Download the files of a variant for a device, and check these and all else that the cache has of the commit.

    What is damaged in the cache is downloaded again, and `say` is told. Gives the bundle, the graph that was chosen,
    and the files that were checked. Raises as `open_bundle`, and BundleError where the Hub's own files do not go with
    its assay.json.
    """
    _check_revision(revision)
    if _NAME.fullmatch(path) is None or os.path.lexists(path):
        raise InputError(
            f"{path}: is {'a local path' if os.path.lexists(path) else 'no name of the Hub'}, expected the name of a "
            "bundle on the Hub (organisation/name); a local folder is checked with: assay verify"
        )
    opened = _open(path, revision or "main", local_files_only=False, fetching=True)
    choice = opened.choose(variant, device)
    needed = opened.needed(choice)
    opened.obtain(needed)
    there = [name for name in opened.manifest.files if name in needed or (opened.folder / name).exists()]
    damaged = opened.damaged(there)
    if damaged:
        say(f"not what assay.json says, downloading again: {', '.join(damaged)}")
        opened.replace(damaged)
    still = opened.damaged(damaged)
    if still:
        raise BundleError(
            f"{path}: {', '.join(still)} of commit {opened.commit} is not what its assay.json says, on the Hub itself; "
            "ask for another revision, or export the bundle and upload it again"
        )
    return opened, choice, there


def _check_revision(revision: object) -> None:
    if revision is not None and (not isinstance(revision, str) or _REVISION.fullmatch(revision) is None):
        raise InputError(f"revision is {describe(revision)}, expected a branch, a tag or a commit on the Hub, or None")


def _open(name: str, revision: str, local_files_only: bool, fetching: bool) -> HubBundle:
    """Resolve the revision and read assay.json.

    When `fetching`, an assay.json that is damaged in the cache is downloaded again, and a Hub that cannot be reached is
    an error, unless the revision is a commit that is in the cache.
    """
    hub = _client(name)
    offline = ""
    if local_files_only or hub.constants.HF_HUB_OFFLINE:
        offline = "local_files_only is set" if local_files_only else "HF_HUB_OFFLINE is set"
        if fetching:
            raise BundleError(f"{name}: {offline}, so that nothing can be fetched; unset it")
    manifest = _cached(hub, name, revision)
    if not offline and (manifest is None or _COMMIT.fullmatch(revision) is None):
        commit, offline = _resolve(hub, name, revision, may_use_cache=manifest is not None and not fetching)
        if offline and manifest is not None:
            _LOG.warning("%s: %s; using commit %s from the cache", name, offline, manifest.parent.name)
        elif manifest is None or manifest.parent.name != commit:
            # By the commit: asked for by a branch that just moves, one commit's name could get another's content.
            manifest = _download(hub, name, MANIFEST_NAME, commit)
            if revision != commit:
                # The cache now notes where the branch is, for use without a network.
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
                f"{error}; a damaged copy in the cache is replaced by: assay fetch {name} --revision {commit}"
            ) from error
        manifest = _replace(hub, name, MANIFEST_NAME, commit, manifest)
        content = read(manifest)
    return HubBundle(manifest.parent.absolute(), content, name, commit, offline)


def _resolve(hub: Any, name: str, revision: str, may_use_cache: bool) -> tuple[str, str]:
    """The commit of `revision`, asked of the Hub, and ""; or "" and why it cannot be reached, if `may_use_cache`.

    A Hub that answers, but not with a commit, is an error whatever is in the cache: it may have withdrawn the model.
    """
    from assay.bundle import hub_errors

    try:
        # Not get_hf_file_metadata: huggingface_hub 0.36 asks that for 24 seconds where nobody answers.
        commit = hub.HfApi().model_info(name, revision=revision, timeout=hub.constants.HF_HUB_ETAG_TIMEOUT).sha
    except Exception as error:  # see hub_errors: what transports raise has no common base
        if may_use_cache and hub_errors.is_unreachable(error):
            return "", f"the Hub cannot be reached: {one_line(error, 200)}"
        raise hub_errors.explain(error, name, revision, "") from error
    return str(commit), ""


def _cached(hub: Any, name: str, revision: str) -> Path | None:
    """assay.json of `revision` in the cache, where it is there. Raises InputError for a name that no model can have."""
    try:
        found = hub.try_to_load_from_cache(name, MANIFEST_NAME, revision=revision)
    except ValueError as error:  # HFValidationError
        raise InputError(f"{name}: no such folder here, and no name for the Hub ({one_line(error, 200)})") from error
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
    """Download `file` again. `path` goes first: huggingface_hub puts no new link where something is."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise BundleError(f"{path}: cannot be replaced ({one_line(error)}); delete it, and fetch it again") from error
    return _download(hub, name, file, commit, force=True)


def _client(name: str) -> Any:
    """The package huggingface_hub, which comes with tokenizers."""
    try:
        import huggingface_hub
        import huggingface_hub.constants  # it does not load its modules by itself
    except ImportError as error:
        raise InstallationError(
            f"{name}: no such folder here, and to ask the Hub takes huggingface_hub, which cannot be imported "
            f"({one_line(error)}); check the path, or: pip install huggingface_hub"
        ) from error
    return huggingface_hub
