"""PyTorch is run on rows that share calls, and rows whose label flips are found for every kind of head."""

import numpy as np
import pytest

from assay_export.checkpoint.reference import Feed, ReferenceModel
from assay_export.gates import answers
from assay_export.gates.answers import find_flips, run_pytorch
from assay_export.graphs.writer import Array
from tests.export import tiny

LENGTHS = (7, 3, 7, 12, 3, 3)


def make_feeds(lengths: tuple[int, ...] = LENGTHS) -> list[Feed]:
    ids = [tiny.token_ids(1, length, seed) for seed, length in enumerate(lengths)]
    return [{"input_ids": row, "attention_mask": np.ones_like(row)} for row in ids]


class CountingModel(ReferenceModel):
    """A model that records the shape of each call, and answers with the sum and the number of the token ids."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, ...]] = []

    def logits(self, feed: Feed) -> Array:
        self.calls.append(feed["input_ids"].shape)
        return np.stack([feed["input_ids"].sum(axis=1), feed["attention_mask"].sum(axis=1)], axis=1).astype(np.float32)


def test_each_row_gets_the_answer_that_it_gets_alone_in_the_order_of_the_rows() -> None:
    reference, feeds = ReferenceModel(tiny.model(tiny.deberta_config())), make_feeds()
    alone = np.concatenate([reference.logits(feed) for feed in feeds])
    together = run_pytorch(reference, feeds)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, atol=tiny.ROUNDING)


def test_rows_of_equal_length_share_a_call_and_nothing_is_padded() -> None:
    model, feeds = CountingModel(), make_feeds()
    expected = [[int(feed["input_ids"].sum()), length] for feed, length in zip(feeds, LENGTHS, strict=True)]
    assert run_pytorch(model, feeds).tolist() == expected
    assert sorted(model.calls) == [(1, 12), (2, 7), (3, 3)]


def test_a_call_stays_within_the_token_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "TOKENS_PER_CALL", 6)
    model = CountingModel()
    run_pytorch(model, make_feeds())
    assert sorted(model.calls) == [(1, 3), (1, 7), (1, 7), (1, 12), (2, 3)]


def test_progress_advances_once_per_row() -> None:
    advances: list[None] = []
    run_pytorch(CountingModel(), make_feeds(), lambda: advances.append(None))
    assert len(advances) == len(LENGTHS)


LOGITS = np.array([[2.0, 1.0, -1.0], [-1.0, -2.0, -3.0], [0.5, 0.4, 3.0]], np.float32)


@pytest.mark.parametrize(
    ("activation", "flipped"),
    [
        ("softmax", [False, False, True]),  # only the third row has another largest logit
        ("sigmoid", [True, True, False]),  # the first two rows have a logit of another sign
        ("identity", [False, False, False]),  # a score has no label
    ],
)
def test_a_flip_is_another_largest_logit_or_another_sign(activation: str, flipped: list[bool]) -> None:
    other = np.array([[2.0, -0.1, -1.0], [0.1, -2.0, -3.0], [3.0, 0.4, 0.5]], np.float32)
    assert find_flips(other, LOGITS, activation).tolist() == flipped


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "identity"])
def test_equal_logits_flip_nothing(activation: str) -> None:
    assert not find_flips(LOGITS, LOGITS.copy(), activation).any()
