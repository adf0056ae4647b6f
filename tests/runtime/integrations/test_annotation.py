"""What the adapters share, without any of their libraries."""

import pickle
from pathlib import Path
from typing import Any

import pytest

import assay
from assay import Classifier, InputError, NumericalError, Scorer
from assay.integrations import annotation
from assay.integrations.annotation import Annotation, check_columns, take_fields
from tests.forked import exit_code_of_fork
from tests.runtime.test_lean import modules_after


def test_columns_are_what_the_model_answers(judge: Classifier, scorer: Scorer) -> None:
    pairs = [("what causes", "rain"), ("a", ""), ("b c", "d")]
    expected = judge.predict_batch(pairs)
    answers = Annotation(judge, ["scores", "label", "score"]).answer([a for a, _ in pairs], [b for _, b in pairs])
    assert answers == {
        "scores": [prediction.scores for prediction in expected],
        "label": [prediction.label for prediction in expected],
        "score": [prediction.score for prediction in expected],
    }
    answers = Annotation(scorer, ["score", "evol_complexity"], scale=(0, 100)).answer(["a", "b c"])
    assert answers["score"] == scorer.score_batch(["a", "b c"], scale=(0, 100)).tolist()
    assert answers["evol_complexity"] == scorer.evol_complexity_batch(["a", "b c"]).tolist()
    assert list(Annotation(judge).answer(["a"], ["b"])) == ["label", "score"]
    assert Annotation(scorer).answer([]) == {"score": []}


def test_more_rows_than_a_window_come_back_in_order(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotation, "_ROWS_PER_WINDOW", 3)
    texts = ["a", None, "b", "c", "nan", "d", "e", "f", "g"]
    answers = Annotation(scorer, on_error="null").answer(texts)
    for text, score, error in zip(texts, answers["score"], answers["error"], strict=True):
        assert (score is None) == (text in (None, "nan"))
        if text is None or text == "nan":
            assert error is not None
        else:
            assert (score, error) == (scorer.score(text), None)


def test_a_row_without_an_answer_raises_with_its_index_or_says_why(scorer: Scorer) -> None:
    long = "a " * 40
    with pytest.raises(InputError, match=r"row 1: the row: found None, expected a text") as caught:
        Annotation(scorer).answer(["a", None, 7])
    assert caught.value.row == 1
    with pytest.raises(InputError, match="row 2: the text has 42 tokens"):
        Annotation(scorer).answer(["a", "b", long])
    with pytest.raises(NumericalError, match="row 0: ") as failed:
        Annotation(scorer).answer(["nan"])
    assert failed.value.row == 0
    assert Annotation(scorer, truncate=True).answer([long])["score"] == [scorer.score(long, truncate=True)]
    answers = Annotation(scorer, on_error="null", columns=["score", "evol_complexity"]).answer([long, None])
    assert (answers["score"], answers["evol_complexity"]) == ([None, None], [None, None])
    assert "42 tokens" in answers["error"][0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": "label"}, "columns is a str"),
        ({"columns": []}, "columns: found none, expected of this classification bundle label, score, scores"),
        ({"columns": ["evol_complexity"]}, "columns: found 'evol_complexity', expected"),
        ({"columns": ["label", "label"]}, "found 'label' twice"),
        ({"on_error": "ignore"}, "on_error is 'ignore', expected 'raise' or 'null'"),
        ({"truncate": 1}, "truncate is the int 1"),
        ({"scale": (0, 1)}, "expected none: this bundle classifies"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], words: str, judge: Classifier) -> None:
    with pytest.raises(InputError, match=words):
        Annotation(judge, **options).answer(["a"], ["b"])


def test_one_column_or_two_as_the_bundle_reads(judge: Classifier, scorer: Scorer) -> None:
    with pytest.raises(InputError, match="found one column, expected for this bundle two"):
        Annotation(judge).answer(["a"])
    with pytest.raises(InputError, match="found two, expected for this bundle one"):
        Annotation(scorer).answer(["a"], ["b"])
    assert take_fields({"text": "a", "pair": None}) == ("a",)
    assert take_fields({"pair": ["a", "b"]}) == ("a", "b")
    wrong: list[tuple[Any, Any]] = [(None, None), ("a", ("a", "b")), (7, None), (None, "ab"), (None, ("a", 7))]
    for text, pair in wrong:
        with pytest.raises(InputError, match="expected"):
            take_fields({"text": text, "pair": pair})


def test_columns_that_are_missing_or_there_already_are_named() -> None:
    with pytest.raises(InputError, match="column 'text' is missing, found 'a', 'b'"):
        check_columns(["a", "b"], [], ["text"])
    with pytest.raises(InputError, match="column 'label' is there already"):
        check_columns(["a", "label"], ["score", "label"])


def test_a_process_loads_a_bundle_once(score_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotation, "_models", {})
    first = Annotation(score_bundle, options={"threads": 1})
    assert first.model() is Annotation(str(score_bundle), on_error="null", options={"threads": 1}).model()
    assert first.model() is not Annotation(score_bundle, options={"threads": 1, "variant": "fp32"}).model()
    assert first.model().info["mode"] == "throughput"
    assert Annotation(score_bundle, options={"mode": "latency"}).model().info["mode"] == "latency"


@pytest.mark.forks
def test_a_child_of_a_fork_answers_even_if_the_parent_was_loading(score_bundle: Path) -> None:
    asked = Annotation(score_bundle, options={"threads": 2})
    expected = asked.answer(["a"])
    with annotation._lock:
        assert exit_code_of_fork(lambda: asked.answer(["a"]) == expected) == 0


def test_a_pickle_has_a_path_and_options(score_bundle: Path, scorer: Scorer) -> None:
    asked = Annotation(score_bundle, ["score"], (0, 10), options={"threads": 1})
    asked.model()
    sent = pickle.dumps(asked)
    assert len(sent) < 1_000
    assert pickle.loads(sent).answer(["a"])["score"] == [scorer.score("a", scale=(0, 10))]


def test_a_relative_path_means_the_same_in_another_working_directory(
    score_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(score_bundle.parent)
    path, options, manifest = annotation.pin(score_bundle.name, {"threads": 1})
    monkeypatch.chdir(tmp_path)
    assert annotation.pin(path, {})[2].labels == manifest.labels
    assert options == {"threads": 1}


def test_errors_of_loading_come_through(tmp_path: Path) -> None:
    with pytest.raises(assay.BundleError, match="no such folder"):
        Annotation(tmp_path / "none").answer(["a"])
    wrong: Any = {"threads": [1]}
    with pytest.raises(InputError, match="threads is a list of 1"):
        Annotation(tmp_path / "none", options=wrong).answer(["a"])


@pytest.mark.parametrize(
    ("name", "library"),
    [("ray", "ray"), ("datasets", "datasets"), ("pandas", "pandas"), ("polars", "polars"), ("spark", "pyspark")],
)
def test_an_adapter_without_its_library_says_so_in_one_line(name: str, library: str) -> None:
    loaded = modules_after(
        f"import sys; sys.modules[{library!r}] = None\n"
        "import assay\n"
        f"try: assay.integrations.{name}\n"
        f"except assay.InstallationError as error: assert 'pip install' in str(error) and {library!r} in str(error)\n"
        "else: raise SystemExit('imported')\n"
    )
    assert "assay.optional_packages" in loaded


def test_an_adapter_is_imported_only_when_asked_for() -> None:
    loaded = modules_after("import assay; assay.integrations; dir(assay.integrations)")
    assert loaded.isdisjoint(["ray", "datasets", "pandas", "polars", "pyspark", "numpy"])
