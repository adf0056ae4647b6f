"""The tokenizers of transformers.js against the runtime's, on real text."""

import json
import subprocess
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tests.conftest import ROOT

LIBRARY = ROOT / "examples/node_modules/@huggingface/transformers/dist/transformers.node.mjs"


def read_texts(materials: Path) -> list[str]:
    """Every eighth question and every eighth sentence of QNLI, and all of the instructions for people."""
    table = (materials / "text/qnli_dev.tsv").read_text(encoding="utf-8").splitlines()[1::8]
    instructions = (materials / "text/self_instruct_user_oriented_instructions.jsonl").read_text(encoding="utf-8")
    texts = [field for line in table for field in line.split("\t")[1:3]]
    texts += [json.loads(line)["instruction"] for line in instructions.splitlines()]
    return [text for text in texts if not {"\ufeff", "\x85"} & set(text)]


@pytest.mark.parametrize("name", ["deberta-v3", "modernbert"])
def test_real_text_has_the_same_tokens_in_transformers_js(name: str, node: str, materials: Path) -> None:
    path = materials / "tokenizers" / name / "tokenizer.json"
    texts = read_texts(materials)
    done = subprocess.run(
        [node, str(Path(__file__).with_name("tokenize.mjs")), str(LIBRARY)],
        input=json.dumps({"tokenizer": str(path), "texts": texts}),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    expected = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
    found = json.loads(done.stdout)
    differing = [text for text, want, have in zip(texts, expected, found, strict=True) if want != have]
    print(f"{name}: {len(differing)} of {len(texts)} texts differ")
    assert not differing
