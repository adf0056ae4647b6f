"""The page of examples/browser in headless Chromium, against Python's answers from the same bundles."""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from assay.ort import saturation
from examples.browser.make_site import make_site
from tests.examples import chromium
from tests.examples.conftest import GRAPHS, INT8_ORT
from tests.examples.rows import LIMITS, ROWS, compute_tolerance, expect, measure

TOO_LONG = "word " * 600
SHOWN_SCORE, SHOWN_LOGIT = 5e-5, 5e-7  # half of the last digit that the page shows

Shown = Mapping[tuple[str, str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def report(node: str, web_bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What Chromium reports after every row was typed into the page, for each bundle and variant."""
    del node  # only for its check of the npm packages
    browser = chromium.find()
    if browser is None:
        pytest.skip("Chromium is not installed")
    site = tmp_path_factory.mktemp("site") / "web"
    make_site(site, [web_bundles / name for name in ROWS])
    cases = [
        {"bundle": name, "variant": variant, "text": text, "textPair": pair}
        for name, variant in GRAPHS
        for text, pair in ROWS[name]
    ]
    cases.append({"bundle": "pair-classifier", "variant": "fp32", "text": TOO_LONG, "textPair": ""})
    probe = base64.b64encode(saturation.PROBE).decode()
    return chromium.drive(browser, site, {"cases": cases, "probe": probe}, tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def shown(report: Any) -> Shown:
    """What the page showed for the rows, by bundle and variant."""
    found = iter(report["shown"])
    return {(name, variant): [next(found) for _ in ROWS[name]] for name, variant in GRAPHS}


@pytest.mark.parametrize(("name", "variant"), [graph for graph in GRAPHS if "int8_ort" not in graph])
def test_the_page_shows_pythons_logits(name: str, variant: str, shown: Shown, web_bundles: Path) -> None:
    found = [row["logits"] for row in shown[name, variant]]
    expected = expect(web_bundles / name, variant)
    assert measure(found, expected, f"Chromium, {name}, {variant}") <= LIMITS[variant] + SHOWN_LOGIT


# Not compared with Python's int8_ort, which needs VNNI on x86, and which rounds the activations of "blockwise" layers.
@pytest.mark.skipif(not INT8_ORT, reason="int8_ort is not exported on a CPU without VNNI")
@pytest.mark.parametrize("name", ROWS)
def test_int8_ort_is_as_near_to_fp32_on_the_page_as_assay_verify_demands(
    name: str, shown: Shown, web_bundles: Path
) -> None:
    found = [row["logits"] for row in shown[name, "int8_ort"]]
    delta = measure(found, expect(web_bundles / name, "fp32"), f"Chromium, {name}, int8_ort against fp32")
    assert delta <= compute_tolerance(web_bundles / name, "int8_ort")


@pytest.mark.parametrize("name", ROWS)
def test_the_page_shows_labels_and_scores_of_the_bundles_own_activation(
    name: str, shown: Shown, web_bundles: Path
) -> None:
    expected = expect(web_bundles / name, "fp32")
    for row, scores in zip(shown[name, "fp32"], expected.scores, strict=True):
        assert row["scores"] == pytest.approx(scores, rel=0, abs=LIMITS["fp32"] + SHOWN_SCORE)
    if name == "complexity":
        assert all(row["labels"] == ["LABEL_0"] and not row["pair"] for row in shown[name, "fp32"])
    else:
        assert all(row["labels"][0] == "ADDR_DIRECT" and row["pair"] for row in shown[name, "fp32"])


def test_the_page_shows_the_tokens_and_the_time_of_each_answer(shown: Shown) -> None:
    row = shown["pair-classifier", "fp32"][ROWS["pair-classifier"].index(("", ""))]
    assert row["tokens"] == ["[CLS]", "[SEP]"]  # an empty second text is none, as in Python
    assert re.fullmatch(r"2 tokens, \d+\.\d ms", row["status"])


def test_the_page_refuses_a_text_that_is_longer_than_the_model_reads(report: Any) -> None:
    refused = report["shown"][-1]
    assert "but pair-classifier reads at most 512; shorten the text" in refused["status"]
    assert refused["logits"] == []


def test_int8_products_do_not_saturate_in_the_web_build(report: Any) -> None:
    assert report["probe"] == [64 * 255 * 127] * 16
