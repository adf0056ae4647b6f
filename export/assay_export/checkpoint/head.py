"""What the logits of a checkpoint mean: the task, what one row is, the labels, the activation and the score range."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from assay_export.checkpoint.loading import Checkpoint
from assay_export.checkpoint.presets import TRUNCATION, Input, choose_input
from assay_export.checkpoint.source import Source
from assay_export.errors import CheckpointError

__all__ = ["Head", "read_head"]

_PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


@dataclass(frozen=True)
class Head:
    """What the logits mean.

    `row` is what the model judges. `score_range` is the range of a regression's output, None if it is unknown;
    `evol_complexity` is the range of the scale that the Maxwell card converts it to, None for any other model.
    """

    task: Literal["classification", "regression"]
    row: Input
    labels: tuple[str, ...]
    activation: Literal["softmax", "sigmoid", "identity"]
    score_range: tuple[float, float] | None = None
    evol_complexity: tuple[int, int] | None = None

    @property
    def truncation(self) -> str:
        """What the runtime does with an input that is too long, as the manifest names it."""
        return TRUNCATION[self.row]


def read_head(
    loaded: Checkpoint,
    row: Input | None = None,
    labels: tuple[str, ...] | None = None,
    score_range: tuple[float, float] | None = None,
) -> Head:
    """Work out what the logits mean from config.json, the preset and what the user says.

    Args:
        loaded: The checkpoint.
        row: What one row is; None chooses by architecture and task.
        labels: Names in logit order; None takes the preset's or those of config.json.
        score_range: The range of a regression's output; None takes the preset's.

    Raises:
        CheckpointError: The three contradict one another, or no bundle can express them.
    """
    config, source = loaded.config, loaded.files.source
    outputs: int = loaded.reference.module.config.num_labels
    problem = config.get("problem_type")
    if problem is not None and problem not in _PROBLEM_TYPES:
        raise CheckpointError(f"config.json: problem_type = {problem!r} is unknown to transformers")
    is_regression = problem == "regression" or (problem is None and outputs == 1)
    if is_regression and outputs != 1:
        raise CheckpointError(
            f"config.json: a regression with {outputs} outputs is not supported (supported: one output)"
        )
    names = _choose_labels(config, source, outputs, labels)
    if is_regression:
        return _read_regression(config["model_type"], source, row, names, score_range)
    if score_range is not None:
        raise CheckpointError(
            f"--score-range is for a regression, and {source.name} is a classifier with {outputs} "
            f"{'output' if outputs == 1 else 'outputs'}: drop --score-range"
        )
    return Head(
        "classification",
        row or choose_input(config["model_type"], "classification"),
        names,
        "sigmoid" if problem == "multi_label_classification" or outputs == 1 else "softmax",
    )


def _read_regression(
    model_type: str,
    source: Source,
    row: Input | None,
    labels: tuple[str, ...],
    score_range: tuple[float, float] | None,
) -> Head:
    evol_complexity = None
    if source.preset and score_range in (None, source.preset.score_range):
        # The card's conversion starts from the card's range and from no other.
        score_range, evol_complexity = source.preset.score_range, source.preset.evol_complexity
    row = row or choose_input(model_type, "regression")
    return Head("regression", row, labels, "identity", score_range, evol_complexity)


def _choose_labels(
    config: Mapping[str, Any], source: Source, outputs: int, labels: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Return the labels in logit order: the user's, else the preset's, else those of config.json."""
    own = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}  # transformers' default is two labels
    if not isinstance(own, dict) or sorted(own) != sorted(str(index) for index in range(len(own))):
        raise CheckpointError(f"config.json: id2label = {own!r} does not number its labels from 0 on")
    configured = tuple(str(own[key]) for key in sorted(own, key=int))
    chosen = configured if labels is None else labels
    if labels is None and source.preset and source.preset.labels:
        is_generic = all(label == f"LABEL_{index}" for index, label in enumerate(configured))
        chosen = source.preset.labels if is_generic else configured
        if set(chosen) != set(source.preset.labels):
            raise CheckpointError(
                f"config.json names the labels {', '.join(configured)}, but {source.name} has "
                f"{', '.join(source.preset.labels)}: is this another checkpoint?"
            )
    if len(chosen) != outputs or len(set(chosen)) != outputs:
        found = "1 label is named" if len(chosen) == 1 else f"{len(chosen)} labels are named"
        raise CheckpointError(
            f"{found} ({', '.join(chosen)}), but the classifier has {outputs} "
            f"{'output' if outputs == 1 else 'outputs'}: name each output once with --labels A,B,..."
        )
    return chosen
