"""A bundle appears at its target complete or not at all, however the export ends."""

import errno
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from assay_export.bundle import staging
from assay_export.bundle.staging import check_target, stage
from assay_export.errors import ExportError

# Next to the target "bundle", while an export is writing to it.
HIDDEN = [".bundle.lock", ".bundle.partial"]


def make_bundle(target: Path, text: str = "old") -> Path:
    target.mkdir()
    (target / "assay.json").write_text(text)
    return target


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(target: Path, force: bool = False) -> None:
    with stage(target, force) as folder:
        (folder / "assay.json").write_text("new")


def write_half(target: Path, error: type[BaseException], force: bool = False) -> None:
    was_there = target.exists()
    with stage(target, force) as folder:
        (folder / "assay.json").write_text("half")
        assert target.exists() == was_there
        raise error


def test_the_files_appear_at_the_target_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    with stage(target, force=False) as folder:
        (folder / "onnx").mkdir()
        (folder / "onnx" / "model.onnx").write_bytes(b"graph")
        assert not target.exists()
        assert folder.parent == tmp_path
    assert names(tmp_path) == ["bundle"]
    assert (target / "onnx" / "model.onnx").read_bytes() == b"graph"


def test_folders_above_the_target_are_created(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "bundle")
    assert names(tmp_path / "a" / "b") == ["bundle"]


def test_a_relative_target_is_resolved_when_the_export_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with stage(Path("bundle"), force=False):
        monkeypatch.chdir(tmp_path / "elsewhere")
    assert names(tmp_path) == ["bundle", "elsewhere"]


def test_the_permissions_of_the_bundle_follow_the_umask(tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    write(tmp_path / "bundle")
    assert (tmp_path / "bundle").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, MemoryError])
def test_nothing_is_left_when_the_block_raises(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        write_half(tmp_path / "bundle", error)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", [None, "onnx/model.onnx"])
def test_an_error_of_writing_the_bundle_blames_the_target(tmp_path: Path, name: str | None) -> None:
    target = tmp_path / "bundle"
    with pytest.raises(ExportError, match=f"{target} could not be written: .*No space"), stage(target, False) as folder:
        raise OSError(errno.ENOSPC, "No space left on device", *([str(folder / name)] if name else []))
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file or directory", "/lib/libgomp.so"),
        PermissionError(errno.EACCES, "Permission denied", "/tmp/scratch"),
        OSError(errno.ENOSPC, "No space left on device", "/tmp/scratch"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    ],
    ids=str,
)
def test_any_other_error_of_the_system_names_what_failed_and_does_not_blame_the_target(
    tmp_path: Path, error: OSError
) -> None:
    with (
        pytest.raises(ExportError, match=f"export failed: {re.escape(str(error))}") as caught,
        stage(tmp_path / "bundle", force=False),
    ):
        raise error
    assert "could not be written" not in str(caught.value)
    assert names(tmp_path) == []


def test_an_export_error_passes_unchanged(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"^the gate$"), stage(tmp_path / "bundle", force=False):
        raise ExportError("the gate")
    assert names(tmp_path) == []


class TestExistingTargets:
    @pytest.mark.parametrize("kind", ["bundle", "empty folder", "folder", "file", "link", "dangling link"])
    def test_any_is_refused_without_force(self, tmp_path: Path, kind: str) -> None:
        target = self.make(tmp_path, kind)
        before = names(tmp_path)
        with pytest.raises(ExportError, match=r"exists: .*--force"):
            write(target)
        assert names(tmp_path) == before

    @pytest.mark.parametrize("kind", ["bundle", "empty folder"])
    def test_a_bundle_or_an_empty_folder_is_replaced_with_force(self, tmp_path: Path, kind: str) -> None:
        target = self.make(tmp_path, kind)
        write(target, force=True)
        assert names(tmp_path) == ["target"]
        assert names(target) == ["assay.json"]
        assert (target / "assay.json").read_text() == "new"

    @pytest.mark.parametrize("kind", ["folder", "file", "link", "dangling link"])
    def test_anything_else_is_not_replaced_even_with_force(self, tmp_path: Path, kind: str) -> None:
        target = self.make(tmp_path, kind)
        before = names(tmp_path)
        with pytest.raises(ExportError, match="not a bundle, so --force does not replace it"):
            check_target(target, force=True)
        with pytest.raises(ExportError, match="not a bundle"):
            write(target, force=True)
        assert names(tmp_path) == before

    def test_a_target_that_appears_during_the_export_is_not_replaced(self, tmp_path: Path) -> None:
        target = tmp_path / "bundle"
        with pytest.raises(ExportError, match="exists"), stage(target, force=False):
            make_bundle(target, "another export's")
        assert names(tmp_path) == ["bundle"]
        assert (target / "assay.json").read_text() == "another export's"

    def test_the_old_bundle_stays_until_the_new_one_is_complete(self, tmp_path: Path) -> None:
        target = make_bundle(tmp_path / "bundle")
        with pytest.raises(RuntimeError):
            write_half(target, RuntimeError, force=True)
        assert names(tmp_path) == ["bundle"]
        assert (target / "assay.json").read_text() == "old"

    def test_the_old_bundle_is_restored_if_replacing_it_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = make_bundle(tmp_path / "bundle")
        rename = Path.rename

        def rename_but_not_the_new_one(self: Path, to: Path) -> Path:
            if to == target and (self / "assay.json").read_text() == "new":
                raise OSError(errno.EIO, "Input/output error", str(self))
            return rename(self, to)

        monkeypatch.setattr(Path, "rename", rename_but_not_the_new_one)
        with pytest.raises(ExportError, match="could not be written"):
            write(target, force=True)
        assert names(tmp_path) == ["bundle"]
        assert (target / "assay.json").read_text() == "old"

    def make(self, folder: Path, kind: str) -> Path:
        target = folder / "target"
        if kind == "bundle":
            make_bundle(target)
        elif kind == "file":
            target.write_text("mine")
        elif kind == "link":
            target.symlink_to(make_bundle(folder / "real"))
        elif kind == "dangling link":
            target.symlink_to(folder / "nowhere")
        else:
            target.mkdir()
            if kind == "folder":
                (target / "thesis.txt").write_text("mine")
        return target


@pytest.mark.parametrize("target", ["file/bundle", "file/a/bundle", "file/../file/bundle"])
def test_a_parent_that_cannot_be_written_to_is_an_export_error(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("a file, where a folder is needed")
    with pytest.raises(ExportError, match=r"cannot be written to: .*choose another --out"):
        write(tmp_path / target)


@pytest.mark.parametrize("name", HIDDEN)
def test_what_stands_in_the_way_of_a_hidden_name_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.mkdir() if name.endswith("lock") else path.write_text("a file of someone else")
    with pytest.raises(ExportError, match=re.escape(f"{path} cannot be written to: ")):
        write(tmp_path / "bundle")
    assert names(tmp_path) == [name] or path.is_file()


def test_a_name_that_is_too_long_is_an_export_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="--out"):
        write(tmp_path / ("b" * 300))


EXPORT = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from assay_export.interruption import Interruptible
    from assay_export.progress import Silent
    from assay_export.bundle.staging import stage

    with Interruptible(Silent()).listen(), stage(Path(sys.argv[1]), force=False) as folder:
        (folder / "half").write_text("x")
        print("writing", flush=True)
        time.sleep(60)
    """
)


def start(target: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", EXPORT, str(target)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_export_that_is_told_to_stop_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path / "bundle")
    assert names(tmp_path) == HIDDEN
    process.send_signal(number)
    assert process.wait(20) != 0
    assert names(tmp_path) == []


def test_the_remains_of_a_killed_export_are_removed_by_the_next_one_to_the_same_target(tmp_path: Path) -> None:
    process = start(tmp_path / "bundle")
    process.kill()
    process.wait(20)
    assert names(tmp_path) == HIDDEN
    write(tmp_path / "other")
    assert names(tmp_path) == [*HIDDEN, "other"]
    write(tmp_path / "bundle")
    assert names(tmp_path) == ["bundle", "other"]


@pytest.mark.parametrize("force", [False, True])
def test_a_target_that_another_export_is_writing_to_is_refused_at_once(tmp_path: Path, force: bool) -> None:
    process = start(tmp_path / "bundle")
    try:
        with pytest.raises(ExportError, match=f"another export is writing to {tmp_path / 'bundle'}: wait"):
            write(tmp_path / "bundle", force)
        assert (tmp_path / ".bundle.partial" / "half").read_text() == "x"
        assert names(tmp_path) == HIDDEN
    finally:
        process.kill()
        process.wait(20)


def test_a_file_system_without_locks_does_not_stop_an_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.ENOLCK, "No locks available", str(path))

    monkeypatch.setattr(staging, "exclusive_at_once", refuse)
    write(tmp_path / "bundle")
    assert names(tmp_path) == ["bundle"]


def test_the_old_bundle_is_not_lost_when_an_export_is_killed_while_replacing_it(tmp_path: Path) -> None:
    """The target is missing for a moment: the old bundle has been set aside, the new one not yet renamed."""
    target = make_bundle(tmp_path / "bundle")
    program = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from assay_export.bundle.staging import stage

        rename = Path.rename
        def die_before_the_second(self, to):
            if to.name == "bundle":
                os.kill(os.getpid(), 9)
            return rename(self, to)
        Path.rename = die_before_the_second
        with stage(Path(sys.argv[1]), force=True) as folder:
            (folder / "assay.json").write_text("new")
        """
    )
    subprocess.run([sys.executable, "-c", program, str(target)], check=False, timeout=30)
    with pytest.raises(RuntimeError), stage(target, force=True):
        raise RuntimeError  # the next export fails, and must not have thrown the only bundle away
    assert [(target / "assay.json").read_text()] == ["old"]


def test_names_with_glob_characters_do_not_remove_other_targets_folders(tmp_path: Path) -> None:
    foreign = tmp_path / ".bundle1.partial"
    foreign.mkdir()
    write(tmp_path / "bundle[1]")
    write(tmp_path / "bundle?")
    assert foreign.is_dir()


def test_everything_is_flushed_before_the_bundle_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    rename = Path.rename
    monkeypatch.setattr(staging, "sync_tree", lambda folder: events.append(f"tree {folder.name}"))
    monkeypatch.setattr(staging, "sync_folder", lambda folder: events.append(f"folder {folder.name}"))

    def note(self: Path, to: Path) -> Path:
        events.append(f"rename {self.name}")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", note)
    (tmp_path / "place").mkdir()
    write(tmp_path / "place" / "bundle")
    write(tmp_path / "place" / "bundle", force=True)
    new = ["tree .bundle.partial", "rename .bundle.partial", "folder place"]
    assert events == [*new, new[0], "rename bundle", *new[1:]]


def test_folders_that_a_failed_export_made_are_removed_with_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        write_half(tmp_path / "a" / "b" / "bundle", RuntimeError)
    assert names(tmp_path) == []
