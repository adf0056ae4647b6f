"""Memory, threads and forked processes."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.forked import exit_code_of_fork
from tests.kernels.attention.attention_reference import Case
from tests.kernels.attention.conftest import INPUTS, run
from tests.kernels.effort import SANITIZED
from tests.kernels.graphs import LIBRARY, session_of

pytestmark = pytest.mark.skipif(not LIBRARY.is_file(), reason=f"{LIBRARY} is not built")
needs_plain_memory = pytest.mark.skipif(SANITIZED, reason="AddressSanitizer keeps freed memory for a while")


def resident_megabytes() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmRSS")


def measure_apart(measure: Callable[[], float]) -> float:
    """Run `measure` in a new process."""
    if not Path("/proc/self/status").is_file():
        pytest.skip("reads the memory in use from /proc")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure).result()


def memory_after_a_very_long_row() -> float:
    tokens, heads, d = 100_000, 4, 32
    width = heads * d
    attributes = {"heads": heads, "first_token": 1, "arithmetic": "float32"}
    fed = {"query": np.float32, "row_starts": np.int64, "kv": np.float32}
    session = session_of("DisentangledAttention", INPUTS["DisentangledAttention"], {}, attributes, fed=fed, threads=4)

    def attend(length: int) -> None:
        query, kv = np.ones((1, width), np.float32), np.ones((length, 2 * width), np.float32)
        y = session.run(None, {"query": query, "row_starts": np.array([0, length]), "kv": kv})[0]
        np.testing.assert_allclose(y, 1, rtol=1e-4)

    attend(16)
    before = resident_megabytes()
    attend(tokens)
    return resident_megabytes() - before


@needs_plain_memory
def test_threads_do_not_keep_the_memory_of_a_very_long_row() -> None:
    """Each of four heads needs 27 MB for the keys and values of 100,000 tokens."""
    assert measure_apart(memory_after_a_very_long_row) < 20


def memory_after_many_frequencies() -> float:
    case = Case([16], heads=1, d=64, options={"frequencies": np.ones(32, np.float32)}).attention()
    fed = {"query": np.float32, "row_starts": np.int64, "frequencies": np.float32}
    attributes = case.attributes
    session = session_of("RotaryAttention", INPUTS["RotaryAttention"], {}, attributes, fed=fed)

    def turn(seed: int) -> np.ndarray:
        frequencies = np.random.default_rng(seed).random(32, np.float32)
        return session.run(None, case.tensors | {"frequencies": frequencies})[0]

    first = turn(0)
    before = resident_megabytes()
    for seed in range(1500):
        last = turn(seed)
    grown = resident_megabytes() - before
    np.testing.assert_array_equal(turn(0), first)
    np.testing.assert_array_equal(turn(1499), last)
    return grown


@needs_plain_memory
def test_frequencies_that_change_from_call_to_call_do_not_leak() -> None:
    """A table for 512 positions takes 128 KB: 1,500 of them would be 190 MB."""
    assert measure_apart(memory_after_many_frequencies) < 100


def test_one_session_answers_several_threads_at_once() -> None:
    lengths = [5, 300, 64]
    frequencies = np.random.default_rng(5).random(8, np.float32)  # new ones, whose table the threads make together
    case = Case(lengths, options={"frequencies": frequencies, "arithmetic": "int8"}).attention()
    fed = {name: array.dtype.type for name, array in case.tensors.items()}
    inputs, attributes = INPUTS["RotaryAttention"], case.attributes
    session = session_of("RotaryAttention", inputs, case.initializers, attributes, fed=fed, threads=2)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: session.run(None, case.tensors)[0], range(16)))
    for answer in answers:
        np.testing.assert_array_equal(answer, run(case))


def answer_in_a_child() -> np.ndarray:
    frequencies = np.linspace(0, 1, 8, dtype=np.float32)
    return run(Case([70, 3], options={"frequencies": frequencies}).attention())


@pytest.mark.forks
def test_a_forked_process_computes_the_same() -> None:
    expected = answer_in_a_child()
    assert exit_code_of_fork(lambda: np.array_equal(answer_in_a_child(), expected)) == 0
