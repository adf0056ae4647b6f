"""Ends annotate at every step that changes a file, goes on, and compares with a run that nothing ended.

    python crash.py BUNDLE INPUT OUTPUT REFERENCE OPTION...

Every run is a child of its own, killed with SIGKILL at its n-th step: an append, a flush to the disk, a renaming or a
removal. Prints the number of steps. A step may be half done: an append then leaves half of its bytes behind.
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
    """The exit code of annotate in a child that dies at step `deadly`; -9 where it did."""
    number = os.fork()
    if number == 0:
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
    """Count the steps, and die at one."""
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
    Path.replace = before(Path.replace)
    Path.unlink = before(Path.unlink)
    append = output.FileOutput.append

    def torn(self: Any, chunk: bytes, *args: Any, **options: Any) -> None:
        if step():
            self._file.write(chunk[: len(chunk) // 2])
            self._file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        append(self, chunk, *args, **options)

    output.FileOutput.append = torn  # type: ignore[method-assign]


def check(words: list[str], target: Path, reference: bytes) -> int:
    """Die at every step in turn; the number of steps."""
    for deadly in range(1, 10_000):
        ended = child(words, deadly)
        if target.exists() and target.read_bytes() != reference:
            raise SystemExit(f"step {deadly}: {target} is there and is not the whole of it")
        if ended == 0:
            return deadly - 1
        if ended != -signal.SIGKILL:
            raise SystemExit(f"step {deadly}: ended with {ended}")
        left = [path.name for path in target.parent.iterdir() if path.name.startswith(".") and "lock" not in path.name]
        # A run that was killed when it had nothing more to do but to let go of the lock is complete.
        if left or not target.exists():
            code = child([*words, "--resume"], 0)
            if code != 0:
                raise SystemExit(f"step {deadly}: going on ended with {code}")
        if target.read_bytes() != reference:
            raise SystemExit(f"step {deadly}: the resumed file differs")
        target.unlink()
        left = [path.name for path in target.parent.iterdir() if path.name.startswith(".") and "lock" not in path.name]
        if left:
            raise SystemExit(f"step {deadly}: left {left}")
    raise SystemExit("never came to its end")


if __name__ == "__main__":
    bundle, source, name, reference_name, *options = sys.argv[1:]
    if ".parquet" in name:
        import pyarrow.parquet

        pyarrow.array([1])  # imports pandas where it is installed
    arguments = [bundle, source, "-o", name, *options]
    if child([bundle, source, "-o", reference_name, *options], 0) != 0:
        raise SystemExit("the run that nothing ended failed")
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, write_through=True)
    print(check(arguments, Path(name), Path(reference_name).read_bytes()))
