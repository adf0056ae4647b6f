"""The peaks of a machine: the compiler, the best instruction, and the better of two measurements."""

from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.machine import peaks


def test_a_compiler_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(BenchmarkError, match=r"false cannot compile peak\.cc \(exit code 1\)"):
        peaks.build(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_best_int8_instruction_counts_and_int16_only_without_one() -> None:
    assert peaks.choose_int8({"int8_a": 1.0, "int8_b": 3.0, "int16_avx2": 9.0}) == 3.0
    assert peaks.choose_int8({"int16_avx2": 9.0, "fp32_avx2": 1.0}) == 9.0
    with pytest.raises(BenchmarkError, match="no floor"):
        peaks.choose_int8({"read_bytes": 1.0})


def test_the_better_of_two_measurements_counts_rate_by_rate_and_is_said_in_one_line() -> None:
    first = peaks.Peaks({"int8_a": 1e12, "read_bytes": 2e9}, {"int8_a": 1.5e12, "read_bytes": 3e9})
    second = peaks.Peaks({"int8_a": 0.5e12, "read_bytes": 4e9}, {"int8_a": 2e12, "read_bytes": 1e9})
    best = first.join(second)
    assert (best.int8, best.bytes_per_second) == (2e12, 4e9)
    assert "int8 2.000 (1.000) Top/s, memory read 4.0 (4.0) GB/s" in str(best)


def test_the_rate_of_a_precision_is_that_of_its_best_instruction_or_none() -> None:
    rates = {"int16_avx2": 9.0, "fp32_avx2": 1.0, "fp32_avx512": 2.0, "read_bytes": 5.0}
    assert peaks.choose_rate(rates, "fp32") == 2.0
    assert peaks.choose_rate(rates, "int8") == 9.0
    assert peaks.choose_rate(rates, "bf16") is None
    assert peaks.choose_rate({"fp32_neon": 1.0}, "int8") is None
