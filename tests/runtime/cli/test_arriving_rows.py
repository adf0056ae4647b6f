"""Rows on a standard input that stays open are answered as they arrive."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assay import Classifier, Scorer


@contextmanager
def open_process(*words: object) -> Iterator["subprocess.Popen[bytes]"]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "assay", *map(str, words)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(process: "subprocess.Popen[bytes]", *lines: str) -> list[str]:
    """Write `lines` in one go, and return as many lines of output."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("".join(line + "\n" for line in lines).encode())
    process.stdin.flush()
    return [process.stdout.readline().decode() for _ in lines]


def end(process: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """Close standard input, and return the exit code and standard error."""
    _, err = process.communicate(timeout=60)
    return process.returncode, err.decode()


def test_score_answers_rows_as_they_arrive(score_bundle: Path, scorer: Scorer) -> None:
    with open_process("score", score_bundle, "--file", "-", "--json") as process:
        for texts in (["a"], ["rain", "water is"], [""]):
            answers = ask(process, *(json.dumps({"text": text}) for text in texts))
            scores = [json.loads(answer)["score"] for answer in answers]
            assert scores == pytest.approx(scorer.score_batch(texts).tolist(), abs=1e-6)
        assert end(process) == (0, "")


def test_predict_answers_rows_as_they_arrive(pair_bundle: Path, judge: Classifier) -> None:
    with open_process("predict", pair_bundle, "--file", "-") as process:
        for pair in (("a", "b"), ("what causes", "rain")):
            (answer,) = ask(process, json.dumps({"text": pair[0], "text_pair": pair[1]}))
            assert answer.split("\t")[0] == judge.predict(*pair).label
        assert end(process) == (0, "")


def test_annotate_answers_rows_as_they_arrive(score_bundle: Path, scorer: Scorer) -> None:
    with open_process("annotate", score_bundle, "-", "-o", "-") as process:
        for number, text in enumerate(["a", "rain", ""]):
            (answer,) = ask(process, json.dumps({"id": number, "text": text}))
            assert json.loads(answer) == {"id": number, "text": text, "score": pytest.approx(scorer.score(text))}
        code, err = end(process)
        assert code == 0
        assert err.endswith("-: 3 rows\n")


def test_a_row_without_an_answer_ends_the_command_after_the_rows_before_it(score_bundle: Path) -> None:
    cases = {
        "no json": "standard input, line 3: found invalid JSON",
        json.dumps({"text": "nan"}): "standard input, line 3: the text has the logits",
        json.dumps({"text": "a " * 40}): "standard input, line 3: the text has 42 tokens",
    }
    lines = [json.dumps({"text": text}) for text in ("a", "b")]
    for line, message in cases.items():
        with open_process("score", score_bundle, "--file", "-") as process:
            first, second = ask(process, *lines)
            assert float(first) != float(second)
            assert process.stdin is not None
            process.stdin.write(f"{line}\n{lines[0]}\n".encode())
            code, err = end(process)
        assert (code, err.count("\n")) == (1, 1)
        assert message in err


def test_a_line_that_arrives_in_parts_is_one_row(score_bundle: Path, scorer: Scorer) -> None:
    with open_process("score", score_bundle, "--file", "-", "--json") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for part in (b'{"te', b'xt": "ra', b'in"}', b'\n{"text": "a"}'):
            process.stdin.write(part)
            process.stdin.flush()
        out, _ = process.communicate(timeout=60)
    scores = [json.loads(line)["score"] for line in out.splitlines()]
    assert scores == pytest.approx(scorer.score_batch(["rain", "a"]).tolist(), abs=1e-6)


def test_rows_of_a_table_are_answered_as_they_arrive(score_bundle: Path, scorer: Scorer) -> None:
    command = ("annotate", score_bundle, "-", "-o", "-", "--format", "tsv", "--quoting", "none")
    with open_process(*command) as process:
        assert ask(process, "id\ttext")[0] == "id\ttext\tscore\n"
        for text in ("a", '"rain', ""):
            (answer,) = ask(process, f"1\t{text}")
            cells = answer.rstrip("\n").split("\t")
            assert cells[:2] == ["1", text]
            assert float(cells[2]) == pytest.approx(scorer.score(text))
        assert end(process)[0] == 0
