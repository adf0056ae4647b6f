"""Kills annotate at every step that changes a file, resumes it, and compares with a run that was not killed.

    python crash.py BUNDLE INPUT OUTPUT REFERENCE OPTION...

Every run is a child process, killed with SIGKILL at its n-th step: an append, a flush to the disk, a renaming or a
removal. Prints the number of steps. A step may be half done: an append then leaves half of its bytes.
"""

import io
import os
import signal
import sys
from pathlib import Path
from typing import Any

import assay.annotate.output.file as output
import assay.annotate.run  # imported once, before there are children
import assay.annotate.windows as windows
import assay.loading  # noqa: F401
from assay.cli.main import main

WRITES = (".partial", ".assembled", ".new")


def child(words: list[str], deadly: int) -> int:
    """Return the exit code of annotate in a child that is killed at step `deadly`; -9 if it was."""
    number = os.fork()
    if number == 0:
        signal.alarm(120)  # a child that hangs ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        arm(deadly)
        code = 1
        try:
            code = main(["annotate", *words])
        except SystemExit as error:
            code = int(error.code or 0)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def arm(deadly: int) -> None:
    """Count the steps, and kill this process at one."""
    windows.ROWS = 40
    output.SECONDS_BETWEEN_COMMITS = 0.0
    count = 0

    def step() -> bool:
        nonlocal count
        count += 1
        return count == deadly

    def before(function: Any) -> Any:
        def stepping(*args: Any, **options: Any) -> Any:
            if step():
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **options)

        return stepping

    os.fsync = before(os.fsync)
    Path.replace = before(Path.replace)  # type: ignore[method-assign]
    Path.unlink = before(Path.unlink)  # type: ignore[method-assign]
    append = output.FileOutput.append

    def torn(self: Any, chunk: bytes, *args: Any, **options: Any) -> None:
        if step():
            self._file.write(chunk[: len(chunk) // 2])
            self._file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        append(self, chunk, *args, **options)

    output.FileOutput.append = torn  # type: ignore[method-assign]


def check(words: list[str], target: Path, reference: bytes) -> int:
    """Kill a run at every step in turn, and return the number of steps."""
    for deadly in range(1, 10_000):
        ended = child(words, deadly)
        if target.exists() and target.read_bytes() != reference:
            raise SystemExit(f"step {deadly}: {target} exists and is not complete")
        if ended == 0:
            return deadly - 1
        if ended != -signal.SIGKILL:
            raise SystemExit(f"step {deadly}: ended with {ended}")
        left = [path.name for path in target.parent.iterdir() if path.name.startswith(".") and "lock" not in path.name]
        # A run that was killed when only the lock was left is complete.
        if left or not target.exists():
            code = child([*words, "--resume"], 0)
            if code != 0:
                raise SystemExit(f"step {deadly}: the resumed run ended with {code}")
        if target.read_bytes() != reference:
            raise SystemExit(f"step {deadly}: the resumed file differs")
        target.unlink()
        left = [path.name for path in target.parent.iterdir() if path.name.startswith(".") and "lock" not in path.name]
        if left:
            raise SystemExit(f"step {deadly}: left {left}")
    raise SystemExit("no run came to its end")


if __name__ == "__main__":
    bundle, source, name, reference_name, *options = sys.argv[1:]
    if ".parquet" in name:
        import pyarrow.parquet

        pyarrow.array([1])  # imports pandas where it is installed
    arguments = [bundle, source, "-o", name, *options]
    if child([bundle, source, "-o", reference_name, *options], 0) != 0:
        raise SystemExit("the run that was not killed failed")
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, write_through=True)
    print(check(arguments, Path(name), Path(reference_name).read_bytes()))
