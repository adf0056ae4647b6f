"""assay.ort.forking and pickles: what a worker process gets of a model."""

import copy
import functools
import multiprocessing
import pickle
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import assay
from assay import AssayError, Classifier
from assay.ort.engine import Engine
from assay.ort.forking import ForkedEngine
from tests.runtime import tiny

pytestmark = pytest.mark.forks

PAIRS = [("what causes rain", "water"), ("a b", "c"), ("d", "e f g a b c")]


def answer(model: Classifier, rows: Any) -> list[list[float]]:
    return [list(row) for row in model.logits(rows).tolist()]


@pytest.fixture(scope="module", params=["latency", "throughput"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    model = assay.load(tiny.write(tmp_path_factory.mktemp("forking") / "bundle"), threads=2, mode=request.param)
    assert isinstance(model, Classifier)
    return model


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes_answer_like_the_parent(method: str, model: Classifier) -> None:
    expected = answer(model, PAIRS)  # the parent's threads have run before the fork
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.map_async(functools.partial(answer, model), [PAIRS] * 4).get(timeout=60)
    assert found == [expected] * 4
    assert answer(model, PAIRS) == expected


@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_a_forked_child_answers_and_its_interpreter_ends(mode: str, tmp_path: Path) -> None:
    # os.fork and not multiprocessing, whose children skip the end of the interpreter and all destructors.
    bundle = tiny.write(tmp_path / "bundle")
    program = f"""
        import os, sys, threading, assay
        from assay.models.base import runner_of
        model = assay.load({str(bundle)!r}, threads=2, mode={mode!r})
        rows = [("a b", "c"), ("d", "e"), ("a", "b c d e f")]
        expected = model.logits(rows).tolist()
        runner_of(model).engine._making.acquire()  # as another thread of the parent may
        child = os.fork()
        if child == 0:
            sys.exit(0 if model.logits(rows).tolist() == expected else 7)
        runner_of(model).engine._making.release()
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status) or (model.logits(rows).tolist() != expected))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=60, check=False)
    assert done.returncode == 0


def test_a_model_that_was_closed_before_the_fork_stays_closed(tmp_path: Path) -> None:
    closed = assay.load(tiny.write(tmp_path / "bundle"), threads=1)
    closed.close()
    with multiprocessing.get_context("fork").Pool(1) as pool, pytest.raises(AssayError, match="was closed"):
        pool.apply_async(closed.logits, (PAIRS,)).get(timeout=60)


def test_a_pickle_holds_the_path_and_the_options_but_no_weights(model: Classifier) -> None:
    data = pickle.dumps(model)
    assert len(data) < 1_000
    again = pickle.loads(data)
    assert again.info == model.info
    assert answer(again, PAIRS) == answer(model, PAIRS)
    assert answer(copy.deepcopy(model), PAIRS) == answer(model, PAIRS)


def test_a_pickle_of_a_relative_path_opens_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.write(tmp_path / "bundle")
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(assay.load("bundle", threads=1))
    monkeypatch.chdir("/")
    assert isinstance(pickle.loads(data), Classifier)


def test_a_pickle_whose_bundle_is_gone_is_a_bundle_error(tmp_path: Path) -> None:
    bundle = tiny.write(tmp_path / "bundle")
    data = pickle.dumps(assay.load(bundle, threads=1))
    bundle.rename(tmp_path / "elsewhere")
    with pytest.raises(assay.BundleError, match="no such folder"):
        pickle.loads(data)


def test_a_closed_model_is_not_pickled(tmp_path: Path) -> None:
    model = assay.load(tiny.write(tmp_path / "bundle"), threads=1)
    model.close()
    with pytest.raises(AssayError, match="was closed"):
        pickle.dumps(model)


def test_the_default_number_of_threads_is_the_workers_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pickle.dumps(assay.load(tiny.write(tmp_path / "bundle")))
    monkeypatch.setattr("assay.load_options.usable_cores", lambda: 7)
    assert pickle.loads(data).info["threads"] == 7


def test_rows_of_many_windows_are_answered_in_a_forked_child(
    model: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.models.runner._ROWS_PER_WINDOW", 2)
    rows = PAIRS * 5
    expected = model.logits(rows)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found = pool.apply_async(answer, (model, rows)).get(timeout=60)
    assert np.array_equal(found, expected)


def test_closing_during_the_creation_of_an_engine_closes_the_model() -> None:
    begun, going = threading.Event(), threading.Event()

    def make() -> Engine:
        begun.set()
        going.wait(10)
        return made

    made = cast(Engine, object())
    engine = ForkedEngine(cast(Engine, object()), make)
    engine._engine = None  # as leave_to_parent leaves it
    with ThreadPoolExecutor(2) as pool:
        answer = pool.submit(engine.get)
        begun.wait(10)
        closing = pool.submit(engine.close)
        going.set()
        assert answer.result() is made
        closing.result()
    with pytest.raises(AssayError, match="this model was closed"):
        engine.get()
