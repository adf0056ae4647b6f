"""Checkpoints from the Hub over HTTP (tests/hub_server.py): full weights, adapters, and everything that goes wrong."""

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants
import pytest

from assay.cli.main import main
from assay_export import export
from assay_export.checkpoint.files import open_files
from assay_export.checkpoint.source import resolve
from assay_export.errors import CheckpointError
from tests import hub_server
from tests.conftest import CHECKPOINTS
from tests.hub_server import Hub

BASE, ADAPTER, FULL = "acme/complexity-base", "acme/complexity-adapter", "acme/pair-classifier"


@pytest.fixture
def server() -> Iterator[Hub]:
    with hub_server.serve() as served:
        yield served


@pytest.fixture(autouse=True)
def cache(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of huggingface_hub, which asks the server."""
    cache = hub_server.ask(server, tmp_path, monkeypatch)
    # The checkpoints have some 300 kB.
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 16_384)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return cache


@pytest.fixture
def full(server: Hub, tmp_path: Path) -> str:
    """The demo pair classifier as FULL on the Hub, with pickled weights added; returns the id of its commit."""
    folder = Path(shutil.copytree(CHECKPOINTS / "pair-classifier", tmp_path / "upload"))
    (folder / "pytorch_model.bin").write_bytes(b"pickled")
    (folder / "README.md").write_text("a card")
    return server.add(FULL, folder)


@pytest.fixture
def base(server: Hub) -> str:
    """The base of the demo adapter as BASE on the Hub; returns the id of its commit."""
    return server.add(BASE, CHECKPOINTS / "complexity-base")


def upload_adapter(server: Hub, folder: Path, **config: object) -> str:
    """Upload the demo adapter as ADAPTER, with a base that is on the Hub too."""
    shutil.copytree(CHECKPOINTS / "complexity-adapter", folder)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": BASE} | config))
    return server.add(ADAPTER, folder)


def refusal(hub_id: str, revision: str | None = None) -> str:
    with pytest.raises(CheckpointError) as caught:
        resolve(hub_id, revision)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(hub_id)
    assert message.endswith("or pass the folder of a downloaded checkpoint")
    return message


def test_a_checkpoint_of_the_hub_is_exported_and_the_bundle_says_which_commit(full: str, tmp_path: Path) -> None:
    manifest = export(FULL, tmp_path / "bundle")
    assert manifest.source["id"] == FULL
    assert manifest.source["revision"] == full
    assert manifest.name == "pair-classifier"


def test_an_adapter_of_the_hub_is_merged_into_its_base_of_the_hub(server: Hub, base: str, tmp_path: Path) -> None:
    commit = upload_adapter(server, tmp_path / "adapter")
    source = export(ADAPTER, tmp_path / "bundle").source
    assert (source["id"], source["revision"]) == (ADAPTER, commit)
    assert (source["base"], source["base_revision"]) == (BASE, base)


def test_an_adapter_can_pin_the_revision_of_its_base(server: Hub, base: str, tmp_path: Path) -> None:
    newer = Path(shutil.copytree(CHECKPOINTS / "complexity-base", tmp_path / "newer"))
    (newer / "config.json").write_text("{}")
    assert server.add(BASE, newer) != base
    upload_adapter(server, tmp_path / "adapter", revision=base)
    found = open_files(ADAPTER).base
    assert found is not None
    assert found.revision == base


def test_a_pinned_revision_is_ignored_for_a_base_on_disk(server: Hub, tmp_path: Path) -> None:
    upload_adapter(
        server, tmp_path / "adapter", revision="main", base_model_name_or_path=str(CHECKPOINTS / "complexity-base")
    )
    found = open_files(ADAPTER).base
    assert found is not None
    assert found.revision is None


def test_a_pinned_revision_that_is_not_a_string_is_refused(server: Hub, base: str, tmp_path: Path) -> None:
    upload_adapter(server, tmp_path / "adapter", revision=3)
    with pytest.raises(CheckpointError, match="revision = 3 is not a string"):
        open_files(ADAPTER)
    assert base


def test_only_the_files_of_a_checkpoint_are_downloaded_and_nothing_pickled(full: str, server: Hub) -> None:
    assert resolve(FULL).revision == full
    assert sorted(server.files()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_a_missing_revision_is_an_error_even_if_another_is_in_the_cache(full: str) -> None:
    assert resolve(FULL).revision == full
    assert "has no revision v9 on the Hub" in refusal(FULL, "v9")


def test_a_missing_model_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "the Hub has no model of this name" in refusal("no/such")
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    assert "the Hub has no model of this name" in refusal("no/such")


def test_a_restricted_model_is_an_error_even_if_it_is_in_the_cache(
    full: str, server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve(FULL).revision == full
    server.models[FULL].gated = True
    assert "access on the Hub is restricted" in refusal(FULL)
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    assert "access on the Hub is restricted" in refusal(FULL)


def test_a_download_that_breaks_off_is_resumed_where_it_stopped(full: str, server: Hub) -> None:
    server.cuts["model.safetensors"] = [100_000]
    found = resolve(FULL)
    assert (found.folder / "model.safetensors").read_bytes() == server.models[FULL].commits[full]["model.safetensors"]
    first, second = server.ranges("model.safetensors")
    assert first == 0 < second <= 100_000


def test_a_download_that_never_completes_is_an_error_with_and_without_a_network(full: str, server: Hub) -> None:
    server.cuts["model.safetensors"] = [0] * 100
    assert "the checkpoint could not be downloaded" in refusal(FULL)
    server.stop()
    assert "could not be downloaded" in refusal(FULL, full)


def test_a_downloaded_checkpoint_is_used_without_a_network_with_a_warning(
    full: str, server: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    first = resolve(FULL)
    server.stop()
    with caplog.at_level(logging.WARNING, "assay"):
        assert resolve(FULL) == first
    (record,) = (record for record in caplog.records if record.name == "assay")
    assert f"using commit {full} from the cache" in record.getMessage()
    assert server.pauses == []
    assert "could not be downloaded" in refusal("other/model")


def test_a_branch_that_moves_between_two_files_mixes_no_revisions(full: str, server: Hub, tmp_path: Path) -> None:
    newer = Path(shutil.copytree(CHECKPOINTS / "pair-classifier", tmp_path / "newer"))
    (newer / "config.json").write_text("{}")
    server.moves["model.safetensors"] = lambda: server.add(FULL, newer)
    found = resolve(FULL)
    assert server.models[FULL].refs["main"] != full == found.revision
    for file in ("config.json", "model.safetensors"):
        assert (found.folder / file).read_bytes() == server.models[FULL].commits[full][file]


def test_the_command_reports_a_refusal_of_the_hub_on_one_line(full: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", FULL, "--out", "bundle", "--revision", "v9"]) == 1
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("assay: error:"))
    assert f"{FULL}: has no revision v9 on the Hub" in line
    assert not Path("bundle").exists()
    assert full
