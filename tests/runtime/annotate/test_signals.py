import signal
import subprocess
import sys
import threading

from assay.annotate.signals import stop_on_signals


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process of its own: a signal that goes wrong must not end the process of the tests."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)


def test_a_signal_sets_the_event_and_handlers_are_restored() -> None:
    done = run_python(
        "import os, signal\nfrom assay.annotate.signals import stop_on_signals\n"
        "before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)\n"
        "with stop_on_signals() as stop:\n"
        "    assert not stop.is_set()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    assert stop.wait(5)\n"
        "    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
        "assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before\n"
        "print('restored')\n"
    )
    assert done.stdout == "restored\n", done.stderr
    assert done.returncode == 0


def test_a_second_signal_ends_the_process() -> None:
    done = run_python(
        "import os, signal\nfrom assay.annotate.signals import stop_on_signals\n"
        "with stop_on_signals():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('first', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('second', flush=True)\n"
    )
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
