"""assay_export.interruption: a signal is not lost with its exception."""

import os
import signal
from collections.abc import Iterator

import pytest

from assay_export.interruption import Interruptible
from assay_export.progress import Silent


@pytest.fixture
def progress() -> Iterator[Interruptible]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    progress = Interruptible(Silent())
    progress.listen()
    yield progress
    for number, handler in before.items():
        signal.signal(number, handler)


class Swallowing:
    """Its destructor gets the signal, and Python drops what is raised there."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self.number)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
class TestInterruptible:
    def test_a_signal_whose_exception_was_dropped_ends_the_step_it_fell_into(
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

    def test_it_ends_what_comes_after_a_dropped_exception_between_two_steps(
        self, number: signal.Signals, progress: Interruptible
    ) -> None:
        Swallowing(number)
        with pytest.raises(KeyboardInterrupt):
            progress.bar("the next", 2).__enter__()

    @pytest.mark.usefixtures("progress")
    def test_a_signal_ends_the_work_at_once_where_nothing_drops_its_exception(self, number: signal.Signals) -> None:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


def test_without_a_signal_a_step_ends_well(progress: Interruptible) -> None:
    done = []
    with progress.step("one"), progress.bar("two", 1) as advance:
        advance()
        done.append(True)
    assert done == [True]
