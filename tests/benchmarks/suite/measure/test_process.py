"""A peer's process, real ones: it answers, crashes, hangs, prints, and is held still between questions."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.suite.measure.process import CAN_HOLD, PeerProcess, run_module

SCRIPT = """
import os, signal, sys, time
from benchmarks.suite.measure.worker import serve_process

class Peer:
    def echo(self, value):
        print("chatter of a library")
        return {"value": value}
    def fail(self):
        raise RuntimeError("two\\nlines")
    def die(self):
        print("last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    def hang(self):
        time.sleep(60)

serve_process(Peer)
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[PeerProcess]:
    started = PeerProcess([sys.executable, "-c", SCRIPT], tmp_path / "logs" / "peer.log")
    yield started
    started.close()


def test_a_question_is_answered_and_what_libraries_print_stays_out_of_the_answers(process: PeerProcess) -> None:
    assert process.ask("echo", 60, value=3) == {"value": 3}
    assert process.ask("echo", 60, value=[1, "ü"]) == {"value": [1, "ü"]}


def test_a_peer_that_raises_says_why_on_one_line(process: PeerProcess) -> None:
    with pytest.raises(BenchmarkError, match=r"^RuntimeError: two lines$"):
        process.ask("fail", 60)


def test_a_peer_that_is_killed_names_the_signal_and_its_last_words(process: PeerProcess) -> None:
    with pytest.raises(BenchmarkError, match=r"was killed by SIGKILL \(last words\)"):
        process.ask("die", 60)


def test_a_peer_that_hangs_is_given_up_and_ended(process: PeerProcess) -> None:
    process.ask("echo", 60, value=1)
    with pytest.raises(BenchmarkError, match="did not answer 'hang'"):
        process.ask("hang", 0.2)
    with pytest.raises(BenchmarkError, match="killed by SIGKILL"):
        process.ask("echo", 60, value=1)


@pytest.mark.skipif(not CAN_HOLD, reason="this system has no SIGSTOP")
def test_between_two_questions_the_process_is_stopped(process: PeerProcess) -> None:
    process.ask("echo", 60, value=1)
    child = psutil.Process(process._process.pid)
    deadline = time.monotonic() + 10
    while child.status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child.status() == psutil.STATUS_STOPPED
    assert process.ask("echo", 60, value=2) == {"value": 2}


def test_a_module_that_cannot_be_imported_is_the_peers_failure(tmp_path: Path) -> None:
    broken = PeerProcess([sys.executable, "-c", "import no_such_module"], tmp_path / "peer.log")
    with pytest.raises(BenchmarkError, match=r"ended with exit code 1 .*no_such_module"):
        broken.ask("load", 60)


def test_a_module_that_fails_raises_its_last_line_and_does_not_print_it(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BenchmarkError, match="No module named"):
        run_module("it", "benchmarks.no_such_module")
    assert "No module named" not in capfd.readouterr().err
