import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay import BundleError, NumericalError
from assay.bundle import golden
from assay.bundle.folder import open_bundle
from assay.bundle.golden import Golden, GoldenText
from assay.bundle.manifest import Graph
from assay.inputs.tokenization import BundleTokenizer, Tokens
from tests.runtime import tiny


def tokens(*ids: int, second: int = 0) -> Tokens:
    """A row of which the last `second` ids are of the second text."""
    types = np.zeros(len(ids), np.int64)
    if second:
        types[-second:] = 1
    return Tokens(np.array(ids, np.int64), types)


def rewritten(folder: Path, change: Any) -> Path:
    """A sealed bundle whose golden.json is `change` of what it was."""
    path = folder / "golden.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(change(document) or document))
    tiny.reseal(folder, tiny.document())
    return folder


def graph(parity: dict[str, Any]) -> Graph:
    return Graph("onnx/model_int8.onnx", (), ("input_ids",), "all", parity)


GOLDEN = Golden((tokens(2, 5, 3), tokens(2, 3)), np.array([[0.1, 2.5], [1e-7, -3]], np.float32), {"a.onnx": 0.04})


def test_rows_are_read_back_bit_for_bit(tmp_path: Path) -> None:
    rows = (tokens(2, 5, 3, 6, 3, second=2), tokens(2, 3))
    logits = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    folder = tiny.write(tmp_path / "bundle")
    (folder / "golden.json").write_bytes(golden.dump(Golden(rows, logits, {"onnx/model.onnx": 1e-6})))
    tiny.reseal(folder, tiny.document())
    found = golden.read(open_bundle(folder))
    assert np.array_equal(found.logits, logits)
    assert found.exported == {"onnx/model.onnx": 1e-6}
    for row, expected in zip(found.tokens, rows, strict=True):
        assert np.array_equal(row.ids, expected.ids)
        assert np.array_equal(row.type_ids, expected.type_ids)


def test_texts_are_read_back_and_a_text_of_several_rows_is_stored_once(tmp_path: Path) -> None:
    texts = (GoldenText(("caf\u00e9 \u2028", ""), 16), GoldenText(("a", "b"), 4), GoldenText(("a", "b"), 5))
    rows = (tokens(2, 1, 3), tokens(2, 13, 3, 3), tokens(2, 13, 3, 14, 3))
    folder = tiny.write(tmp_path / "bundle")
    data = golden.dump(Golden(rows, np.zeros((3, 3), np.float32), {}, texts))
    (folder / "golden.json").write_bytes(data)
    tiny.reseal(folder, tiny.document())
    assert golden.read(open_bundle(folder)).texts == texts
    assert data.count(b'["a", "b"]') == 1


def test_another_tokenizer_is_refused_with_the_first_difference() -> None:
    stored = tiny.tokenizer()
    tokenizer = BundleTokenizer(stored.to_str().encode(), "pair", 16, "longest_first")
    texts = (GoldenText(("what causes", ""), 16), GoldenText(("rain", "forms"), 16))
    first, second = tokens(2, 6, 7, 3), tokens(2, 8, 3, 9, 3)
    assert golden.compare_tokens(tokenizer, (first, second), texts, "x") == 2
    difference = r"row 1 \(\('rain', 'forms'\)\).* token 3 is 'forms' \(id 9\), expected 'when'"
    with pytest.raises(BundleError, match=difference):
        golden.compare_tokens(tokenizer, (first, tokens(2, 8, 3, 10, 3)), texts, "x")
    with pytest.raises(BundleError, match=r"row 0 .* token 2 is 'causes' \(id 7\), expected '\[SEP\]' \(id 3\)"):
        golden.compare_tokens(tokenizer, (tokens(2, 6, 3), second), texts, "x")
    with pytest.raises(BundleError, match=r"row 1 .*type_ids"):
        golden.compare_tokens(tokenizer, (first, tokens(2, 8, 3, 9, 3, second=3)), texts, "x")


def test_a_bundle_without_golden_rows_must_be_exported_again(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "old")
    (folder / "golden.json").unlink()
    tiny.reseal(folder, tiny.document())
    with pytest.raises(BundleError, match=r"has no golden\.json.*assay export SOURCE --out .*old --force"):
        golden.read(open_bundle(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document.pop("rows"), '"rows"'),
        (lambda document: document.update(rows=[]), '"rows" is missing or empty'),
        (lambda document: document.pop("exported"), '"exported" is missing'),
        (lambda document: document["exported"].update(a="x"), '"a" is'),
        (lambda document: document["rows"][0].update(ids=[]), '"ids" is a list of 0'),
        (lambda document: document["rows"][0].update(ids=list(range(17))), "1 to 16 token ids"),
        (lambda document: document["rows"][0].update(ids=[1.5]), '"ids"'),
        (lambda document: document["rows"][0].update(ids=[True]), '"ids"'),
        (lambda document: document["rows"][0].update(ids=[-1]), '"ids"'),
        (lambda document: document["rows"][1].update(type_ids=[0]), '"type_ids"'),
        (lambda document: document["rows"][1].update(logits=[0.5]), "list of 3 finite numbers"),
        (lambda document: document["rows"][1].pop("logits"), "row 1.*logits"),
        (lambda document: document.pop("texts"), '"texts" is missing'),
        (lambda document: document.update(texts=["a", "b", "c"]), "expected a list of pairs of strings"),
        (lambda document: document["rows"][1].update(text=3), '"text" is 3, expected the index of one of 3 texts'),
        (lambda document: document["rows"][1].pop("text"), "row 1.*text"),
        (lambda document: document["rows"][1].update(logits=[0, 0, 1e300]), "row 1.*logits"),
        (lambda document: document["rows"][1].update(logits=[0, 0, float("nan")]), "row 1.*logits"),
        (lambda document: document["exported"].update(a=float("inf")), '"a" is Infinity'),
        (lambda _: [1], "expected an object"),
    ],
)
def test_a_malformed_golden_file_is_refused(change: Any, message: str, own_bundle: Path) -> None:
    def changed(document: Any) -> Any:
        answer = change(document)
        return answer if answer == [1] else document

    with pytest.raises(BundleError, match=message):
        golden.read(open_bundle(rewritten(own_bundle, changed)))


def test_the_tolerance_is_that_of_the_gate_if_the_gate_is_on_logits() -> None:
    assert golden.compute_tolerance(graph({"threshold": 1e-4}), GOLDEN) == 1e-4
    assert golden.compute_tolerance(graph({"threshold": 2e-2, "flips": 0.0}), GOLDEN) == 2e-2


@pytest.mark.parametrize(("exported", "allowed"), [(0.3, 0.6), (0.001, golden.INT8_TOLERANCE)])
def test_an_int8_graph_may_deviate_twice_as_much_as_at_export(exported: float, allowed: float) -> None:
    rows = Golden(GOLDEN.tokens, GOLDEN.logits, {"onnx/model_int8.onnx": exported})
    assert golden.compute_tolerance(graph({"flips": 0.0}), rows) == allowed


def test_an_int8_graph_without_a_measurement_is_refused() -> None:
    with pytest.raises(BundleError, match=r"no record of onnx/model_int8\.onnx"):
        golden.compute_tolerance(graph({"flips": 0.0}), GOLDEN)


def test_logits_within_the_tolerance_are_reported() -> None:
    report = golden.compare(GOLDEN.logits + np.float32(0.001), GOLDEN, 0.002, "x")
    assert report == {"max_abs_delta": pytest.approx(0.001, rel=1e-3), "tolerance": 0.002, "rows": 2}


@pytest.mark.parametrize("wrong", [0.5, np.nan, np.inf, -np.inf])
def test_a_wrong_kernel_is_a_numerical_error_with_the_row(wrong: float) -> None:
    logits = GOLDEN.logits.copy()
    logits[1, 0] = wrong
    with pytest.raises(
        NumericalError, match=r"x on cuda:0: the logits of golden row 1 .2 tokens.*0\.02 is allowed"
    ) as caught:
        golden.compare(logits, GOLDEN, 0.02, "x on cuda:0")
    assert caught.value.row == 1


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), 1e300, 10**400, True, 0, -1])
def test_a_tolerance_that_would_pass_anything_or_nothing_is_refused(threshold: float) -> None:
    with pytest.raises(BundleError, match="threshold"):
        golden.compute_tolerance(graph({"threshold": threshold}), GOLDEN)
