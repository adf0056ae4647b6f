"""What the Hub refuses, and what is not the Hub."""

from pathlib import Path

import huggingface_hub
import huggingface_hub.constants
import pytest

from assay import BundleError, InputError
from tests.hub_server import Hub
from tests.runtime.bundle.hub.uploads import NAME, load, refusal


def test_a_missing_model_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("no such folder here", "the Hub has no model of this name", "hf auth login")
    refusal(BundleError, *words, name="no/such")
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    refusal(BundleError, *words, name="no/such")


def test_a_missing_revision_is_an_error() -> None:
    refusal(BundleError, NAME, "has no revision v9 on the Hub", revision="v9")
    refusal(BundleError, NAME, f"has no revision {'0' * 40} on the Hub", revision="0" * 40)


def test_a_restricted_model_is_an_error_with_and_without_a_token(
    commit: str, server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    load()
    server.models[NAME].gated = True
    refusal(BundleError, "access on the Hub is restricted", "ask for access", "HF_TOKEN")
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    refusal(BundleError, "access on the Hub is restricted", "ask for access", "HF_TOKEN")
    assert load(local_files_only=True).info["revision"] == commit


@pytest.mark.parametrize(("status", "words"), [(403, "these credentials may not read it"), (404, "could not be downl")])
def test_an_unknown_refusal_is_an_error_even_if_the_bundle_is_cached(server: Hub, status: int, words: str) -> None:
    load()
    server.status = status
    refusal(BundleError, NAME, words, "the server is unwell")


def test_errors_of_other_transports_are_retried_and_then_raised(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise RuntimeError("Data processing error: CAS service error")  # as hf_xet says it

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    refusal(BundleError, "assay.json could not be downloaded", "CAS service error")
    assert server.pauses == [0, 1, 2, 3]


def test_a_model_without_a_manifest_points_to_export(server: Hub, tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "config.json").write_text("{}")
    server.add("acme/checkpoint", tmp_path / "checkpoint")
    words = ("has no assay.json", "assay export acme/checkpoint --out DIR")
    refusal(BundleError, *words, name="acme/checkpoint")


def test_a_file_that_was_not_uploaded_is_an_error(commit: str, server: Hub) -> None:
    del server.models[NAME].commits[commit]["tokenizer.json"]
    refusal(BundleError, NAME, "tokenizer.json", "is not on the Hub", "upload the whole bundle")


def test_a_missing_variant_is_an_error_that_does_not_suggest_writing_into_the_cache() -> None:
    message = refusal(BundleError, "has no variant fp16", "it has fp32", "or for a revision with fp16", variant="fp16")
    assert "--out" not in message


@pytest.mark.parametrize("name", ["a--b/c", "a..b/c", "a/b.", "a/" + "b" * 97])
def test_a_name_that_is_invalid_on_the_hub_is_refused_without_a_request(server: Hub, name: str) -> None:
    refusal(InputError, "not a valid name on the Hub", name=name)
    assert server.requests == []


def test_a_server_that_is_not_the_hub_is_an_error(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.page = b"<html>Welcome to our hotel</html>"
    refusal(BundleError, f"{server.url} is not the Hub", "HF_ENDPOINT", "the proxy")
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "nonsense")
    refusal(BundleError, "HF_ENDPOINT")
