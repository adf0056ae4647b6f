import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.bundle import manifest, sealing
from assay.errors import BundleError
from tests.runtime import tiny


def document() -> dict[str, Any]:
    record = {"sha256": "0" * 64, "size": 1}
    names = ["tokenizer.json", "onnx/model.onnx", "onnx/model_cpu.onnx", "onnx/model.onnx_data"]
    return tiny.document() | {"files": {name: dict(record) for name in names}}


def sealed_unchecked(changed: Any) -> bytes:
    """The seal without seal()'s own check, for documents that no export would write."""
    data = (json.dumps({**changed, "sha256": "0" * 64}, indent=2, ensure_ascii=False) + "\n").encode()
    start = len(data) - len('"\n}\n') - 64
    return data[:start] + sealing.digest(data, start) + data[start + 64 :]


def refusal(changed: Any) -> str:
    with pytest.raises(BundleError) as caught:
        manifest.parse(sealed_unchecked(changed), "assay.json")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_sealed_document_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "assay.json"
    path.write_bytes(manifest.seal(document()))
    read = manifest.read(path)
    assert read.labels == tiny.LABELS
    assert read.variants["fp32"]["cpu"].inputs == ("input_ids",)
    assert read.variants["fp32"]["portable"].files == ("onnx/model.onnx", "onnx/model.onnx_data")
    assert read.files["tokenizer.json"].size == 1
    assert read.document["sha256"] == json.loads(path.read_text())["sha256"]


def test_a_sealed_document_can_be_sealed_again() -> None:
    once = manifest.seal(document())
    assert manifest.seal(json.loads(once)) == once


def test_the_seal_is_the_sha256_of_the_bytes_with_its_digits_zeroed() -> None:
    import hashlib

    data = manifest.seal(document() | {"name": "ünïcode 字"})
    digest = json.loads(data)["sha256"]
    assert "ünïcode 字".encode() in data
    assert hashlib.sha256(data.replace(digest.encode(), b"0" * 64)).hexdigest() == digest


def test_seal_refuses_a_document_that_could_not_be_read_back() -> None:
    with pytest.raises(BundleError, match="task"):
        manifest.seal(document() | {"task": "ranking"})


def test_a_flipped_bit_in_any_byte_is_detected() -> None:
    data = manifest.seal(document())
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 8)
        with pytest.raises(BundleError):
            manifest.parse(bytes(damaged), "assay.json")


def test_every_truncation_is_detected() -> None:
    data = manifest.seal(document())
    for length in range(0, len(data), 7):
        with pytest.raises(BundleError):
            manifest.parse(data[:length], "assay.json")


def test_a_newer_schema_is_refused_with_the_upgrade_that_reads_it() -> None:
    message = refusal(document() | {"schema_version": 3})
    assert "schema_version is 3" in message
    assert "reads 2" in message
    assert "pip install --upgrade assay" in message


def test_an_older_schema_is_refused_with_the_advice_to_export_again() -> None:
    message = refusal(document() | {"schema_version": 1})
    assert "schema_version is 1" in message
    assert "export the bundle again" in message


@pytest.mark.parametrize("name", ["x" * 70_000, "a\nb" * 1_000, "../" * 9_000])
def test_a_name_of_any_length_is_refused_in_a_short_line(name: str) -> None:
    for changed in (
        document() | {"files": {name: {}}},
        document() | {"variants": {name: {}}},
        document() | {"task": name},
        document() | {"variants": {"fp32": {"cpu": document()["variants"]["fp32"]["cpu"] | {"file": name}}}},
    ):
        assert len(refusal(changed)) < 1_000


def test_an_unknown_variant_is_refused_by_name() -> None:
    changed = document()
    changed["variants"]["int3"] = changed["variants"]["fp32"]
    assert "'int3'" in refusal(changed)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task", "ranking"),
        ("graph_origin", "optimum"),
        ("input", "triple"),
        ("activation", "relu"),
        ("pooling", "max"),
        ("truncation", "only_second"),
    ],
)
def test_an_unknown_value_is_refused_by_field_and_name(name: str, value: str) -> None:
    message = refusal(document() | {name: value})
    assert f'"{name}"' in message
    assert repr(value) in message


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../secret", "onnx/../../secret", "C:/x", "onnx\\..\\x", "", "onnx//x", "./x", "a\0b", "x/"],
)
def test_a_file_name_that_leaves_the_bundle_is_refused(name: str) -> None:
    changed = document()
    changed["files"][name] = {"sha256": "0" * 64, "size": 1}
    assert "leaves the bundle" in refusal(changed)


def test_a_graph_that_files_does_not_record_is_refused() -> None:
    changed = document()
    changed["variants"]["fp32"]["cpu"]["file"] = "../model.onnx"
    assert "does not record" in refusal(changed)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": []},
        {"labels": ["a", "a"]},
        {"labels": ["a", ""]},
        {"labels": ["a", "b\nc"]},
        {"labels": ["a", "\x1b[2J"]},
        {"name": "a\tb"},
        {"task": "regression"},
        {"activation": "identity"},
        {"scale": {"native": [0, 1], "evol_complexity": [1, 6]}},
        {"variants": {}},
        {"variants": {"fp32": {}}},
        {"max_length": True},
        {"max_length": 0},
        {"max_length": 10**9},
        {"max_length": 10**30},
        {"max_length": 512.0},
        {"files": {}},
    ],
)
def test_a_contradiction_is_refused(change: dict[str, Any]) -> None:
    refusal(document() | change)


@pytest.mark.parametrize(
    ("native", "evol_complexity"), [([0, 1], [1, 6]), ([-1.5, 3], [0, 10]), ([1, 5], None), ([-1e30, 1e30], None)]
)
def test_a_scale_is_a_native_range_and_an_optional_evol_complexity(native: list[float], evol_complexity: Any) -> None:
    scale = {"native": native, "evol_complexity": evol_complexity}
    read = manifest.parse(manifest.seal(document() | tiny.REGRESSION | {"scale": scale}), "assay.json").scale
    expected = None if evol_complexity is None else tuple(evol_complexity)
    assert read is not None
    assert (read.native, read.evol_complexity) == (tuple(native), expected)


@pytest.mark.parametrize("scale", [None, {"native": [0, 1], "evol_complexity": None}])
def test_a_regression_may_answer_through_a_sigmoid(scale: Any) -> None:
    made = document() | tiny.REGRESSION | {"activation": "sigmoid", "scale": scale}
    read = manifest.parse(manifest.seal(made), "assay.json")
    assert (read.task, read.activation, read.is_multi_label) == ("regression", "sigmoid", False)


@pytest.mark.parametrize("native", [[0, 2], [-1, 1], [1, 5]])
def test_the_range_of_a_sigmoid_is_0_to_1(native: list[float]) -> None:
    made = document() | tiny.REGRESSION
    message = refusal(made | {"activation": "sigmoid", "scale": {"native": native, "evol_complexity": None}})
    assert "0 to 1, that of a sigmoid" in message
    assert "sigmoid" in refusal(made | {"activation": "sigmoid"})  # with Evol-Complexity
    assert '"activation"' in refusal(made | {"activation": "softmax"})


def test_a_classification_with_a_sigmoid_is_multi_label() -> None:
    assert manifest.parse(manifest.seal(document() | {"activation": "sigmoid"}), "assay.json").is_multi_label
    assert not manifest.parse(manifest.seal(document()), "assay.json").is_multi_label


@pytest.mark.parametrize(
    "scale",
    [
        {"native": [1, 0], "evol_complexity": None},
        {"native": [1, 1], "evol_complexity": None},
        {"native": [0], "evol_complexity": None},
        {"native": None, "evol_complexity": [1, 6]},
        {"evol_complexity": [1, 6]},
        {"native": [0, 1], "evol_complexity": [6, 1]},
        {"native": [0, 1], "evol_complexity": [1, 2.5]},
        {"native": [0, 1], "evol_complexity": [1, 10**400]},
        {"native": [0, 1], "evol_complexity": [1, 10**30]},
        {"native": [0, 1], "evol_complexity": [False, True]},
        {"native": [0, 1e300], "evol_complexity": None},
        {"native": [0, float("inf")], "evol_complexity": None},
        {"native": [float("nan"), 1], "evol_complexity": None},
        {"native": [0, 10**400], "evol_complexity": None},
        {"native": [False, True], "evol_complexity": None},
        {"native": [0, 1], "evol_complexity": "16"},
        {"native": [0, 1]},
    ],
)
def test_a_scale_that_is_not_two_rising_pairs_is_refused(scale: dict[str, Any]) -> None:
    refusal(document() | tiny.REGRESSION | {"scale": scale})


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [found for key, child in inner for found in paths(child, (*path, key))]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(path=st.sampled_from(paths(document())), value=JSON)
def test_any_value_anywhere_is_accepted_or_a_bundle_error(path: tuple[Any, ...], value: Any) -> None:
    changed = holder = document()
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    try:
        read = manifest.parse(sealed_unchecked(changed), "assay.json")
    except BundleError:
        return
    assert set(read.variants) == {"fp32"}


@pytest.mark.parametrize("name", sorted(document().keys() - {"special_tokens"}))
def test_a_missing_field_is_refused_by_name(name: str) -> None:
    changed = document()
    del changed[name]
    assert f'"{name}" is missing' in refusal(changed)


@pytest.mark.parametrize("name", ["file", "data", "inputs", "graph_optimization", "parity"])
def test_a_missing_field_of_a_graph_is_refused_by_name(name: str) -> None:
    changed = document()
    del changed["variants"]["fp32"]["cpu"][name]
    assert f'"cpu": "{name}" is missing' in refusal(changed)


def test_an_integer_too_long_for_python_is_refused() -> None:
    data = sealed_unchecked(document()).replace(b'"max_length": 16', b'"max_length": ' + b"9" * 9_000)
    start = len(data) - len('"\n}\n') - 64
    with pytest.raises(BundleError, match="not JSON"):
        manifest.parse(data[:start] + sealing.digest(data, start) + data[start + 64 :], "assay.json")


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b"\xff\xfe", b"null", b"assay"])
def test_a_file_that_is_not_a_manifest_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "assay.json"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="seal"):
        manifest.read(path)


def test_deep_nesting_under_a_valid_seal_is_refused() -> None:
    body = b'{\n  "a": ' + b"[" * 100_000 + b"]" * 100_000 + b',\n  "sha256": "' + b"0" * 64 + b'"\n}\n'
    start = len(body) - len('"\n}\n') - 64
    with pytest.raises(BundleError, match="not JSON"):
        manifest.parse(body[:start] + sealing.digest(body, start) + body[start + 64 :], "assay.json")


def test_a_missing_manifest_names_the_export(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="assay export"):
        manifest.read(tmp_path / "assay.json")


@pytest.mark.parametrize("layers", ["all", {"layer": "a"}, [1], [["layer"]]])
def test_a_table_of_layers_must_be_a_list_of_objects(layers: object, tmp_path: Path) -> None:
    entry = tiny.entry("onnx/model_int8.onnx", ["input_ids"]) | {"layers": layers}
    with pytest.raises(BundleError, match="layers"):
        tiny.write(tmp_path / "bundle", variants={"int8": {"cpu": entry}})
