"""The example for Node, against Python's answers from the same bundles."""

import base64
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

import assay
from assay.bundle import manifest
from assay.ort import saturation
from assay.publish.card import write_card
from tests.conftest import ROOT
from tests.examples.conftest import GRAPHS
from tests.examples.rows import LIMITS, ROWS, expect, measure

EXAMPLE = ROOT / "examples/node/answer.mjs"


def answer(node: str, bundle: Path, variant: str, rows: list[dict[str, str]]) -> subprocess.CompletedProcess[str]:
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    command = [node, str(EXAMPLE), str(bundle), variant]
    return subprocess.run(command, input=lines, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(("name", "variant"), GRAPHS)
def test_node_answers_as_python(name: str, variant: str, node: str, web_bundles: Path) -> None:
    rows = [{"text": text} if pair is None else {"text": text, "text_pair": pair} for text, pair in ROWS[name]]
    done = answer(node, web_bundles / name, variant, rows)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    expected = expect(web_bundles / name, variant)
    logits = [row["logits"] for row in found]
    assert measure(logits, expected, f"Node, {name}, {variant}") <= LIMITS[variant]
    for row, scores in zip(found, expected.scores, strict=True):
        assert row["score"] == pytest.approx(max(scores), rel=0, abs=LIMITS[variant])


@pytest.mark.parametrize(
    ("variant", "row", "message"),
    [
        ("fp32", {"text": "no second text"}, "pair-classifier reads a pair"),
        ("fp32", {"text": "word " * 600, "text_pair": ""}, "reads at most 512; shorten the text"),
        ("int8", {"text": "", "text_pair": ""}, "no graph of int8 for this build"),
    ],
)
def test_node_refuses_in_one_line(
    variant: str, row: dict[str, str], message: str, node: str, web_bundles: Path
) -> None:
    done = answer(node, web_bundles / "pair-classifier", variant, [row])
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_the_guides_snippet_runs_as_pasted(node: str, web_bundles: Path, tmp_path: Path) -> None:
    guide = (ROOT / "docs/guide/web.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^```js\n(.*?)^```$", guide, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "node_modules").symlink_to(ROOT / "examples/node_modules")
    (tmp_path / "bundles").symlink_to(web_bundles)
    command = [node, "--input-type=module"]
    done = subprocess.run(command, input=snippet, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    (logits,) = json.loads(done.stdout)
    row = ("What causes rain?", "Rain forms when water vapor condenses.")
    expected = assay.load(web_bundles / "pair-classifier", variant="fp32").logits([row])
    assert logits == pytest.approx(expected[0].tolist(), rel=0, abs=1e-4)


@pytest.mark.parametrize("name", ["pair-classifier", "complexity"])
def test_a_model_cards_snippet_for_node_runs_as_pasted(name: str, node: str, web_bundles: Path, tmp_path: Path) -> None:
    card = write_card(manifest.read(web_bundles / name / "assay.json"), f"acme/{name}")
    snippet, _ = re.findall(r"^```js\n(.*?)^```$", card, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "node_modules").symlink_to(ROOT / "examples/node_modules")
    (tmp_path / name).symlink_to(web_bundles / name)
    command = [node, "--input-type=module"]
    done = subprocess.run(command, input=snippet, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    pair = ("What causes rain?", "Rain forms when water vapor condenses.")
    expected = assay.load(web_bundles / name, variant="fp32").logits([pair if name == "pair-classifier" else pair[0]])
    assert json.loads(done.stdout) == pytest.approx(expected[0].tolist(), rel=0, abs=1e-4)


def test_node_probes_for_saturation_with_the_runtimes_own_graph() -> None:
    constant = re.search(r"const PROBE =(.*?);", EXAMPLE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert constant is not None
    assert base64.b64decode("".join(re.findall(r'"(.*?)"', constant[1]))) == saturation.PROBE
