import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import assay
from assay import AssayError, BundleError, Classifier, InputError, NumericalError, Scorer
from assay.bundle import golden
from tests.runtime import tiny

WORD = st.sampled_from(tiny.WORDS[6:])
TEXT = st.lists(WORD, max_size=12).map(" ".join)


def expected_logits(pairs: list[tuple[str, str]]) -> np.ndarray:
    tokenizer = tiny.tokenizer()
    tokenizer.enable_truncation(16)
    arrays = tiny.weights(len(tiny.LABELS))
    rows = [tiny.reference(np.array(tokenizer.encode(a, b or None).ids), arrays) for a, b in pairs]
    return np.array(rows).reshape(-1, len(tiny.LABELS))


@given(pairs=st.lists(st.tuples(TEXT, TEXT), max_size=30))
def test_logits_are_those_of_the_weights_in_the_order_of_the_rows(judge: Classifier, pairs: Any) -> None:
    logits = judge.logits(pairs)
    assert logits.dtype == np.float32
    assert logits.shape == (len(pairs), 3)
    assert np.allclose(logits, expected_logits(pairs), atol=1e-5)


@pytest.mark.parametrize("windows", [1, 3, 7])
def test_rows_beyond_one_window_keep_their_order(
    windows: int, judge: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [("a " * (number % 5), "b " * (number % 3)) for number in range(23)]
    monkeypatch.setattr("assay.models.runner._ROWS_PER_WINDOW", windows)
    assert np.allclose(judge.logits(pairs), expected_logits(pairs), atol=1e-5)
    with pytest.raises(NumericalError, match="row 20") as caught:
        judge.logits([*pairs[:20], ("a", "nan"), *pairs])
    assert caught.value.row == 20


def test_an_empty_batch_has_no_logits(judge: Classifier, scorer: Scorer) -> None:
    empty: list[Any] = [[], (), iter([])]
    for batch in empty:
        assert judge.logits(batch).shape == (0, 3)
    assert judge.logits([]).dtype == np.float32
    assert judge.predict_batch([]) == []
    assert judge([]) == []
    assert scorer.score_batch([]).shape == (0,)
    assert scorer.evol_complexity_batch([]).shape == (0,)


def test_both_dialects_have_the_same_logits(judge: Classifier, tmp_path: Path) -> None:
    portable = {"portable": tiny.document()["variants"]["fp32"]["portable"]}
    model = assay.load(tiny.write(tmp_path / "portable", variants={"fp32": portable}), threads=1)
    pairs = [("a b", "c"), ("a", "b c d")]
    assert (model.info["dialect"], judge.info["dialect"]) == ("portable", "cpu")
    assert np.allclose(model.logits(pairs), judge.logits(pairs), atol=1e-6)


def test_token_type_ids_reach_a_graph_that_takes_them(tmp_path: Path) -> None:
    inputs = ["input_ids", "attention_mask", "token_type_ids"]
    variants = {"fp32": {"portable": tiny.entry("onnx/model.onnx", inputs)}}
    model = assay.load(tiny.write(tmp_path / "types", variants=variants, graph_origin="traced"), threads=1)
    assert np.allclose(model.logits([("a", "b")]), expected_logits([("a", "b")]), atol=1e-5)


@pytest.mark.parametrize("word", ["nan", "huge"])
def test_non_finite_logits_are_an_error_with_the_row(word: str, judge: Classifier, scorer: Scorer) -> None:
    with pytest.raises(NumericalError, match="row 1 has") as caught:
        judge.logits([("a", "b"), (f"{word} {word}", word), ("nan", "a")])
    assert caught.value.row == 1
    assert isinstance(caught.value, ArithmeticError)
    with pytest.raises(NumericalError, match="the text has"):
        judge.predict("nan", "nan")
    for call in (scorer.score, scorer.evol_complexity, scorer):
        with pytest.raises(NumericalError, match="the text has"):
            call("nan")
    with pytest.raises(NumericalError, match="row 0"):
        scorer.score_batch(["nan"], scale=(0, 1))


def test_a_long_text_is_refused_or_cut_as_asked(scorer: Scorer, judge: Classifier) -> None:
    long = "a " * 40
    with pytest.raises(InputError, match="the text has 42 tokens, the model reads 16"):
        scorer.score(long)
    with pytest.raises(InputError, match="row 1 has 42 tokens"):
        scorer.score_batch(["a", long])
    assert scorer.score(long, truncate=True) == scorer.score("a " * 14)
    assert judge.predict(long, long) == judge.predict(long, long, truncate=True)


@pytest.mark.parametrize("truncate", [1, None, "no"])
def test_truncate_must_be_a_bool(truncate: Any, judge: Classifier, scorer: Scorer) -> None:
    with pytest.raises(InputError, match="truncate"):
        judge.predict("a", "b", truncate=truncate)
    with pytest.raises(InputError, match="truncate"):
        scorer.score_batch(["a"], truncate=truncate)
    with pytest.raises(InputError, match="truncate"):
        scorer("a", truncate=truncate)


def test_several_threads_get_the_answers_of_a_single_one(judge: Classifier) -> None:
    batches = [[("a " * (n + m), "b " * m) for m in range(8)] for n in range(8)]
    expected = [judge.logits(batch) for batch in batches]
    results: dict[int, np.ndarray] = {}

    def work(number: int) -> None:
        for _ in range(20):
            results[number] = judge.logits(batches[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for number, logits in results.items():
        assert np.array_equal(logits, expected[number])


def test_a_closed_model_raises_an_error_that_says_so(pair_bundle: Path) -> None:
    with assay.load(pair_bundle) as model:
        assert model.logits([("a", "b")]).shape == (1, 3)
        assert "fp32 on cpu" in repr(model)
    with pytest.raises(AssayError, match="was closed"):
        model.logits([("a", "b")])
    assert "closed" in repr(model)
    model.close()


def test_a_model_describes_what_runs(judge: Classifier, scorer: Scorer, pair_bundle: Path) -> None:
    assert judge.labels == tiny.LABELS
    assert judge.manifest.name == "tiny"
    assert judge.info == {
        "path": str(pair_bundle),
        "device": "cpu",
        "variant": "fp32",
        "dialect": "cpu",
        "graph": "onnx/model_cpu.onnx",
        "providers": ["CPUExecutionProvider"],
        "threads": 1,
        "mode": "latency",
        "why": {"device": "asked for", "variant": "auto: on cpu the bundle has no int8 and no int8_ort"},
    }
    assert isinstance(judge, Classifier)
    assert isinstance(scorer, Scorer)


def test_ids_beyond_the_embedding_are_a_bundle_error(tmp_path: Path) -> None:
    arrays = tiny.weights(3)
    arrays["embedding"] = arrays["embedding"][:10]
    model = assay.load(tiny.write(tmp_path / "short", arrays=arrays), threads=1)
    with pytest.raises(BundleError, match="does not take token ids of shape 1x5"):
        model.logits([("g", "g")])


def test_a_graph_with_another_number_of_labels_is_a_bundle_error(tmp_path: Path) -> None:
    model = assay.load(tiny.write(tmp_path / "labels", arrays=tiny.weights(2)), threads=1)
    with pytest.raises(BundleError, match=r"shape \[1, 2\], expected \[1, 3\]"):
        model.logits([("a", "b")])


def test_int8_ort_rows_are_run_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.ort.session import GraphSession

    shapes: list[tuple[int, ...]] = []
    answer = GraphSession.logits

    def record(self: GraphSession, ids: Any, types: Any) -> Any:
        shapes.append(ids.shape)
        return answer(self, ids, types)

    monkeypatch.setattr(GraphSession, "logits", record)
    monkeypatch.setattr("assay.ort.saturation.find_problem", lambda: None)  # there are no int8 products
    variants = {
        "fp32": {"cpu": tiny.entry("onnx/model_cpu.onnx", ["input_ids"])},
        "int8_ort": {"cpu": tiny.entry("onnx/model_int8_ort.onnx", ["input_ids"])},
    }
    bundle = tiny.write(tmp_path / "bundle", variants=variants)
    for variant, calls in (("fp32", 1), ("int8_ort", 3)):
        shapes.clear()
        assay.load(bundle, variant=variant, threads=1).logits([("a", "b")] * 3)
        assert len(shapes) == calls


def test_verify_measures_the_distance_from_the_golden_rows(judge: Classifier) -> None:
    report = judge.verify()
    assert 0 < report["max_abs_delta"] < 1e-5
    assert (report["tolerance"], report["rows"]) == (1e-4, 3)


def test_verify_refuses_a_model_that_answers_otherwise_than_pytorch(own_bundle: Path) -> None:
    rows = tiny.golden_rows(tiny.weights(3))
    rows.logits[2, 0] -= 0.001
    (own_bundle / golden.GOLDEN_NAME).write_bytes(golden.dump(rows))
    tiny.reseal(own_bundle, tiny.document())
    with assay.load(own_bundle, threads=1) as model, pytest.raises(NumericalError, match="golden row 2") as caught:
        model.verify()
    assert caught.value.row == 2
