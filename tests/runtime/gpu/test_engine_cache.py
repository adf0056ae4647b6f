import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assay import ProviderError
from assay.gpu.engine_cache import EngineCache, locate_cache

KEY = {"gpu": "NVIDIA L4", "tensorrt": "101303"}
ROOT_USER = hasattr(os, "geteuid") and os.geteuid() == 0

BUILD = """
import sys
from pathlib import Path
from assay.gpu.engine_cache import EngineCache
with EngineCache(Path(sys.argv[1]), {"gpu": "NVIDIA L4", "tensorrt": "101303"}).open(64) as folders:
    if folders.is_built:
        print("loads", flush=True)
    else:
        (folders.engines / "a.engine").write_text("half")
        print("builds", flush=True)
        sys.stdin.readline()
        (folders.engines / "a.engine").write_text("whole")
    print((folders.engines / "a.engine").read_text(), flush=True)
"""


def build(cache: EngineCache, length: int = 64, text: str = "engine") -> bool:
    """Open the cache and build where that is needed. Gives whether it was."""
    with cache.open(length) as folders:
        if not folders.is_built:
            (folders.engines / "a.engine").write_text(text)
            timing = folders.timing / "a.timing"
            timing.write_text((timing.read_text() if timing.exists() else "") + text[0])
        assert (folders.engines / "a.engine").is_file()
        return not folders.is_built


def process(root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"ASSAY_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "linux", "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "linux", "/b/assay"),
        ({"XDG_CACHE_HOME": "relative"}, "linux", "~/.cache/assay"),
        ({"XDG_CACHE_HOME": ""}, "linux", "~/.cache/assay"),
        ({}, "linux", "~/.cache/assay"),
        ({}, "darwin", "~/Library/Caches/assay"),
        ({"LOCALAPPDATA": "/c"}, "win32", "/c/assay/cache"),
    ],
)
def test_the_cache_is_in_the_platforms_cache_folder(environment: dict[str, str], platform: str, expected: str) -> None:
    assert locate_cache(environment, platform) == Path(expected).expanduser()


def test_an_engine_is_built_once_per_length_and_kept(tmp_path: Path) -> None:
    assert [build(EngineCache(tmp_path, KEY), length) for length in (64, 128, 64, 128)] == [True, True, False, False]
    assert sorted(path.name for path in EngineCache(tmp_path, KEY).folder.iterdir()) == [
        "0064",
        "0128",
        "lock",
        "timing",
    ]


def test_a_build_starts_with_the_timings_of_the_one_before(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path, KEY)
    build(cache, 64)
    build(cache, 128)
    assert (cache.folder / "timing" / "a.timing").read_text() == "ee"


def test_another_key_has_another_folder(tmp_path: Path) -> None:
    other = EngineCache(tmp_path, KEY | {"gpu": "NVIDIA H100"})
    assert build(EngineCache(tmp_path, KEY))
    assert build(other)
    assert other.folder != EngineCache(tmp_path, KEY).folder


@pytest.mark.parametrize("damage", ["a byte", "no seal", "half a seal", "a list", "an added file", "no engine"])
def test_an_engine_that_does_not_match_its_seal_is_built_again_with_a_warning(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = EngineCache(tmp_path, KEY)
    build(cache)
    folder = cache.folder / "0064"
    if damage == "a byte":
        (folder / "a.engine").write_text("enginE")
    elif damage == "no seal":
        (folder / "seal.json").unlink()
    elif damage == "half a seal":
        (folder / "seal.json").write_text('{"key": {')
    elif damage == "a list":
        (folder / "seal.json").write_text("[]")
    elif damage == "an added file":
        (folder / "b.engine").write_text("b")
    else:
        (folder / "a.engine").unlink()
    assert build(cache)
    assert "building it again" in caplog.text
    assert not build(cache)
    assert not (folder / "b.engine").exists()


def test_a_folder_copied_from_another_machine_is_not_trusted(tmp_path: Path) -> None:
    ours, theirs = EngineCache(tmp_path, KEY), EngineCache(tmp_path, KEY | {"gpu": "NVIDIA H100"})
    build(theirs, text="theirs")
    theirs.folder.rename(ours.folder)
    assert build(ours, text="ours")
    assert (ours.folder / "0064" / "a.engine").read_text() == "ours"
    assert json.loads((ours.folder / "0064" / "seal.json").read_text())["key"] == KEY


def test_a_build_that_fails_leaves_nothing_and_the_next_one_builds(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path, KEY)
    with pytest.raises(ZeroDivisionError), cache.open(64) as folders:
        assert 1 / (folders.engines / "a.engine").write_text("")
    assert sorted(path.name for path in cache.folder.iterdir()) == ["lock"]
    assert build(cache)


def test_a_session_that_wrote_no_engine_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="TensorRT wrote no engine"), EngineCache(tmp_path, KEY).open(64):
        pass


def test_one_of_two_processes_builds_and_the_other_loads_the_engine(tmp_path: Path) -> None:
    first = process(tmp_path)
    assert first.stdout is not None
    assert first.stdout.readline() == "builds\n"
    second = process(tmp_path)
    out, _ = first.communicate("\n", timeout=20)
    assert out == "whole\n"
    out, _ = second.communicate("\n", timeout=20)
    assert out == "loads\nwhole\n"


def test_the_remains_of_a_killed_process_are_not_loaded(tmp_path: Path) -> None:
    killed = process(tmp_path)
    assert killed.stdout is not None
    assert killed.stdout.readline() == "builds\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    cache = EngineCache(tmp_path, KEY)
    assert (cache.folder / "building" / "a.engine").read_text() == "half"
    assert build(cache, text="new")
    assert sorted(path.name for path in cache.folder.iterdir()) == ["0064", "lock", "timing"]


def test_other_users_cannot_write_engines(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path, KEY)
    build(cache)
    assert cache.folder.stat().st_mode & 0o077 == 0
    assert (cache.folder / "0064").stat().st_mode & 0o077 == 0


def test_an_engine_loads_from_a_read_only_cache(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path, KEY)
    build(cache)
    (cache.folder / "lock").unlink()
    cache.folder.chmod(0o500)
    try:
        assert not build(cache)
        assert not (cache.folder / "lock").exists()
    finally:
        cache.folder.chmod(0o700)


@pytest.mark.skipif(ROOT_USER, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_names_the_variable(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ProviderError, match="ASSAY_CACHE"), EngineCache(tmp_path, KEY).open(64):
        pass


def test_a_file_in_place_of_the_cache_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "tensorrt").write_text("")
    with pytest.raises(ProviderError, match="ASSAY_CACHE"), EngineCache(tmp_path, KEY).open(64):
        pass


def test_an_error_of_the_block_keeps_its_type(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "assay")
    with pytest.raises(OSError, match="mine"), EngineCache(tmp_path, KEY).open(64):
        raise OSError("mine")


def test_the_environment_is_read_when_the_cache_is_located(monkeypatch: pytest.MonkeyPatch) -> None:
    # datasets.map with processes leaves another mapping in the place of os.environ.
    monkeypatch.setattr("os.environ", {"ASSAY_CACHE": "/elsewhere"})
    assert locate_cache() == Path("/elsewhere")
