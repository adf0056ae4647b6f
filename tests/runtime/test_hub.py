"""Bundles from the Hub, over HTTP from tests/hub_server.py: what is asked for, what is kept, and every refusal."""

import errno
import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.constants
import pytest

import assay
from assay import BundleError, Classifier, InputError, InstallationError, hub, manifest
from assay.cli import main
from tests import hub_server
from tests.hub_server import Hub
from tests.runtime import tiny

NAME = "acme/judge"
ROW = ("what causes rain", "rain forms when water is a b")
COMMON = ["assay.json", "config.json", "golden.json", "tokenizer.json", "tokenizer_config.json"]
FP32 = ["onnx/model.onnx", "onnx/model_cpu.onnx", "onnx/model.onnx_data"]
INT8 = ["onnx/model_int8.onnx", "onnx/model_int8.onnx_data"]
TWO_VARIANTS = tiny.document()["variants"] | {
    "int8": {"cpu": tiny.entry("onnx/model_int8.onnx", ["input_ids"], "model_int8.onnx_data")}
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is uploaded: a bundle with two variants, beside a file that no bundle needs."""
    made = two_variants(tmp_path_factory.mktemp("upload") / "judge", seed=0)
    (made / "README.md").write_text("a card")
    return made


@pytest.fixture
def server() -> Iterator[Hub]:
    with hub_server.serve() as served:
        yield served


@pytest.fixture
def cache(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of huggingface_hub, which asks the server."""
    cache = hub_server.ask(server, tmp_path, monkeypatch)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return cache


@pytest.fixture(autouse=True)
def commit(server: Hub, cache: Path, folder: Path) -> str:  # noqa: ARG001
    """The bundle as NAME on the Hub; the id of its commit."""
    return server.add(NAME, folder)


def load(name: Any = NAME, **options: Any) -> Classifier:
    model = assay.load(name, threads=1, **options)
    assert isinstance(model, Classifier)
    return model


def refusal(error: type[assay.AssayError], *words: str, name: Any = NAME, **options: Any) -> str:
    """Loading is refused with all of `words`, on one line."""
    with pytest.raises(error) as caught:
        assay.load(name, threads=1, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def two_variants(folder: Path, seed: int) -> Path:
    """A bundle whose answers depend on `seed`. Its two files of weights differ, as the Hub keeps equal ones once."""
    document = tiny.document(variants=TWO_VARIANTS)
    tiny.write(folder, tiny.weights(3, seed), **document)
    with (folder / INT8[1]).open("ab") as file:
        file.write(b"read by nobody")
    tiny.reseal(folder, document)
    return folder


def newer(tmp_path: Path) -> Path:
    """A bundle of other weights, and so of other answers."""
    return two_variants(tmp_path / "newer", seed=1)


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


# Damage


def test_a_file_that_was_tampered_with_on_the_hub_is_refused(
    commit: str, server: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    data = "onnx/model_int8.onnx_data"
    files = server.models[NAME].commits[commit]
    files[data] = files[data][:-1] + bytes([files[data][-1] ^ 1])
    refusal(BundleError, data, "is damaged or changed", f"assay fetch {NAME} --revision {commit}")
    assert main(["fetch", NAME]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"{data} of commit {commit} is not what its assay.json says, on the Hub itself" in error


@pytest.mark.parametrize("file", [INT8[1], FP32[0], "tokenizer.json"])
@pytest.mark.parametrize("as_link", [True, False])
def test_what_is_damaged_in_the_cache_is_refused_and_the_cure_of_the_message_works(
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


def test_what_is_damaged_is_replaced_also_where_its_download_breaks_off(server: Hub) -> None:
    data = "onnx/model_int8.onnx_data"
    path = Path(load().info["path"]) / data
    path.write_bytes(b"x" + path.read_bytes()[1:])
    server.cuts[data] = [100, 0, 300]
    assert main(["fetch", NAME]) == 0
    assert load().predict(*ROW).label in tiny.LABELS


def test_a_manifest_that_is_damaged_in_the_cache_is_replaced_by_what_the_message_says(commit: str) -> None:
    path = Path(load().info["path"]) / "assay.json"
    path.write_bytes(path.read_bytes()[:-3])
    message = refusal(BundleError, str(path), "cut short", f"is replaced by: assay fetch {NAME}")
    assert main(message.partition("is replaced by: assay ")[2].split()) == 0
    assert load().info["revision"] == commit


def test_a_file_that_went_away_from_the_cache_is_downloaded_again(commit: str) -> None:
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
    [{"revision": ""}, {"revision": " "}, {"revision": 3}, {"revision": b"main"}, {"local_files_only": None}],
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
    from assay_export.presets import PRESETS

    assert set(hub._CHECKPOINTS) == set(PRESETS)


def test_without_huggingface_hub_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    refusal(InstallationError, "no such folder here", "pip install huggingface_hub")


# The command line, in processes of their own: HF_ENDPOINT and HF_HOME as users set them


def assay_command(server: Hub, home: Path, *words: str, **more: str) -> "subprocess.Popen[str]":
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_ENDPOINT": server.url, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1,localhost", **more}
    return subprocess.Popen(
        [sys.executable, "-m", "assay", *words],
        env=environment,
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_two_processes_that_fetch_at_once_both_end_right_and_the_bundle_answers_offline(
    commit: str, server: Hub, folder: Path, tmp_path: Path
) -> None:
    both = [assay_command(server, tmp_path, "fetch", NAME) for _ in range(2)]
    for process in both:
        code, out, err = finished(process)
        assert code == 0, err
        assert Path(out.strip()).name == commit
        assert "6 files" in err  # of int8 and what all variants need, assay.json not counted
        assert "%" not in err  # no progress bar where there is no terminal
    server.stop()
    code, out, err = finished(assay_command(server, tmp_path, "predict", NAME, *ROW, "--json", HF_HUB_OFFLINE="1"))
    assert (code, err) == (0, "")
    assert json.loads(out)["label"] == load(folder).predict(*ROW).label


# The commands


def test_every_command_that_takes_a_bundle_takes_a_name_of_the_hub(
    commit: str, server: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", NAME, *ROW]) == 0
    assert main(["info", NAME, "--json"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert json.loads(printed[-1])["labels"] == list(tiny.LABELS)
    server.forget()
    assert main(["predict", NAME, *ROW, "--revision", commit]) == 0
    assert server.requests == []


def test_verify_fetches_and_checks_every_file(server: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", NAME]) == 0
    assert sorted(server.files()) == sorted(COMMON + INT8 + FP32)
    assert "9 files" in capsys.readouterr().out


def test_a_scorer_of_the_hub_scores(server: Hub, score_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.add("acme/scorer", score_bundle)
    assert main(["score", "acme/scorer", "rain", "--evol"]) == 0
    assert 1 <= int(capsys.readouterr().out) <= 6


def test_what_a_command_loads_is_the_commit_whose_manifest_it_read(
    server: Hub, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = newer(tmp_path)
    server.moves["tokenizer.json"] = lambda: server.add(NAME, moved)
    assert main(["predict", NAME, *ROW, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == pytest.approx(load(folder).predict(*ROW).scores)


def test_fetch_gets_one_variant_and_prints_the_folder(
    commit: str, server: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fetch", NAME, "--variant", "fp32", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    snapshot = Path(printed["folder"])
    assert (snapshot / manifest.MANIFEST_NAME).is_file()
    assert printed | {"folder": "", "bytes": 0} == {
        "folder": "",
        "revision": commit,
        "variant": "fp32",
        "files": 7,
        "bytes": 0,
    }
    assert printed["bytes"] == sum(
        path.stat().st_size for path in snapshot.rglob("*") if path.is_file() and path.name != "assay.json"
    )
    assert sorted(server.files()) == sorted(COMMON + FP32)


def test_fetch_is_an_error_where_the_hub_cannot_be_reached_unless_the_commit_is_there(
    commit: str, server: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fetch", NAME]) == 0
    server.stop()
    assert main(["fetch", NAME]) == 1
    assert "the Hub cannot be reached" in capsys.readouterr().err
    assert main(["fetch", NAME, "--revision", commit]) == 0
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert main(["fetch", NAME]) == 1
    assert "HF_HUB_OFFLINE is set" in capsys.readouterr().err


def test_fetch_for_a_gpu_gets_what_a_gpu_takes(server: Hub) -> None:
    assert main(["fetch", NAME, "--device", "cuda"]) == 0
    assert sorted(server.files()) == sorted(COMMON + FP32)


@pytest.mark.parametrize("name", ["here", "./acme/judge", "a/b/c", ""])
def test_fetch_refuses_what_is_no_name_of_the_hub(server: Hub, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("here").mkdir()
    assert main(["fetch", name]) == 1
    assert "(organisation/name)" in capsys.readouterr().err
    assert server.requests == []
