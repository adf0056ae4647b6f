"""One run, phase by phase: what the peers prepare, their start, their answers, their turns, and the machine's peaks."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import PeerError
from benchmarks.suite import machine, peers, rounds
from benchmarks.suite.process import ROOT, PeerProcess
from benchmarks.suite.samples import REFERENCE, RESULTS, ROWS, Samples, read_json, write_json
from benchmarks.suite.setup import Mode, Setup

KEPT = ("lengths", "throughput_tokens", "throughput_source")  # of the rows, in the results: not the texts themselves


@dataclass(frozen=True)
class Run:
    """One run: its plan (command.py), its conditions, its folder, and the time that each mode may take."""

    plan: dict[str, Any]
    setup: Setup
    out: Path
    samples: Samples
    seconds_per_mode: float

    def measure(self) -> None:
        """Measure every mode, and write results.json."""
        alive = [name for name in self.plan["peers"] if self._prepared(name)]
        rows = read_json(self.out / ROWS)
        for mode in self.plan["modes"]:
            cells = rows["latency"] if mode == "latency" else {"texts": [rows["throughput"]]}
            self._peaks()
            if not rounds.enough(*rounds.progress(self.samples, mode), self.seconds_per_mode):
                failed = {failure["peer"] for failure in self.samples.of("failure", mode=mode)}
                with self._processes([name for name in alive if name not in failed], mode) as running:
                    self._parity(running, rows["parity"], mode)
                    rounds.measure(running, cells, mode, self.samples, self.seconds_per_mode, say)
            self._peaks()
        write_json(self.out / RESULTS, self._results())

    def _prepared(self, name: str) -> bool:
        """Prepare a peer; what it failed for an interrupted run keeps. Sizes are taken where they lie."""
        if any(self.samples.of("failure", peer=name, mode="preparation")):
            return False
        if any(self.samples.of("size", peer=name)):
            return True
        say(f"preparing {name}")
        try:
            child(name, "benchmarks.suite.prepare", name, self.setup.to_json())
            files = peers.files(name, self.setup)
            size = sum(path.stat().st_size for path in files)
        except (PeerError, OSError) as error:
            self.samples.add("failure", peer=name, mode="preparation", reason=str(error))
            return False
        needs = peers.known(name).needs
        self.samples.add("size", peer=name, files_bytes=size, environment_bytes=machine.environment_bytes(needs))
        return True

    @contextlib.contextmanager
    def _processes(self, names: list[str], mode: Mode) -> Iterator[dict[str, rounds.Process]]:
        every: list[PeerProcess] = []

        def launch(name: str) -> PeerProcess:
            say(f"starting {name}")
            every.append(PeerProcess.of(name, self.setup, mode, self.out / "logs"))
            return every[-1]

        try:
            yield rounds.start(names, launch, mode, self.samples, say)
        finally:
            for process in every:
                process.close()

    def _parity(self, running: dict[str, rounds.Process], texts: list[Any], mode: Mode) -> None:
        say("comparing answers")
        for name in list(running):
            if any(self.samples.of("logits", peer=name)):
                continue
            try:
                answer = running[name].ask("logits", rounds.ANSWER_SECONDS * 4, rows=texts)
            except PeerError as error:
                self.samples.add("failure", peer=name, mode=mode, reason=str(error))
                del running[name]
                continue
            self.samples.add("logits", peer=name, **answer)

    def _peaks(self) -> None:
        """This machine's rates now: before and after every mode, the best of all being the limit."""
        say("measuring the peaks of matrix products")
        question = f'{{"threads": {self.setup.threads}, "device": "{self.setup.device}"}}'
        command = [sys.executable, "-m", "benchmarks.suite.limits", question]
        process = PeerProcess(command, self.out / "logs" / "peaks.log")
        try:
            self.samples.add("peaks", load_average=machine.load_average(), **process.ask("peaks", 300))
        except PeerError as error:
            say(f"the peaks could not be measured: {error}")
        finally:
            process.close()

    def _results(self) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "plan": self.plan,
            "reference": read_json(self.out / REFERENCE),
            "rows": {key: value for key, value in read_json(self.out / ROWS).items() if key in KEPT},
            "samples": self.samples.records,
        }


def child(what: str, module: str, *arguments: str) -> None:
    """Run a module in a process of its own, its progress on this one's standard error.

    Raises:
        PeerError: it failed; the message is the last line that it wrote.
    """
    search = os.pathsep.join([str(ROOT), *sys.path])
    done = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=2,  # what libraries print is no result
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": search},
        text=True,
        errors="replace",
    )
    assert done.stderr is not None
    last = ""
    try:
        for line in done.stderr:
            if line.strip():
                # One line behind: the last one of a failure is the error, which is said where it is caught.
                if last:
                    say(last)
                last = line.strip()
    except BaseException:
        done.terminate()  # whoever ended this process alone wants that one to end too
        done.wait()
        raise
    code = done.wait()
    if last and not code:
        say(last)
    if code:
        raise PeerError(last.removeprefix("error: ")[:600] or f"{what}: the process ended with exit code {code}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
