"""assay predict and assay score."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from assay import Classifier, Scorer
from tests.runtime.cli.running import PAIR, run


def test_predict_prints_label_and_score(
    pair_bundle: Path, judge: Classifier, capsys: pytest.CaptureFixture[str]
) -> None:
    prediction = judge.predict(*PAIR)
    assert run("predict", pair_bundle, *PAIR, capsys=capsys) == (0, f"{prediction.label}\t{prediction.score:.4f}\n", "")


def test_predict_prints_json(pair_bundle: Path, judge: Classifier, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("predict", pair_bundle, *PAIR, "--json", capsys=capsys)
    prediction = judge.predict(*PAIR)
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert answer["label"] == prediction.label
    assert answer["scores"] == pytest.approx(prediction.scores)
    assert list(answer["scores"]) == list(judge.labels)


def test_predict_answers_each_row_of_a_file_in_order(
    pair_bundle: Path, judge: Classifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [("a " * number, "b") for number in range(9)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": text, "text_pair": pair}) + "\n" for text, pair in pairs))
    code, out, _ = run("predict", pair_bundle, "--file", path, "--json", "--threads", 1, capsys=capsys)
    assert code == 0
    scores = [json.loads(line)["score"] for line in out.splitlines()]
    assert scores == pytest.approx([prediction.score for prediction in judge.predict_batch(pairs)])


def test_score_prints_each_text_in_each_form(
    score_bundle: Path, scorer: Scorer, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["a", "", "rain"]
    code, out, _ = run("score", score_bundle, *texts, capsys=capsys)
    assert code == 0
    assert [float(line) for line in out.splitlines()] == pytest.approx(scorer.score_batch(texts).tolist(), rel=1e-5)
    _, out, _ = run("score", score_bundle, "--scale", "-1", "1", *texts, "--json", capsys=capsys)
    expected = scorer.score_batch(texts, scale=(-1, 1)).tolist()
    assert [json.loads(line)["score"] for line in out.splitlines()] == pytest.approx(expected)
    _, out, _ = run("score", score_bundle, *texts, "--evol", capsys=capsys)
    assert [int(line) for line in out.splitlines()] == scorer.evol_complexity_batch(texts).tolist()
    _, out, _ = run("score", score_bundle, "a", "--evol", "--json", capsys=capsys)
    assert json.loads(out) == {"evol_complexity": scorer.evol_complexity("a")}


def test_options_may_stand_anywhere_and_a_double_dash_ends_them(
    score_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = run("score", score_bundle, "a", "b", capsys=capsys)
    assert expected[0] == 0
    for words in (
        ["--threads", 1, score_bundle, "a", "b"],
        [score_bundle, "--threads", 1, "a", "b"],
        [score_bundle, "a", "--threads", 1, "b"],
        [score_bundle, "--threads", 1, "--", "a", "b"],
    ):
        assert run("score", *words, capsys=capsys) == expected
    code, out, _ = run("score", score_bundle, "--", "--json", "--debug", capsys=capsys)
    assert (code, len(out.splitlines())) == (0, 2)


def test_a_text_too_long_is_refused_or_cut(score_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("score", score_bundle, "a " * 40, capsys=capsys)
    assert (code, out) == (1, "")
    assert "42 tokens, the model reads 16" in err
    assert "--truncate" in err
    assert run("score", score_bundle, "a " * 40, "--truncate", capsys=capsys)[0] == 0


def test_standard_input_is_read_as_json_lines(
    score_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b'{"text": "a"}\n{"text": "b"}\n')))
    code, out, _ = run("score", score_bundle, "--file", "-", capsys=capsys)
    assert (code, len(out.splitlines())) == (0, 2)
