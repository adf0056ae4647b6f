"""Bundles for the example service. The tests are skipped without the packages that it needs."""

import shutil
from pathlib import Path

import pytest

from tests.runtime import tiny


@pytest.fixture(autouse=True, scope="session")
def packages() -> None:
    for name in ("fastapi", "uvicorn", "prometheus_client"):
        pytest.importorskip(name, reason=f"the example service needs {name}: examples/container/requirements.txt")


@pytest.fixture(scope="session")
def tiny_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of pairs."""
    return tiny.write(tmp_path_factory.mktemp("bundles") / "pair")


@pytest.fixture(scope="session")
def tiny_texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A regression of single texts that refuses more than 16 tokens."""
    return tiny.write(tmp_path_factory.mktemp("bundles") / "score", **tiny.REGRESSION)


@pytest.fixture
def own_bundle(tiny_pairs: Path, tmp_path: Path) -> Path:
    """A copy that the test may damage."""
    return Path(shutil.copytree(tiny_pairs, tmp_path / "own"))
