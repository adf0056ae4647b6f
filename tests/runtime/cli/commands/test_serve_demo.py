"""assay serve-demo."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.ended import ended
from tests.runtime.cli.running import run


def test_it_says_where_it_is_answers_and_ends_quietly_at_ctrl_c(pair_bundle: Path) -> None:
    command = [sys.executable, "-m", "assay", "serve-demo", str(pair_bundle)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        ended(process),
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"(http://127\.0\.0\.1:\d+/) answers from .*; Ctrl-C ends it\n", line)
        assert found
        with urllib.request.urlopen(found[1], timeout=30) as page:
            assert b"<title>Assay</title>" in page.read()
        body = json.dumps({"text": "what", "text_pair": "rain"}).encode()
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{found[1]}answer", body, headers), timeout=30) as answer:
            assert json.load(answer)["label"].startswith(("ADDR", "NOADDR"))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "")


@pytest.mark.parametrize("port", ["65536", "-1", "http", "²"])
def test_a_port_that_is_none_is_wrong_usage(port: str, pair_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("serve-demo", pair_bundle, f"--port={port}", capsys=capsys)
    assert (code, out) == (2, "")
    assert "expected a port from 0 to 65535" in err


def test_a_missing_bundle_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("serve-demo", tmp_path / "none", capsys=capsys)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "no such folder" in err
