"""assay_export.checkpoint.reading: JSON files as transformers reads them."""

from pathlib import Path

import pytest

from assay_export.checkpoint.reading import read_json
from assay_export.errors import CheckpointError


def test_text_beyond_ascii_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"name": "fähig"}', encoding="utf-8")
    assert read_json(tmp_path / "config.json") == {"name": "fähig"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "latin-1"])
def test_another_encoding_than_utf8_is_refused_as_transformers_refuses_it(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"name": "fähig"}', encoding=encoding)
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read as JSON: .*(BOM|utf-8)"):
        read_json(tmp_path / "config.json")
