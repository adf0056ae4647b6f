"""The parent's side of a peer's process: start it, ask it, hold it still while others have their turn, end it."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.peers import PeerError
from benchmarks.suite.setup import Mode, Setup

ROOT = Path(__file__).resolve().parents[2]
CAN_HOLD = hasattr(signal, "SIGSTOP")


class PeerProcess:
    """A peer in a process of its own. Between two questions the process is stopped (SIGSTOP): it neither spins nor
    wakes, whatever its libraries would do; where the system has no such signal it merely waits."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._log_path = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log.open("wb")
        search = os.pathsep.join([str(ROOT), *sys.path])
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": search, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends its peers
        )
        self._answers: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._held = False

    @classmethod
    def of(cls, name: str, setup: Setup, mode: Mode, logs: Path) -> "PeerProcess":
        """The process of the peer `name`."""
        module = [sys.executable, "-m", "benchmarks.suite.worker", name, setup.to_json(), mode]
        return cls(module, logs / f"{name}-{mode}.log")

    def ask(self, do: str, limit: float, **question: Any) -> dict[str, Any]:
        """The answer to one question, within `limit` seconds.

        Raises:
            PeerError: the peer answered with an error, died, or did not answer in time, and is gone.
        """
        self._signal("SIGCONT")
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"do": do, **question}).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            pass  # it died or was ended: the empty answer says so
        try:
            line = self._answers.get(timeout=limit)
        except queue.Empty:
            self.close()
            raise PeerError(f"gave no answer to {do!r} within {limit:.0f} s") from None
        if not line:
            raise PeerError(self._death())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            self.close()
            raise PeerError(str(answer["error"]))
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
        with contextlib.suppress(ValueError, OSError):  # closed while reading
            for line in self._process.stdout:
                self._answers.put(line)
        self._answers.put(b"")

    def _signal(self, name: str) -> None:
        if CAN_HOLD and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(getattr(signal, name))

    def _death(self) -> str:
        self.close()
        code = self._process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        lines = self._log_path.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"its process {how}" + (f" ({last[:300]})" if last else "")
