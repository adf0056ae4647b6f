"""MkDocs hooks: pages of the site whose text is a file at the root of the repository."""

from pathlib import Path
from typing import Any

__all__ = ["on_page_markdown"]

ROOT = Path(__file__).parent.parent
PAGES = {"contributing/index.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return the text of the root file that `page` stands for, with its links relative to the page."""
    source = PAGES.get(page.file.src_uri)
    if source is None:
        return markdown
    up = "../" * page.file.src_uri.count("/")
    text = (ROOT / source).read_text(encoding="utf-8")
    return text.replace("](docs/", f"]({up}").replace("](CHANGELOG.md", f"]({up}changelog.md")
