import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import assay
from assay import BundleError, InputError, NumericalError, Scorer
from assay.bundle.manifest import Scale
from assay.models import columns
from assay.models.scorer import rescale
from tests.runtime import tiny

# What the head may return: mostly 0..1, a little beyond, exact halves of the six-point scale, and anything finite.
OUTPUTS = (
    st.floats(-0.5, 1.5, width=32)
    | st.integers(-4, 20).map(lambda tenth: float(np.float32(tenth / 10)))
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
)
LIMITS = st.tuples(st.integers(-1000, 1000), st.integers(1, 1000)).map(
    lambda pair: (pair[0], pair[0] + pair[1])
) | st.tuples(st.floats(-1e3, 1e3), st.floats(0.01, 1e3)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@pytest.mark.filterwarnings("error:overflow")
@given(outputs=st.lists(OUTPUTS, min_size=1, max_size=20), limits=LIMITS)
def test_a_rescaled_output_is_to_the_bit_what_the_card_computes(
    outputs: list[float], limits: tuple[float, float]
) -> None:
    torch = pytest.importorskip("torch")
    low, high = limits
    expected = torch.tensor(outputs, dtype=torch.float32) * (high - low) + low
    expected = torch.clamp(expected, min=low, max=high)
    assert rescale(np.array(outputs, np.float32), low, high).tolist() == expected.tolist()


@given(outputs=st.lists(OUTPUTS, min_size=1, max_size=20))
def test_evol_complexity_is_what_the_card_computes(scorer: Scorer, outputs: list[float]) -> None:
    torch = pytest.importorskip("torch")
    expected = torch.round(torch.clamp(torch.tensor(outputs, dtype=torch.float32) * (6 - 1) + 1, min=1.0, max=6.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scorer, "logits", lambda *_, **__: np.array(outputs, np.float32)[:, None])
        patch.setattr(Scorer, "_run_single", lambda *_: np.array(outputs[:1], np.float32)[:, None])
        scores = scorer.evol_complexity_batch(["a"] * len(outputs))
        single = scorer.evol_complexity("a")
    assert scores.dtype == np.int64
    assert scores.tolist() == [int(value) for value in expected.tolist()]
    assert (type(single), single) == (int, int(expected[0]))


@pytest.mark.parametrize(("output", "score"), [(0.1, 2), (0.3, 2), (0.5, 4), (0.7, 4), (0.9, 6)])
def test_halves_round_to_the_even_neighbour(output: float, score: int) -> None:
    scaled = rescale(np.array([output], np.float32), 1.0, 6.0)
    assert scaled[0] % 1 == 0.5
    assert np.rint(scaled)[0] == score


@pytest.mark.parametrize(("output", "score"), [(-3.0, 1.0), (-0.0, 1.0), (1.0, 6.0), (7.0, 6.0), (3e38, 6.0)])
def test_an_output_outside_of_the_range_is_clamped(output: float, score: float) -> None:
    assert rescale(np.array([output], np.float32), 1.0, 6.0).tolist() == [score]


def test_a_score_without_a_scale_is_the_output_of_the_head(scorer: Scorer) -> None:
    texts = ["a", "rain rain", "water is b c d", "g g g g g g"]
    logits = scorer.logits(texts)[:, 0]
    assert scorer.score_batch(texts).tolist() == logits.tolist()
    assert [scorer.score(text) for text in texts] == pytest.approx(logits.tolist(), abs=1e-6)
    assert not ((logits >= 0) & (logits <= 1)).all(), "the fixture must show that nothing is clamped"
    assert type(scorer.score("a")) is float


def test_a_batch_is_scored_in_order_as_its_rows_are(scorer: Scorer) -> None:
    texts = ["a " * number for number in range(12)]
    scores = scorer.score_batch(texts, scale=(1, 6))
    assert scores.dtype == np.float32
    assert scores.shape == (12,)
    assert scores.tolist() == pytest.approx([scorer.score(text, scale=(1, 6)) for text in texts], abs=1e-5)
    assert scorer.evol_complexity_batch(texts).tolist() == [scorer.evol_complexity(text) for text in texts]


@pytest.mark.parametrize(
    "scale",
    [
        (6, 1),
        (1, 1),
        (math.nan, 1),
        (0, math.inf),
        (0,),
        (0, 1, 2),
        "01",
        5,
        {0: 1},
        (None, 1),
        ("0", "1"),
        (True, 2),
        (0, 10**400),
        (0, 1e39),
        (-3e38, 3e38),
        (1, 1 + 1e-12),
        (1j, 2),
        [],
    ],
)
def test_a_wrong_scale_is_refused(scale: Any, scorer: Scorer) -> None:
    for call in (lambda: scorer.score("a", scale=scale), lambda: scorer.score_batch(["a"], scale=scale)):
        with pytest.raises(InputError, match="scale is"):
            call()


@pytest.mark.parametrize("scale", [(0, 100), [0, 100], (0.0, 100.0), (np.float32(0), np.int64(100)), (-1, 1)])
def test_a_scale_is_two_rising_numbers_of_any_kind(scale: Any, scorer: Scorer) -> None:
    assert scale[0] <= scorer.score("a", scale=scale) <= scale[1]


def test_a_bundle_that_does_not_say_its_range_is_not_rescaled(tmp_path: Path) -> None:
    model = assay.load(tiny.write(tmp_path / "bare", **tiny.REGRESSION | {"scale": None}), threads=1)
    assert isinstance(model, Scorer)
    assert math.isfinite(model.score("a"))
    with pytest.raises(BundleError, match="does not say the range of its output") as caught:
        model.score("a", scale=(0, 1))
    assert "assay export --score-range LOW HIGH" in str(caught.value)
    with pytest.raises(BundleError, match="has no Evol-Complexity scale"):
        model.evol_complexity("a")


def test_a_score_through_a_sigmoid_is_in_its_range(tmp_path: Path) -> None:
    changes = {"activation": "sigmoid", "scale": {"native": [0, 1], "evol_complexity": None}}
    model = assay.load(tiny.write(tmp_path / "reranker", **tiny.REGRESSION | changes), threads=1)
    assert isinstance(model, Scorer)
    texts = ["a", "rain rain", "water is b c d"]
    expected = 1 / (1 + np.exp(-model.logits(texts)[:, 0].astype(float)))
    assert model.score_batch(texts) == pytest.approx(expected, abs=1e-6)
    assert [model.score(text) for text in texts] == pytest.approx(expected, abs=1e-6)
    assert model.scores(model.logits(texts), (0, 100)) == pytest.approx(100 * expected, abs=1e-4)
    answers: Any = model(texts)
    assert [answer["score"] for answer in answers] == pytest.approx(expected, abs=1e-6)


def test_a_head_with_another_range_is_rescaled_from_it(score_bundle: Path) -> None:
    model = assay.load(score_bundle, threads=1)
    assert isinstance(model, Scorer)
    no_scale: Any = None
    manifest = dataclasses.replace(model.manifest, scale=Scale((1.0, 5.0), no_scale))
    model._bundle = dataclasses.replace(model._bundle, manifest=manifest)
    logits = np.array([[1.0], [2.0], [5.0], [0.5], [6.0]], np.float32)
    assert model.scores(logits).tolist() == [1.0, 2.0, 5.0, 0.5, 6.0]
    assert model.scores(logits, (0, 100)).tolist() == [0.0, 25.0, 100.0, 0.0, 100.0]
    assert model.score("rain", scale=(-1, 1)) == model.scores(model.logits(["rain"]), (-1, 1))[0]
    with pytest.raises(BundleError, match="has no Evol-Complexity scale"):
        model.evol_complexity("a")
    with pytest.raises(InputError, match="expected of this regression bundle score"):
        columns.choose(manifest, ["evol_complexity"])


@given(outputs=st.lists(OUTPUTS, min_size=1, max_size=20), limits=LIMITS)
def test_a_range_of_0_to_1_changes_no_bit(outputs: list[float], limits: tuple[float, float]) -> None:
    output = np.array(outputs, np.float32)
    assert rescale(output, *limits, native=(0.0, 1.0)).tolist() == rescale(output, *limits).tolist()


def test_logits_of_a_caller_are_checked(scorer: Scorer) -> None:
    assert scorer.scores(scorer.logits(["a", "b"])).tolist() == scorer.score_batch(["a", "b"]).tolist()
    for call in (scorer.scores, scorer.evol_complexities):
        for shape in ((2,), (2, 2), (1, 1, 1)):
            with pytest.raises(InputError, match="logits has the shape"):
                call(np.zeros(shape, np.float32))
        with pytest.raises(NumericalError, match="row 1 has the logits"):
            call(np.array([[0.0], [math.nan]], np.float32))


def test_a_regression_of_pairs_takes_pairs(tmp_path: Path) -> None:
    model = assay.load(tiny.write(tmp_path / "pairs", **tiny.REGRESSION | {"input": "pair"}), threads=1)
    assert isinstance(model, Scorer)
    assert model.score("a", "b") == pytest.approx(float(model.score_batch([("a", "b")])[0]))
    with pytest.raises(InputError, match="text_pair is missing"):
        model.score("a")
