"""Tiny bundles for the runtime's tests. Those of the session are shared: a test that changes one copies it first."""

import shutil
from pathlib import Path

import pytest
from hypothesis import settings

import assay
from assay import Classifier, Scorer
from tests.runtime import tiny

# The same examples in every run, and no deadline: the first example of some tests pays for an import.
settings.register_profile("assay", deadline=None, derandomize=True)
settings.load_profile("assay")


@pytest.fixture(scope="session")
def pair_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of pairs that truncates to 16 tokens."""
    return tiny.write(tmp_path_factory.mktemp("bundles") / "pair")


@pytest.fixture(scope="session")
def text_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A multi-label classifier of single texts."""
    return tiny.write(tmp_path_factory.mktemp("bundles") / "text", input="text", activation="sigmoid")


@pytest.fixture(scope="session")
def score_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A regression of single texts that refuses more than 16 tokens."""
    return tiny.write(tmp_path_factory.mktemp("bundles") / "score", **tiny.REGRESSION)


@pytest.fixture(scope="session")
def judge(pair_bundle: Path) -> Classifier:
    model = assay.load(pair_bundle, threads=1)
    assert isinstance(model, Classifier)
    return model


@pytest.fixture(scope="session")
def tagger(text_bundle: Path) -> Classifier:
    model = assay.load(text_bundle, threads=1)
    assert isinstance(model, Classifier)
    return model


@pytest.fixture(scope="session")
def scorer(score_bundle: Path) -> Scorer:
    model = assay.load(score_bundle, threads=1)
    assert isinstance(model, Scorer)
    return model


@pytest.fixture
def own_bundle(pair_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the pair bundle that the test may damage."""
    return Path(shutil.copytree(pair_bundle, tmp_path / "own"))
