"""The retry loop that bundles and checkpoints share."""

import logging
import time

import pytest

from assay.bundle.hub_retries import TRIES, retry


class RefusedError(Exception):
    """What a transport raises for an answer with an HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.response = type("Response", (), {"status_code": status})()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def test_a_download_that_broke_off_is_resumed_with_a_warning(
    pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = [RuntimeError("cut off"), RefusedError(503)]

    def download(force: bool) -> str:
        assert not force
        if errors:
            raise errors.pop(0)
        return "done"

    with caplog.at_level(logging.WARNING, "assay"):
        assert retry(download, "acme/model: the download") == "done"
    assert pauses == [0, 1]
    assert [record.getMessage() for record in caplog.records] == [
        "acme/model: the download broke off (cut off); resuming it",
        "acme/model: the download broke off (HTTP 503); resuming it",
    ]


def test_a_part_that_is_not_of_the_file_is_downloaded_from_the_beginning(pauses: list[float]) -> None:
    forced: list[bool] = []

    def download(force: bool) -> str:
        forced.append(force)
        if len(forced) == 1:
            raise RefusedError(416)
        if len(forced) == 2:
            raise RuntimeError("cut off")
        return "done"

    assert retry(download, "x") == "done"
    assert forced == [False, True, True]
    assert pauses == [0, 1]


def test_the_last_error_is_raised_as_it_came(pauses: list[float]) -> None:
    errors = [RuntimeError(str(number)) for number in range(TRIES)]
    remaining = iter(errors)

    def download(force: bool) -> None:
        assert not force
        raise next(remaining)

    with pytest.raises(RuntimeError) as caught:
        retry(download, "x")
    assert caught.value is errors[-1]
    assert pauses == [0, 1, 2, 3]


def test_a_refusal_is_not_retried(pauses: list[float]) -> None:
    def download(force: bool) -> None:
        assert not force
        raise RefusedError(403)

    with pytest.raises(RefusedError):
        retry(download, "x")
    assert pauses == []


def test_an_interruption_is_not_retried(pauses: list[float]) -> None:
    def download(force: bool) -> None:
        assert not force
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retry(download, "x")
    assert pauses == []
