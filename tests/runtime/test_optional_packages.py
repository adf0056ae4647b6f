import json
from pathlib import Path

import pytest

from assay import InstallationError
from assay.optional_packages import require


def test_an_installed_package_is_imported() -> None:
    assert require("json", "json", "this test") is json


def test_a_missing_package_is_named_with_its_user_and_how_to_install_it() -> None:
    message = r"a test needs no_such_package, which is not installed .*; to fix it: pip install 'no-such'"
    with pytest.raises(InstallationError, match=message):
        require("no_such_package.module", "'no-such'", "a test")


def test_a_broken_package_is_reported_as_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InstallationError, match=r"which cannot be imported \(division by zero\)"):
        require("broken_package", "broken", "a test")
