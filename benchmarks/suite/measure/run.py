"""One run, phase by phase: the peers' files, start, answers and turns, and the machine's peaks."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.bundle import manifest
from assay.errors import AssayError
from benchmarks import machine
from benchmarks.errors import BenchmarkError
from benchmarks.machine import noise, peaks
from benchmarks.machine.energy import Meter
from benchmarks.suite import peers
from benchmarks.suite.environments import find_environment
from benchmarks.suite.measure import rounds
from benchmarks.suite.measure.process import PeerProcess, run_module, say
from benchmarks.suite.samples import REFERENCE, RESULTS, ROWS, Samples, read_json, write_json
from benchmarks.suite.setup import Mode, Setup

__all__ = ["Run"]

KEPT = (
    "lengths",
    "throughput_tokens",
    "throughput_source",
)  # of rows.json in the results, which leave out the texts themselves


@dataclass(frozen=True)
class Run:
    """One run: its plan (`command`), its conditions, its folder, and the time that each mode may take."""

    plan: dict[str, Any]
    setup: Setup
    out: Path
    samples: Samples
    seconds_per_mode: float

    def measure(self) -> None:
        """Measure every mode and write results.json."""
        alive = [name for name in self.plan["peers"] if self._prepare(name)]
        rows = read_json(self.out / ROWS)
        for mode in self.plan["modes"]:
            cells = rows["latency"] if mode == "latency" else {"texts": [rows["throughput"]]}
            self._measure_peaks()
            if not rounds.is_enough(*rounds.read_progress(self.samples, mode), self.seconds_per_mode):
                failed = {failure["peer"] for failure in self.samples.of("failure", mode=mode)}
                with self._start([name for name in alive if name not in failed], mode) as running:
                    self._ask_logits(running, rows["parity"], mode)
                    budget = self.seconds_per_mode
                    watch, meter = self._open_watch(), Meter.find()
                    rounds.measure(running, cells, mode, self.samples, budget, say, watch=watch, meter=meter)
            self._measure_peaks()
        write_json(self.out / RESULTS, self._collect_results())

    def _prepare(self, name: str) -> bool:
        """Prepare a peer, and return whether it can run. A resumed run repeats neither success nor failure."""
        if any(self.samples.of("failure", peer=name, mode="preparation")):
            return False
        if any(self.samples.of("size", peer=name)):
            return True
        say(f"preparing {name}")
        known = peers.find_peer(name)
        environment = find_environment(known.environment, self.setup.environments)
        try:
            preparation = "benchmarks.suite.preparation.peer"
            run_module(name, preparation, name, self.setup.to_json(), environment=environment)
            files = peers.list_files(name, self.setup)
            size = sum(path.stat().st_size for path in files)
        except (BenchmarkError, OSError) as error:
            self.samples.add("failure", peer=name, mode="preparation", reason=str(error))
            return False
        environment_bytes = machine.measure_environment(known.needs, environment.search_path)
        self.samples.add("size", peer=name, files_bytes=size, environment_bytes=environment_bytes)
        return True

    @contextlib.contextmanager
    def _start(self, names: list[str], mode: Mode) -> Iterator[dict[str, rounds.Process]]:
        every: list[PeerProcess] = []

        def launch(name: str) -> PeerProcess:
            say(f"starting {name}")
            every.append(PeerProcess.start(name, self.setup, mode, self.out / "logs"))
            return every[-1]

        try:
            yield rounds.start(names, launch, mode, self.samples, say)
        finally:
            for process in every:
                process.close()

    def _ask_logits(self, running: dict[str, rounds.Process], texts: list[Any], mode: Mode) -> None:
        say("comparing answers")
        for name in list(running):
            if any(self.samples.of("logits", peer=name)):
                continue
            try:
                answer = running[name].ask("logits", rounds.ANSWER_SECONDS * 4, rows=texts)
            except BenchmarkError as error:
                self.samples.add("failure", peer=name, mode=mode, reason=str(error))
                del running[name]
                continue
            self.samples.add("logits", peer=name, **answer)

    def _open_watch(self) -> noise.Watch:
        """Watch the machine; without a C++ compiler only its steal time and other processes."""
        try:
            return noise.Watch(self.setup.threads, noise.make_probe(self.setup.threads))
        except BenchmarkError as error:
            say(f"the cores cannot be probed: {error}")
            return noise.Watch(self.setup.threads, None)

    def _measure_peaks(self) -> None:
        """Measure the machine now: before and after every mode, and the best of all is the limit."""
        say("measuring the peaks of matrix products")
        question = f'{{"threads": {self.setup.threads}, "device": "{self.setup.device}"}}'
        command = [sys.executable, "-m", "benchmarks.suite.measure.peaks", question]
        process = PeerProcess(command, self.out / "logs" / "peaks.log")
        try:
            self.samples.add("peaks", load_average=machine.load_average(), **process.ask("peaks", 300))
            if self.setup.device == "cpu":
                self._measure_products(process)
        except AssayError as error:
            say(f"the peaks of matrix products could not all be measured: {error}")
        finally:
            process.close()
        if self.setup.device == "cpu":
            self._measure_instructions()

    def _measure_products(self, process: PeerProcess) -> None:
        """Measure the model's own layers as bare products of ONNX Runtime, at the lengths of the latency cells."""
        lengths = sorted(set(read_json(self.out / ROWS)["lengths"].values()))
        if "latency" in self.plan["modes"]:
            folder = Path(self.setup.bundle)
            file = manifest.read(folder / manifest.MANIFEST_NAME).variants["fp32"]["portable"].file
            answer = process.ask("products", rounds.ANSWER_SECONDS, portable=str(folder / file), lengths=lengths)
            self.samples.add("products", **answer)

    def _measure_instructions(self) -> None:
        """Measure what the instructions and the memory of this machine allow."""
        say("measuring the peaks of instructions and memory")
        try:
            measured = peaks.measure(self.setup.threads)
        except BenchmarkError as error:
            say(f"the peaks of instructions could not be measured: {error}")
            return
        self.samples.add("instructions", one=dict(measured.one), every=dict(measured.every))

    def _collect_results(self) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "plan": self.plan,
            "reference": read_json(self.out / REFERENCE),
            "rows": {key: value for key, value in read_json(self.out / ROWS).items() if key in KEPT},
            "noise": self._judge_blocks(),
            "samples": self.samples.records,
        }

    def _judge_blocks(self) -> list[dict[str, Any]]:
        """Name the rounds in which the machine was noisy, with the reasons."""
        blocks = list(self.samples.of("block"))
        judged = zip(blocks, noise.find_noise(blocks), strict=True)
        return [{"mode": block["mode"], "round": block["round"], "noisy": found} for block, found in judged if found]
