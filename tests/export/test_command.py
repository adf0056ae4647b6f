"""`assay export` in its own process, as a user runs it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import assay
from tests.conftest import CHECKPOINTS
from tests.ended import ended


def assay_export(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assay", "export", *map(str, arguments)]
    settings = {**os.environ, **environment}
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=300, check=False)


def test_an_export_ends_with_a_summary_that_names_files_parity_and_the_next_command(tmp_path: Path) -> None:
    done = assay_export(CHECKPOINTS / "complexity-adapter", "--out", tmp_path / "bundle", "--score-range", 0, 10)
    assert done.returncode == 0, done.stderr
    for text in (
        "onnx/model_cpu.onnx",
        "fp32, portable",
        "fp32, cpu",
        "merged into ../complexity-base",
        "scores from 0 to 10",
        "assay score",
    ):
        assert text in done.stdout
    scale = assay.load(tmp_path / "bundle").manifest.scale
    assert scale is not None
    assert scale.native == (0.0, 10.0)
    assert scale.evol_complexity is None


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["no/such/folder/anywhere", "--out", "x"], 1, "is not a folder here"),
        ([CHECKPOINTS / "complexity-base", "--out", "x"], 1, "architectures = ['ModernBertForMaskedLM']"),
        ([CHECKPOINTS / "pair-classifier"], 2, "--out"),
        ([CHECKPOINTS / "pair-classifier", "--out", "x", "--labels", "a,b"], 1, "2 labels are named"),
        ([CHECKPOINTS / "pair-classifier", "--out", "x", "--labels", ""], 1, "labels[0] is ''"),
        ([CHECKPOINTS / "pair-classifier", "--out", "x", "--score-range", "0", "1"], 1, "drop --score-range"),
        ([CHECKPOINTS / "pair-classifier", "--out", "x", "--score-range", "1", "0"], 1, "the lower one first"),
        ([CHECKPOINTS / "pair-classifier", "--out", "x", "--score-range", "1"], 2, "--score-range"),
        ([CHECKPOINTS / "pair-classifier", "--out", "x", "--revision", "main"], 1, "drop --revision"),
    ],
)
def test_a_failed_export_is_one_line_and_a_code(
    arguments: list[object], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = assay_export(*arguments)
    assert done.returncode == code
    last = done.stderr.rstrip().splitlines()[-1]
    assert said in last
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("step", "number"),
    [
        ("Finding the checkpoint", signal.SIGINT),
        ("Loading the PyTorch model", signal.SIGINT),
        ("Comparing onnx/model.onnx", signal.SIGTERM),
        ("Writing the manifest", signal.SIGINT),
    ],
)
def test_an_interrupted_export_leaves_nothing_and_prints_no_traceback(
    step: str, number: signal.Signals, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "assay", "export", str(CHECKPOINTS / "pair-classifier"), "--out", "bundle"]
    with (
        subprocess.Popen(
            command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
        ) as process,
        ended(process),
    ):
        assert process.stderr is not None
        reached = any(line.startswith(step) for line in process.stderr)
        process.send_signal(number)
        said = process.stderr.read()
        code = process.wait(timeout=60)
    assert reached
    assert code == 130
    assert said == "" or said.endswith(" ...\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no C locale")
def test_paths_outside_ascii_can_be_exported_in_the_c_locale(tmp_path: Path) -> None:
    """PyTorch's compiler, which the import of ModernBERT starts, does not even import there."""
    place = tmp_path / "ünï"
    shutil.copytree(CHECKPOINTS / "complexity-base", place / "bäse")
    adapter = Path(shutil.copytree(CHECKPOINTS / "complexity-adapter", place / "ädapter"))
    settings = (adapter / "adapter_config.json").read_text().replace("../complexity-base", "../bäse")
    (adapter / "adapter_config.json").write_text(settings, encoding="utf-8")
    arguments = (adapter, "--out", place / "bündel", "--labels", "länge")
    done = assay_export(*arguments, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0, done.stderr
    manifest = assay.load(place / "bündel").manifest
    assert (manifest.name, manifest.labels) == ("ädapter", ("länge",))
    assert (manifest.source["id"], manifest.source["base"]) == (str(adapter), "../bäse")
