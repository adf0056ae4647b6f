"""config.json, the preset and the user's options decide what the logits mean, or are refused."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from assay_export.checkpoint.head import Head, read_head
from assay_export.checkpoint.loading import Checkpoint
from assay_export.checkpoint.presets import PRESETS, Input
from assay_export.checkpoint.source import Source
from assay_export.errors import CheckpointError


def head(
    outputs: int,
    names: list[str] | None = None,
    *,
    problem: str | None = None,
    model_type: str = "modernbert",
    row: Input | None = None,
    labels: tuple[str, ...] | None = None,
    score_range: tuple[float, float] | None = None,
    preset: str | None = None,
    **config: Any,
) -> Head:
    """Read the head of a checkpoint with `outputs` outputs, whose config.json has the labels `names`."""
    config = {"model_type": model_type, "problem_type": problem, **config}
    if names is not None:
        config["id2label"] = {str(index): name for index, name in enumerate(names)}
    module = SimpleNamespace(config=SimpleNamespace(num_labels=outputs))
    source = Source(Path("x"), "x", preset or "x", None, PRESETS[preset] if preset else None)
    files = SimpleNamespace(source=source)
    loaded = SimpleNamespace(config=config, files=files, reference=SimpleNamespace(module=module))
    return read_head(cast(Checkpoint, loaded), row, labels, score_range)


def generic(count: int) -> list[str]:
    return [f"LABEL_{index}" for index in range(count)]


@pytest.mark.parametrize(
    ("outputs", "problem", "task", "activation"),
    [
        (3, None, "classification", "softmax"),
        (3, "single_label_classification", "classification", "softmax"),
        (3, "multi_label_classification", "classification", "sigmoid"),
        (1, "multi_label_classification", "classification", "sigmoid"),
        (1, "single_label_classification", "classification", "sigmoid"),
        (1, "regression", "regression", "identity"),
        (1, None, "regression", "identity"),
    ],
)
def test_the_problem_type_decides_task_and_activation(
    outputs: int, problem: str | None, task: str, activation: str
) -> None:
    found = head(outputs, generic(outputs), problem=problem)
    assert (found.task, found.activation) == (task, activation)


def test_a_regression_with_several_outputs_is_refused() -> None:
    with pytest.raises(CheckpointError, match="regression with 3 outputs"):
        head(3, generic(3), problem="regression")


def test_an_unknown_problem_type_is_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match="problem_type = 'ranking'"):
        head(3, generic(3), problem="ranking")


def test_labels_are_ordered_by_their_numbers_not_by_the_file() -> None:
    names = {str(index): f"name {index}" for index in (10, 9, 2, 1, 0, 3, 4, 5, 6, 7, 8)}
    assert head(11, id2label=names).labels == tuple(f"name {index}" for index in range(11))


def test_a_config_without_labels_has_the_two_default_labels_of_transformers() -> None:
    assert head(2).labels == ("LABEL_0", "LABEL_1")


def test_the_users_labels_override_those_of_the_config() -> None:
    assert head(2, ["a", "b"], labels=("no", "yes")).labels == ("no", "yes")


@pytest.mark.parametrize("labels", [("a",), ("a", "b", "c"), ("a", "a")])
def test_labels_that_do_not_name_each_output_once_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(CheckpointError, match=r"but the classifier has 2 outputs: .*--labels"):
        head(2, ["a", "b"], labels=labels)


def test_a_config_with_a_wrong_number_of_labels_is_refused() -> None:
    with pytest.raises(CheckpointError, match="3 labels are named"):
        head(2, generic(3))


@pytest.mark.parametrize("broken", [{"zero": "a", "1": "b"}, ["a", "b"], {"0": "a", "5": "b"}])
def test_an_id2label_that_does_not_number_its_labels_is_refused(broken: object) -> None:
    with pytest.raises(CheckpointError, match="id2label"):
        head(2, id2label=broken)


class TestPresets:
    def test_generic_labels_of_osmosis_are_replaced_by_those_of_its_card(self) -> None:
        assert head(5, generic(5), model_type="deberta-v2", preset="osmosis").labels == PRESETS["osmosis"].labels

    def test_labels_that_the_checkpoint_has_in_another_order_keep_that_order(self) -> None:
        names = sorted(PRESETS["osmosis"].labels or ())
        assert head(5, names, model_type="deberta-v2", preset="osmosis").labels == tuple(names)

    def test_other_labels_than_the_cards_are_refused(self) -> None:
        with pytest.raises(CheckpointError, match="is this another checkpoint"):
            head(5, ["a", "b", "c", "d", "e"], preset="osmosis")

    def test_another_number_of_outputs_than_the_cards_is_refused(self) -> None:
        with pytest.raises(CheckpointError, match=r"5 labels are named .*3 outputs"):
            head(3, generic(3), preset="osmosis")

    def test_the_users_labels_override_those_of_the_card(self) -> None:
        assert head(2, generic(2), labels=("x", "y"), preset="osmosis").labels == ("x", "y")

    def test_the_score_range_of_maxwell_is_that_of_its_card(self) -> None:
        found = head(1, generic(1), preset="maxwell")
        assert (found.score_range, found.evol_complexity) == ((0.0, 1.0), (1, 6))

    def test_the_users_score_range_overrides_that_of_the_card_and_drops_its_conversion(self) -> None:
        found = head(1, generic(1), preset="maxwell", score_range=(0.0, 10.0))
        assert (found.score_range, found.evol_complexity) == ((0.0, 10.0), None)

    def test_maxwell_is_a_regression_of_a_text(self) -> None:
        found = head(1, generic(1), preset="maxwell")
        assert (found.task, found.row, found.activation, found.labels) == (
            "regression",
            "text",
            "identity",
            ("LABEL_0",),
        )


@pytest.mark.parametrize("model_type", ["modernbert", "deberta-v2"])
def test_a_regression_without_a_preset_has_no_score_range_unless_the_user_states_it(model_type: str) -> None:
    assert head(1, generic(1), model_type=model_type).score_range is None
    found = head(1, generic(1), model_type=model_type, score_range=(1.0, 5.0))
    assert (found.score_range, found.evol_complexity) == ((1.0, 5.0), None)


def test_a_score_range_for_a_classifier_is_refused() -> None:
    with pytest.raises(CheckpointError, match="is a classifier with 3 outputs: drop --score-range"):
        head(3, generic(3), score_range=(0.0, 1.0))


@pytest.mark.parametrize(("row", "truncation"), [("pair", "longest_first"), ("text", "refuse")])
def test_pairs_are_truncated_and_long_texts_are_refused(row: Input, truncation: str) -> None:
    assert head(2, row=row).truncation == truncation


@pytest.mark.parametrize(
    ("model_type", "outputs", "row"),
    [("deberta-v2", 5, "pair"), ("deberta-v2", 1, "text"), ("modernbert", 3, "text"), ("bert", 2, "text")],
)
def test_a_row_is_a_pair_for_a_deberta_classifier_and_a_text_otherwise(model_type: str, outputs: int, row: str) -> None:
    assert head(outputs, generic(outputs), model_type=model_type).row == row


@pytest.mark.parametrize("row", ["pair", "text"])
def test_the_user_overrides_what_a_row_is(row: Input) -> None:
    for model_type in ("deberta-v2", "modernbert"):
        assert head(2, model_type=model_type, row=row).row == row
