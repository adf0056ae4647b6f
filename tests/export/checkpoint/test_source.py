"""A name becomes a local folder, or an error that says what to do."""

from pathlib import Path

import huggingface_hub
import huggingface_hub.constants
import pytest
from huggingface_hub.utils._paths import filter_repo_objects

from assay_export.checkpoint import source
from assay_export.checkpoint.presets import PRESETS
from assay_export.checkpoint.source import resolve
from assay_export.errors import CheckpointError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hub cache without a network."""
    cache = tmp_path / "hub cache"
    cache.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    return cache


def cached(hub: Path, hub_id: str, revision: str = "main", commit: str = COMMIT) -> Path:
    """Put a repository into the Hub's cache, with the layout of huggingface_hub, and return its snapshot."""
    repository = hub / f"models--{hub_id.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True, exist_ok=True)
    (repository / "refs" / revision).write_text(commit)
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors").write_bytes(b"")
    return snapshot


@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_name_is_its_repository_on_the_hub(hub: Path, name: str) -> None:
    snapshot = cached(hub, PRESETS[name].hub_id)
    found = resolve(name)
    assert (found.folder, found.id, found.name, found.revision) == (snapshot, PRESETS[name].hub_id, name, COMMIT)
    assert found.preset is PRESETS[name]


def test_the_presets_are_the_two_published_models() -> None:
    assert {name: preset.hub_id for name, preset in PRESETS.items()} == {
        "osmosis": "KingTechnician/osmosis-crossencoder-joint",
        "maxwell": "thethinkmachine/Maxwell-Task-Complexity-Scorer-v0.2",
    }
    assert PRESETS["osmosis"].labels == (
        "ADDR_DIRECT",
        "ADDR_PARTIAL",
        "NOADDR_ON",
        "NOADDR_TANGENTIAL",
        "NOADDR_OFF",
    )


def test_a_presets_repository_is_known_by_its_hub_id_too(hub: Path) -> None:
    cached(hub, PRESETS["osmosis"].hub_id)
    found = resolve(PRESETS["osmosis"].hub_id)
    assert found.name == "osmosis"
    assert found.preset is PRESETS["osmosis"]


def test_another_repository_is_named_by_its_last_part(hub: Path) -> None:
    snapshot = cached(hub, "some-one/a_Model.v2")
    found = resolve("some-one/a_Model.v2")
    assert (found.folder, found.id, found.name, found.revision, found.preset) == (
        snapshot,
        "some-one/a_Model.v2",
        "a_Model.v2",
        COMMIT,
        None,
    )


@pytest.mark.parametrize("revision", ["v1", COMMIT[::-1]])
def test_a_revision_is_a_branch_a_tag_or_a_commit(hub: Path, revision: str) -> None:
    cached(hub, "some/model")
    snapshot = cached(hub, "some/model", "v1", COMMIT[::-1])
    found = resolve("some/model", revision)
    assert (found.folder, found.revision) == (snapshot, COMMIT[::-1])


@pytest.mark.parametrize("revision", [None, "v9"])
def test_a_checkpoint_that_is_neither_on_the_hub_nor_in_its_cache_is_an_error_that_names_it(
    revision: str | None,
) -> None:
    with pytest.raises(CheckpointError, match=f"no/such-model at revision {revision or 'main'}") as caught:
        resolve("no/such-model", revision)
    message = str(caught.value)
    assert "\n" not in message
    assert "HF_HUB_OFFLINE is set" in message
    assert "pass the folder of a downloaded checkpoint" in message


def test_a_local_folder_is_used_in_place(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name in ("mine", "./mine", str(tmp_path / "mine"), "mine/", "../" + tmp_path.name + "/mine"):
        found = resolve(name)
        assert (found.folder, found.name, found.revision, found.preset) == (tmp_path / "mine", "mine", None, None)
        assert found.id == name


def test_the_home_folder_can_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    assert resolve("~/mine").folder == tmp_path / "mine"


def test_a_relative_name_may_be_relative_to_another_folder(tmp_path: Path) -> None:
    (tmp_path / "deep" / "base").mkdir(parents=True)
    (tmp_path / "deep" / "adapter").mkdir()
    assert resolve("../base", relative_to=tmp_path / "deep" / "adapter").folder == tmp_path / "deep" / "base"


def test_a_folder_next_to_the_adapter_comes_after_one_in_the_working_directory(tmp_path: Path) -> None:
    for folder in ("base", "adapter/base"):
        (tmp_path / folder).mkdir(parents=True)
    assert resolve("base", relative_to=tmp_path / "adapter").folder == tmp_path / "base"


def test_a_local_folder_comes_before_the_hub(hub: Path, tmp_path: Path) -> None:
    cached(hub, "some/model")
    (tmp_path / "some" / "model").mkdir(parents=True)
    assert resolve("some/model").folder == tmp_path / "some" / "model"


def test_a_revision_of_a_local_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(CheckpointError, match=r"'v1' was given for the local folder .*drop --revision"):
        resolve("mine", "v1")


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a/b/c",
        "../x",
        "/no/such/folder",
        "a//b",
        "a/../b",
        "https://huggingface.co/a/b",
        "a b",
        "-x",
        "a/b\n",
        "~no-such-user/x",
        "x\0y",
        "x" * 97,
        "x" * 5000,  # longer than the name of a file can be
        "x/" * 5000,
    ],
)
def test_a_name_that_is_neither_a_folder_nor_a_hub_id_is_refused_without_asking_the_hub(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: object) -> Path:
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr(source, "_download", ask)
    with pytest.raises(
        CheckpointError, match="is not a folder here, nor one of osmosis, maxwell, nor a Hub id"
    ) as caught:
        resolve(name)
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_never_downloaded() -> None:
    patterns = set(source.CHECKPOINT_FILES) - {"model_head.pkl"}  # it is read without running what it names
    assert not any(pattern.endswith((".bin", ".pt", ".pkl", ".ckpt", "*")) for pattern in patterns)


def test_the_files_of_a_setfit_model_are_downloaded_from_the_folders_of_its_modules_too() -> None:
    folders = ["1_Pooling/config.json", "0_Transformer/model.safetensors", "0_Transformer/vocab.txt"]
    wanted = ["modules.json", "config_setfit.json", "model_head.pkl", *folders]
    others = ["2_Dense/pytorch_model.bin", "1_Pooling/code.py", "README.md", "0_Transformer/model_head.pkl"]
    found = filter_repo_objects([*wanted, *others], allow_patterns=source.CHECKPOINT_FILES)
    assert list(found) == wanted


@pytest.mark.parametrize("error", [ConnectionError, TimeoutError])
def test_a_network_failure_is_an_error_of_one_line(error: type[OSError], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error("no\nroute")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail)
    with pytest.raises(CheckpointError, match=r"some/model at revision main: .* \(no route\); check the network"):
        resolve("some/model")


def test_a_snapshot_without_weights_counts_as_an_incomplete_download(hub: Path) -> None:
    (cached(hub, "some/model") / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="the cache does not have it"):
        resolve("some/model")
