"""A server that has the bundle of uploads.py, and an empty cache of huggingface_hub."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import hub_server
from tests.hub_server import Hub
from tests.runtime.bundle.hub.uploads import NAME, two_variants


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uploaded folder: a bundle with two variants, and a file that no bundle needs."""
    made = two_variants(tmp_path_factory.mktemp("upload") / "judge", seed=0)
    (made / "README.md").write_text("a card")
    return made


@pytest.fixture
def server() -> Iterator[Hub]:
    with hub_server.serve() as served:
        yield served


@pytest.fixture
def cache(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of huggingface_hub, which asks the server."""
    cache = hub_server.ask(server, tmp_path, monkeypatch)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return cache


@pytest.fixture(autouse=True)
def commit(server: Hub, cache: Path, folder: Path) -> str:  # noqa: ARG001
    """The bundle as NAME on the Hub; the id of its commit."""
    return server.add(NAME, folder)
