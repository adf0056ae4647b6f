"""assay.json, golden.json and the journal of a run: whatever their bytes are, they are valid or an AssayError."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.annotate.output.journal import Journal, read_journal
from assay.bundle import golden, manifest, sealing
from assay.bundle.folder import Bundle, open_bundle
from tests.fuzz.mutation import FUZZ, attempt, mutated
from tests.runtime import tiny

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def document() -> dict[str, Any]:
    record = {"sha256": "0" * 64, "size": 1}
    names = ["tokenizer.json", "onnx/model.onnx", "onnx/model_cpu.onnx", "onnx/model.onnx_data"]
    scale = {"native": [0, 1], "evol_complexity": [1, 6]}
    return tiny.document() | tiny.REGRESSION | {"scale": scale, "files": {name: dict(record) for name in names}}


def sealed(body: bytes) -> bytes:
    """Return a manifest with these bytes before its seal, whatever they are."""
    data = body + b'  "sha256": "' + b"0" * 64 + b'"\n}\n'
    start = len(data) - len(b'"\n}\n') - 64
    return data[:start] + sealing.digest(data, start) + data[start + 64 :]


def list_paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, item in items for inner in list_paths(item, (*path, key)))] if path or items else []


def replaced(whole: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a copy of the JSON value `whole` with `new` at `path`."""
    if not path:
        return new
    copy = json.loads(json.dumps(whole))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return copy


def check_manifest(data: bytes) -> None:
    read = attempt(lambda: manifest.parse(data, "assay.json"))
    if read is None:
        return
    assert 1 <= read.max_length <= manifest.MAX_LENGTH
    assert 0 <= read.pad_token_id < 1 << 31
    if read.scale is not None:
        low, high = read.scale.native
        assert math.isfinite(high - low)
        assert high > low
    assert all(graph.tokens_per_call >= 1 for graphs in read.variants.values() for graph in graphs.values())


BODY = manifest.seal(document())[: -len(b'  "sha256": "' + b"0" * 64 + b'"\n}\n')]


@FUZZ
@given(mutated([manifest.seal(document())]))
def test_a_manifest_of_any_bytes_is_valid_or_refused(data: bytes) -> None:
    check_manifest(data)


@FUZZ
@given(mutated([BODY]))
def test_a_sealed_manifest_of_any_bytes_is_valid_or_refused(body: bytes) -> None:
    check_manifest(sealed(body))


@FUZZ
@given(st.sampled_from(list_paths(document())), json_values)
def test_a_manifest_with_any_value_anywhere_is_valid_or_refused(path: tuple[Any, ...], new: Any) -> None:
    body = json.dumps(replaced(document(), path, new), indent=2) if path else "{}"
    check_manifest(sealed(body.removesuffix("\n}").encode() + b",\n"))


@FUZZ
@given(
    st.text(min_size=1, max_size=20).filter(lambda name: name.isprintable()), st.lists(st.integers(1, 99), max_size=3)
)
def test_a_valid_manifest_comes_back_exactly(name: str, numbers: list[int]) -> None:
    whole = document() | {"name": name, "tools": {"numbers": numbers}}
    read = manifest.parse(manifest.seal(whole), "assay.json")
    assert (read.name, read.tools["numbers"]) == (name, numbers)
    assert manifest.seal(read.document) == manifest.seal(whole)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(tiny.write(tmp_path_factory.mktemp("fuzz") / "bundle"))


def check_golden(bundle: Bundle, data: bytes) -> None:
    (bundle.folder / golden.GOLDEN_NAME).write_bytes(data)
    read = attempt(lambda: golden.read(bundle))
    if read is None:
        return
    assert len(read.tokens) == len(read.logits)
    assert all(math.isfinite(value) for value in read.logits.ravel().tolist())
    assert all(1 <= len(row.ids) <= bundle.manifest.max_length for row in read.tokens)
    again = json.loads(golden.dump(read))
    assert [row["ids"] for row in again["rows"]] == [row.ids.tolist() for row in read.tokens]


@FUZZ
@given(data=st.data())
def test_golden_rows_of_any_bytes_are_valid_or_refused(bundle: Bundle, data: st.DataObject) -> None:
    check_golden(bundle, data.draw(mutated([seed(bundle)])))


@FUZZ
@given(data=st.data(), new=json_values)
def test_golden_rows_with_any_value_anywhere_are_valid_or_refused(
    bundle: Bundle, data: st.DataObject, new: Any
) -> None:
    whole = json.loads(seed(bundle))
    path = data.draw(st.sampled_from(list_paths(whole)))
    check_golden(bundle, json.dumps(replaced(whole, path, new)).encode())


def seed(bundle: Bundle) -> bytes:
    labels = len(bundle.manifest.labels)
    rows = [{"ids": [2, 5, 3], "logits": [0.5] * labels, "type_ids": [0, 0, 1]}, {"ids": [2], "logits": [-1] * labels}]
    return json.dumps({"exported": {"onnx/model.onnx": 1e-6}, "rows": rows}).encode()


STATE: dict[str, int | str] = {"rows": 3, "lines": 3, "bytes": 60, "sha256": "0" * 64, "position": 60}


@FUZZ
@given(data=st.data(), new=json_values)
def test_a_journal_of_any_bytes_is_valid_or_refused(tmp_path: Path, data: st.DataObject, new: Any) -> None:
    path = tmp_path / "journal"
    Journal({"fields": ["text"]}, replace=False, rows=3, source=STATE, length=50).write(path)
    whole = json.loads(path.read_text())
    place = data.draw(st.sampled_from(list_paths(whole)))
    changed = json.dumps(replaced(whole, place, new)).encode()
    path.write_bytes(data.draw(st.just(changed) | mutated([path.read_bytes()])))
    journal = attempt(lambda: read_journal(path))
    if journal is not None and journal.source is not None:
        assert journal.length >= 0
        assert int(journal.source["rows"]) >= 0
