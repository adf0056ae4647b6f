"""A signal ends an export even if its exception is lost or replaced."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from assay_export.interruption import Interruptible
from assay_export.progress import Silent


@pytest.fixture
def progress() -> Iterator[Interruptible]:
    progress = Interruptible(Silent())
    with progress.listen():
        yield progress


class Swallowing:
    """Receives the signal in its destructor, where Python drops whatever is raised."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self.number)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
class TestInterruptible:
    def test_a_signal_whose_exception_was_dropped_ends_the_current_step(
        self, number: signal.Signals, progress: Interruptible
    ) -> None:
        reached = []

        def step() -> None:
            with progress.step("a step"):
                Swallowing(number)
                reached.append("the end of the step")

        with pytest.raises(KeyboardInterrupt):
            step()
        assert reached == ["the end of the step"]

    def test_a_signal_whose_exception_was_dropped_between_two_steps_stops_the_next_one(
        self, number: signal.Signals, progress: Interruptible
    ) -> None:
        Swallowing(number)
        with pytest.raises(KeyboardInterrupt):
            progress.bar("the next", 2).__enter__()

    @pytest.mark.usefixtures("progress")
    def test_a_signal_whose_exception_is_not_dropped_ends_the_work_at_once(self, number: signal.Signals) -> None:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)

    def test_a_dropped_interruption_is_not_reported(
        self, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Python would print a traceback of it, though the export is about to end as asked."""
        reported: list[object] = []
        monkeypatch.setattr(sys, "unraisablehook", reported.append)
        with Interruptible(Silent()).listen():
            Swallowing(number)
        assert reported == []

    def test_an_exception_that_replaced_an_interruption_is_an_interruption_again(self, number: signal.Signals) -> None:
        """An import that is interrupted in the middle may raise ImportError, for example."""

        def run() -> None:
            with Interruptible(Silent()).listen():
                try:
                    os.kill(os.getpid(), number)
                except KeyboardInterrupt:
                    raise ImportError("numpy is broken: install it again") from None

        with pytest.raises(KeyboardInterrupt):
            run()


def test_an_exception_without_a_signal_passes_unchanged() -> None:
    def run() -> None:
        with Interruptible(Silent()).listen():
            raise ImportError("no torch")

    with pytest.raises(ImportError, match="no torch"):
        run()


def test_the_previous_handlers_are_restored_after_the_export() -> None:
    def handlers() -> list[object]:
        return [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), sys.unraisablehook]

    before = handlers()
    with Interruptible(Silent()).listen():
        assert all(now != then for now, then in zip(handlers(), before, strict=True))
    assert handlers() == before


def test_a_step_without_a_signal_succeeds(progress: Interruptible) -> None:
    done = []
    with progress.step("one"), progress.bar("two", 1) as advance:
        advance()
        done.append(True)
    assert done == [True]
