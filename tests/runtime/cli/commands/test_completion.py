"""assay completion."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.runtime.cli.running import run, start_process

shtab = pytest.importorskip("shtab", reason="shtab is not installed: pip install 'assay[completion]'")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_knows_every_command_and_its_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("completion", shell, capsys=capsys)
    assert (code, err) == (0, "")
    for word in ("predict", "annotate", "completion", "on-error", "evol", "export", "calibration"):
        assert word in out, word


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_valid(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(start_process("completion", shell).stdout)
    subprocess.run([shell, "-n", script], check=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "expected"),
    [(["ann"], ["annotate"]), (["predict", "--vari"], ["--variant"]), (["score", "bundle_"], ["bundle_a"])],
)
def test_bash_completes_commands_options_and_files(words: list[str], expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "bundle_a").mkdir()
    (tmp_path / "script").write_text(start_process("completion", "bash").stdout)
    line = ["assay", *words]
    code = (
        f"source ./script; COMP_WORDS=({' '.join(line)}); COMP_CWORD={len(words)}; "
        "_shtab_assay assay 2>/dev/null; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(["bash", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [word.strip() for word in done.stdout.splitlines()] == expected


def test_another_shell_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("completion", "csh", capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "invalid choice: 'csh'" in err
