"""assay push, against a server that answers as the Hub does, and back through assay.load."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import assay
from assay.publish.card import MARK
from tests import hub_server
from tests.hub_server import Hub
from tests.runtime.cli.running import run

SECRET = "hf_0123456789secret"
NAME = "acme/judge"


@pytest.fixture
def server() -> Iterator[Hub]:
    with hub_server.serve() as served:
        yield served


@pytest.fixture(autouse=True)
def ask(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_server.ask(server, tmp_path, monkeypatch)
    monkeypatch.setenv("HF_TOKEN", SECRET)


def push(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code, out, err = run("push", *words, capsys=capsys)
    assert SECRET not in out + err
    return code, out, err


def test_a_pushed_bundle_loads_from_the_hub(server: Hub, own_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own_bundle / "notes.txt").write_text("mine alone")
    code, out, err = push(capsys, own_bundle, NAME, "--private")
    assert code == 0, err
    assert server.models[NAME].private
    assert out.strip().startswith(f"{server.url}/{NAME}/commit/")
    model = server.models[NAME]
    files = model.commits[model.refs["main"]]
    listed = json.loads((own_bundle / "assay.json").read_text())["files"]
    assert sorted(files) == sorted([*listed, "assay.json", "README.md"])
    assert all(files[name] == (own_bundle / name).read_bytes() for name in files if name != "README.md")
    assert MARK in files["README.md"].decode()
    assert server.commits == [{"summary": "Upload the Assay bundle tiny", "description": "", "branch": "main"}]
    loaded, local = assay.load_classifier(NAME, threads=1), assay.load_classifier(own_bundle, threads=1)
    assert loaded.predict("a", "b") == local.predict("a", "b")


def test_a_pull_request_leaves_the_branch_main(
    server: Hub, own_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = push(capsys, own_bundle, NAME, "--create-pr")
    assert (code, out) == (1, "")
    assert "or make it first by pushing without --create-pr" in err
    (tmp_path / "old").mkdir()
    before = server.add(NAME, tmp_path / "old")
    code, out, err = push(capsys, own_bundle, NAME, "--create-pr", "--json")
    assert code == 0, err
    assert json.loads(out)["url"] == f"{server.url}/{NAME}/discussions/1"
    assert server.models[NAME].refs["main"] == before
    assert "assay.json" in server.models[NAME].commits[server.models[NAME].refs["refs/pr/1"]]


def test_a_card_that_somebody_wrote_is_kept_unless_asked(
    server: Hub, own_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/README.md").write_text("my words")
    server.add(NAME, tmp_path / "old")

    def card() -> str:
        model = server.models[NAME]
        return model.commits[model.refs["main"]]["README.md"].decode()

    code, _, err = push(capsys, own_bundle, NAME)
    assert code == 0, err
    assert card() == "my words"
    assert "the README.md on the Hub stays as it is (--replace-card)" in err
    push(capsys, own_bundle, NAME, "--replace-card")
    assert MARK in card()


def test_a_damaged_bundle_is_not_uploaded(server: Hub, own_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray((own_bundle / "onnx/model.onnx_data").read_bytes())
    data[0] ^= 1
    (own_bundle / "onnx/model.onnx_data").write_bytes(data)
    code, _, err = push(capsys, own_bundle, NAME)
    assert code == 1
    assert "is damaged or changed" in err
    assert not server.models


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"read_only": True}, "acme/judge: these credentials may not write it on the Hub"),
        ({"status": 400}, "acme/judge: could not be uploaded"),
    ],
)
def test_what_the_hub_refuses_is_told_on_one_line(
    server: Hub, own_bundle: Path, capsys: pytest.CaptureFixture[str], attributes: dict[str, Any], message: str
) -> None:
    for name, value in attributes.items():
        setattr(server, name, value)
    code, out, err = push(capsys, own_bundle, NAME)
    assert (code, out) == (1, "")
    assert message in err
    assert err.splitlines()[-1].startswith("assay: error: ")


def test_without_a_login_the_error_says_how_to_log_in(
    own_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    code, _, err = push(capsys, own_bundle, NAME)
    assert code == 1
    assert "log in with a token that may write (hf auth login, or the variable HF_TOKEN)" in err


def test_a_dry_run_prints_the_card_and_asks_nobody(
    server: Hub, own_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = push(capsys, own_bundle, NAME, "--dry-run", "--measure", "--threads", "1")
    assert code == 0, err
    assert MARK in out
    assert " ms for one row: the median of 50 runs" in out
    assert not server.requests
    assert not server.models


def test_a_wrong_name_is_refused_before_anything_is_verified(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = push(capsys, "nowhere", "judge")
    assert code == 1
    assert "'judge': is not a name on the Hub, expected organisation/name" in err
