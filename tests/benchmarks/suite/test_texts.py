"""Requests of exact lengths, and rows whose lengths are spread like real ones."""

from pathlib import Path

import numpy as np
import pytest

from assay.inputs.tokenization import BundleTokenizer
from benchmarks.peers import PeerError
from benchmarks.suite import texts
from tests.conftest import CHECKPOINTS

PAIRS = BundleTokenizer((CHECKPOINTS / "pair-classifier" / "tokenizer.json").read_bytes(), "pair", 512, "longest_first")
TEXTS = BundleTokenizer((CHECKPOINTS / "complexity-base" / "tokenizer.json").read_bytes(), "text", 512, "refuse")


@pytest.mark.parametrize("tokens", [12, 16, 64, 129, 500])
@pytest.mark.parametrize(("tokenizer", "kind"), [(PAIRS, "pair"), (TEXTS, "text")])
def test_rows_have_exactly_the_length_asked_for_and_differ(
    tokenizer: BundleTokenizer, kind: texts.Kind, tokens: int
) -> None:
    rows = texts.rows_of_length(tokenizer, kind, tokens, 4)
    assert [texts.length(tokenizer, row) for row in rows] == [tokens] * 4
    assert len(set(rows)) == 4


def test_a_length_that_no_row_has_is_refused() -> None:
    with pytest.raises(PeerError, match="longer ones with --lengths"):
        texts.rows_of_length(PAIRS, "pair", 4, 1)


@pytest.mark.parametrize(("tokenizer", "kind"), [(PAIRS, "pair"), (TEXTS, "text")])
def test_without_real_text_the_lengths_are_those_of_the_real_sets(
    tokenizer: BundleTokenizer, kind: texts.Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_MATERIALS", str(tmp_path / "absent"))
    rows, source = texts.throughput_rows(tokenizer, kind, 512, count=24)
    lengths = sorted(texts.length(tokenizer, row) for row in rows)
    assert source.startswith("generated")
    assert len(rows) == 24
    middle = texts.REAL_LENGTHS[kind][10]
    assert abs(float(np.median(lengths)) - middle) <= 3


@pytest.mark.parametrize(("tokenizer", "kind"), [(PAIRS, "pair"), (TEXTS, "text")])
def test_with_real_text_its_rows_are_taken_evenly_over_their_lengths(
    tokenizer: BundleTokenizer, kind: texts.Kind, materials: Path
) -> None:
    assert (materials / "text").is_dir()
    rows, source = texts.throughput_rows(tokenizer, kind, 512, count=24)
    assert not source.startswith("generated")
    assert set(rows) <= set(texts.real_rows(kind))
    again, _ = texts.throughput_rows(tokenizer, kind, 512, count=24)
    assert rows == again
