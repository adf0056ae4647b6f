"""The probe of remedies at size: how recipes are read and given to more layers, and the probe end to end."""

from pathlib import Path

import pytest

from assay_export.variants.int8.linear import Recipe
from benchmarks import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.probes import remedies_at_size

CHECKPOINT = ROOT / "tests" / "checkpoints" / "pair-classifier"


@pytest.mark.parametrize(
    ("described", "recipe"),
    [
        ("int8", Recipe()),
        ("int8, smoothed", Recipe()),
        ("int8 by groups of 128", Recipe(group=128)),
        ("int8 by groups of 64 with 4 fp32 columns, smoothed", Recipe(group=64, columns=(0, 1, 2, 3))),
        ("fp32", Recipe("fp32")),
        ("fp16", Recipe("fp16")),
    ],
)
def test_a_recipe_of_the_manifest_is_read_without_its_smoothing(described: str, recipe: Recipe) -> None:
    assert remedies_at_size.read_recipe(described) == recipe


def test_a_recipe_that_int8_does_not_have_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="'blockwise' of a layer is not one of int8's: export the bundle again"):
        remedies_at_size.read_recipe("blockwise")


def test_layers_get_the_recipes_of_their_share_of_the_depth_and_the_last_those_of_the_last() -> None:
    small = {f"layer.{index}.output.dense": Recipe(group=64 << index) for index in range(3)}
    small |= {"layer.2.query": Recipe("fp32"), "head.classifier": Recipe("fp32")}
    scaled = remedies_at_size.scale_recipes(small, 3, 6)
    assert [scaled[f"layer.{index}.output.dense"].group for index in range(6)] == [64, 64, 64, 128, 128, 256]
    assert [name for name, recipe in scaled.items() if recipe.kind == "fp32"] == ["head.classifier", "layer.5.query"]


def test_the_table_has_both_graphs_of_each_length(int8_pair_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(int8_pair_bundle), str(CHECKPOINT), "--lengths", "4,9", "--rounds", "2"]
    assert remedies_at_size.main(arguments) == 0
    out = capsys.readouterr().out
    assert "estimated at its own size: 1.0 of plain int8's time" in out
    rows = [line for line in out.splitlines() if line.startswith(("| 4 |", "| 9 |"))]
    assert len(rows) == 2


def test_a_bundle_without_int8_is_one_line_and_exit_code_1(
    pair_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert remedies_at_size.main([str(pair_bundle), str(CHECKPOINT)]) == 1
    assert capsys.readouterr().err.startswith("error: ")
