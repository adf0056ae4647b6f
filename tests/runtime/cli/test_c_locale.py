"""The command line in a process whose encoding is ASCII: the C locale, with Python's UTF-8 mode off."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.runtime import tiny
from tests.runtime.cli.running import PAIR, start_process

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no C locale")
ENVIRONMENT = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def bundle(tmp_path: Path, pair_bundle: Path) -> Path:
    return Path(shutil.copytree(pair_bundle, tmp_path / "ünï" / "bündel"))


def assay(*words: object) -> str:
    done = start_process(*words, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_bundle_at_a_path_outside_ascii_is_read_and_answers(bundle: Path) -> None:
    expected = start_process("predict", bundle, *PAIR, "--json").stdout
    assert assay("predict", bundle, *PAIR, "--json") == expected
    assert "fp32" in assay("info", bundle)
    assert "fp32 cpu" in assay("verify", bundle)


def test_texts_outside_ascii_have_the_answer_that_they_have_elsewhere(bundle: Path) -> None:
    expected = start_process("predict", bundle, "é ü", "caffè", "--json").stdout
    assert json.loads(expected)
    assert assay("predict", bundle, "é ü", "caffè", "--json") == expected
    done = start_process("predict", bundle, os.fsdecode(b"a\xff"), "b", env=ENVIRONMENT)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "lone surrogate U+DCFF at character 1" in done.stderr


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_file_with_names_outside_ascii_is_annotated(kind: str, bundle: Path, tmp_path: Path) -> None:
    source, target = tmp_path / f"ä.{kind}", tmp_path / f"ö.{kind}"
    rows = {"fräge": ["what é"], "äntwort": ["rain ü"]}
    if kind == "jsonl":
        source.write_text('{"fräge": "what é", "äntwort": "rain ü"}\n', encoding="utf-8")
    elif kind == "csv":
        source.write_text("fräge,äntwort\nwhat é,rain ü\n", encoding="utf-8")
    else:
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        with source.open("wb") as file:
            parquet.write_table(pa.table(rows), file)
    words = ("annotate", bundle, source, "--pair", "fräge", "äntwort", "-o")
    assert start_process(*words, tmp_path / f"expected.{kind}").returncode == 0
    assay(*words, target)
    assert target.read_bytes() == (tmp_path / f"expected.{kind}").read_bytes()


def test_a_label_outside_ascii_can_be_given_a_threshold(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "bündel", labels=["é", "b", "c"], activation="sigmoid")
    strict = json.loads(assay("predict", folder, *PAIR, "--json", "--threshold", "é=1", "--threshold", "0"))
    assert "é" not in strict["labels"]
    assert len(strict["labels"]) == 2


def test_a_path_that_is_not_utf_8_is_refused_in_one_line(tmp_path: Path) -> None:
    done = start_process("info", os.fsdecode(os.fsencode(tmp_path / "a") + b"\xff"), env=ENVIRONMENT)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "is a path with bytes that are not UTF-8" in done.stderr
    assert "rename the folder" in done.stderr
