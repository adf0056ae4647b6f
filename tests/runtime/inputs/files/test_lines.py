import io
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from assay import InputError
from assay.inputs.files import read_windows
from assay.inputs.files.lines import Lines


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> int:
    """The writing end of what is standard input."""
    read, write = os.pipe()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=os.fdopen(read, "rb")))
    return write


def test_standard_input_knows_whether_a_line_has_arrived(pipe: int) -> None:
    lines = Lines("-", "")
    os.write(pipe, b"a\nb\nc")
    assert not lines.ready  # nothing was read yet
    assert (lines.next(), lines.ready) == (b"a\n", True)
    assert (lines.next(), lines.ready) == (b"b\n", False)
    os.write(pipe, b"d\n")
    assert (lines.next(), lines.ready) == (b"cd\n", False)
    os.close(pipe)
    assert (lines.next(), lines.ready, lines.number, lines.bytes) == (None, True, 3, 7)


def test_a_window_ends_where_the_next_row_has_not_arrived(pipe: int) -> None:
    windows = read_windows("-", "text", 2)
    os.write(pipe, b'{"text": "a"}\n{"text": "b"}\n{"text": "c"}\n')
    assert [row.row for row in next(windows)] == ["a", "b"]
    assert [(row.where, row.row) for row in next(windows)] == [("standard input, line 3", "c")]
    timer = threading.Timer(0.05, os.write, (pipe, b'{"text": "d"}\nno json\n'))
    timer.start()
    assert [row.row for row in next(windows)] == ["d"]
    with pytest.raises(InputError, match="standard input, line 5: found invalid JSON"):
        next(windows)
    timer.join()
    os.close(pipe)


def test_windows_of_a_file_are_full(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a\nb\nc\nd\ne\n")
    assert [len(window) for window in read_windows(path, "text", 2)] == [2, 2, 1]


@pytest.mark.parametrize("standard", [False, True])
def test_a_line_beyond_the_limit_is_refused(standard: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.inputs.files.lines.MAX_LINE", 1 << 20)
    data = b"a\n" + b"x" * (1 << 20) + b"y\n"
    (tmp_path / "a.jsonl").write_bytes(data)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    lines = Lines("-" if standard else str(tmp_path / "a.jsonl"), "")
    assert lines.next() == b"a\n"
    with pytest.raises(InputError, match="line 2: is longer than 1 MiB, expected a row per line"):
        lines.next()


def test_a_last_line_without_an_end_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a\nb")))
    lines = Lines("-", "")
    assert [lines.next(), lines.next(), lines.next()] == [b"a\n", b"b", None]


def test_a_blank_line_does_not_hold_up_the_rows_before_it(pipe: int) -> None:
    windows = read_windows("-", "text", 9)
    os.write(pipe, b'{"text": "a"}\n \n')
    assert [row.row for row in next(windows)] == ["a"]
    timer = threading.Timer(0.05, os.write, (pipe, b'\n{"text": "b"}\n'))
    timer.start()
    with pytest.raises(InputError, match="standard input, line 2: found an empty line"):
        next(windows)
    timer.join()
    os.close(pipe)


def test_only_so_many_blank_lines_are_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.inputs.files.lines._MOST_AHEAD", 3)
    (tmp_path / "a.csv").write_bytes(b"a\n" + b"\n" * 5)
    with Lines(str(tmp_path / "a.csv"), "", b"\r\n") as lines:
        assert [lines.next() for _ in range(5)] == [b"a\n", b"\n", b"\n", None, None]
        assert lines.number == 3
