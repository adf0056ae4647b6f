"""A classifier whose runs a test can hold."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import assay
from assay import Classifier
from tests.runtime.aio.held import Held


@pytest.fixture
def model(text_bundle: Path) -> Classifier:
    loaded = assay.load(text_bundle, threads=1)
    assert isinstance(loaded, Classifier)
    return loaded


@pytest.fixture
def held(model: Classifier, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held(model.answers)
    monkeypatch.setattr(model, "answers", held)
    yield held
    held.let_go()
