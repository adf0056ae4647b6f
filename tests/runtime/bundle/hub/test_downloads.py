"""What is downloaded from the Hub, over HTTP from tests/hub_server.py, and downloads that break off."""

import pickle
import shutil
from pathlib import Path

import pytest

from assay import BundleError
from assay.gpu import driver
from assay.ort import installation
from tests.hub_server import Hub
from tests.runtime.bundle.hub.uploads import COMMON, FP32, INT8, NAME, ROW, load, newer, refusal


def test_a_bundle_from_the_hub_answers_like_its_folder(commit: str, folder: Path, cache: Path) -> None:
    model = load()
    assert model.predict(*ROW) == load(folder).predict(*ROW)
    assert model.info["revision"] == commit
    assert Path(model.info["path"]).name == commit
    assert cache in Path(model.info["path"]).parents
    assert "revision" not in load(folder).info


@pytest.mark.parametrize(("variant", "files"), [("auto", INT8), ("int8", INT8), ("fp32", FP32)])
def test_only_the_files_of_the_chosen_variant_are_requested(server: Hub, variant: str, files: list[str]) -> None:
    load(variant=variant)
    assert sorted(server.files()) == sorted(COMMON + files)
    assert set(server.files("HEAD")) == set(COMMON + files)


def test_the_second_load_requests_only_the_commit(server: Hub) -> None:
    load()
    server.forget()
    load()
    assert [(request.method, request.path) for request in server.requests] == [
        ("GET", f"/api/models/{NAME}/revision/main")
    ]


def test_a_cached_commit_is_loaded_without_a_request(commit: str, server: Hub) -> None:
    load(revision=commit)
    server.forget()
    assert load(revision=commit).info["revision"] == commit
    assert server.requests == []


def test_a_pickled_model_loads_the_same_commit_even_with_an_empty_cache(
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


def test_a_branch_that_moves_between_two_files_does_not_mix_commits(
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


def test_device_auto_downloads_only_the_files_for_the_selected_device(server: Hub) -> None:
    assert load(device="auto").info["device"] == "cpu"
    assert sorted(server.files()) == sorted(COMMON + INT8)


def test_device_auto_downloads_nothing_for_a_gpu_on_which_cuda_does_not_load(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "find", lambda: driver.Driver((driver.Gpu("Pretend", "9.0", 1 << 30),), "13.1", ""))
    monkeypatch.setattr(installation.onnxruntime(), "get_available_providers", lambda: ["CPUExecutionProvider"])
    model = load(device="auto")
    assert "Pretend is not used: device 'cuda:0' needs CUDAExecutionProvider" in model.info["why"]["device"]
    assert sorted(server.files()) == sorted(COMMON + INT8)


def test_a_download_that_breaks_off_is_resumed_where_it_stopped(server: Hub, folder: Path) -> None:
    data = "onnx/model_int8.onnx_data"
    server.cuts[data] = [200, 130]
    assert load().predict(*ROW) == load(folder).predict(*ROW)
    first, second, third = server.ranges(data)
    assert first == 0 < second <= 200
    assert second < third <= second + 130


def test_a_download_that_never_finishes_is_an_error_and_keeps_what_arrived(
    server: Hub, folder: Path, cache: Path
) -> None:
    data = "onnx/model_int8.onnx_data"
    server.cuts[data] = [100] + 50 * [0]
    refusal(BundleError, NAME, data, "could not be downloaded", "files that have arrived are kept")
    part = any(cache.rglob("*.incomplete"))  # recent versions of huggingface_hub keep no part of a file
    server.cuts.clear()
    server.forget()
    assert load().predict(*ROW) == load(folder).predict(*ROW)
    assert (server.ranges(data)[0] > 0) == part
    assert "config.json" not in server.files()  # had arrived before


def test_a_cached_part_that_is_longer_than_the_file_is_discarded(server: Hub, folder: Path, cache: Path) -> None:
    data = "onnx/model_int8.onnx_data"
    server.cuts[data] = [100] + 50 * [0]
    refusal(BundleError, data)
    server.cuts.clear()
    for part in cache.rglob("*.incomplete"):
        part.write_bytes(part.read_bytes() + bytes(10_000))
    assert load().predict(*ROW) == load(folder).predict(*ROW)


def test_a_copy_has_all_variants_and_needs_no_hub(server: Hub, folder: Path, tmp_path: Path) -> None:
    model = load(variant="fp32")
    copy = model.save_pretrained(tmp_path / "copy")
    assert sorted(server.files()) == sorted(set(COMMON + FP32 + INT8))
    names = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file() and not path.is_symlink()}
    assert names == set(COMMON + FP32 + INT8)
    assert all((copy / name).read_bytes() == (folder / name).read_bytes() for name in names)
    server.forget()
    assert load(copy).predict(*ROW) == model.predict(*ROW)
    assert server.requests == []
