import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.files import find_encoding_problem, read_bounded, sync_tree, to_text, to_utf_8, write_whole

C_LOCALE = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_a_file_of_the_expected_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert read_bounded(path, 3) == b"abc"
    with pytest.raises(ValueError, match="has more than 2 bytes"):
        read_bounded(path, 2)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_has_no_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match="is not a regular file"):
            read_bounded(path, 3)
    with pytest.raises(OSError, match="No such file"):
        read_bounded(tmp_path / "b", 3)


def test_every_file_and_folder_of_a_tree_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"x")
    (tmp_path / "c").write_bytes(b"x")
    flushed: list[str] = []
    descriptors = Path("/proc/self/fd")
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append(str((descriptors / str(number)).readlink())))
    sync_tree(tmp_path)
    assert sorted(flushed) == sorted(str(path) for path in (tmp_path, *tmp_path.rglob("*")))


def test_a_path_in_utf_8_has_no_problem() -> None:
    assert find_encoding_problem(Path("/tmp/ünïcode")) is None
    assert to_utf_8(Path("/tmp/ünïcode")) == "/tmp/ünïcode"


@pytest.mark.skipif(os.name == "nt", reason="names on Windows are Unicode")
def test_a_path_that_is_not_utf_8_is_named_with_the_remedy() -> None:
    problem = find_encoding_problem(Path("/tmp/\udcff"))
    assert problem is not None
    assert problem.startswith("'/tmp/\\udcff': is a path with bytes that are not UTF-8")
    assert "rename the folder" in problem
    with pytest.raises(UnicodeError):
        to_utf_8("/tmp/\udcff")


@pytest.mark.skipif(os.name == "nt", reason="names on Windows are Unicode")
def test_in_the_c_locale_a_path_and_an_argument_have_their_characters() -> None:
    code = (
        "import sys; from assay.files import to_text, to_utf_8\n"
        "_, first, *others = sys.argv\n"
        "texts = first, to_utf_8(first), *map(to_text, (first, *others))\n"
        "print(sys.getfilesystemencoding(), *map(ascii, texts))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "é", b"\xff", "a"], env=C_LOCALE, capture_output=True, check=False
    )
    assert done.stdout.decode().split() == ["ascii", r"'\udcc3\udca9'", r"'\xe9'", r"'\xe9'", r"'\udcff'", "'a'"]


def test_text_with_surrogates_that_are_no_bytes_is_left_alone() -> None:
    for text in ("", "é", "a\ud800", "\udcff", "\udce9 \ud800"):
        assert to_text(text) == text


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with write_whole(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def write() -> None:
        with write_whole(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
