"""Files that are damaged on the Hub or in its cache are refused, and the error says how to repair them."""

import errno
from pathlib import Path

import huggingface_hub
import pytest

from assay import BundleError
from assay.cli.main import main
from tests.hub_server import Hub
from tests.runtime import tiny
from tests.runtime.bundle.hub.uploads import FP32, INT8, NAME, ROW, load, refusal


def test_a_file_that_was_tampered_with_on_the_hub_is_refused(
    commit: str, server: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    data = "onnx/model_int8.onnx_data"
    files = server.models[NAME].commits[commit]
    files[data] = files[data][:-1] + bytes([files[data][-1] ^ 1])
    refusal(BundleError, data, "is damaged or changed", f"assay fetch {NAME} --revision {commit}")
    assert main(["fetch", NAME]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"{data} of commit {commit} does not match its assay.json on the Hub itself" in error


@pytest.mark.parametrize("file", [INT8[1], FP32[0], "tokenizer.json"])
@pytest.mark.parametrize("as_link", [True, False])
def test_a_damaged_file_in_the_cache_is_refused_and_the_command_in_the_message_repairs_it(
    folder: Path, file: str, as_link: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    variant = "fp32" if file in FP32 else "auto"
    path = Path(load(variant=variant).info["path"]) / file
    damaged = b"x" + path.read_bytes()[1:]
    if not as_link:
        path.unlink()
    path.write_bytes(damaged)  # through the link: into the cache's blob
    message = refusal(BundleError, str(path), "is damaged or changed", variant=variant)
    command = message.partition("replace it with: assay ")[2].split()
    assert main(command) == 0
    assert file in capsys.readouterr().err
    assert load(variant=variant).predict(*ROW) == load(folder).predict(*ROW)


def test_a_damaged_file_is_replaced_even_if_its_download_breaks_off(server: Hub) -> None:
    data = "onnx/model_int8.onnx_data"
    path = Path(load().info["path"]) / data
    path.write_bytes(b"x" + path.read_bytes()[1:])
    server.cuts[data] = [100, 0, 300]
    assert main(["fetch", NAME]) == 0
    assert load().predict(*ROW).label in tiny.LABELS


def test_a_damaged_manifest_in_the_cache_is_replaced_by_the_command_in_the_message(commit: str) -> None:
    path = Path(load().info["path"]) / "assay.json"
    path.write_bytes(path.read_bytes()[:-3])
    message = refusal(BundleError, str(path), "cut short", "in the cache with: assay fetch")
    assert main(message.partition("in the cache with: assay ")[2].split()) == 0
    assert load().info["revision"] == commit


def test_a_file_that_disappeared_from_the_cache_is_downloaded_again(commit: str) -> None:
    path = Path(load().info["path"]) / "tokenizer.json"
    path.resolve().unlink()  # the link stays
    assert load().info["revision"] == commit


def test_a_cache_that_cannot_be_written_is_an_error(cache: Path) -> None:
    cache.write_text("a file where a folder is meant")
    refusal(BundleError, str(cache), "cannot be written", "HF_HOME")


def test_a_full_disk_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    refusal(BundleError, "no space left for assay.json", "free some", "HF_HOME")
