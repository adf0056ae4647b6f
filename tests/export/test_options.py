"""Every option of an export is checked before any work begins."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import assay_export
from assay_export import ExportError, exporter
from assay_export.options import check_options
from tests.conftest import CHECKPOINTS

DEFAULTS: dict[str, Any] = {
    "revision": None,
    "base": None,
    "input": None,
    "labels": None,
    "variants": ("fp32",),
    "calibration": None,
    "max_flips": None,
    "max_drift": None,
    "score_range": None,
    "force": False,
}


@pytest.fixture
def refuse_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if the export begins to work."""

    def work(*_: object, **__: object) -> None:
        raise AssertionError("the checkpoint was opened")

    monkeypatch.setattr(exporter, "open_files", work)


@pytest.mark.usefixtures("refuse_work")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input": "text_pair"}, "input is 'text_pair', expected 'pair' or 'text'"),
        ({"input": ["pair"]}, "input is a list of 1, expected"),
        ({"labels": "no,yes"}, r"labels is 'no,yes', expected a list of names, such as \['no', 'yes'\]"),
        ({"labels": 2}, "labels is the int 2, expected a list of names"),
        ({"labels": []}, "labels is empty, expected a name for each output"),
        ({"labels": ["no", ""]}, r"labels\[1\] is '', expected a name that is not empty"),
        ({"labels": ["no", 1]}, r"labels\[1\] is the int 1, expected a name"),
        ({"labels": ["no", "yes", "no"]}, "labels has 'no' twice"),
        ({"labels": ["no", "y\nes"]}, r"labels\[1\] is 'y\\nes' with the control character U\+000A at character 1"),
        ({"labels": ["\x1b[2Jno", "yes"]}, r"labels\[0\] is '\\x1b\[2Jno' with the control character U\+001B"),
        ({"base": "a\tb"}, r"base has the control character U\+0009 at character 1, expected a folder"),
        ({"variants": "fp32"}, "variants is 'fp32', expected a list of names"),
        ({"variants": ["int8"]}, "variants are int8, expected fp32"),
        ({"variants": ["fp32", "FP16"]}, "variants are FP16, fp32, expected fp32, .* any of int8, "),
        ({"variants": []}, "variants are none"),
        (
            {"calibration": "no/such.jsonl", "variants": ["fp32", "int8"]},
            "calibration is no/such.jsonl, which is not a",
        ),
        ({"calibration": Path(), "variants": ["fp32", "int8"]}, "calibration is ., which is not a file"),
        ({"calibration": 7, "variants": ["fp32", "int8"]}, "calibration is the int 7, expected the path of a file"),
        ({"calibration": "rows.jsonl"}, "fp32 does not use it: add --variants fp32,int8"),
        ({"max_flips": 0}, "max-flips is 0, expected a number above 0"),
        ({"max_drift": 2.0}, "max-drift is 2.0, expected a number above 0"),
        ({"max_drift": float("nan")}, "max-drift is nan, expected a number above 0"),
        ({"max_drift": "0.1"}, "max_drift is '0.1', expected a number above 0"),
        ({"max_flips": True}, "max_flips is True, expected a number above 0"),
        ({"score_range": (1, 0)}, r"score_range is \(1.0, 0.0\), expected two finite numbers, the lower one first"),
        ({"score_range": (0, 0)}, r"score_range is \(0.0, 0.0\), expected two finite numbers"),
        ({"score_range": (0, float("inf"))}, r"score_range is \(0.0, inf\), expected two finite numbers"),
        ({"score_range": (0, 10**400)}, "expected two finite numbers"),
        ({"score_range": (0, True)}, r"score_range is \(the int 0, True\), expected two finite numbers"),
        ({"score_range": (0, 1, 2)}, "score_range is a tuple of 3, expected two finite numbers"),
        ({"score_range": "01"}, "score_range is '01', expected two finite numbers"),
        ({"score_range": 1}, "score_range is the int 1, expected two finite numbers"),
        ({"revision": ""}, "revision is '', expected a branch, a tag or a commit"),
        ({"revision": 3}, "revision is the int 3, expected a branch"),
        ({"base": ""}, "base is '', expected a folder or a Hub id"),
        ({"base": 3}, "base is the int 3, expected a folder or a Hub id"),
        ({"force": "no"}, "force is 'no', expected True or False"),
    ],
    ids=str,
)
def test_an_option_that_is_not_what_the_export_takes_is_refused_before_any_work(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=message) as caught:
        assay_export.export(CHECKPOINTS / "pair-classifier", tmp_path / "bundle", **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("refuse_work")
@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        (3, "bundle", "source is the int 3, expected a preset's name, a Hub id or a folder"),
        ("", "bundle", "source is '', expected"),
        ("checkpoint", "", "out is '', expected the path of a folder to write"),
        ("checkpoint", None, "out is None, expected"),
        ("check\npoint", "bundle", r"source has the control character U\+000A at character 5"),
        ("checkpoint", Path("bun\x1bdle"), r"out has the control character U\+001B at character 3"),
    ],
)
def test_a_source_or_a_target_that_is_not_a_path_is_refused(source: Any, out: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        assay_export.export(source, out)


@pytest.mark.parametrize("kind", [str, Path])
def test_paths_are_strings_or_path_objects(kind: Callable[[Path], Any], tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.touch()
    options = check_options(
        kind(tmp_path), kind(tmp_path / "out"), **DEFAULTS | {"calibration": kind(rows), "variants": ["fp32", "int8"]}
    )
    assert (options.out, options.calibration) == (tmp_path / "out", rows)


def test_lists_may_be_any_iterable_of_names() -> None:
    lists = {"labels": (name for name in ("no", "yes")), "variants": {"int8", "fp16", "fp32"}}
    options = check_options("checkpoint", "bundle", **DEFAULTS | lists)
    assert options.labels == ("no", "yes")
    assert options.variants == ("int8", "fp16")


def test_calibration_text_may_come_from_standard_input() -> None:
    options = check_options("checkpoint", "bundle", **DEFAULTS | {"variants": ["fp32", "int8"], "calibration": "-"})
    assert options.calibration == Path("-")
