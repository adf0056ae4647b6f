"""Requests of exact lengths, and rows whose lengths are spread like real ones."""

from pathlib import Path

import numpy as np
import pytest

from assay.inputs.tokenization import BundleTokenizer
from assay.inputs.validation import Kind
from benchmarks.errors import BenchmarkError
from benchmarks.inputs import texts
from tests.conftest import CHECKPOINTS

PAIRS = BundleTokenizer((CHECKPOINTS / "pair-classifier" / "tokenizer.json").read_bytes(), "pair", 512, "longest_first")
TEXTS = BundleTokenizer((CHECKPOINTS / "complexity-base" / "tokenizer.json").read_bytes(), "text", 512, "refuse")


@pytest.mark.parametrize("tokens", [12, 16, 64, 129, 500])
@pytest.mark.parametrize(("tokenizer", "kind"), [(PAIRS, "pair"), (TEXTS, "text")])
def test_rows_have_exactly_the_length_asked_for_and_differ(tokenizer: BundleTokenizer, kind: Kind, tokens: int) -> None:
    rows = texts.make_rows(tokenizer, kind, tokens, 4)
    assert [texts.count_tokens(tokenizer, row) for row in rows] == [tokens] * 4
    assert len(set(rows)) == 4


def test_a_length_that_no_row_has_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="longer ones with --lengths"):
        texts.make_rows(PAIRS, "pair", 4, 1)


@pytest.mark.parametrize(("tokenizer", "kind"), [(PAIRS, "pair"), (TEXTS, "text")])
def test_without_real_text_the_lengths_are_those_of_the_real_sets(
    tokenizer: BundleTokenizer, kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_MATERIALS", str(tmp_path / "absent"))
    rows, source = texts.choose_throughput_rows(tokenizer, kind, 512, count=24)
    lengths = sorted(texts.count_tokens(tokenizer, row) for row in rows)
    assert source.startswith("generated")
    assert len(rows) == 24
    middle = texts.REAL_LENGTHS[kind][10]
    assert abs(float(np.median(lengths)) - middle) <= 3


@pytest.mark.parametrize(("tokenizer", "kind"), [(PAIRS, "pair"), (TEXTS, "text")])
def test_with_real_text_its_rows_are_taken_evenly_over_their_lengths(
    tokenizer: BundleTokenizer, kind: Kind, materials: Path
) -> None:
    assert (materials / "text").is_dir()
    rows, source = texts.choose_throughput_rows(tokenizer, kind, 512, count=24)
    assert not source.startswith("generated")
    assert set(rows) <= set(texts.read_real_rows(kind))
    again, _ = texts.choose_throughput_rows(tokenizer, kind, 512, count=24)
    assert rows == again
