import io
from typing import Any

import pytest

from assay.annotate import progress
from assay.annotate.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_with_rates_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    shown = Progress()
    shown.begin(1_000, 100)
    shown.advance(50, 600, 600)
    shown.advance(50, 600, 1_000)
    shown.end()
    text = terminal.getvalue()
    assert "100%" in text
    assert "100 rows, " in text
    assert "tokens/s" in text
    assert " left" in text


def test_an_input_of_unknown_length_gets_no_share(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    shown = Progress()
    shown.begin(None, 0)
    shown.advance(50, 600, 600)
    shown.end()
    assert "%" not in terminal.getvalue()
    assert "50 rows" in terminal.getvalue()


def test_elsewhere_there_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
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
def test_durations_are_said_in_two_units(seconds: float, text: Any) -> None:
    assert progress._duration(seconds) == text
