import errno
import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from assay.system import file_lock
from assay.system.file_lock import exclusive, exclusive_at_once

HOLD = """
import sys
from pathlib import Path
from assay.system.file_lock import exclusive
with exclusive(Path(sys.argv[1]), "x"):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """A process that holds the lock until its standard input ends."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def taken_in_a_thread(path: Path) -> tuple[threading.Thread, threading.Event]:
    taken = threading.Event()

    def take() -> None:
        with exclusive(path, "engines"):
            taken.set()

    thread = threading.Thread(target=take)
    thread.start()
    return thread, taken


def test_a_lock_held_by_another_process_is_waited_for_with_a_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "assay")
    child = holder(tmp_path / "lock")
    thread, taken = taken_in_a_thread(tmp_path / "lock")
    assert not taken.wait(0.3)
    child.communicate("")
    thread.join(20)
    assert taken.is_set()
    assert "waiting for another process or thread: engines" in caplog.text


def test_a_killed_process_releases_its_lock(tmp_path: Path) -> None:
    child = holder(tmp_path / "lock")
    child.kill()
    child.communicate()
    thread, taken = taken_in_a_thread(tmp_path / "lock")
    thread.join(20)
    assert taken.is_set()


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    with exclusive(tmp_path / "lock", "x"):
        thread, taken = taken_in_a_thread(tmp_path / "lock")
        assert not taken.wait(0.3)
    thread.join(20)
    assert taken.is_set()


def test_a_missing_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"), exclusive(tmp_path / "none" / "lock", "x"):
        pass


def test_exclusive_at_once_does_not_wait_for_another_process(tmp_path: Path) -> None:
    child = holder(tmp_path / "lock")
    with pytest.raises(BlockingIOError), exclusive_at_once(tmp_path / "lock"):
        pass
    child.communicate("")
    with exclusive_at_once(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()
        with pytest.raises(BlockingIOError), exclusive_at_once(tmp_path / "lock"):
            pass
    assert not (tmp_path / "lock").exists()


def test_a_lock_whose_file_was_removed_is_taken_on_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, locked = tmp_path / "lock", file_lock._try
    removals = 0

    def remove_first(descriptor: int) -> bool:
        nonlocal removals
        if removals == 0:
            removals += 1
            path.unlink()
        return locked(descriptor)

    monkeypatch.setattr(file_lock, "_try", remove_first)
    with exclusive_at_once(path):
        assert path.exists()
    assert removals == 1


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the open files of a process are listed on Linux")
def test_a_file_system_without_locks_is_an_os_error_and_no_file_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(file_lock, "_try", refuse)
    before = sorted(Path("/proc/self/fd").iterdir())
    for lock in (exclusive(tmp_path / "lock", "x"), exclusive_at_once(tmp_path / "lock")):
        with pytest.raises(OSError, match="No locks available"), lock:
            pass
    assert sorted(Path("/proc/self/fd").iterdir()) == before
