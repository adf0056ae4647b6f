"""Helpers for the tests of checkpoints: two small models, and how a checkpoint is loaded or refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from assay_export.checkpoint import loading
from assay_export.checkpoint.files import open_files
from assay_export.checkpoint.loading import Checkpoint
from assay_export.checkpoint.reference import Feed
from assay_export.errors import CheckpointError
from tests.export import tiny

IDS = tiny.token_ids(3, 30)

CONFIGS = {
    "deberta": tiny.deberta_config(num_hidden_layers=2),
    "modernbert": tiny.modernbert_config(num_hidden_layers=3),
}


def load(folder: Path, base: str | None = None, probes: list[Feed] | None = None) -> Checkpoint:
    return loading.load(open_files(folder, base=base), probes or [])


def assert_refused(folder: Path, message: str, base: str | None = None, probes: list[Feed] | None = None) -> str:
    with pytest.raises(CheckpointError, match=message) as caught:
        load(folder, base, probes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
