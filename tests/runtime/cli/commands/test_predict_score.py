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


def test_predict_prints_each_label_that_a_row_of_a_multi_label_bundle_has(
    text_bundle: Path, tagger: Classifier, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["rain is water", "a", "b c d"]
    both = dict.fromkeys(tagger.labels, 0.9) | {"NOADDR_ON": 0.1}
    for words, threshold in (
        ([], None),
        (["--threshold", "0.2"], 0.2),
        (["--threshold", "0.9", "--threshold", "NOADDR_ON=0.1"], both),
        (["--threshold", "NOADDR_ON=0.1"], {"NOADDR_ON": 0.1}),
    ):
        expected = tagger.predict_batch(texts, threshold=threshold)
        lines = ["\t".join(f"{name}\t{row.scores[name]:.4f}" for name in row.labels) for row in expected]
        for text, line, row in zip(texts, lines, expected, strict=True):
            assert run("predict", text_bundle, *words, text, capsys=capsys) == (0, line + "\n", "")
            answer = json.loads(run("predict", text_bundle, *words, text, "--json", capsys=capsys)[1])
            assert answer["labels"] == row.labels
            assert (answer["label"], list(answer["scores"])) == (row.label, list(tagger.labels))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--threshold", "high"], 2, "found --threshold 'high', expected a number or LABEL=NUMBER"),
        (["--threshold", "a=b=c"], 2, "found --threshold 'a=b=c'"),
        (["--threshold", "0.1", "--threshold", "0.2"], 2, "found --threshold twice for all labels"),
        (["--threshold", "x=0.1", "--threshold", "x=0.2"], 2, "found --threshold twice for the label 'x'"),
        (["--threshold", "2"], 1, "threshold is the float 2.0, expected a number from 0 to 1"),
        (["--threshold", "nan"], 1, "threshold is nan"),
        (["--threshold", "x=0.1"], 1, "threshold is for the label 'x', expected of this bundle ADDR_DIRECT"),
        (["--threshold", "0.1", "--threshold", "x=0.1"], 1, "threshold is for the label 'x'"),
    ],
    ids=str,
)
def test_a_threshold_that_says_nothing_clear_is_refused(
    words: list[str], code: int, message: str, text_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, out, err = run("predict", text_bundle, *words, "a", capsys=capsys)
    assert (found, out) == (code, "")
    assert message in err


def test_a_threshold_for_a_bundle_of_one_label_per_row_is_refused(
    pair_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run("predict", pair_bundle, *PAIR, "--threshold", "0.5", capsys=capsys)
    assert code == 1
    assert "threshold is the float 0.5, expected none: it is for multi-label bundles" in err


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
