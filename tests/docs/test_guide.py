"""Snippets of the guide that build on each other, run as a reader pastes them, after `make demo`."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pasting import ROOT, blocks, paste
from tests.runtime import tiny

ANNOTATE = ROOT / "docs/guide/annotate.md"
INTEGRATIONS = ROOT / "docs/guide/integrations.md"


def test_the_snippets_about_selecting_rows_run_as_pasted(clone: Path) -> None:
    shell = next(block for block in blocks(ANNOTATE, "") if "assay select" in block)
    paste(["bash", "-euo", "pipefail", "-c", shell], clone)

    def read(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (clone / name).read_text(encoding="utf-8").splitlines()]

    scored = read("complexity.jsonl")
    best = sorted((row["score"] for row in scored), reverse=True)[:3]
    assert sorted((row["score"] for row in read("hardest.jsonl")), reverse=True) == best
    labels = [row["label"] for row in read("hardest-per-label.jsonl")]
    assert sorted(labels, key=str) == sorted({row["label"] for row in read("both.jsonl")}, key=str)
    python = next(block for block in blocks(ANNOTATE, "python") if "select_file" in block)
    assert paste([sys.executable, "-c", python], clone) == f"3 {len(scored)}\n"


def test_the_snippet_about_the_report_runs_as_pasted(clone: Path) -> None:
    shell = next(block for block in blocks(ANNOTATE, "") if "--report" in block)
    paste(["bash", "-euo", "pipefail", "-c", shell], clone)
    page = (clone / "report.html").read_text(encoding="utf-8")
    assert "ADDR_DIRECT" in page


def find(word: str) -> str:
    """The snippet of the page about integrations that has this word."""
    return next(block for block in blocks(INTEGRATIONS, "python") if word in block)


@pytest.fixture
def folder(clone: Path, tmp_path: Path) -> Path:
    """The bundles of the clone, and a tiny one as Maxwell, which has a scale that no demo checkpoint has."""
    tiny.write(tmp_path / "bundles/maxwell", **tiny.REGRESSION)
    for name in ("complexity", "pair-classifier"):
        (tmp_path / "bundles" / name).symlink_to(clone / "bundles" / name)
    return tmp_path


def test_the_snippet_about_rewards_runs_as_pasted(folder: Path) -> None:
    scores = [json.loads(line) for line in paste([sys.executable, "-c", find("integrations.trl")], folder).splitlines()]
    assert [len(found) for found in scores] == [1, 1]
    assert all(0 <= found[0] <= 1 for found in scores)


def test_the_snippets_about_deita_run_as_pasted(folder: Path) -> None:
    found = paste([sys.executable, "-c", find("infer_complexity(")], folder)
    assert 1 <= float(found) <= 6
    pytest.importorskip("deita.pipeline", reason="deita is not installed")
    turns = [{"from": "human", "value": "what causes rain"}, {"from": "gpt", "value": "water"}]
    (folder / "sharegpt.json").write_text(json.dumps([{"conversations": turns}]))
    paste([sys.executable, "-c", find("score_pipeline.Llama_Scorer")], folder)
    assert json.loads((folder / "out/scored.json").read_text())[0]["complexity_scores"] == [float(found)]


def test_the_snippet_about_distilabel_runs_as_pasted(folder: Path) -> None:
    pytest.importorskip("distilabel", reason="distilabel is not installed: pip install distilabel")
    (folder / "script.py").write_text(find("integrations.distilabel"))
    scores = json.loads(paste([sys.executable, "script.py"], folder).splitlines()[-1])
    assert len(scores) == 2
    assert scores[0] < scores[1]


def test_the_snippet_about_datatrove_runs_as_pasted(folder: Path) -> None:
    pytest.importorskip("datatrove", reason="datatrove is not installed: pip install datatrove")
    (folder / "instructions").mkdir()
    texts = (ROOT / "examples/instructions.txt").read_text().splitlines()
    lines = "".join(json.dumps({"text": text, "id": str(row)}) + "\n" for row, text in enumerate(texts))
    (folder / "instructions/part.jsonl").write_text(lines)
    (folder / "script.py").write_text(find("integrations.datatrove"))
    paste([sys.executable, "script.py"], folder)
    kept = [json.loads(line) for path in (folder / "kept").iterdir() for line in path.read_text().splitlines()]
    assert [row["text"] for row in kept] == texts[1:]
    assert all(row["metadata"]["score"] >= 0.2 for row in kept)


def test_the_snippet_about_nemo_curator_runs_as_pasted(folder: Path) -> None:
    pytest.importorskip("nemo_curator", reason="nemo-curator is not installed: pip install nemo-curator")
    use = """
import pandas
stage = Complexity()
stage.setup()
print(stage.process(DocumentBatch("d", pandas.DataFrame({"text": ["Name a prime."]}))).to_pandas().columns.tolist())
"""
    assert paste([sys.executable, "-c", find("nemo_curator") + use], folder).splitlines()[-1] == "['text', 'score']"
