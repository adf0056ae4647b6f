"""config.json, the preset and the user's options decide what the logits mean, or are refused."""

from pathlib import Path
from typing import Any

import pytest
import transformers

from assay_export.checkpoint.files import CheckpointFiles
from assay_export.checkpoint.head import Head, read_head
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
    source = Source(Path("x"), "x", preset or "x", None, PRESETS[preset] if preset else None)
    files = CheckpointFiles(source, None, config, config, (), (), outputs)
    return read_head(files, row, labels, score_range)


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
        (1, None, "regression", "sigmoid"),
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
    with pytest.raises(CheckpointError, match=r"num_labels = 2 \(by default 2\), but the classifier has 3 outputs"):
        head(3)


def test_a_number_of_labels_without_names_numbers_them_as_transformers_does() -> None:
    names = transformers.BertConfig.from_dict({"num_labels": 4}).id2label or {}
    assert head(4, num_labels=4).labels == head(4, num_labels=4, id2label=None).labels == tuple(names.values())


@pytest.mark.parametrize("count", [3, 0, -1, True, "2", 2.5, [2]])
def test_a_number_of_labels_that_is_not_that_of_the_classifier_is_refused(count: object) -> None:
    with pytest.raises(CheckpointError, match=r"num_labels = .*classifier has 2 outputs: .*--labels"):
        head(2, num_labels=count)


@pytest.mark.parametrize(
    "config",
    [
        {"id2label": {"0": "a", "1": "b"}},
        {"id2label": {"0": "a", "5": "b"}},
        {"id2label": {"zero": "a"}},
        {"id2label": ["a", "b"]},
        {"id2label": {"0": "a", "1": "a"}},
        {"id2label": {"0": "", "1": "\x1b[31m"}},
        {"id2label": {"0": "a", "1": "b", "2": "c"}},
        {"id2label": "a,b"},
        {"num_labels": 7},
        {"num_labels": "two"},
    ],
    ids=str,
)
def test_the_users_labels_override_whatever_the_config_says(config: dict[str, Any]) -> None:
    assert head(2, labels=("no", "yes"), **config).labels == ("no", "yes")


@pytest.mark.parametrize("labels", [("a",), ("a", "b", "c")])
def test_labels_that_do_not_name_each_output_once_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(CheckpointError, match=r"but the classifier has 2 outputs: .*--labels"):
        head(2, ["a", "b"], labels=labels)


def test_a_config_with_a_wrong_number_of_labels_is_refused() -> None:
    with pytest.raises(CheckpointError, match="3 labels are named"):
        head(2, generic(3))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"zero": "a", "1": "b"}, "does not number its labels"),
        (["a", "b"], "does not number its labels"),
        ({"0": "a", "5": "b"}, "does not number its labels"),
        ({}, "does not number its labels"),
        ({"0": "a", "1": ""}, r"id2label\['1'\] is '', expected a name"),
        ({"0": " ", "1": "b"}, r"id2label\['0'\] is ' ', expected a name"),
        ({"0": "a", "1": None}, r"id2label\['1'\] is None, expected a name"),
        ({"0": "a", "1": ["b"]}, "expected a name"),
        ({"0": "a", "1": "a"}, "has the label 'a' twice"),
        ({"0": "1", "1": 1}, "has the label '1' twice"),
        ({"0": "a\nb", "1": "c"}, r"the label 'a\\nb' with the control character U\+000A at character 1"),
        ({"0": "\x1b[31mred", "1": "c"}, r"'\\x1b\[31mred' with the control character U\+001B"),
        ({"0": "a\u202eb", "1": "c"}, r"U\+202E"),
        ({"0": "a\u2028b", "1": "c"}, r"U\+2028"),
    ],
    ids=str,
)
def test_an_id2label_that_does_not_name_each_output_is_refused(broken: object, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        head(2, id2label=broken)
    assert str(caught.value).isprintable()
    assert "--labels A,B" in str(caught.value)


def test_labels_that_are_numbers_are_their_digits() -> None:
    assert head(2, id2label={"0": 1, "1": 5}).labels == ("1", "5")


class TestOneOutput:
    """transformers' pipeline and sentence-transformers' CrossEncoder answer through a sigmoid by default."""

    @pytest.mark.parametrize(
        ("path", "activation"),
        [
            ("torch.nn.modules.activation.Sigmoid", "sigmoid"),
            ("torch.nn.Sigmoid", "sigmoid"),
            ("torch.nn.modules.linear.Identity", "identity"),
            ("torch.nn.modules.activation.Identity", "identity"),
            ("torch.nn.Identity", "identity"),
        ],
    )
    @pytest.mark.parametrize("problem", [None, "regression"])
    def test_the_activation_of_sentence_transformers_is_that_of_the_score(
        self, path: str, activation: str, problem: str | None
    ) -> None:
        for config in (
            {"sentence_transformers": {"activation_fn": path, "version": "4.1.0"}},
            {"sbert_ce_default_activation_function": path},
            {"sentence_transformers": {"activation_fn": path}, "sbert_ce_default_activation_function": "other"},
        ):
            found = head(1, generic(1), problem=problem, **config)
            assert (found.task, found.activation) == ("regression", activation)
            assert found.score_range == ((0.0, 1.0) if activation == "sigmoid" else None)

    @pytest.mark.parametrize(
        "path",
        ["torch.nn.modules.activation.Tanh", "torch.nn.ReLU", "mine.Sigmoid", "Sigmoid", "torch.sigmoid", "", 1, ["a"]],
        ids=str,
    )
    def test_an_unknown_activation_is_refused_by_name(self, path: object) -> None:
        for key in ("activation_fn", "sbert_ce_default_activation_function"):
            config = {"sentence_transformers": {key: path}} if key == "activation_fn" else {key: path}
            with pytest.raises(CheckpointError, match=f"{key} = .* is not an activation .*torch.nn.Sigmoid") as caught:
                head(1, generic(1), **config)
            assert repr(path) in str(caught.value)

    def test_a_softmax_over_one_output_is_refused(self) -> None:
        with pytest.raises(CheckpointError, match="Softmax, which is 1 for every row"):
            head(1, generic(1), sbert_ce_default_activation_function="torch.nn.modules.activation.Softmax")

    def test_a_null_activation_is_none(self) -> None:
        config: dict[str, Any] = {
            "sentence_transformers": {"activation_fn": None},
            "sbert_ce_default_activation_function": None,
        }
        assert head(1, generic(1), problem="regression", **config).activation == "identity"

    def test_a_range_of_the_output_states_that_the_output_is_the_score(self) -> None:
        assert head(1, generic(1), score_range=(1.0, 5.0)).activation == "identity"

    def test_a_range_that_is_not_that_of_a_sigmoid_is_refused(self) -> None:
        config: dict[str, Any] = {"sbert_ce_default_activation_function": "torch.nn.Sigmoid"}
        assert head(1, generic(1), score_range=(0.0, 1.0), **config).activation == "sigmoid"
        with pytest.raises(CheckpointError, match="--score-range is 1 to 5, but x answers through a sigmoid"):
            head(1, generic(1), score_range=(1.0, 5.0), **config)


class TestSeveralOutputs:
    @pytest.mark.parametrize(
        ("problem", "path", "activation"),
        [
            (None, "torch.nn.Sigmoid", "sigmoid"),
            (None, "torch.nn.Identity", "softmax"),
            (None, "torch.nn.Softmax", "softmax"),
            ("multi_label_classification", "torch.nn.Identity", "sigmoid"),
            ("multi_label_classification", "torch.nn.Sigmoid", "sigmoid"),
            ("single_label_classification", "torch.nn.Identity", "softmax"),
        ],
    )
    def test_a_sigmoid_of_sentence_transformers_means_several_labels_per_row(
        self, problem: str | None, path: str, activation: str
    ) -> None:
        found = head(3, generic(3), problem=problem, sbert_ce_default_activation_function=path)
        assert (found.task, found.activation) == ("classification", activation)

    @pytest.mark.parametrize(
        ("problem", "path", "outputs"),
        [
            ("single_label_classification", "torch.nn.Sigmoid", 3),
            ("multi_label_classification", "torch.nn.Softmax", 3),
            ("multi_label_classification", "torch.nn.Identity", 1),
        ],
    )
    def test_an_activation_that_contradicts_the_problem_type_is_refused(
        self, problem: str, path: str, outputs: int
    ) -> None:
        with pytest.raises(CheckpointError, match=f"problem_type = '{problem}' contradicts the activation"):
            head(outputs, generic(outputs), problem=problem, sbert_ce_default_activation_function=path)


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
    assert head(1, generic(1), model_type=model_type, problem="regression").score_range is None
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
