"""Fixtures for all tests: bundles of the demo checkpoints (trained stand-ins), and the optional materials."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
CHECKPOINTS = Path(__file__).parent / "checkpoints"


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


def _export(name: str, tmp_path_factory: pytest.TempPathFactory, **options: Any) -> Path:
    from assay_export import export

    bundle = tmp_path_factory.mktemp("bundles") / name
    export(CHECKPOINTS / name, bundle, **options)
    return bundle


def held_out(name: str) -> list[dict[str, Any]]:
    """Read rows that the demo checkpoints were not trained on: "pairs" or "instructions"."""
    lines = (CHECKPOINTS / f"held_out_{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
