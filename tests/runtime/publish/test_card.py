"""Model cards: what they say is in the manifest, and no name becomes markup."""

import re
from pathlib import Path
from typing import Any

from assay.bundle import manifest
from assay.publish.card import MARK, write_card
from tests.runtime import tiny


def card(tmp_path: Path, **changes: Any) -> str:
    return write_card(manifest.read(tiny.write(tmp_path / "bundle", **changes) / "assay.json"), "acme/judge")


def test_a_card_says_what_the_manifest_says(tmp_path: Path, pair_bundle: Path) -> None:
    found = card(tmp_path)
    content = manifest.read(pair_bundle / "assay.json")
    assert found.startswith("---\nlibrary_name: assay\n")
    assert MARK in found
    assert "# judge\n" in found
    assert "a classifier of pairs of texts" in found
    assert r"Labels: ADDR\_DIRECT, ADDR\_PARTIAL, NOADDR\_ON." in found
    assert "at most 16 tokens. Longer ones are cut, the longest text first." in found
    for variant, dialects in content.variants.items():
        for dialect, graph in dialects.items():
            assert f"| {variant}, {dialect} | `{graph.file}` |" in found
    assert 'model = assay.load("acme/judge")\nprint(model.predict(' in found
    assert '"text-classification", "acme/judge", {"dtype": "fp32", "use_external_data_format": true}' in found
    assert "## Speed" not in found


def snippets(found: str) -> list[str]:
    return re.findall(r"^```js\n(.*?)^```$", found, flags=re.MULTILINE | re.DOTALL)


def test_node_runs_the_graph_that_the_manifest_lists_with_the_inputs_that_it_has(tmp_path: Path) -> None:
    found = card(tmp_path)
    assert (
        "```\nhf download acme/judge --local-dir judge\nnpm install onnxruntime-node @huggingface/transformers\n```"
        in found
    )
    assert "The logits are turned into scores by a softmax." in found
    node, web = snippets(found)
    assert 'import { InferenceSession, Tensor } from "onnxruntime-node";\n' in node
    assert 'AutoTokenizer.from_pretrained("judge")' in node
    assert 'InferenceSession.create("judge/onnx/model.onnx", {"graphOptimizationLevel": "all"})' in node
    pair = '"text_pair": "Rain forms when water vapor condenses."'
    assert f'tokenizer("What causes rain?", {{{pair}, "return_token_type_ids": false}})' in node
    assert f'answer.tokenizer("What causes rain?", {{{pair}}})' in web


def test_a_regression_over_texts_has_no_second_text_in_javascript(tmp_path: Path) -> None:
    found = card(tmp_path, **tiny.REGRESSION)
    node, web = snippets(found)
    assert "The logits are the score." in found
    assert 'tokenizer("What causes rain?", {"return_token_type_ids": false})' in node
    assert 'answer.tokenizer("What causes rain?");' in web


def test_token_types_are_asked_for_where_the_graph_reads_them(tmp_path: Path) -> None:
    inputs = ["input_ids", "attention_mask", "token_type_ids"]
    graph = tiny.document()["variants"]["fp32"]["portable"] | {"inputs": inputs}
    node, _ = snippets(card(tmp_path, variants={"fp32": {"portable": graph}}))
    assert '"return_token_type_ids": true' in node


def test_javascript_has_the_most_exact_portable_graph_and_its_optimisation_level(tmp_path: Path) -> None:
    graph = tiny.document()["variants"]["fp32"]["portable"] | {"graph_optimization": "basic"}
    found = card(tmp_path, variants={"int8_ort": {"portable": graph}})
    node, web = snippets(found)
    assert "On x86 this graph needs a CPU with VNNI" in found
    assert '{"graphOptimizationLevel": "basic"}' in node
    assert '"model_file_name": "model_int8_ort"' in web
    assert '"session_options": {"graphOptimizationLevel": "basic"}' in web


def test_a_bundle_without_a_portable_graph_has_no_javascript(tmp_path: Path) -> None:
    variants = {"fp32": {"cpu": tiny.document()["variants"]["fp32"]["cpu"]}}
    found = card(tmp_path, variants=variants)
    assert "It does not run in Node or in a browser: it has no portable graph." in found
    assert snippets(found) == []


def test_a_regression_has_a_score_and_its_range(tmp_path: Path) -> None:
    found = card(tmp_path, **tiny.REGRESSION)
    assert "a regression over texts" in found
    assert "The score is from 0 to 1" in found
    assert "print(model.score(" in found
    assert "refused, or cut on request" in found


def test_names_of_the_bundle_are_text(tmp_path: Path) -> None:
    found = card(tmp_path, labels=["<script>", "a|b", "[x](http://y)"], name="# *evil*")
    assert "<script>" not in found
    assert r"&lt;script&gt;, a\|b, \[x\](http://y)" in found
    assert r"\# \*evil\*" in found


def test_figures_are_those_of_the_export(tmp_path: Path) -> None:
    variants = tiny.document()["variants"]
    variants["fp32"]["portable"]["parity"] = {
        "max_abs_delta": 1.5e-6,
        "threshold": 1e-4,
        "rows": 51,
        "label_agreement": 1.0,
    }
    variants["fp32"]["cpu"]["parity"] = {"summary": "what the gate | found"}
    found = card(tmp_path, variants=variants)
    assert "logits differ by at most 1.5e-06 of 0.0001 allowed, 51 rows, same label in 100.0%" in found
    assert r"what the gate \| found" in found


def test_only_a_checkpoint_on_the_hub_is_named_as_its_base(tmp_path: Path) -> None:
    at_hub = {"id": "acme/base", "revision": "a" * 40}
    assert re.search(r"^base_model: acme/base$", card(tmp_path / "a", source=at_hub), flags=re.MULTILINE)
    for number, source in enumerate([{"id": "acme/base", "revision": None}, {"id": "x: y\n", "revision": "a"}]):
        assert "base_model" not in card(tmp_path / str(number), source=source)
