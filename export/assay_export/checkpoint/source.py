"""Where a checkpoint is: a preset's name, a Hub id or a folder becomes a local folder with the checkpoint's files."""

import contextlib
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

from assay.bundle import hub_errors
from assay.bundle.hub_retries import retry
from assay.errors import one_line
from assay.files import find_encoding_problem, to_utf_8
from assay_export.checkpoint.presets import PRESETS, Preset, find_preset
from assay_export.errors import CheckpointError

__all__ = ["CHECKPOINT_FILES", "Source", "resolve"]

_LOG = logging.getLogger("assay")

# The files of a checkpoint that are downloaded. Pickled weights never are; the pickled head of a SetFit model is read
# without running what it names (checkpoint/setfit/pickled.py). sentence-transformers numbers the folders of modules.
CHECKPOINT_FILES = [
    "config.json",
    "adapter_config.json",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "spm.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "config_setfit.json",
    "model_head.pkl",
    "[0-9]_*/*.json",
    "[0-9]_*/*.txt",
    "[0-9]_*/*.model",
]
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_LONGEST_HUB_ID = 96  # characters, by the rule of huggingface_hub


@dataclass(frozen=True)
class Source:
    """A checkpoint on this machine and where it came from.

    `id` is what the user named, `name` a short name for the bundle. `revision` is the Hub's commit, None for a local
    folder.
    """

    folder: Path
    id: str
    name: str
    revision: str | None
    preset: Preset | None


def resolve(source: str | os.PathLike[str], revision: str | None = None, *, relative_to: Path | None = None) -> Source:
    """Find or download the checkpoint that `source` names.

    Args:
        source: A name in PRESETS, an existing folder, or a Hub id. A path object is always a folder.
        revision: A branch, tag or commit on the Hub. It is refused for a local folder, unless `relative_to` is set: an
            adapter may pin a revision and be used with a local base.
        relative_to: A folder that relative paths may also be relative to (an adapter names its base this way).

    Raises:
        CheckpointError: There is no such folder, or the checkpoint cannot be downloaded.
    """
    name = os.fspath(source)
    preset = PRESETS.get(name) if isinstance(source, str) else None
    if preset is None:
        for folder in _list_folders(name, relative_to):
            if _is_folder(folder):
                if revision is not None and relative_to is None:
                    raise CheckpointError(
                        f"revision {revision!r} was given for the local folder {folder}: drop --revision"
                    )
                if (problem := find_encoding_problem(folder.resolve())) is not None:
                    raise CheckpointError(problem)
                return Source(folder.resolve(), to_utf_8(name), to_utf_8(folder.resolve().name), None, None)
    if not isinstance(source, str):
        raise CheckpointError(f"{name:.500}: no such folder; check the path, or pass a Hub id as a string")
    hub_id = preset.hub_id if preset else name
    if len(hub_id) > _LONGEST_HUB_ID or not _HUB_ID.fullmatch(hub_id) or hub_id.count("/") > 1 or ".." in hub_id:
        names = ", ".join(PRESETS)
        raise CheckpointError(
            f"{name!r:.200} is not a folder here, nor one of {names}, nor a Hub id (organisation/name)"
        )
    folder = _download(hub_id, revision)
    short_name, known = find_preset(hub_id) or (hub_id.rsplit("/", 1)[-1], None)
    # The Hub's cache names a snapshot's folder by its commit.
    return Source(folder, hub_id, short_name, folder.name, known)


def _list_folders(source: str, relative_to: Path | None) -> list[Path]:
    """Return the places where a local folder of that name could be."""
    if not source.strip():
        return []
    with contextlib.suppress(RuntimeError):  # a tilde before a name that is not a user's
        return [Path(source).expanduser(), *([relative_to / source] if relative_to else [])]
    return []


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long for the file system, a folder that cannot be read
        return False


def _download(hub_id: str, revision: str | None) -> Path:
    """Download one commit into the Hub's cache and return its folder; without a network, take it from the cache."""
    from huggingface_hub import constants

    outage = _find_outage(hub_id, revision)
    if outage is None:
        try:
            return retry(lambda force: _fetch(hub_id, revision, force=force), f"{hub_id}: the download")
        except Exception as error:  # see assay.bundle.hub_errors: what transports raise has no common base
            raise _explain(hub_id, revision, error) from error
    try:
        folder = _fetch(hub_id, revision, local_files_only=True)
    except Exception as error:
        raise _explain(hub_id, revision, outage) from error
    if not any(folder.rglob("*.safetensors")):  # a download that broke off
        raise _explain(hub_id, revision, outage)
    if not constants.HF_HUB_OFFLINE:
        reason = one_line(outage, 200)
        _LOG.warning("%s: the Hub cannot be reached (%s); using commit %s from the cache", hub_id, reason, folder.name)
    return folder


def _fetch(hub_id: str, revision: str | None, *, force: bool = False, local_files_only: bool = False) -> Path:
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            hub_id,
            revision=revision,
            allow_patterns=CHECKPOINT_FILES,
            force_download=force,
            local_files_only=local_files_only,
        )
    )


def _find_outage(hub_id: str, revision: str | None) -> Exception | None:
    """Return why the Hub cannot be asked, or None if it can. Raise CheckpointError if it refuses the checkpoint.

    The Hub is asked first, because snapshot_download hides a refusal if the cache has any version.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import OfflineModeIsEnabled

    if constants.HF_HUB_OFFLINE:
        return OfflineModeIsEnabled("HF_HUB_OFFLINE is set, and the cache does not have it")
    try:
        HfApi().model_info(hub_id, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except Exception as error:  # see assay.bundle.hub_errors: what transports raise has no common base
        if not hub_errors.is_unreachable(error):
            raise _explain(hub_id, revision, error) from error
        return error
    return None


def _explain(hub_id: str, revision: str | None, error: Exception) -> CheckpointError:
    """Word a failed download, with the way out."""
    reason = hub_errors.explain(error, hub_id, revision or "main", "the checkpoint")
    return CheckpointError(f"{reason}, or pass the folder of a downloaded checkpoint")
