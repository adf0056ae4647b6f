"""What the tests of assay annotate share."""

import pytest


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many windows for few rows, each of them committed."""
    monkeypatch.setattr("assay.annotate.windows.ROWS", 20)
    monkeypatch.setattr("assay.annotate.output.file.SECONDS_BETWEEN_COMMITS", 0.0)
