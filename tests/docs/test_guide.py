"""Snippets of the guide that build on each other, run as a reader pastes them, after `make demo`."""

import json
import sys
from pathlib import Path
from typing import Any

from tests.docs.pasting import ROOT, blocks, paste

ANNOTATE = ROOT / "docs/guide/annotate.md"


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
