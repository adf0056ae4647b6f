"""Links between the files of the repository. `make docs` checks those within the site."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ROOT_PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
SOURCES = ["runtime", "export", "benchmarks", "tests", "examples"]
FOREIGN = {"docs/operators.md", "docs/Changelog.md"}  # pages of onnx-tensorrt and onnx


def anchors(page: Path) -> set[str]:
    """The ids of the page's headings, as MkDocs and GitHub make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ROOT_PAGES)
def test_every_link_of_a_page_at_the_root_leads_to_a_file(page: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    for link in links:
        if link.startswith(("https://", "#")):
            continue
        path, _, anchor = link.partition("#")
        assert (ROOT / path).exists(), f"{page} links to {link}"
        assert not anchor or anchor in anchors(ROOT / path), f"{page} links to {link}"


@pytest.mark.parametrize("folder", SOURCES)
def test_every_page_that_the_sources_name_exists(folder: str) -> None:
    for path in sorted((ROOT / folder).rglob("*.py")):
        for page in set(re.findall(r"(?<![\w/])docs/[\w/]+\.md", path.read_text(encoding="utf-8"))) - FOREIGN:
            assert (ROOT / page).exists(), f"{path.relative_to(ROOT)} names {page}"


def test_the_pages_name_only_files_that_exist() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), *(ROOT / page for page in ROOT_PAGES)]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for path in re.findall(r"`((?:runtime|export|benchmarks|tests|docs|examples)/[\w./]+)`", text):
            if "NAME" not in path:  # a placeholder of CONTRIBUTING.md
                assert (ROOT / path).exists(), f"{page.relative_to(ROOT)} names {path}"
