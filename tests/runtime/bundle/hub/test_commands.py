"""The commands with a name of the Hub: assay fetch, and those that take a bundle."""

import json
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest

from assay.bundle import manifest
from assay.cli.main import main
from tests.hub_server import Hub
from tests.runtime import tiny
from tests.runtime.bundle.hub.uploads import COMMON, FP32, INT8, NAME, ROW, load, newer


def assay_command(server: Hub, home: Path, *words: str, **more: str) -> "subprocess.Popen[str]":
    """Run the command in a process, with HF_ENDPOINT and HF_HOME as users set them."""
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


def test_two_processes_can_fetch_at_once_and_the_bundle_answers_offline(
    commit: str, server: Hub, folder: Path, tmp_path: Path
) -> None:
    both = [assay_command(server, tmp_path, "fetch", NAME) for _ in range(2)]
    for process in both:
        code, out, err = finished(process)
        assert code == 0, err
        assert Path(out.strip()).name == commit
        assert "6 files" in err  # of int8 and what all variants need, assay.json not counted
        assert "%" not in err  # no progress bar without a terminal
    server.stop()
    code, out, err = finished(assay_command(server, tmp_path, "predict", NAME, *ROW, "--json", HF_HUB_OFFLINE="1"))
    assert (code, err) == (0, "")
    assert json.loads(out)["label"] == load(folder).predict(*ROW).label


def test_fetch_without_kernels_downloads_what_this_machine_would_load(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    variants = tiny.document()["variants"] | {
        "int8": {"kernels": tiny.entry("onnx/model_int8.onnx", ["input_ids", "row_starts"], "model_int8.onnx_data")}
    }
    server.add("acme/kernels", tiny.write(tmp_path / "kernels", variants=variants))
    monkeypatch.setitem(sys.modules, "assay_kernels", None)  # its import fails
    assert main(["fetch", "acme/kernels"]) == 0
    assert "fp32 (auto: on cpu int8 is not used: the CPU kernels are not installed" in capsys.readouterr().err
    assert main(["fetch", "acme/kernels", "--variant", "int8"]) == 0  # for another machine
    assert INT8[0] in server.files()


def test_every_command_accepts_a_name_on_the_hub(commit: str, server: Hub, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_a_command_loads_the_commit_whose_manifest_it_read(
    server: Hub, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = newer(tmp_path)
    server.moves["tokenizer.json"] = lambda: server.add(NAME, moved)
    assert main(["predict", NAME, *ROW, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == pytest.approx(load(folder).predict(*ROW).scores)


def test_fetch_downloads_one_variant_and_prints_the_folder(
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


def test_fetch_without_a_network_is_an_error_unless_the_commit_is_cached(
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


def test_fetch_for_a_gpu_downloads_the_graph_for_a_gpu(server: Hub) -> None:
    assert main(["fetch", NAME, "--device", "cuda"]) == 0
    assert sorted(server.files()) == sorted(COMMON + FP32)


@pytest.mark.parametrize("name", ["here", "./acme/judge", "a/b/c", ""])
def test_fetch_refuses_names_that_are_not_on_the_hub(
    server: Hub, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("here").mkdir()
    assert main(["fetch", name]) == 1
    assert "(organisation/name)" in capsys.readouterr().err
    assert server.requests == []
