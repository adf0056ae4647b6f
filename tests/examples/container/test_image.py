"""The Containerfile and the versions that it installs. No image is built."""

import re

from tests.examples.container.running import FOLDER, ROOT

CONTAINERFILE = (FOLDER / "Containerfile").read_text(encoding="utf-8")


def read_pins(name: str) -> set[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith(("#", "-r"))}


def test_the_image_has_the_versions_that_the_tests_ran_with() -> None:
    tested = read_pins("requirements.lock") | read_pins("requirements-dev.lock")
    assert read_pins("examples/container/requirements.txt") <= tested


def test_what_is_copied_into_the_image_exists() -> None:
    copies = re.findall(r"^COPY (?!--from)(.*)$", CONTAINERFILE, flags=re.MULTILINE)
    sources = [source for line in copies for source in line.split()[:-1]]
    assert "examples/container/service.py" in sources
    for source in sources:
        assert (ROOT / source).exists(), source


def test_the_image_runs_as_a_user_other_than_root() -> None:
    (user,) = re.findall(r"^USER (.*)$", CONTAINERFILE, flags=re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_the_base_image_is_the_only_one_that_is_named() -> None:
    assert set(re.findall(r"^FROM (\S+)", CONTAINERFILE, flags=re.MULTILINE)) == {"${PYTHON}"}
    assert re.findall(r"https?://", CONTAINERFILE) == []
