"""Rows of random tokens have the special tokens of the tokenizer's template in their places and nowhere else."""

import numpy as np
import pytest
from tokenizers import Tokenizer, processors

from assay_export.gates.random_rows import RandomRows, count_grid, make_grid

CLS, SEP, PAD = 1, 2, 0
SPECIAL = [0, 1, 2, 3, 4]  # of the fixture's tokenizer


def with_template(tokenizer: Tokenizer, single: str) -> Tokenizer:
    changed = Tokenizer.from_str(tokenizer.to_str())
    changed.post_processor = processors.TemplateProcessing(
        single=single, pair=None, special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return changed


@pytest.mark.parametrize("length", [3, 65, 512])
def test_special_tokens_surround_ordinary_ones(tokenizer: Tokenizer, length: int) -> None:
    ids = RandomRows(tokenizer, ()).draw(length).tolist()
    assert (len(ids), ids[0], ids[-1]) == (length, CLS, SEP)
    assert not {*ids[1:-1]} & {*SPECIAL}


def test_a_row_too_short_for_all_special_tokens_has_the_last_of_them(tokenizer: Tokenizer) -> None:
    rows = RandomRows(tokenizer, ())
    assert [rows.draw(length).tolist() for length in (1, 2)] == [[SEP], [CLS, SEP]]


def test_ids_that_the_model_treats_in_a_special_way_are_not_drawn(tokenizer: Tokenizer) -> None:
    letters = [tokenizer.token_to_id(letter) for letter in "abcdef"]
    drawn = RandomRows(tokenizer, letters).draw(2000)
    assert not set(drawn.tolist()) & set(letters)
    assert len(set(drawn.tolist())) == tokenizer.get_vocab_size() - len(SPECIAL) - len(letters) + 2


@pytest.mark.parametrize(
    ("single", "before", "after"), [("$A [SEP]", [], [SEP]), ("[CLS] $A", [CLS], []), ("$A [SEP] [SEP]", [], [SEP] * 2)]
)
def test_any_template_is_followed(tokenizer: Tokenizer, single: str, before: list[int], after: list[int]) -> None:
    rows = RandomRows(with_template(tokenizer, single), ())
    assert (rows.before, rows.after) == (before, after)


@pytest.mark.parametrize("single", ["[CLS] $A [SEP]", "[CLS] $A [SEP] [SEP]", "$A"])
def test_every_row_of_the_grid_has_the_same_number_of_each_special_token(tokenizer: Tokenizer, single: str) -> None:
    rows = RandomRows(with_template(tokenizer, single), [PAD])
    for shape, feed in make_grid(rows, 200, PAD):
        for token in (CLS, SEP):
            counts = ((feed["input_ids"] == token) & (feed["attention_mask"] == 1)).sum(axis=1)
            assert len(set(counts.tolist())) == 1, shape
        assert (feed["input_ids"][feed["attention_mask"] == 0] == PAD).all()


def test_the_grid_is_counted_and_the_same_each_time(tokenizer: Tokenizer) -> None:
    first, again = (list(make_grid(RandomRows(tokenizer, ()), 200, PAD)) for _ in range(2))
    assert len(first) == count_grid(200)
    for (_, one), (_, other) in zip(first, again, strict=True):
        np.testing.assert_array_equal(one["input_ids"], other["input_ids"])


def test_a_vocabulary_of_special_tokens_alone_is_drawn_from(tokenizer: Tokenizer) -> None:
    assert len(RandomRows(tokenizer, list(tokenizer.get_vocab().values())).draw(9)) == 9
