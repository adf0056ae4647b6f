"""Writes the tables of docs/contributing/layout.md: every room and module with the first sentence of its docstring.

    python docs/_layout.py

`make layout` runs it, and tests/docs/test_layout.py fails if the page is out of date.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PACKAGES", "PAGE", "find_modules", "write_tables"]

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/contributing/layout.md"
PACKAGES = ("runtime/assay", "export/assay_export", "benchmarks")
BEGIN, END = "<!-- python docs/_layout.py: begin -->", "<!-- python docs/_layout.py: end -->"


def find_modules(package: str) -> list[Path]:
    """Return the files of the package's modules, relative to the repository; a room is its __init__.py."""
    return sorted(path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py"))


def write_tables(page: str) -> str:
    """Return the text of the page with new tables between its two markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n\n" + "\n".join(_tables()) + "\n" + END + after


def _tables() -> Iterator[str]:
    for package in PACKAGES:
        rooms: dict[Path, list[Path]] = {}
        for path in find_modules(package):
            rooms.setdefault(path.parent, []).append(path)
        yield f"## {package}\n"
        yield f"{_first_sentence(Path(package, '__init__.py'))}\n"
        for room, modules in rooms.items():
            if room != Path(package):
                yield f"### {room.relative_to(package).as_posix()}/\n"
                yield f"{_first_sentence(room / '__init__.py')}\n"
            lines = [
                f"| `{path.as_posix()}` | {_first_sentence(path)} |" for path in modules if path.stem != "__init__"
            ]
            if lines:
                yield "\n".join(["| module | purpose |", "|---|---|", *lines, ""])


def _first_sentence(path: Path) -> str:
    """Return the first line of the docstring, or its first sentence if the line ends within it."""
    if not (ROOT / path).exists():
        return ""
    docstring = ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8"))) or ""
    line, paragraph = docstring.partition("\n")[0], " ".join(docstring.partition("\n\n")[0].split())
    if not line.endswith((".", "?", ":")):
        line = paragraph.partition(". ")[0].rstrip(".") + "."
    return line.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(write_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
