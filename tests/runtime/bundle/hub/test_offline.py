"""Bundles in the Hub's cache, without a network or with a Hub that is unavailable."""

import logging
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants
import pytest

from assay import BundleError
from tests.hub_server import Hub
from tests.runtime.bundle.hub.uploads import NAME, ROW, load, refusal


def test_a_cached_bundle_loads_without_a_network_with_a_warning(
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
def test_an_unavailable_hub_is_treated_like_no_network(commit: str, server: Hub, status: int) -> None:
    load()
    server.status = status
    assert load().info["revision"] == commit
    assert server.pauses == []


def test_local_files_only_sends_no_request(commit: str, server: Hub, caplog: pytest.LogCaptureFixture) -> None:
    load()
    server.forget()
    with caplog.at_level(logging.WARNING, "assay"):
        assert load(local_files_only=True).info["revision"] == commit
        assert load(local_files_only=True, revision=commit).info["revision"] == commit
    assert server.requests == []
    assert not caplog.records


def test_hf_hub_offline_is_respected(commit: str, server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    load()
    server.forget()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert load().info["revision"] == commit
    refusal(BundleError, "HF_HUB_OFFLINE is set", "assay fetch other/name", name="other/name")
    assert server.requests == []


def test_a_file_missing_from_the_cache_is_an_error_that_says_how_to_fetch_it(server: Hub, cache: Path) -> None:
    words = ("no such folder here", str(cache), "local_files_only is set", f"assay fetch {NAME}")
    refusal(BundleError, *words, local_files_only=True)
    load()
    refusal(BundleError, "revision v9", f"assay fetch {NAME}", local_files_only=True, revision="v9")
    refusal(BundleError, "onnx/model.onnx_data", f"assay fetch {NAME}", local_files_only=True, variant="fp32")
    server.stop()
    refusal(BundleError, "onnx/model.onnx_data", "the Hub cannot be reached", variant="fp32")
    refusal(BundleError, "no such folder here", "the Hub cannot be reached", "check the path", name="other/name")
