"""assay.ort.engine: which calls a session gets, and how many of them at a time."""

import functools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from assay import InputError
from assay.inputs.tokenization import Tokens
from assay.models.base import runner_of
from assay.ort.batching import group
from assay.ort.engine import Engine
from assay.ort.session import Float32
from tests.runtime import tiny


class Recorder:
    """A session whose logit is the row's first token, and which knows what it was asked."""

    providers = ("CPUExecutionProvider",)
    nodes: dict[str, int] = {}  # noqa: RUF012

    def __init__(self, together: int = 1) -> None:
        """Each call waits until `together` calls are under way."""
        self.calls: list[tuple[int, ...]] = []
        self.barrier = threading.Barrier(together)

    def pad_length(self, length: int) -> int:
        return length

    def answer(self, tokens: Sequence[Tokens]) -> Float32:
        self.barrier.wait(timeout=30)
        self.calls.append(tuple(len(row.ids) for row in tokens))
        return np.array([[row.ids[0]] for row in tokens], dtype=np.float32)

    def build(self, length: int) -> bool:  # noqa: ARG002
        return False


def plan(budget: int) -> Callable[[Sequence[int]], list[list[int]]]:
    return functools.partial(group, budget=budget)


def rows(*lengths: int) -> list[Tokens]:
    """Rows of these lengths, the first token of each being its index."""
    made = [np.full(length, index, dtype=np.int64) for index, length in enumerate(lengths)]
    return [Tokens(ids, ids) for ids in made]


def test_answers_come_in_the_order_of_the_rows() -> None:
    lengths = [3, 1, 2, 3, 1, 3, 2]
    for callers in (1, 2, 5):
        answers = Engine(Recorder(), callers, plan(6)).answer(rows(*lengths), labels=1)
        assert answers.tolist() == [[float(index)] for index in range(len(lengths))]


def test_calls_run_in_parallel_up_to_the_number_of_callers() -> None:
    # A call of the recorder ends only when three are under way: fewer would break its barrier.
    session = Recorder(together=3)
    Engine(session, 3, plan(1)).answer(rows(*[4] * 6), labels=1)
    assert len(session.calls) == 6


def test_for_latency_calls_run_one_after_another_in_the_callers_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Recorder()
    threads = set()
    answer = session.answer

    def noted(tokens: Sequence[Tokens]) -> Float32:
        threads.add(threading.get_ident())
        return answer(tokens)

    monkeypatch.setattr(session, "answer", noted)
    Engine(session, 1, plan(1)).answer(rows(2, 3, 4), labels=1)
    assert threads == {threading.get_ident()}
    assert session.calls == [(4,), (3,), (2,)]


def test_rows_of_one_length_share_a_call_within_the_budget() -> None:
    session = Recorder()
    Engine(session, 1, plan(6)).answer(rows(2, 3, 2, 2, 2, 9), labels=1)
    assert sorted(session.calls) == [(2,), (2, 2, 2), (3,), (9,)]


@pytest.mark.parametrize("callers", [1, 2])
def test_an_error_of_a_call_is_raised_to_the_caller(callers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Recorder()

    def fail(tokens: Any) -> Float32:
        raise ZeroDivisionError(len(tokens))

    monkeypatch.setattr(session, "answer", fail)
    with pytest.raises(ZeroDivisionError):
        Engine(session, callers, plan(1)).answer(rows(1, 2, 3), labels=1)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_both_modes_return_the_same_answers(threads: int, pair_bundle: Path) -> None:
    pairs = [("a " * (number % 7), "b " * (number % 5)) for number in range(60)]
    expected = assay.load(pair_bundle, threads=1).logits(pairs)
    with assay.load(pair_bundle, threads=threads, mode="throughput") as model:
        assert model.info["mode"] == "throughput"
        assert model.info["threads"] == threads
        assert np.allclose(model.logits(pairs), expected, atol=1e-6)
        assert np.allclose(model.logits(pairs[:1]), expected[:1], atol=1e-6)


@pytest.mark.parametrize("mode", ["fast", "", None, 1, "Latency"])
def test_an_unknown_mode_is_refused(mode: Any, pair_bundle: Path) -> None:
    with pytest.raises(InputError, match="expected 'latency' or 'throughput'"):
        assay.load(pair_bundle, mode=mode)


def test_closing_lets_a_running_batch_finish(pair_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = assay.load(pair_bundle, threads=2, mode="throughput")
    expected = model.logits([("a", "b")] * 8)
    session = runner_of(model).engine.get().session
    started, closed = threading.Event(), threading.Event()
    answer = session.answer

    def slow(tokens: Sequence[Tokens]) -> Float32:
        started.set()
        closed.wait(timeout=30)
        return answer(tokens)

    monkeypatch.setattr(session, "answer", slow)
    results: list[Float32] = []
    thread = threading.Thread(target=lambda: results.append(model.logits([("a", "b")] * 8)))
    thread.start()
    assert started.wait(timeout=30)
    model.close()
    closed.set()
    thread.join(timeout=30)
    assert np.allclose(results[0], expected)
    with pytest.raises(assay.AssayError, match="was closed"):
        model.logits([("a", "b")])


class TestRowsThatShareACall:
    @pytest.fixture(autouse=True)
    def exact(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("assay.ort.saturation.find_problem", lambda: None)  # there are no int8 products

    def calls(self, bundle: Path, mode: Any) -> int:
        model = assay.load(bundle, variant="int8_ort", threads=1, mode=mode)
        session: Any = runner_of(model).engine.get().session
        count = 0
        answer = session.answer

        def counted(tokens: Sequence[Tokens]) -> Float32:
            nonlocal count
            count += 1
            return answer(tokens)

        session.answer = counted
        model.logits([("a", "b")] * 6)
        return count

    def int8_ort_bundle(self, folder: Path, **more: Any) -> Path:
        variants = tiny.document()["variants"]
        entry = variants["fp32"]["cpu"] | more
        return tiny.write(folder, variants=variants | {"int8_ort": {"cpu": entry}})

    def test_int8_ort_rows_are_alone_for_latency_and_share_as_many_tokens_as_passed_the_gate_for_throughput(
        self, tmp_path: Path
    ) -> None:
        bundle = self.int8_ort_bundle(
            tmp_path / "gated", tokens_per_call=15
        )  # [CLS] a [SEP] b [SEP]: three rows of five
        assert self.calls(bundle, "latency") == 6
        assert self.calls(bundle, "throughput") == 2

    def test_int8_ort_rows_stay_alone_where_the_bundle_says_nothing(self, tmp_path: Path) -> None:
        bundle = self.int8_ort_bundle(tmp_path / "ungated")
        assert self.calls(bundle, "throughput") == 6
