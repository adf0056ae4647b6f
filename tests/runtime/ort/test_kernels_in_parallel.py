"""The CPU kernels in forked and spawned processes, in several threads and in several sessions at once."""

import functools
import multiprocessing
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from assay import Classifier
from tests.conftest import held_out
from tests.forked import exit_code_of_fork

pytestmark = pytest.mark.forks

MODES: tuple[Any, ...] = ("latency", "throughput")
PAIRS = [(row["text"], row["text_pair"]) for row in held_out("pairs")[:40]]


def answer(model: Classifier, rows: list[tuple[str, str]]) -> bytes:
    return model.logits(rows).tobytes()


@pytest.fixture(scope="module", params=MODES)
def model(request: pytest.FixtureRequest, int8_pair_bundle: Path) -> Classifier:
    return assay.load_classifier(int8_pair_bundle, variant="int8", threads=2, mode=request.param)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_answer_like_the_parent(method: str, model: Classifier) -> None:
    expected = answer(model, PAIRS)  # the parent's threads have run before the fork
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.map_async(functools.partial(answer, model), [PAIRS] * 4).get(timeout=120)
    assert found == [expected] * 4
    assert answer(model, PAIRS) == expected


def test_a_forked_child_answers_and_its_interpreter_ends(model: Classifier) -> None:
    program = f"""
        import os, sys, assay
        model = assay.load({model.info["path"]!r}, variant="int8", threads=2, mode={model.info["mode"]!r})
        rows = {PAIRS[:8]!r}
        expected = model.logits(rows).tobytes()
        child = os.fork()
        if child == 0:
            sys.exit(0 if model.logits(rows).tobytes() == expected else 7)
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status) or (model.logits(rows).tobytes() != expected))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=120, check=False)
    assert done.returncode == 0


def test_a_child_forked_during_a_call_answers(model: Classifier) -> None:
    expected = answer(model, PAIRS)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: [answer(model, PAIRS) for _ in range(10)])
        assert exit_code_of_fork(lambda: answer(model, PAIRS) == expected) == 0
        assert set(running.result()) == {expected}


def test_a_pickle_opens_the_same_variant_with_the_same_answers(model: Classifier) -> None:
    data = pickle.dumps(model)
    assert len(data) < 1_000
    again = pickle.loads(data)
    assert again.info == model.info
    assert answer(again, PAIRS) == answer(model, PAIRS)


def test_many_threads_that_share_a_model_get_the_same_answers(model: Classifier) -> None:
    parts = [PAIRS[start : start + size] for start, size in [(0, 40), (3, 1), (5, 20), (11, 7), (2, 33), (30, 2)]]
    expected = [answer(model, rows) for rows in parts]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(5):
            assert list(pool.map(functools.partial(answer, model), parts)) == expected


def test_sessions_run_at_the_same_time_without_affecting_each_other(
    int8_pair_bundle: Path, int8_scorer_bundle: Path
) -> None:
    texts = [row["text"] for row in held_out("instructions")[:40]]
    judge = assay.load_classifier(int8_pair_bundle, variant="int8", threads=2)
    exact = assay.load_classifier(int8_pair_bundle, variant="fp32", threads=2)  # ONNX Runtime's own operators
    scorer = assay.load_scorer(int8_scorer_bundle, variant="int8", threads=2)
    judged, scored, exactly = judge.logits(PAIRS), scorer.logits(texts), exact.logits(PAIRS)
    with ThreadPoolExecutor(3) as pool:
        for _ in range(5):
            running = [pool.submit(judge.logits, PAIRS), pool.submit(scorer.logits, texts)]
            exact_again = pool.submit(exact.logits, PAIRS)
            assert np.array_equal(running[0].result(), judged)
            assert np.array_equal(running[1].result(), scored)
            assert np.allclose(exact_again.result(), exactly, atol=1e-5)


def test_sessions_with_different_instruction_sets_keep_theirs(
    int8_pair_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = assay.load_classifier(int8_pair_bundle, variant="int8", threads=1)
    expected = answer(best, PAIRS)
    monkeypatch.setenv("ASSAY_KERNELS_ISA", "plain")
    plain = assay.load_classifier(int8_pair_bundle, variant="int8", threads=1)
    expected_plain = answer(plain, PAIRS)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            both = pool.submit(answer, best, PAIRS), pool.submit(answer, plain, PAIRS)
            assert [run.result() for run in both] == [expected, expected_plain]
