"""The snippets of README.md and of the guide run as a reader pastes them, after `make demo`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from assay.ort import kernels

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"
# Blocks of other pages that need only what `make demo` makes.
PASTED_PAGES = {
    "docs/guide/errors.md": 1,
    "docs/guide/annotate.md": 1,
    "docs/guide/service.md": 1,
    "docs/guide/integrations.md": 3,
    "docs/guide/recipes.md": 8,
    "docs/export/index.md": 1,
}


@pytest.fixture(scope="session")
def clone(pair_bundle: Path, scorer_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `make demo` leaves a clone: the bundles, the examples and the demo checkpoints."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "bundles").mkdir()
    (folder / "bundles/pair-classifier").symlink_to(pair_bundle)
    (folder / "bundles/complexity").symlink_to(scorer_bundle)
    for name in ("examples", "tests"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in a language; shell blocks have none."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [text for found, text in fenced if found == language]


def paste(command: list[str], clone: Path) -> str:
    """Run a command in the clone with this environment's `assay` first on the path, and return its output."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=clone, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_readmes_python_snippets_run_as_pasted(clone: Path) -> None:
    snippets = blocks(README, "python")
    assert snippets
    for snippet in snippets:
        assert paste([sys.executable, "-c", snippet], clone)


def test_readmes_shell_snippets_run_as_pasted(clone: Path) -> None:
    snippets = [block for block in blocks(README, "") if "make demo" not in block]  # make demo is run by .ci
    assert len(snippets) == 2
    for snippet in snippets:
        if "int8" in snippet and kernels.find_problem():
            continue  # its export needs the CPU kernels
        assert paste(["bash", "-euo", "pipefail", "-c", snippet], clone)
    assert (clone / "judged.jsonl").is_file()


@pytest.mark.parametrize(("page", "count"), PASTED_PAGES.items())
def test_the_first_python_snippets_of_a_page_run_as_pasted(page: str, count: int, clone: Path) -> None:
    for module in ("pandas", "polars", "sklearn") if "integrations" in page else ():
        pytest.importorskip(module)
    snippets = blocks(ROOT / page, "python")[:count]
    assert len(snippets) == count
    for snippet in snippets:
        assert paste([sys.executable, "-c", snippet], clone)


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) < 120
