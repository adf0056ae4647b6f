"""Snippets of the guide that build on each other, run as a reader pastes them, after `make demo`."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import assay
from tests.docs.pasting import ROOT, blocks, paste
from tests.runtime import tiny

ANNOTATE = ROOT / "docs/guide/annotate.md"
INTEGRATIONS = ROOT / "docs/guide/integrations.md"
RECIPES = ROOT / "docs/guide/recipes.md"


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


def find(word: str, page: Path = INTEGRATIONS) -> str:
    """The snippet of the page that has this word."""
    return next(block for block in blocks(page, "python") if word in block)


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


@pytest.mark.library("verl")
def test_the_snippet_about_verl_runs_in_its_reward_manager(tmp_path: Path) -> None:
    # Not an exported bundle: verl needs transformers 5, with which nothing can be exported.
    bundle = tiny.write(tmp_path / "bundles/complexity", **tiny.REGRESSION)
    (tmp_path / "reward.py").write_text(find("def compute_score"))
    script = """
import asyncio, json
from types import SimpleNamespace
import numpy, torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls
from verl.trainer.ppo.reward import get_custom_reward_fn

async def reward(text):
    columns = {"data_source": "d", "reward_model": {"ground_truth": ""}, "extra_info": {}}
    data = DataProto.from_dict(
        tensors={"responses": torch.tensor([[1, 2, 0]]), "attention_mask": torch.tensor([[1, 1, 1, 0]])},
        non_tensors={name: numpy.array([value], dtype=object) for name, value in columns.items()},
    )
    tokenizer = SimpleNamespace(decode=lambda ids, skip_special_tokens: text)
    manager = get_reward_manager_cls("naive")(config, tokenizer, get_custom_reward_fn(config))
    return (await manager.run_single(data))["reward_score"]

config = OmegaConf.create({"reward": {"custom_reward_function": {"path": "reward.py", "name": "compute_score"}}})
print(json.dumps([asyncio.run(reward(text)) for text in ("what causes rain", "a " * 9000)]))
"""
    found = json.loads(paste([sys.executable, "-c", script], tmp_path).splitlines()[-1])
    model = assay.load_scorer(bundle)
    assert found == pytest.approx(
        [model.score(t, scale=(0, 1), truncate=True) for t in ("what causes rain", "a " * 9000)]
    )
    assert found[0] != found[1]


def test_the_snippet_about_deitas_scorer_runs_as_pasted(folder: Path) -> None:
    assert 1 <= float(paste([sys.executable, "-c", find("infer_complexity(")], folder)) <= 6


@pytest.mark.library("deita")
def test_the_snippet_about_deitas_pipeline_runs_as_pasted(folder: Path) -> None:
    found = paste([sys.executable, "-c", find("infer_complexity(")], folder)
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


@pytest.mark.library("nemo-curator")
def test_the_snippet_about_nemo_curator_runs_as_pasted(folder: Path) -> None:
    use = """
import pandas
stage = Complexity()
stage.setup()
print(stage.process(DocumentBatch("d", pandas.DataFrame({"text": ["Name a prime."]}))).to_pandas().columns.tolist())
"""
    assert paste([sys.executable, "-c", find("nemo_curator") + use], folder).splitlines()[-1] == "['text', 'score']"


DOCUMENTS = ("Bread needs flour.", "Rain forms when water vapor condenses.", "Clouds.")  # those of the recipes
QUERY = "What causes rain?"


def check_reranked(clone: Path, recipe: str, use: str) -> None:
    """Run a recipe as it stands, which prints the two best documents, and then `use`, which prints all as JSON."""
    model = assay.load(clone / "bundles/pair-classifier")
    ranked = model.rank(QUERY, DOCUMENTS, label="ADDR_DIRECT")
    expected = [(entry["score"], DOCUMENTS[entry["corpus_id"]]) for entry in ranked]
    printed = paste([sys.executable, "-c", find(recipe, RECIPES) + use], clone).splitlines()
    *best, everything = printed[-3:]
    for line, (score, text) in zip(best, expected, strict=False):
        found, _, document = line.partition(" ")
        assert document == text
        assert float(found) == pytest.approx(score, abs=1e-6)
    assert [text for _, text in json.loads(everything)] == [text for _, text in expected]
    assert [score for score, _ in json.loads(everything)] == pytest.approx([score for score, _ in expected], abs=1e-6)


@pytest.mark.library("haystack-ai")
def test_the_recipe_for_haystack_ranks_as_the_model_does(clone: Path) -> None:
    use = """
import json
options = pipeline.to_dict()["components"]["ranker"]["init_parameters"]
assert options == {"bundle": "bundles/pair-classifier", "label": "ADDR_DIRECT", "top_k": 2}, options
everything = AssayRanker(options["bundle"], options["label"]).run(query="What causes rain?", documents=documents)
assert [document.score for document in documents] == [None] * 3
print(json.dumps([(document.score, document.content) for document in everything["documents"]]))
"""
    check_reranked(clone, "import Document, Pipeline, component", use)


@pytest.mark.library("langchain-core")
def test_the_recipe_for_langchain_ranks_as_the_model_does(clone: Path) -> None:
    use = """
import asyncio, json
compressor.top_k = None
documents = [Document(document.page_content, metadata={"source": "s"}, id="1") for document in documents]
everything = asyncio.run(compressor.acompress_documents(documents, "What causes rain?"))
assert {(document.id, document.metadata["source"]) for document in everything} == {("1", "s")}
assert documents[0].metadata == {"source": "s"}
print(json.dumps([(document.metadata["relevance_score"], document.page_content) for document in everything]))
"""
    check_reranked(clone, "langchain_core", use)


@pytest.mark.library("llama-index-core")
def test_the_recipe_for_llama_index_ranks_as_the_model_does(clone: Path) -> None:
    use = """
import asyncio, json
reranker.top_n = None
everything = asyncio.run(reranker.apostprocess_nodes(nodes, query_str="What causes rain?"))
assert [node.score for node in nodes] == [None] * 3
print(json.dumps([(node.score, node.get_content()) for node in everything]))
"""
    check_reranked(clone, "llama_index", use)
