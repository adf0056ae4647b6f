import os
import signal
import subprocess
import sys
import threading

from assay.annotate.signals import stop_on_signals


def test_a_signal_sets_the_event_and_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(5)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_signal_ends_the_process() -> None:
    code = (
        "import os, signal\nfrom assay.annotate.signals import stop_on_signals\n"
        "with stop_on_signals():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('first', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('second', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "first\n"
    assert done.returncode == -signal.SIGINT


def test_signals_are_handled_in_the_main_thread_only() -> None:
    seen = []

    def listen() -> None:
        with stop_on_signals() as stop:
            seen.append(stop.is_set())

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join(10)
    assert seen == [False]
