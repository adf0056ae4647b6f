"""Commands that other packages add."""

import sys
from types import ModuleType
from typing import Any

import pytest

from tests.runtime.cli.running import run


class Entry:
    """An entry point as importlib.metadata gives it."""

    def __init__(self, name: str, module: Any) -> None:
        self.name, self._module = name, module

    def __lt__(self, other: "Entry") -> bool:
        return self.name < other.name

    def load(self) -> Any:
        if isinstance(self._module, Exception):
            raise self._module
        return self._module


def plug_in(code: str) -> ModuleType:
    module = ModuleType("plug_in")
    exec(code, module.__dict__)
    return module


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    greet = "HELP = 'greet'\ndef add_arguments(p): p.add_argument('name')\ndef run(a): print('hi', a.name); return 5\n"
    lazy = "HELP = 'lazy'\ndef add_arguments(p): pass\ndef run(a): import not_installed_anywhere\n"
    entries = [
        Entry("greet", plug_in(greet)),
        Entry("lazy", plug_in(lazy)),
        Entry("heavy", ModuleNotFoundError("No module named 'torch'", name="torch")),
        Entry("info", AssertionError("an own command is not replaced")),
    ]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: entries if group == "assay.commands" else [])


@pytest.mark.usefixtures("plugged")
def test_a_plug_in_command_runs_with_its_arguments_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("greet", "you", capsys=capsys) == (5, "hi you\n", "")
    assert run("greet", capsys=capsys)[0] == 2


@pytest.mark.usefixtures("plugged")
def test_help_lists_plug_in_commands_without_loading_them(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("--help", capsys=capsys)
    assert code == 0
    for name in ("predict", "score", "info", "verify", "warmup", "greet", "heavy", "lazy"):
        assert name in out


@pytest.mark.usefixtures("plugged")
@pytest.mark.parametrize(("name", "missing"), [("heavy", "torch"), ("lazy", "not_installed_anywhere")])
def test_a_plug_in_command_whose_packages_are_missing_names_the_extra(
    name: str, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(name, capsys=capsys)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"needs {missing}" in err
    assert "pip install 'assay[export]'" in err


@pytest.mark.usefixtures("plugged")
def test_completion_without_its_package_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [])  # noqa: ARG005
    monkeypatch.setitem(sys.modules, "shtab", None)
    code, out, err = run("completion", "bash", capsys=capsys)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "assay completion needs shtab, which is not installed" in err
    assert "pip install 'assay[completion]'" in err
