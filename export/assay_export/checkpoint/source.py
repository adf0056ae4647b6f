"""From what a user names (a preset, a Hub id, a folder) to a local folder with the checkpoint's files."""

import contextlib
import logging
import re
import time
from dataclasses import dataclass
from pathlib import Path

from assay.bundle import hub_errors
from assay.errors import one_line
from assay_export.checkpoint.presets import PRESETS, Preset
from assay_export.errors import CheckpointError

_LOG = logging.getLogger("assay")

# What a checkpoint needs; pickled weights are never downloaded.
CHECKPOINT_FILES = [
    "config.json",
    "adapter_config.json",
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
]
DOWNLOAD_TRIES = 5  # each goes on with what the one before left in the cache
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


@dataclass(frozen=True)
class Source:
    """A checkpoint on this machine and where it came from."""

    folder: Path
    id: str
    name: str
    revision: str | None  # the Hub's commit, None for a local folder
    preset: Preset | None


def resolve(source: str, revision: str | None = None, *, beside: Path | None = None) -> Source:
    """Finds or downloads the checkpoint that `source` names.

    Args:
        source: a name in PRESETS, an existing folder, or a Hub id.
        revision: a branch, tag or commit on the Hub; refused for a local folder, but where an adapter names both.
        beside: a folder that relative paths may also be relative to (an adapter names its base this way).

    Raises:
        CheckpointError: there is no such folder, or the Hub does not give the checkpoint.
    """
    preset = PRESETS.get(source)
    if preset is None:
        for folder in _folders(source, beside):
            if folder.is_dir():
                if revision is not None and beside is None:
                    raise CheckpointError(
                        f"revision {revision!r} was asked of the local folder {folder}: drop --revision"
                    )
                return Source(folder.resolve(), source, folder.resolve().name, None, None)
    hub_id = preset.hub_id if preset else source
    if not HUB_ID.fullmatch(hub_id) or hub_id.count("/") > 1 or ".." in hub_id:
        names = ", ".join(PRESETS)
        raise CheckpointError(f"{source!r} is not a folder here, nor one of {names}, nor a Hub id (organisation/name)")
    folder = _download(hub_id, revision)
    known = preset or next((p for p in PRESETS.values() if p.hub_id == hub_id), None)
    name = next((n for n, p in PRESETS.items() if p is known), hub_id.rsplit("/", 1)[-1])
    # The Hub's cache names a snapshot's folder by its commit.
    return Source(folder, hub_id, name, folder.name, known)


def _folders(source: str, beside: Path | None) -> list[Path]:
    """Where a local folder of that name could be."""
    if not source.strip():
        return []
    with contextlib.suppress(RuntimeError):  # a tilde before no user's name
        return [Path(source).expanduser(), *([beside / source] if beside else [])]
    return []


def _download(hub_id: str, revision: str | None) -> Path:
    """The snapshot of one commit in the Hub's cache; without a network, what the cache has of the revision."""
    from huggingface_hub import constants, snapshot_download

    unreachable = _unreachable(hub_id, revision)
    for tried in range(1, DOWNLOAD_TRIES + 1):
        try:
            folder = Path(
                snapshot_download(
                    hub_id,
                    revision=revision,
                    allow_patterns=CHECKPOINT_FILES,
                    local_files_only=unreachable is not None,
                )
            )
            break
        except Exception as error:
            if unreachable is not None or tried == DOWNLOAD_TRIES or not hub_errors.is_broken_off(error):
                raise _refused(hub_id, revision, unreachable or error) from error
            _LOG.warning("%s: the download broke off (%s); resuming it", hub_id, one_line(error, 200))
            time.sleep(tried - 1)
    if unreachable is not None:
        if not any(folder.glob("*.safetensors")):  # a download that broke off
            raise _refused(hub_id, revision, unreachable)
        if not constants.HF_HUB_OFFLINE:
            reason = one_line(unreachable, 200)
            _LOG.warning(
                "%s: the Hub cannot be reached (%s); using commit %s from the cache", hub_id, reason, folder.name
            )
    return folder


def _unreachable(hub_id: str, revision: str | None) -> Exception | None:
    """Why the Hub cannot be asked, or None. Raises CheckpointError where it refuses.

    Asked beforehand, since snapshot_download hides any refusal behind what the cache has.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import OfflineModeIsEnabled

    if constants.HF_HUB_OFFLINE:
        return OfflineModeIsEnabled("HF_HUB_OFFLINE is set, and the cache does not have it")
    try:
        HfApi().model_info(hub_id, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except Exception as error:  # see assay.bundle.hub_errors: what transports raise has no common base
        if not hub_errors.is_unreachable(error):
            raise _refused(hub_id, revision, error) from error
        return error
    return None


def _refused(hub_id: str, revision: str | None, error: Exception) -> CheckpointError:
    reason = hub_errors.explain(error, hub_id, revision or "main", "the checkpoint")
    return CheckpointError(f"{reason}, or pass the folder of a downloaded checkpoint")
