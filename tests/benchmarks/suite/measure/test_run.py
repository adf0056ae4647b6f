"""A run's phases with peers that are no processes: what is kept and left out, and how an interrupted run goes on."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.machine.peaks import Peaks
from benchmarks.suite.measure import run as runs
from benchmarks.suite.measure.process import PeerProcess
from benchmarks.suite.measure.rounds import FEWEST_ROUNDS
from benchmarks.suite.measure.run import Run
from benchmarks.suite.report.analysis import analyse
from benchmarks.suite.samples import REFERENCE, RESULTS, ROWS, Samples, begin, read_json, write_json
from benchmarks.suite.setup import Setup
from tests.benchmarks.suite.report.results import LOGITS, results

PEERS = ["torch-fp32", "assay-fp32", "assay-int8"]


class World:
    """What the fakes do and remember. `interrupt_at`: the turn that Ctrl-C hits. assay-int8 cannot be prepared."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.interrupt_at, self.turns = interrupt_at, 0
        self.steal, self.watching = 0.0, False
        self.open: set[Any] = set()
        self.prepared: Counter[str] = Counter()

    def install(self, patch: pytest.MonkeyPatch) -> None:
        world = self

        class Fake:
            def __init__(self, *_: object) -> None:
                world.open.add(self)

            @classmethod
            def start(cls, *_: object) -> "Fake":
                return cls()

            def ask(self, do: str, limit: float, **question: Any) -> dict[str, Any]:  # noqa: ARG002
                answer: dict[str, Any] = getattr(world, do)(**question)
                return answer

            def close(self) -> None:
                world.open.discard(self)

        patch.setattr(runs, "PeerProcess", Fake)
        patch.setattr(runs, "run_module", self.run_module)
        patch.setattr("benchmarks.suite.peers.list_files", lambda *_: [])
        patch.setattr("benchmarks.machine.measure_environment", lambda *_: 1)
        patch.setattr("benchmarks.machine.peaks.measure", lambda _: Peaks({"fp32_x": 1e12}, {"fp32_x": 2e12}))
        patch.setattr(Run, "_open_watch", lambda _: self)
        patch.setattr(Run, "_measure_products", lambda *_: None)

    def run_module(self, what: str, *_: str, **__: object) -> None:
        self.prepared[what] += 1
        if what == "assay-int8":
            raise BenchmarkError("the gate refuses it")

    def load(self) -> dict[str, Any]:
        return {"resident_bytes": 1}

    def peaks(self) -> dict[str, Any]:
        return {"fp32": 1e12}

    def memory(self) -> dict[str, Any]:
        return {"resident_bytes": 2, "peak_bytes": 3}

    def begin(self) -> None:
        self.watching = True

    def end(self) -> dict[str, Any]:
        assert self.watching
        self.watching = False
        return {"threads": 2, "steal": self.steal, "others": 0.0, "before": None, "after": None}

    def logits(self, rows: list[object]) -> dict[str, Any]:
        return {"logits": LOGITS[: len(rows)]}

    def warm(self, requests: object) -> dict[str, Any]:  # noqa: ARG002
        return {"seconds": 1.0}

    def turn(self, calls: int, **_: object) -> dict[str, Any]:
        self.turns += 1
        if self.turns == self.interrupt_at:
            raise KeyboardInterrupt
        return {"seconds": [1.0] * calls}


def new_run(folder: Path, resume: bool = False) -> Run:
    plan = {**results()["plan"], "peers": PEERS, "absent": {}, "versions": {}}
    samples = begin(folder, plan, resume)
    rows = {"latency": {"16": [["a"]], "64": [["b"]]}, "throughput": ["a", "b"], "parity": ["a", "b", "c", "d"]}
    write_json(folder / ROWS, {**rows, **results()["rows"]})
    write_json(folder / REFERENCE, results()["reference"])
    setup = Setup("c", "b", "w", "text", "classification", 512, "cpu", 2, False)
    return Run(plan, setup, folder, samples, seconds_per_mode=0.0)


def turns(folder: Path) -> Counter[tuple[str, int, str, str]]:
    found = Samples(folder / "samples.jsonl").of("turn")
    return Counter((turn["mode"], turn["round"], turn["cell"], turn["peer"]) for turn in found)


def test_a_run_measures_every_mode_and_closes_every_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.install(monkeypatch)
    new_run(tmp_path / "run").measure()
    assert not world.open
    taken = turns(tmp_path / "run")
    assert set(taken.values()) == {1}
    assert {(mode, peer) for mode, _, _, peer in taken} == {
        (mode, peer) for mode in ("latency", "throughput") for peer in ("torch-fp32", "assay-fp32")
    }
    assert len({number for mode, number, _, _ in taken if mode == "latency"}) >= FEWEST_ROUNDS


def test_a_peer_that_cannot_be_prepared_says_why_and_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    World().install(monkeypatch)
    new_run(tmp_path / "run").measure()
    analysis = analyse(read_json(tmp_path / "run" / RESULTS))
    assert analysis.peers["assay-int8"].failures == {"preparation": "the gate refuses it"}
    assert analysis.rank("latency").keys() == {"torch-fp32", "assay-fp32"}


@pytest.mark.parametrize("turn", [1, 6, 14])
def test_an_interrupted_run_resumes_without_preparing_or_measuring_twice(
    turn: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(interrupt_at=turn)
    world.install(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        new_run(tmp_path / "run").measure()
    assert not world.open
    assert not (tmp_path / "run" / RESULTS).exists()
    before = turns(tmp_path / "run")
    world.interrupt_at = None
    new_run(tmp_path / "run", resume=True).measure()
    after = turns(tmp_path / "run")
    assert before.items() <= after.items()
    assert set(after.values()) == {1}
    assert set(world.prepared.values()) == {1}
    analysis = analyse(read_json(tmp_path / "run" / RESULTS))
    for mode in ("latency", "throughput"):
        assert analysis.count_rounds(mode) >= FEWEST_ROUNDS
        assert analysis.compare("assay-fp32", mode, "16" if mode == "latency" else "texts") is not None


def test_a_finished_run_resumes_to_its_report_and_starts_no_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    world.install(monkeypatch)
    new_run(tmp_path / "run").measure()
    before, taken = world.turns, turns(tmp_path / "run")
    (tmp_path / "run" / RESULTS).unlink()
    new_run(tmp_path / "run", resume=True).measure()
    assert world.turns == before
    assert turns(tmp_path / "run") == taken
    assert (tmp_path / "run" / RESULTS).exists()


def test_a_run_keeps_instruction_peaks_the_noise_of_each_round_and_the_memory_of_each_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    world.install(monkeypatch)
    world.steal = 0.5
    new_run(tmp_path / "run").measure()
    found = read_json(tmp_path / "run" / RESULTS)
    reasons = [(entry["mode"], entry["round"], entry["noisy"]) for entry in found["noise"]]
    assert reasons == [
        (mode, number, ["steal time 50%"]) for mode in ("latency", "throughput") for number in range(FEWEST_ROUNDS)
    ]
    analysis = analyse(found)
    assert analysis.peers["assay-fp32"].peak_bytes == 3
    assert analysis.instructions == Peaks({"fp32_x": 1e12}, {"fp32_x": 2e12})
    assert not analysis.left_out  # no quiet round is left, so all count, and all are marked
    assert len(analysis.noise) == 2 * FEWEST_ROUNDS


def test_the_real_process_has_what_the_fakes_have() -> None:
    assert all(hasattr(PeerProcess, name) for name in ("start", "ask", "close"))
