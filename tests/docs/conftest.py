"""A folder in which the snippets of the documentation run."""

from pathlib import Path

import pytest

from tests.docs.pasting import ROOT


@pytest.fixture(scope="session")
def clone(pair_bundle: Path, scorer_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `make demo` leaves a clone: the bundles, the examples and the demo checkpoints."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "bundles").mkdir()
    (folder / "bundles/pair-classifier").symlink_to(pair_bundle)
    (folder / "bundles/complexity").symlink_to(scorer_bundle)
    for name in ("examples", "tests"):
        (folder / name).symlink_to(ROOT / name)
    return folder
