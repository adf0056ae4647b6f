"""Sizes in config.json for which a model would be allocated that the weights cannot belong to."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from assay_export.checkpoint.files import open_files
from assay_export.errors import CheckpointError, ExportError, UnsupportedConfigError
from tests.conftest import CHECKPOINTS


def change(folder: Path, name: str, **values: Any) -> Path:
    shutil.copytree(CHECKPOINTS / name, folder / name)
    path = folder / name / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return folder / name


@pytest.mark.parametrize("value", [10**9, 10**30, 1e300, float("inf"), float("nan")])
@pytest.mark.parametrize(
    "key",
    [
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "max_position_embeddings",
        "max_relative_positions",
        "position_buckets",
        "num_labels",
    ],
)
def test_a_size_that_no_weights_have_is_refused_by_name(tmp_path: Path, key: str, value: float) -> None:
    with pytest.raises(UnsupportedConfigError, match=rf"^config\.json: {key} = .*, expected at most [0-9,]+, the"):
        open_files(change(tmp_path, "pair-classifier", **{key: value}))


def test_an_adapter_is_measured_by_the_weights_of_its_base(tmp_path: Path) -> None:
    base = change(tmp_path, "complexity-base", vocab_size=10**9)
    with pytest.raises(UnsupportedConfigError, match="vocab_size = 1,000,000,000"):
        open_files(CHECKPOINTS / "complexity-adapter", base=base)
    assert open_files(CHECKPOINTS / "complexity-adapter").base is not None


@pytest.mark.parametrize("key", ["norm_eps", "global_rope_theta"])
@pytest.mark.parametrize("value", [10**400, float("inf"), float("nan"), True, -1])
def test_a_number_beyond_floats_is_refused_by_name(tmp_path: Path, key: str, value: float) -> None:
    from assay_export.graphs.architectures.modernbert import graph as modernbert

    changes = {"architectures": ["ModernBertForSequenceClassification"], key: value}
    files = open_files(change(tmp_path, "complexity-base", **changes))
    with pytest.raises(ExportError, match=key):
        modernbert.read_config(files.config_4)


@pytest.mark.parametrize("content", ["[" * 100_000, "1" * 5_000, '{"a": ' * 50_000])
def test_a_config_that_no_parser_takes_is_a_checkpoint_error(tmp_path: Path, content: str) -> None:
    folder = change(tmp_path, "pair-classifier")
    (folder / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match="cannot be read as JSON"):
        open_files(folder)


def test_a_config_larger_than_any_is_not_read_whole(tmp_path: Path) -> None:
    folder = change(tmp_path, "pair-classifier")
    with (folder / "config.json").open("wb") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(CheckpointError, match="has more than 67,108,864 bytes"):
        open_files(folder)
