"""Whether a machine is noisy: steal time, other processes, slow probes, and threads that share a core."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.machine import noise


def make_block(**values: Any) -> dict[str, Any]:
    quiet = {"one_best": 1.0, "one_mean": 1.0, "all_best": 2.0, "all_mean": 2.0}
    return {"threads": 2, "steal": 0.0, "others": 0.0, "before": quiet, "after": quiet} | values


def test_steal_is_the_share_of_time_between_two_readings() -> None:
    before, after = [0] * 10, [60, 0, 10, 10, 0, 0, 0, 20, 50, 0]
    assert noise.compute_steal(before, after) == pytest.approx(0.2)
    assert noise.compute_steal(None, after) is None


def test_the_ticks_of_some_cores_are_added_up(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu 60 6\ncpu0 10 1\ncpu1 20 2\ncpu2 30 3\nintr 5\n", encoding="ascii")
    assert noise.read_stat(stat) == [60, 6]
    assert noise.read_stat(stat, [0, 2]) == [40, 4]
    assert noise.read_stat(tmp_path / "nothing") is None


def test_a_quiet_run_has_no_noise() -> None:
    assert noise.find_noise([make_block(), make_block()]) == [[], []]
    assert noise.find_noise([make_block(steal=None, others=None, before=None, after=None)]) == [[]]


def test_each_sign_of_noise_is_named() -> None:
    slow = {"one_best": 1.0, "one_mean": 0.9, "all_best": 1.9, "all_mean": 1.2}
    shared = {"one_best": 1.0, "one_mean": 1.0, "all_best": 1.1, "all_mean": 1.8}
    blocks = [
        make_block(),
        make_block(steal=0.1),
        make_block(others=0.2),
        make_block(after=slow),
        make_block(before=shared),
    ]
    assert noise.find_noise(blocks) == [
        [],
        ["steal time 10%"],
        ["other processes 20%"],
        ["the probe after it at 60% of the best"],
        ["threads on one core before it (1.10 times one thread)"],
    ]


def test_cores_that_always_share_are_the_machines_and_no_noise() -> None:
    shared = {"one_best": 1.0, "one_mean": 1.0, "all_best": 1.1, "all_mean": 1.1}
    blocks = [make_block(before=shared, after=shared)] * 2
    assert noise.find_noise(blocks) == [[], []]
    assert noise.shares_cores(blocks)
    assert not noise.shares_cores([make_block(before=shared)])
    assert not noise.shares_cores([])


def test_a_watch_takes_a_probe_before_the_first_block_and_after_each(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    lines = [f"cpu{core} 0 0 0 0 0 0 0 0" for core in range(1024)]
    stat.write_text("\n".join(lines), encoding="ascii")
    probes = iter([{"all_best": 1.0}, {"all_best": 2.0}, {"all_best": 3.0}])
    watch = noise.Watch(2, lambda: next(probes), stat)
    watch.begin()
    stat.write_text("\n".join(line.replace("0 0 0 0 0 0 0 0", "60 0 0 20 0 0 0 20") for line in lines), "ascii")
    first = watch.end()
    watch.begin()
    second = watch.end()
    assert (first["before"], first["after"]) == ({"all_best": 1.0}, {"all_best": 2.0})
    assert (second["before"], second["after"]) == ({"all_best": 2.0}, {"all_best": 3.0})
    assert first["steal"] == 0.2
    assert 0.0 < first["others"] <= 0.6  # the rest is this process's own
    assert second["steal"] == 0.0


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ to compile peak.cc with")
def test_a_real_probe_has_the_best_and_the_mean_of_one_thread_and_of_all() -> None:
    for threads in (1, 2):
        probe = noise.make_probe(threads)()
        assert probe.keys() == {"one_best", "one_mean", "all_best", "all_mean"}
        assert probe["all_best"] >= probe["all_mean"] > 0
