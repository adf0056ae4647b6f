"""Which names mean the Hub and which mean a folder, and options for one of the two."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import assay
from assay import BundleError, InputError, InstallationError
from assay.bundle import hub
from tests.hub_server import Hub
from tests.runtime.bundle.hub.uploads import NAME, load, refusal


def test_a_local_folder_comes_before_the_hub(server: Hub, folder: Path) -> None:
    shutil.copytree(folder, NAME)
    assert load().info["path"] == NAME
    assert server.requests == []


@pytest.mark.parametrize(
    "options", [{"revision": "main"}, {"local_files_only": True}, {"revision": "v1", "local_files_only": True}]
)
def test_options_for_the_hub_are_refused_for_a_folder(pair_bundle: Path, options: dict[str, Any]) -> None:
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
    "name", [Path(NAME), f"./{NAME}", f"{NAME}/", "a/b/c", "/a/b", "judge", "a b/c", "a/b\n", "../b"]
)
def test_a_path_is_never_looked_up_on_the_hub(server: Hub, name: Any) -> None:
    with pytest.raises(BundleError) as caught:
        assay.load(name)
    assert "Hub" not in str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize("name", ["osmosis", "maxwell"])
def test_the_name_of_a_checkpoint_points_to_export(server: Hub, name: str) -> None:
    refusal(BundleError, "no such folder", f"assay export {name} --out {name}", name=name)
    refusal(BundleError, "no such folder", f"assay export {name} --out {name}", name=name, revision="v1")
    assert server.requests == []


def test_the_checkpoints_known_by_name_are_those_of_the_export() -> None:
    from assay_export.checkpoint.presets import PRESETS

    assert set(hub._CHECKPOINTS) == set(PRESETS)


def test_without_huggingface_hub_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.setitem(sys.modules, "huggingface_hub.constants", None)
    words = (NAME, "is not a folder here", "needs huggingface_hub, which is not installed", "pip install 'assay[hub]'")
    refusal(InstallationError, *words)


def test_an_empty_path_is_refused_with_the_name_of_the_current_folder(server: Hub) -> None:
    refusal(InputError, "path is ''", "'.' is the current folder", name="")
    assert server.requests == []
