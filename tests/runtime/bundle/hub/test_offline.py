"""Bundles in the Hub's cache, without a network or with a Hub that is unavailable."""

import logging
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants
import pytest

from assay import BundleError
from tests.hub_server import Hub
from tests.runtime.bundle.hub.uploads import NAME, ROW, load, refusal


def test_what_was_loaded_once_loads_without_a_network_and_says_so(
    commit: str, server: Hub, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load()
    server.stop()
    with caplog.at_level(logging.WARNING, "assay"):
        assert load().predict(*ROW) == load(folder).predict(*ROW)
    (record,) = (record for record in caplog.records if record.name == "assay")
    assert "the Hub cannot be reached" in record.getMessage()
    assert f"using commit {commit} from the cache" in record.getMessage()
    assert server.pauses == []  # a service that starts then starts at once


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_that_is_unwell_is_like_none(commit: str, server: Hub, status: int) -> None:
    load()
    server.status = status
    assert load().info["revision"] == commit
    assert server.pauses == []


def test_local_files_only_asks_nothing(commit: str, server: Hub, caplog: pytest.LogCaptureFixture) -> None:
    load()
    server.forget()
    with caplog.at_level(logging.WARNING, "assay"):
        assert load(local_files_only=True).info["revision"] == commit
        assert load(local_files_only=True, revision=commit).info["revision"] == commit
    assert server.requests == []
    assert not caplog.records


def test_the_variable_of_huggingface_hub_for_no_network_is_heeded(
    commit: str, server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    load()
    server.forget()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert load().info["revision"] == commit
    refusal(BundleError, "HF_HUB_OFFLINE is set", "assay fetch other/name", name="other/name")
    assert server.requests == []


def test_what_is_not_in_the_cache_is_an_error_that_says_how_to_get_it(server: Hub, cache: Path) -> None:
    words = ("no such folder here", str(cache), "local_files_only is set", f"assay fetch {NAME}")
    refusal(BundleError, *words, local_files_only=True)
    load()
    refusal(BundleError, "revision v9", f"assay fetch {NAME}", local_files_only=True, revision="v9")
    refusal(BundleError, "onnx/model.onnx_data", f"assay fetch {NAME}", local_files_only=True, variant="fp32")
    server.stop()
    refusal(BundleError, "onnx/model.onnx_data", "the Hub cannot be reached", variant="fp32")
    refusal(BundleError, "no such folder here", "the Hub cannot be reached", "check the path", name="other/name")
