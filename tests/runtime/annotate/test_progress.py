import io

import pytest

from assay.annotate import progress
from assay.annotate.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_rates_and_the_time_left_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    shown = Progress()
    monkeypatch.setattr("assay.annotate.progress.SECONDS_BETWEEN_REWRITES", 0.0)
    shown.begin(1_000, 100)
    shown.advance(50, 600, 600)
    shown.advance(50, 600, 1_000)
    shown.end()
    lines = terminal.getvalue().split("\r\x1b[K")
    assert "60%" in lines[2]
    assert "100%" in lines[3]
    assert "100 rows, " in lines[3]
    assert "tokens/s" in lines[3]
    assert " left" in lines[2]
    assert (lines[0], lines[-1]) == ("", "")
    assert "\n" not in terminal.getvalue()


def test_a_line_is_never_longer_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "20")
    shown = Progress()
    monkeypatch.setattr("assay.annotate.progress.SECONDS_BETWEEN_REWRITES", 0.0)
    shown.begin(1_000, 0)
    shown.advance(50, 600, 600)
    assert max(map(len, terminal.getvalue().split("\r\x1b[K"))) == 19


def test_an_input_of_unknown_length_shows_no_share(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    shown = Progress()
    monkeypatch.setattr("assay.annotate.progress.SECONDS_BETWEEN_REWRITES", 0.0)
    shown.begin(None, 0)
    shown.advance(50, 600, 600)
    shown.end()
    assert "%" not in terminal.getvalue()
    assert "50 rows" in terminal.getvalue()


def test_a_file_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    shown = Progress()
    shown.begin(1_000, 0)
    for second in range(1, 100):
        clock[0] = float(second)
        shown.advance(2, 30, second * 5)
    shown.end()
    assert capsys.readouterr().err.splitlines() == [
        "assay: 60 rows, 2 rows/s, 30 tokens/s, 15%, 2 min 50 s left",
        "assay: 120 rows, 2 rows/s, 30 tokens/s, 30%, 2 min 20 s left",
        "assay: 180 rows, 2 rows/s, 30 tokens/s, 45%, 1 min 50 s left",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 min 00 s"), (3_600, "1 h 00 min"), (90_061, "25 h 01 min")])
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert progress._format_duration(seconds) == text
