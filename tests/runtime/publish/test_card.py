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
