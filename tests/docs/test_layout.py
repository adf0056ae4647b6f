"""The layout page shows every room and module of the code."""

import pytest

from docs import _layout


@pytest.mark.parametrize("package", _layout.PACKAGES)
def test_every_module_is_on_the_layout_page(package: str) -> None:
    page = _layout.PAGE.read_text(encoding="utf-8")
    modules = [path for path in _layout.find_modules(package) if path.stem != "__init__"]
    assert modules
    missing = [path.as_posix() for path in modules if f"`{path.as_posix()}`" not in page]
    assert not missing, "to add them: make layout"


def test_the_layout_page_says_what_the_docstrings_say() -> None:
    page = _layout.PAGE.read_text(encoding="utf-8")
    assert page == _layout.write_tables(page), "to update the page: make layout"


def test_every_module_and_room_has_a_purpose() -> None:
    page = _layout.PAGE.read_text(encoding="utf-8")
    assert "|  |" not in page
    assert "/\n\n\n" not in page
