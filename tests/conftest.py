"""Fixtures for all tests: bundles of the demo checkpoints (trained stand-ins), and the optional materials."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from assay.ort.installation import disable_telemetry

# Hooks of pytest, which finds them here.
from tests.library_marker import (  # noqa: F401
    pytest_collection_modifyitems,
    pytest_make_collect_report,
    pytest_runtest_makereport,
)
from tests.running import pytest_runtest_logfinish, pytest_runtest_logstart, pytest_sessionstart  # noqa: F401

ROOT = Path(__file__).parent.parent
CHECKPOINTS = Path(__file__).parent / "checkpoints"

# Some tests import onnxruntime before assay does.
disable_telemetry()

# A shell's background jobs ignore SIGINT, and the commands that the tests interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def materials() -> Path:
    """Real tokenizers, configs and text, in a folder next to the repository that is not part of it."""
    folder = Path(os.environ.get("ASSAY_MATERIALS", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: real tokenizers and text are not part of the repository")
    return folder


@pytest.fixture(scope="session")
def pair_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo pair classifier, exported."""
    return _export("pair-classifier", tmp_path_factory)


@pytest.fixture(scope="session")
def scorer_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo complexity scorer, exported from base and adapter. Its output is 0..1, like Maxwell's."""
    return _export("complexity-adapter", tmp_path_factory, score_range=(0, 1))


@pytest.fixture(scope="session")
def int8_pair_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo pair classifier with the variant int8. Needs the CPU kernels and PyTorch."""
    return _export_int8("pair-classifier", "pairs", tmp_path_factory)


@pytest.fixture(scope="session")
def int8_scorer_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo complexity scorer with the variant int8. Needs the CPU kernels and PyTorch."""
    return _export_int8("complexity-adapter", "instructions", tmp_path_factory, score_range=(0, 1))


def _export_int8(name: str, rows: str, tmp_path_factory: pytest.TempPathFactory, **options: Any) -> Path:
    pytest.importorskip("torch", reason="the variant int8 is made by the export")
    from assay.ort import kernels

    if problem := kernels.find_problem():
        pytest.skip(problem)
    from tests.export.variants.int8.stand_ins import write_calibration

    calibration = write_calibration(rows, tmp_path_factory.mktemp("calibration"))
    return _export(name, tmp_path_factory, variants=["fp32", "int8"], calibration=calibration, **options)


def _export(name: str, tmp_path_factory: pytest.TempPathFactory, **options: Any) -> Path:
    from assay_export import export

    bundle = tmp_path_factory.mktemp("bundles") / name
    export(CHECKPOINTS / name, bundle, **options)
    return bundle


def held_out(name: str) -> list[dict[str, Any]]:
    """Read rows that the demo checkpoints were not trained on: "pairs" or "instructions"."""
    lines = (CHECKPOINTS / f"held_out_{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
