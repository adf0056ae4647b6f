"""A row's int8 answer is bit-identical alone, in any batch, with any number of threads and in either mode."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import assay
from assay.inputs.tokenization import Tokens
from assay.models.base import Model, runner_of
from assay.ort import kernels
from assay.ort.batching import PACKED_TOKENS_PER_CALL
from assay.ort.session import Float32

THREADS = (1, 2, 3)
MODES: tuple[Any, ...] = ("latency", "throughput")
INSTRUCTION_SETS = ("amx", "avx512vnni", "avxvnni", "avx2", "neon_i8mm", "neon_dotprod", "plain")
LONGEST = 260
VOCABULARY = 400  # ids that both demo checkpoints have

RowOfTokens = tuple[int, int]
"""How many tokens, and the seed that they are drawn with."""

rows_of_tokens = st.tuples(
    st.one_of(st.integers(1, 40), st.integers(1, LONGEST), st.sampled_from([1, 2, 16, 32, 64, 128, 129])),
    st.integers(0, 5),
)
batches = st.lists(rows_of_tokens, min_size=1, max_size=24)


@functools.cache
def draw(row: RowOfTokens) -> Tokens:
    length, seed = row
    ids = np.random.default_rng([length, seed]).integers(0, VOCABULARY, length)
    return Tokens(ids, np.zeros_like(ids))


class Models:
    """One bundle, loaded with every number of threads in both modes, and the answers to single rows."""

    def __init__(self, bundle: Path) -> None:
        self.alone = assay.load(bundle, variant="int8", threads=1)
        self.others = {
            (threads, mode): assay.load(bundle, variant="int8", threads=threads, mode=mode)
            for threads in THREADS
            for mode in MODES
        }
        self._answers: dict[RowOfTokens, Float32] = {}

    def expect(self, rows: Sequence[RowOfTokens]) -> Float32:
        for row in rows:
            if row not in self._answers:
                self._answers[row] = answer(self.alone, [row])[0]
        return np.stack([self._answers[row] for row in rows])


def answer(model: Model, rows: Sequence[RowOfTokens]) -> Float32:
    return runner_of(model).answer([draw(row) for row in rows])


@pytest.fixture(scope="module", params=["int8_pair_bundle", "int8_scorer_bundle"])
def bundle(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


@pytest.fixture(scope="module")
def models(bundle: Path) -> Models:
    return Models(bundle)


@given(batch=batches)
@settings(max_examples=40)
def test_a_row_has_one_answer_alone_in_any_batch_with_any_threads_and_in_either_mode(
    models: Models, batch: list[RowOfTokens]
) -> None:
    expected = models.expect(batch)
    for model in models.others.values():
        assert np.array_equal(answer(model, batch), expected)


@given(data=st.data())
@settings(max_examples=20)
def test_a_row_has_one_answer_wherever_it_is_in_a_batch(models: Models, data: st.DataObject) -> None:
    batch = data.draw(batches)
    shuffled = data.draw(st.permutations(batch))
    assert np.array_equal(answer(models.others[2, "latency"], shuffled), models.expect(shuffled))


def test_a_row_has_one_answer_among_more_rows_than_a_call_takes(models: Models) -> None:
    batch = [(1 + 37 * index % LONGEST, index % 3) for index in range(200)]
    assert sum(length for length, _ in batch) > 4 * PACKED_TOKENS_PER_CALL
    expected = models.expect(batch)
    for model in models.others.values():
        assert np.array_equal(answer(model, batch), expected)


@pytest.fixture(scope="module", params=INSTRUCTION_SETS)
def on_instruction_set(request: pytest.FixtureRequest, bundle: Path) -> Iterator[Models]:
    """The models on each instruction set that this machine has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_KERNELS_ISA", request.param)
        if kernels.find_problem():
            pytest.skip(f"this machine has no {request.param}")
        models = Models(bundle)
    assert models.alone.info["instruction_set"] == request.param
    yield models
    for model in (models.alone, *models.others.values()):
        model.close()


@given(batch=batches)
@settings(max_examples=8)
def test_a_row_has_one_answer_on_each_instruction_set(on_instruction_set: Models, batch: list[RowOfTokens]) -> None:
    expected = on_instruction_set.expect(batch)
    for model in on_instruction_set.others.values():
        assert np.array_equal(answer(model, batch), expected)


def test_instruction_sets_give_the_same_bits(models: Models, on_instruction_set: Models) -> None:
    batch = [(length, seed) for length in (1, 2, 5, 16, 40, 100, 200) for seed in range(8)]
    assert np.array_equal(on_instruction_set.expect(batch), models.expect(batch))
