"""Ctrl-C ends the command line with 130, without a traceback or advice, whatever it interrupts."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assay.optional_packages import import_package, require
from assay.ort import installation

# Runs the command line. SIGINT arrives while the module TARGET is looked up, or DELAY seconds after the package is.
RUN = """
import os, runpy, signal, sys, threading, time

target, delay = sys.argv.pop(1), float(sys.argv.pop(1))

class Interrupter:
    def find_spec(self, name, path=None, _=None):
        if name == target and delay < 0:
            os.kill(os.getpid(), signal.SIGINT)
        elif name == target:
            threading.Thread(target=self.interrupt, daemon=True).start()

    def interrupt(self):
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupter())
runpy.run_module("assay", run_name="__main__", alter_sys=True)
"""


def run(target: str, delay: float, *words: object) -> subprocess.CompletedProcess[str]:
    arguments = [target, str(delay), *map(str, words)]
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize(
    "module",
    [
        "assay.cli.main",
        "argparse",
        "assay.bundle.manifest",
        "numpy",
        "numpy.linalg",
        "tokenizers",
        "tokenizers.models",
        "onnxruntime",
        "onnxruntime.capi.onnxruntime_pybind11_state",
        "onnxruntime.capi._pybind_state",
        "assay.loading",
    ],
)
def test_an_interruption_during_an_import_ends_the_command_quietly(module: str, pair_bundle: Path) -> None:
    done = run(module, -1, "predict", pair_bundle, "a", "b")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.1, 1.5])
def test_an_interruption_at_any_time_ends_the_command_quietly(delay: float, pair_bundle: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a", "text_pair": "b"}\n' * 2_000)
    done = run("assay.cli.main", delay, "predict", pair_bundle, "--file", rows)
    assert done.stderr == ""
    assert done.returncode == 130 or (done.returncode, done.stdout.count("\n")) == (0, 2_000)


def test_a_process_that_ignores_interruptions_keeps_ignoring_them(pair_bundle: Path) -> None:
    ignore = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    arguments = ["numpy", "-1", "predict", str(pair_bundle), "a", "b"]
    done = subprocess.run(
        [sys.executable, "-c", ignore + RUN, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "body",
    [
        "raise ImportError('initialization failed') from KeyboardInterrupt()",  # as pybind11 does
        "try:\n    raise KeyboardInterrupt\nexcept BaseException:\n    raise ImportError('initialization failed')",
        "raise KeyboardInterrupt",
    ],
)
def test_an_interruption_that_an_extension_hid_is_not_a_broken_installation(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "interrupted_package.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        require("interrupted_package", "interrupted-package", "a test")
    with pytest.raises(KeyboardInterrupt):
        import_package("interrupted_package")
    monkeypatch.setattr(installation, "import_package", lambda _: import_package("interrupted_package"))
    installation.onnxruntime.cache_clear()
    try:
        with pytest.raises(KeyboardInterrupt):
            installation.onnxruntime()
    finally:
        installation.onnxruntime.cache_clear()


def test_the_handler_of_the_process_is_untouched_by_an_import_of_the_library() -> None:
    code = "import signal, assay, assay.loading; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert signal.getsignal(signal.SIGINT) is not None


def test_an_interruption_of_an_asyncio_program_raises_keyboard_interrupt_and_leaves_no_thread(
    text_bundle: Path,
) -> None:
    code = f"""
import asyncio, os, signal, threading
import assay

async def main():
    async with assay.aio.load({str(text_bundle)!r}, threads=1) as judge:
        await judge.predict("a")
        asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGINT)
        while True:
            await judge.predict_batch(["a"] * 50)

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print([thread.name for thread in threading.enumerate()])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert (done.stdout, done.stderr) == ("['MainThread']\n", "")
