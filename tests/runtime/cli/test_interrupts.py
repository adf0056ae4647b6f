"""Ctrl-C at any moment: exit code 130, and not a word."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.cli.commands import info
from tests.ended import ended
from tests.runtime.cli.running import run

# Says when assay handles interrupts; before that, the interpreter itself starts.
READY = """
import sys
from assay.system import interruption
from assay.__main__ import main
listen = interruption.listen
def listen_and_say_so():
    interruption.listen = listen
    listen()
    print("ready", flush=True)
interruption.listen = listen_and_say_so
sys.exit(main())
"""


def test_an_interrupt_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "run", interrupt)
    assert run("info", "x", capsys=capsys) == (130, "", "")


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("command", ["score", "annotate"])
def test_an_interrupt_at_any_moment_is_quiet(command: str, delay: float, score_bundle: Path) -> None:
    words = {"score": ["--file", "-"], "annotate": ["-", "-o", "-"]}[command]
    pipe = subprocess.PIPE
    line = [sys.executable, "-c", READY, command, str(score_bundle), *words]
    # It waits for a row in the end.
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe) as process, ended(process):
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=60)
        assert process.stderr is not None
        err = process.stderr.read()
    stopped = b"assay: interrupted after 0 rows\n" if command == "annotate" else b""
    assert code == 130
    assert err in (b"", stopped)


def test_an_interrupt_that_a_library_turns_into_another_error_is_quiet(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, types\n"
        "from assay.cli.commands import info\n"
        "from assay.cli.main import main\n"
        "def run(_):\n"
        "    try: os.kill(os.getpid(), signal.SIGINT)\n"
        "    except KeyboardInterrupt: raise ImportError('numpy is broken, please reinstall it') from None\n"
        "info.run = run\n"
        "sys.exit(main())\n"
    )
    command = [sys.executable, "-c", code, "info", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_an_interrupt_in_an_import_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "slow_module.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    code = (
        "import sys\n"
        "from assay.cli.commands import info\n"
        "from assay.cli.main import main\n"
        "def run(_):\n"
        "    try: import slow_module\n"
        "    except BaseException: print('an import dropped it')\n"
        "    return 0\n"
        "info.run = run\n"
        "sys.exit(main())\n"
    )
    command = [sys.executable, "-c", code, "info", "x"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_process_that_was_started_to_ignore_interrupts_goes_on(pair_bundle: Path) -> None:
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "import os, sys\n"
        "from assay.cli.main import main\n"
        "code = main()\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.exit(code)\n"
    )
    command = [sys.executable, "-c", code, "info", str(pair_bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
