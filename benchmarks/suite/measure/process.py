"""The parent's end of a peer's process: starts it, asks it, stops it during other peers' turns, and ends it."""

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

from benchmarks.errors import BenchmarkError
from benchmarks.suite.environments import HERE, Environment, find_environment
from benchmarks.suite.peers import find_peer
from benchmarks.suite.setup import Mode, Setup

__all__ = ["CAN_HOLD", "PeerProcess", "run_module", "say"]

CAN_HOLD = hasattr(signal, "SIGSTOP")
"""Whether this system can stop a process and continue it."""


class PeerProcess:
    """A peer in a separate process.

    Between two questions the process is stopped (SIGSTOP), so that it neither spins nor wakes, whatever its libraries
    would do. On a system without the signal it waits for its next question.
    """

    def __init__(self, command: list[str], log: Path, environment: Environment = HERE) -> None:
        self._log_path = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log.open("wb")
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**environment.make_variables(), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
            start_new_session=True,  # Ctrl-C reaches only the parent, which then ends its peers
        )
        self._answers: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._held = False

    @classmethod
    def start(cls, name: str, setup: Setup, mode: Mode, logs: Path) -> Self:
        """Start the process of the peer `name`, in the peer's environment."""
        environment = find_environment(find_peer(name).environment, setup.environments)
        module = [environment.python, "-m", "benchmarks.suite.measure.worker", name, setup.to_json(), mode]
        return cls(module, logs / f"{name}-{mode}.log", environment)

    def ask(self, do: str, limit: float, **question: Any) -> dict[str, Any]:
        """Ask one question and wait for the answer.

        Args:
            do: The name of the question, a method of the worker.
            limit: How many seconds to wait.
            question: The arguments of the method.

        Raises:
            BenchmarkError: The peer answered with an error, died, or did not answer in time. Its process has ended.
        """
        self._signal("SIGCONT")
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"do": do, **question}).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            pass  # the process has ended, and the empty answer below says so
        try:
            line = self._answers.get(timeout=limit)
        except queue.Empty:
            self.close()
            raise BenchmarkError(f"did not answer {do!r} within {limit:.0f} s") from None
        if not line:
            raise BenchmarkError(self._explain_death())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            self.close()
            raise BenchmarkError(str(answer["error"]))
        self._signal("SIGSTOP")
        return answer

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._log.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError, OSError):  # the pipe was closed while reading
            for line in self._process.stdout:
                self._answers.put(line)
        self._answers.put(b"")

    def _signal(self, name: str) -> None:
        if CAN_HOLD and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(getattr(signal, name))

    def _explain_death(self) -> str:
        self.close()
        code = self._process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        lines = self._log_path.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"its process {how}" + (f" ({last[:300]})" if last else "")


def run_module(what: str, module: str, *arguments: str, environment: Environment = HERE) -> None:
    """Run a module in a separate process, with its progress on this one's standard error.

    Args:
        what: What the process is for, in an error.
        module: The name of the module, run with `python -m`.
        arguments: Its command line.
        environment: Whose Python runs it.

    Raises:
        BenchmarkError: It failed. The message is the last line that it wrote.
    """
    done = subprocess.Popen(
        [environment.python, "-m", module, *arguments],
        stdout=2,  # what libraries print is not a result
        stderr=subprocess.PIPE,
        env=environment.make_variables(),
        text=True,
        errors="replace",
    )
    assert done.stderr is not None
    last = ""
    try:
        for line in done.stderr:
            if line.strip():
                # One line behind: the last line of a failure is the error, which the caller prints.
                if last:
                    say(last)
                last = line.strip()
    except BaseException:
        done.terminate()  # the signal that ended this process may not have reached that one
        done.wait()
        raise
    code = done.wait()
    if last and not code:
        say(last)
    if code:
        raise BenchmarkError(last.removeprefix("error: ")[:600] or f"{what}: the process ended with exit code {code}")


def say(text: str) -> None:
    """Print progress on standard error."""
    print(text, file=sys.stderr, flush=True)
