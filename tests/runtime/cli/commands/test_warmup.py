"""assay warmup."""

import json
from pathlib import Path

import pytest

from tests.runtime import pretend_gpu, tiny
from tests.runtime.cli.running import run


def test_warmup_builds_each_length_once_and_shows_its_progress_on_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny.write(tmp_path / "long", max_length=100)
    created = pretend_gpu.install(monkeypatch, tmp_path / "cache")
    code, out, err = run("warmup", folder, "--device", "tensorrt", "--up-to", 40, "--json", capsys=capsys)
    assert code == 0
    assert [(engine["length"], engine["built"]) for engine in json.loads(out)["engines"]] == [(32, True), (64, True)]
    first, second, third = err.splitlines()
    assert first == "fp32 (auto: on tensorrt the bundle has no int8_qdq and no fp16): 2 lengths up to 64 tokens"
    assert second.startswith("[1/2] 32 tokens ... built, ")
    assert third.startswith("[2/2] 64 tokens ... built, ")
    code, out, err = run("warmup", folder, "--device", "tensorrt", capsys=capsys)
    assert (code, out) == (0, "")
    assert [line.split(",")[0] for line in err.splitlines()[1:]] == [
        "[1/3] 32 tokens ... was built before",
        "[2/3] 64 tokens ... was built before",
        "[3/3] 100 tokens ... built",
    ]
    assert [state for _, _, state in created] == ["builds", "builds", "loads", "loads", "builds"]
