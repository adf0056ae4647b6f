"""The guide's table of tested versions says what the lock files and tests/libraries pin."""

import re

from tests.docs.pasting import ROOT
from tests.library_marker import read_environments, read_pins

ROW = re.compile(r"^\| ([\w-]+) \| (\S+) \| `([\w./-]+)` \|$", flags=re.MULTILINE)


def test_the_versions_of_the_guide_are_those_that_are_locked() -> None:
    rows = ROW.findall((ROOT / "docs/guide/integrations.md").read_text(encoding="utf-8"))
    assert len(rows) > 10
    for library, version, path in rows:
        pin = read_pins(ROOT / path)[library]
        address, _, commit = pin.rpartition("@")
        assert version == (commit[:7] if address else pin), library


def test_the_guide_lists_every_library_that_tests_are_marked_with() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/*/**/test_*.py"))
    marked = set(re.findall(r'^@pytest\.mark\.library\("([\w-]+)"\)$', source, flags=re.MULTILINE))
    pinned = set().union(*read_environments().values())
    listed = {library for library, *_ in ROW.findall((ROOT / "docs/guide/integrations.md").read_text(encoding="utf-8"))}
    assert marked
    assert marked <= pinned
    assert marked <= listed
