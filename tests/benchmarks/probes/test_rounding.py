"""The probe of rounding: what it does to a tensor, to a layer, and to the answers of a demo checkpoint."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import ROOT
from benchmarks.probes import rounding

CHECKPOINT = ROOT / "tests" / "checkpoints" / "pair-classifier"


def test_int8_rounds_to_127_steps_of_the_largest_value_of_a_row_or_of_its_group() -> None:
    values = torch.tensor([[127.0, 0.4, 1.6, -2.5], [0.0, 0.0, 0.0, 0.0]])
    assert rounding.to_int8(values).tolist() == [[127.0, 0.0, 2.0, -2.0], [0.0, 0.0, 0.0, 0.0]]
    by_group = rounding.to_int8(torch.tensor([[127.0, 0.4, 1.27, 0.634]]), 2)
    np.testing.assert_allclose(by_group, [[127.0, 0.0, 1.27, 0.63]], rtol=1e-6)


def test_a_last_group_may_be_shorter() -> None:
    values = torch.tensor([[1.0, 2.0, 127.0]])
    np.testing.assert_allclose(rounding.to_int8(values, 2), [[1.0, 2.0, 127.0]], atol=0.01)


def test_layers_are_rounded_inside_the_block_only() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.Linear(32, 5))
    x = torch.randn(3, 32)
    before = model(x)
    with rounding.rounded(model, rounding.to_int8, rounding.keep):
        inside = model(x)
    first, last = model
    expected = last(first(rounding.to_int8(x)))  # the classifier is exact
    torch.testing.assert_close(inside, expected)
    torch.testing.assert_close(model(x), before)
    assert not torch.equal(inside, before)


def test_there_is_a_line_for_every_arithmetic_and_float16_is_the_closest(
    pair_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rounding.main([str(CHECKPOINT), str(pair_bundle), "--rows", "8"]) == 0
    lines = (line.strip().split("  ") for line in capsys.readouterr().out.splitlines()[1:])
    excess = {described.split(":")[0]: float(measured) for measured, described in lines}
    assert list(excess) == list(rounding.ARITHMETIC)
    assert excess["float16"] == min(excess.values())
    assert excess["float16"] < excess["int8 inputs and weights"]


def test_a_missing_bundle_is_one_line_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rounding.main([str(tmp_path), str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
