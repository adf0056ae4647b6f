"""Bundles from the Hub, over HTTP from tests/hub_server.py: what is asked for, what is kept, and every refusal."""

import logging
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.constants
import pytest

import assay
from assay import BundleError, InputError, InstallationError
from assay.bundle import hub
from tests.hub_server import Hub
from tests.runtime.bundle.hub.uploads import COMMON, FP32, INT8, NAME, ROW, load, newer, refusal

# What is downloaded


def test_a_bundle_of_the_hub_answers_as_its_folder_does(commit: str, folder: Path, cache: Path) -> None:
    model = load()
    assert model.predict(*ROW) == load(folder).predict(*ROW)
    assert model.info["revision"] == commit
    assert Path(model.info["path"]).name == commit
    assert cache in Path(model.info["path"]).parents
    assert "revision" not in load(folder).info


@pytest.mark.parametrize(("variant", "files"), [("auto", INT8), ("int8", INT8), ("fp32", FP32)])
def test_only_the_files_of_the_chosen_variant_are_asked_for(server: Hub, variant: str, files: list[str]) -> None:
    load(variant=variant)
    assert sorted(server.files()) == sorted(COMMON + files)
    assert set(server.files("HEAD")) == set(COMMON + files)


def test_the_second_load_asks_only_which_commit_it_is(server: Hub) -> None:
    load()
    server.forget()
    load()
    assert [(request.method, request.path) for request in server.requests] == [
        ("GET", f"/api/models/{NAME}/revision/main")
    ]


def test_a_commit_that_is_in_the_cache_is_loaded_without_a_request(commit: str, server: Hub) -> None:
    load(revision=commit)
    server.forget()
    assert load(revision=commit).info["revision"] == commit
    assert server.requests == []


def test_a_pickled_model_is_the_same_commit_again_also_where_the_cache_is_empty(
    commit: str, server: Hub, cache: Path, tmp_path: Path
) -> None:
    model = load()
    carried = pickle.dumps(model)
    server.add(NAME, newer(tmp_path))
    server.forget()
    assert pickle.loads(carried).predict(*ROW) == model.predict(*ROW)
    assert server.requests == []
    shutil.rmtree(cache)  # as on another machine
    again = pickle.loads(carried)
    assert again.predict(*ROW) == model.predict(*ROW)
    assert again.info["revision"] == commit


def test_a_branch_and_a_tag_are_revisions(commit: str, server: Hub, tmp_path: Path) -> None:
    other = server.add(NAME, newer(tmp_path))
    server.models[NAME].refs |= {"v1": commit, "refs/pr/1": commit}
    assert load(revision="v1").info["revision"] == commit
    assert load(revision="refs/pr/1").info["revision"] == commit
    assert load().info["revision"] == other
    assert load(revision="v1").predict(*ROW) != load().predict(*ROW)


def test_a_branch_that_moves_between_two_files_mixes_no_revisions(
    commit: str, server: Hub, folder: Path, tmp_path: Path
) -> None:
    moved = newer(tmp_path)
    server.moves["assay.json"] = lambda: server.add(NAME, moved)
    first = load()
    assert first.info["revision"] == commit
    assert first.predict(*ROW) == load(folder).predict(*ROW)
    second = load()
    assert second.info["revision"] == server.models[NAME].refs["main"] != commit
    assert second.predict(*ROW) == load(moved).predict(*ROW)


def test_device_auto_downloads_what_the_device_it_takes_needs(server: Hub) -> None:
    assert load(device="auto").info["device"] == "cpu"
    assert sorted(server.files()) == sorted(COMMON + INT8)


# Broken downloads


def test_a_download_that_breaks_off_is_resumed_where_it_stopped(server: Hub, folder: Path) -> None:
    data = "onnx/model_int8.onnx_data"
    server.cuts[data] = [200, 130]
    assert load().predict(*ROW) == load(folder).predict(*ROW)
    first, second, third = server.ranges(data)
    assert first == 0 < second <= 200
    assert second < third <= second + 130


def test_a_download_that_never_comes_to_its_end_is_an_error_and_what_arrived_is_kept(
    server: Hub, folder: Path, cache: Path
) -> None:
    data = "onnx/model_int8.onnx_data"
    server.cuts[data] = [100] + 50 * [0]
    refusal(BundleError, NAME, data, "could not be downloaded", "the files that have arrived are kept")
    part = any(cache.rglob("*.incomplete"))  # recent versions of huggingface_hub keep no part of a file
    server.cuts.clear()
    server.forget()
    assert load().predict(*ROW) == load(folder).predict(*ROW)
    assert (server.ranges(data)[0] > 0) == part
    assert "config.json" not in server.files()  # had arrived before


def test_a_part_in_the_cache_that_is_longer_than_the_file_is_thrown_away(
    server: Hub, folder: Path, cache: Path
) -> None:
    data = "onnx/model_int8.onnx_data"
    server.cuts[data] = [100] + 50 * [0]
    refusal(BundleError, data)
    server.cuts.clear()
    for part in cache.rglob("*.incomplete"):
        part.write_bytes(part.read_bytes() + bytes(10_000))
    assert load().predict(*ROW) == load(folder).predict(*ROW)


# Without a network


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


# What the Hub refuses


def test_a_model_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("no such folder here", "the Hub has no model of this name", "hf auth login")
    refusal(BundleError, *words, name="no/such")
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    refusal(BundleError, *words, name="no/such")


def test_a_revision_that_is_not_there_is_an_error() -> None:
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
def test_a_refusal_that_the_hub_does_not_name_is_an_error_whatever_is_in_the_cache(
    server: Hub, status: int, words: str
) -> None:
    load()
    server.status = status
    refusal(BundleError, NAME, words, "the server is unwell")


def test_what_another_transport_raises_is_tried_again_and_then_an_error(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise RuntimeError("Data processing error: CAS service error")  # as hf_xet says it

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    refusal(BundleError, "assay.json could not be downloaded", "CAS service error")
    assert server.pauses == [0, 1, 2, 3]


def test_a_model_without_a_manifest_is_sent_to_export(server: Hub, tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "config.json").write_text("{}")
    server.add("acme/checkpoint", tmp_path / "checkpoint")
    words = ("has no assay.json", "assay export acme/checkpoint --out DIR")
    refusal(BundleError, *words, name="acme/checkpoint")


def test_a_file_that_was_not_uploaded_is_an_error(commit: str, server: Hub) -> None:
    del server.models[NAME].commits[commit]["tokenizer.json"]
    refusal(BundleError, NAME, "tokenizer.json", "is not on the Hub", "upload the whole bundle")


def test_a_variant_that_is_not_there_is_an_error_that_does_not_send_into_the_cache() -> None:
    message = refusal(BundleError, "has no variant fp16", "it has fp32", "or for a revision with fp16", variant="fp16")
    assert "--out" not in message


@pytest.mark.parametrize("name", ["a--b/c", "a..b/c", "a/b.", "a/" + "b" * 97])
def test_what_the_hub_takes_for_no_name_is_refused_without_asking(server: Hub, name: str) -> None:
    refusal(InputError, "no name for the Hub", name=name)
    assert server.requests == []


def test_a_server_that_is_not_the_hub_is_an_error(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.page = b"<html>Welcome to our hotel</html>"
    refusal(BundleError, f"what {server.url} names is not the Hub", "HF_ENDPOINT", "the proxy")
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "nonsense")
    refusal(BundleError, "HF_ENDPOINT")


# Names


def test_a_local_folder_comes_before_the_hub(server: Hub, folder: Path) -> None:
    shutil.copytree(folder, NAME)
    assert load().info["path"] == NAME
    assert server.requests == []


@pytest.mark.parametrize(
    "options", [{"revision": "main"}, {"local_files_only": True}, {"revision": "v1", "local_files_only": True}]
)
def test_what_is_for_the_hub_is_refused_for_a_folder(pair_bundle: Path, options: dict[str, Any]) -> None:
    refusal(InputError, "is for the Hub", str(pair_bundle), name=pair_bundle, **options)
    refusal(InputError, "is for the Hub", str(pair_bundle), name=str(pair_bundle), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"revision": ""},
        {"revision": " "},
        {"revision": "main\n"},
        {"revision": 3},
        {"revision": b"main"},
        {"local_files_only": None},
    ],
)
def test_options_of_the_wrong_type_are_refused(server: Hub, options: dict[str, Any]) -> None:
    refusal(InputError, next(iter(options)), **options)
    assert server.requests == []


@pytest.mark.parametrize(
    "name", [Path(NAME), f"./{NAME}", f"{NAME}/", "a/b/c", "/a/b", "judge", "", "a b/c", "a/b\n", "../b"]
)
def test_what_is_a_path_is_never_looked_up_on_the_hub(server: Hub, name: Any) -> None:
    with pytest.raises(BundleError) as caught:
        assay.load(name)
    assert "Hub" not in str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize("name", ["osmosis", "maxwell"])
def test_the_name_of_a_checkpoint_is_sent_to_export(server: Hub, name: str) -> None:
    refusal(BundleError, "no such folder", f"assay export {name} --out {name}", name=name)
    refusal(BundleError, "no such folder", f"assay export {name} --out {name}", name=name, revision="v1")
    assert server.requests == []


def test_the_checkpoints_known_by_name_are_those_of_the_export() -> None:
    from assay_export.checkpoint.presets import PRESETS

    assert set(hub._CHECKPOINTS) == set(PRESETS)


def test_without_huggingface_hub_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    refusal(InstallationError, "no such folder here", "pip install huggingface_hub")
