import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.files import find_encoding_problem, read_bounded, sync_tree, write_whole


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
    problem = find_encoding_problem(Path("/tmp/\udcff"))
    assert problem is not None
    assert problem.startswith("'/tmp/\\udcff': is a path with bytes that are not utf-8")


def test_a_path_that_the_c_locale_cannot_express_is_named_with_the_remedy(tmp_path: Path) -> None:
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for words in (["info"], ["predict", "a"], ["export", str(tmp_path / "a"), "--out"]):
        command = [sys.executable, "-m", "assay", words[0]]
        place = str(tmp_path / "ünïcode")
        command += [*words[1:], place] if words[0] == "export" else [place, *words[1:]]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert done.returncode == 1, done.stderr
        assert b"bytes that are not ascii" in done.stderr, done.stderr
        assert b"PYTHONUTF8=1" in done.stderr
        assert done.stderr.count(b"\n") == 1


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
