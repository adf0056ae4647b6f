"""The snippets of README.md and of the guide run as a reader pastes them, after `make demo`."""

import sys
from pathlib import Path

import pytest

from assay.ort import kernels
from tests.docs.pasting import ROOT, blocks, paste

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
