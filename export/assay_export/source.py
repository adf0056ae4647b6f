"""From what a user names (a preset, a Hub id, a folder) to a local folder with the checkpoint's files."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from .errors import CheckpointError
from .presets import PRESETS, Preset

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
        revision: a branch, tag or commit on the Hub.
        beside: a folder that relative paths may also be relative to (an adapter names its base this way).

    Raises:
        CheckpointError: there is no such folder, or the Hub does not give the checkpoint.
    """
    preset = PRESETS.get(source)
    if preset is None:
        for folder in _folders(source, beside):
            if folder.is_dir():
                if revision is not None:
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
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=CHECKPOINT_FILES))
    except (OSError, HfHubHTTPError, HFValidationError) as error:  # most of what the Hub's client raises is an OSError
        reason = " ".join(str(error).split())
        wanted = f"{hub_id} at revision {revision}" if revision else hub_id
        raise CheckpointError(
            f"the Hub did not give {wanted}: {reason[:300]}; check the name, the revision and the network, or pass the "
            "folder of a downloaded checkpoint"
        ) from error
