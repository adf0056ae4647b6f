"""The parity gate refuses graphs that differ, names the worst shape, and reports what it measured."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

from assay_export.checkpoint.reference import Feed, ReferenceModel
from assay_export.checkpoint.rounding import FP32_MAX_DELTA
from assay_export.errors import CheckpointError, ParityError
from assay_export.gates import parity
from assay_export.gates.parity import Case, Logits
from assay_export.graphs.writer import Array, Dialect
from tests.export import tiny

Answer = list[Any]

ROWS = [("abc", "what"), ("hello", ""), ("x" * 200, "y" * 300)]
INPUTS = ("input_ids", "attention_mask")
CONFIG = tiny.deberta_config(max_position_embeddings=70)


@pytest.fixture(scope="module")
def reference() -> ReferenceModel:
    return ReferenceModel(tiny.model(CONFIG))


@pytest.fixture(scope="module")
def cases(reference: ReferenceModel, tokenizer: Tokenizer) -> list[Case]:
    return parity.make_cases(reference, tokenizer, ROWS, 70, 0, INPUTS)


def make_case(shape: str, expected: list[list[float]]) -> Case:
    ids = np.zeros((len(expected), 2), np.int64)
    return Case(shape, {"input_ids": ids, "attention_mask": ids + 1}, np.array(expected, np.float32))


def answer_in_turn(*answers: Answer) -> Callable[[Feed], Logits]:
    """Return a graph that answers its first call with the first of `answers`, and so on."""
    remaining = iter(answers)
    return lambda feed: np.array(next(remaining), np.float32)  # noqa: ARG005


def run_session(session: onnxruntime.InferenceSession, feed: Feed) -> Logits:
    return np.asarray(session.run(None, {node.name: feed[node.name] for node in session.get_inputs()})[0])


class TestCases:
    def test_the_grid_has_every_length_that_the_model_can_read(self, cases: list[Case]) -> None:
        shapes = list(dict.fromkeys(case.shape for case in cases))
        assert shapes == [
            *(f"batch 1, length {length}" for length in (1, 2, 3, 63, 64, 65)),
            *(f"batch 3, length {length}" for length in (2, 64)),
            *(f"batch 3, length {length}, padded" for length in (3, 65)),
            "real text, batch 1",
        ]

    def test_a_model_with_long_inputs_is_run_past_1024_tokens(self, tokenizer: Tokenizer) -> None:
        class Silent(ReferenceModel):
            def logits(self, feed: Feed) -> Array:
                return np.zeros((len(feed["input_ids"]), 1), np.float32)

        long = parity.make_cases(Silent(None), tokenizer, [], 8192, 0, INPUTS)  # type: ignore[arg-type]
        assert max(case.feed["input_ids"].shape[1] for case in long) > 1024

    def test_a_model_that_fails_at_a_length_is_refused_with_that_length(
        self, reference: ReferenceModel, tokenizer: Tokenizer
    ) -> None:
        class Short(ReferenceModel):
            def logits(self, feed: Feed) -> Logits:
                if feed["input_ids"].shape[1] > 64:
                    raise IndexError("index out of range in self")
                return super().logits(feed)

        with pytest.raises(
            CheckpointError, match="does not answer at batch 1, length 65: IndexError: index out of range"
        ):
            parity.make_cases(Short(reference.module), tokenizer, [], 70, 0, INPUTS)

    def test_the_cases_are_counted_for_the_progress_bar(
        self, cases: list[Case], reference: ReferenceModel, tokenizer: Tokenizer
    ) -> None:
        calls: list[None] = []
        parity.make_cases(reference, tokenizer, ROWS, 70, 0, INPUTS, lambda: calls.append(None))
        assert len(calls) == len(cases) == parity.count_cases(ROWS, 70)

    def test_exactly_the_padded_cases_are_marked(self, cases: list[Case]) -> None:
        assert [case.is_padded for case in cases] == ["padded" in case.shape for case in cases]
        assert any(case.is_padded for case in cases)

    def test_padded_rows_are_filled_with_the_pad_token(self, reference: ReferenceModel, tokenizer: Tokenizer) -> None:
        for case in parity.make_cases(reference, tokenizer, [], 70, 7, INPUTS):
            assert (case.feed["input_ids"][case.feed["attention_mask"] == 0] == 7).all()

    def test_the_cases_are_the_same_each_time(
        self, cases: list[Case], reference: ReferenceModel, tokenizer: Tokenizer
    ) -> None:
        again = parity.make_cases(reference, tokenizer, ROWS, 70, 0, INPUTS)
        for one, other in zip(cases, again, strict=True):
            np.testing.assert_array_equal(one.feed["input_ids"], other.feed["input_ids"])

    def test_real_rows_are_truncated_longest_first_to_the_longest_input(
        self, cases: list[Case], tokenizer: Tokenizer
    ) -> None:
        real = [case.feed["input_ids"] for case in cases if case.shape.startswith("real")]
        assert [array.shape for array in real] == [(1, 10), (1, 8), (1, 70)]
        letters = tokenizer.token_to_id("x"), tokenizer.token_to_id("y")
        assert [int((real[-1] == token).sum()) for token in letters] in ([33, 34], [34, 33])

    def test_the_tokenizer_is_left_without_truncation(self, cases: list[Case], tokenizer: Tokenizer) -> None:
        assert cases
        assert tokenizer.truncation is None

    def test_feeds_have_only_the_inputs_of_the_graphs(self, reference: ReferenceModel, tokenizer: Tokenizer) -> None:
        assert {
            name for case in parity.make_cases(reference, tokenizer, ROWS, 70, 0, INPUTS) for name in case.feed
        } == set(INPUTS)


class TestCompare:
    def test_the_report_has_the_measured_deltas(self) -> None:
        cases = [make_case("a", [[1, 2], [3, 4]]), make_case("b", [[0, 1]]), make_case("b", [[5, 0]])]
        run = answer_in_turn([[1, 2], [3, 4.5]], [[0.25, 1]], [[5, 0]])
        assert parity.compare(run, cases, 2, 0.5, "model.onnx") == {
            "max_abs_delta": 0.5,
            "mean_abs_delta": 0.75 / 8,
            "label_agreement": 1.0,
            "rows": 4,
            "threshold": 0.5,
            "worst": "a",
            "shapes": [
                {"shape": "a", "rows": 2, "max_abs_delta": 0.5},
                {"shape": "b", "rows": 2, "max_abs_delta": 0.25},
            ],
        }

    def test_label_agreement_is_the_share_of_rows_with_the_same_largest_logit(self) -> None:
        cases = [make_case("a", [[1, 0], [0, 1], [1, 0], [0, 1]])]
        report = parity.compare(answer_in_turn([[0, 1], [0, 1], [1, 0], [0, 1]]), cases, 2, 1.0, "g")
        assert report["label_agreement"] == 0.75

    def test_a_single_logit_has_no_label_agreement(self) -> None:
        report = parity.compare(answer_in_turn([[1.0]]), [make_case("a", [[1.0]])], 1, 1e-4, "g")
        assert report["label_agreement"] is None

    def test_a_delta_at_the_threshold_passes_and_one_above_fails(self) -> None:
        cases = [make_case("a", [[0.0]])]
        assert parity.compare(answer_in_turn([[0.5]]), cases, 1, 0.5, "g")["max_abs_delta"] == 0.5
        with pytest.raises(ParityError):
            parity.compare(answer_in_turn([[0.5001]]), cases, 1, 0.5, "g")

    def test_a_failure_names_the_graph_the_worst_shape_and_the_gate(self) -> None:
        cases = [make_case("small", [[0.0]]), make_case("worst", [[0.0]]), make_case("large", [[0.0]])]
        with pytest.raises(
            ParityError, match=r"onnx/model\.onnx differs from PyTorch by 3\.00e\+00 at worst .*allows 1e-04"
        ):
            parity.compare(answer_in_turn([[1.0]], [[3.0]], [[2.0]]), cases, 1, 1e-4, "onnx/model.onnx")

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("side", ["graph", "PyTorch", "both"])
    def test_nan_and_infinity_fail_and_name_their_shape(self, value: float, side: str) -> None:
        cases = [make_case("good", [[0.0]]), make_case("bad", [[0.0 if side == "graph" else value]])]
        run = answer_in_turn([[0.0]], [[0.0 if side == "PyTorch" else value]])
        with pytest.raises(ParityError, match="differs from PyTorch by inf at bad"):
            parity.compare(run, cases, 1, 1e-4, "g")

    @pytest.mark.parametrize("answer", [[[1.0, 2.0, 3.0]], [[1.0]], [1.0, 2.0], [[1.0, 2.0], [1.0, 2.0]]])
    def test_logits_of_another_shape_fail(self, answer: Answer) -> None:
        with pytest.raises(ParityError, match=r"shape .* at a"):
            parity.compare(answer_in_turn(answer), [make_case("a", [[1.0, 2.0]])], 2, 1e-4, "g")

    def test_comparing_no_cases_is_an_error(self) -> None:
        with pytest.raises(ValueError, match=r"no cases|empty"):
            parity.compare(answer_in_turn(), [], 2, 1e-4, "g")


class TestGraphs:
    @pytest.mark.parametrize("dialect", list(Dialect), ids=lambda dialect: dialect.value)
    def test_the_authored_graph_passes(
        self, dialect: Dialect, reference: ReferenceModel, cases: list[Case], tmp_path: Path
    ) -> None:
        session = tiny.Graphs(reference.module, CONFIG, tmp_path).session(dialect)

        def run(feed: Feed) -> Logits:
            return run_session(session, tiny.feed(dialect, feed["input_ids"], feed["attention_mask"]))

        taken = [case for case in cases if dialect is Dialect.PORTABLE or not case.is_padded]
        report = parity.compare(run, taken, 5, FP32_MAX_DELTA, dialect.value)
        assert 0 < report["max_abs_delta"] < tiny.ROUNDING
        assert report["label_agreement"] == 1.0
        assert report["rows"] == sum(len(case.expected) for case in taken)

    @pytest.mark.parametrize(
        "name",
        [
            "deberta.embeddings.word_embeddings.weight",
            "deberta.encoder.rel_embeddings.weight",
            "deberta.encoder.layer.0.attention.self.query_proj.weight",
            "deberta.encoder.layer.1.attention.self.value_proj.bias",
            "deberta.encoder.layer.1.output.LayerNorm.weight",
            "pooler.dense.weight",
            "classifier.bias",
        ],
    )
    def test_a_graph_with_one_changed_weight_fails_and_names_the_worst_shape(
        self, cases: list[Case], tmp_path: Path, name: str
    ) -> None:
        changed = tiny.model(CONFIG)
        weight = changed.get_parameter(name).data
        weight.view(-1)[weight.numel() // 2] += 0.05
        session = tiny.session(tiny.author(changed, CONFIG, tmp_path)[Dialect.PORTABLE])
        deltas: dict[str, float] = {}
        for case in cases:
            delta = float(np.abs(session.run(None, dict(case.feed))[0] - case.expected).max())
            deltas[case.shape] = max(delta, deltas.get(case.shape, 0.0))
        worst = max(deltas, key=lambda shape: deltas[shape])
        with pytest.raises(ParityError, match=rf"model\.onnx differs from PyTorch by .* at {worst} \(the gate"):
            parity.compare(lambda feed: session.run(None, dict(feed))[0], cases, 5, FP32_MAX_DELTA, "model.onnx")
