"""annotate over files of any bytes: every row is kept, or the run ends with an AssayError."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import Scorer, load_scorer
from assay.annotate import annotate_file
from assay.inputs.files import read_records
from assay.inputs.files.names import FileKind
from tests.fuzz.mutation import FUZZ, attempt, mutated
from tests.fuzz.test_inputs import SEEDS
from tests.runtime import tiny

TABLES_AND_LINES: list[FileKind] = ["jsonl", "csv", "tsv"]


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return load_scorer(tiny.write(tmp_path_factory.mktemp("fuzz") / "score", **tiny.REGRESSION))


def write_parquet(rows: list[dict[str, object]]) -> bytes:
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    sink = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    return sink.getvalue()


@pytest.mark.parametrize("kind", TABLES_AND_LINES)
@FUZZ
@given(data=st.data())
def test_every_row_of_any_file_is_kept_or_the_run_ends(
    scorer: Scorer, kind: FileKind, tmp_path: Path, data: st.DataObject
) -> None:
    source, target = tmp_path / f"in.{kind}", tmp_path / "out.jsonl"
    source.write_bytes(data.draw(mutated(SEEDS[kind])))
    summary = attempt(lambda: annotate_file(scorer, source, target, on_error="null", force=True, truncate=True))
    if summary is None:
        return
    lines = target.read_bytes().decode().split("\n")[:-1]
    assert summary.rows == len(lines) == len(list(read_records(source, ["text"])))
    assert all(isinstance(json.loads(line), dict) for line in lines)


@FUZZ
@given(data=st.data())
def test_a_parquet_file_of_any_bytes_is_annotated_or_refused(
    scorer: Scorer, tmp_path: Path, data: st.DataObject
) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    rows: list[dict[str, object]] = [{"text": "a", "x": 1}, {"text": "b c", "x": None}]
    source.write_bytes(data.draw(mutated([write_parquet(rows)])))
    summary = attempt(lambda: annotate_file(scorer, source, target, on_error="null", force=True, truncate=True))
    if summary is not None:
        assert pytest.importorskip("pyarrow.parquet").ParquetFile(target).metadata.num_rows == summary.rows
