"""The probe of the machine: its compiler, its rates, and what it concludes."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.machine import peaks
from benchmarks.probes import machine


def test_without_a_compiler_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert machine.main([]) == 1
    error = capsys.readouterr().err
    assert "found no C++ compiler (g++, c++, clang++): install g++, or set CXX" in error
    assert error.count("\n") == 1


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ to compile peak.cc with")
def test_a_run_measures_instructions_and_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", "g++")
    monkeypatch.setattr(peaks, "ROOT", tmp_path)
    assert machine.main(["--json", str(tmp_path / "out.json")]) == 0
    result = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert all(rate > 0 for rate in result["one_thread"].values())
    assert "read_bytes" in result["one_thread"]
    assert result["one_thread"].keys() < result["all_cores"].keys()
    assert "| memory read, GB/s |" in capsys.readouterr().out
    compiled = list((tmp_path / "build" / "probes").iterdir())
    assert peaks.build(tmp_path / "build" / "probes") == compiled[0]
    assert len(compiled) == 1


def test_cores_are_shared_if_no_instruction_gains_from_the_second() -> None:
    one = {"int8_x": 1.0, "fp32_x": 1.0, "read_bytes": 1.0}
    assert machine.is_shared(one, {"int8_x": 1.0, "fp32_x": 1.1, "read_bytes": 2.0}, 2) is True
    assert machine.is_shared(one, {"int8_x": 1.0, "fp32_x": 1.9, "read_bytes": 1.0}, 2) is False
    assert machine.is_shared(one, one, 1) is None
