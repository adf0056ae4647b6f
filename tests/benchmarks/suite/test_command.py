"""`python -m benchmarks run`: a whole run on the demo checkpoint, and everything that is refused before one begins."""

import argparse
import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.suite import command, peers
from benchmarks.suite.setup import Setup
from tests.conftest import CHECKPOINTS

DEMO = str(CHECKPOINTS / "pair-classifier")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two peers, as short as a run can be."""
    folder = tmp_path_factory.mktemp("suite")
    words = ["--peers", "torch-fp32,assay-fp32", "--lengths", "16", "--minutes", "0.001"]
    assert main(["run", DEMO, *words, "--out", str(folder / "out"), "--work", str(folder / "work")]) == 0
    return folder


def test_a_run_leaves_every_sample_a_report_and_a_page(finished: Path) -> None:
    results = json.loads((finished / "out" / "results.json").read_text(encoding="utf-8"))
    turns = [record for record in results["samples"] if record["kind"] == "turn"]
    assert {(turn["mode"], turn["peer"]) for turn in turns} == {
        (mode, peer) for mode in ("latency", "throughput") for peer in ("torch-fp32", "assay-fp32")
    }
    assert all(second > 0 for turn in turns for second in turn["seconds"])
    report = (finished / "out" / "report.md").read_text(encoding="utf-8")
    assert "| assay-fp32 | passed |" in report
    assert (finished / "out" / "report.html").stat().st_size > 10_000


def test_results_name_neither_the_machine_nor_a_folder_of_it(finished: Path) -> None:
    import getpass
    import platform

    text = (finished / "out" / "results.json").read_text(encoding="utf-8")
    assert platform.node() not in text.replace(DEMO, "")
    assert str(Path.home()) + "/" not in text.replace(DEMO, "")
    assert f'"{getpass.getuser()}"' not in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--peers", "tensorflow"], "no peer is called 'tensorflow'"),
        (["--peers", "llama.cpp"], "llama.cpp is no peer of the suite: has no DeBERTa"),
        (["--baseline", "none"], "no peer is called 'none'"),
        (["--modes", "speed"], "expected some of latency, throughput"),
        (["--lengths", "2"], "--lengths has 2, expected at least 4"),
        (["--lengths", "9999"], "--lengths has 9999"),
        (["--batches", "0"], "--batches has 0"),
        (["--minutes", "0"], "--minutes is 0.0"),
        (["--threads", "0"], "--threads is 0"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    finished: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--out", str(finished / "never"), "--work", str(finished / "work")]
    assert main(["run", DEMO, *words, *folders]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert said in line
    assert not (finished / "never").exists()


def test_a_model_that_is_not_there_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(tmp_path / "nothing"), "--work", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "is not a folder here" in capsys.readouterr().err.splitlines()[-1]


def test_an_absent_peer_names_the_extra_that_brings_it(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    options = parser.parse_args([DEMO, "--work", str(finished / "work")])
    setup = command._make_setup(options, command._prepare_model(options))
    monkeypatch.setattr(peers, "_is_installed", lambda name, _: name not in ("openvino", "nncf"))
    names, absent = command._choose_peers(options, setup)
    assert absent["openvino-int8"] == "openvino and nncf not installed: pip install 'assay[bench]'"
    assert absent.items() >= peers.NO_PEERS.items()
    assert "torch-fp32" in names
    assert "torch-fp16" not in {*names, *absent}  # a GPU's


def test_fp16_is_measured_on_a_cpu_only_if_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_is_installed", lambda *_: True)
    setup = Setup(DEMO, DEMO, str(tmp_path), "pair", "classification", 512, "cpu", 1, False)
    by_default, absent = command._choose_peers(argparse.Namespace(peers=None), setup)
    assert "assay-fp16" not in {*by_default, *absent}
    assert "assay-int8" in by_default
    asked, _ = command._choose_peers(argparse.Namespace(peers=["assay-fp16"]), setup)
    assert asked == ["assay-fp16"]


def test_every_peer_has_a_module_that_makes_it_and_lists_its_files() -> None:
    folder = Path(peers.__file__).parent
    for known in peers.PEERS.values():
        source = (folder / f"{known.module}.py").read_text(encoding="utf-8")
        assert "def make(" in source
        assert "def list_files(" in source
