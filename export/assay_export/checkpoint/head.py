"""What the logits of a checkpoint mean: the task, what one row is, the labels and the activation."""

from dataclasses import dataclass

from assay_export.checkpoint.loading import Checkpoint
from assay_export.checkpoint.source import Source
from assay_export.errors import CheckpointError


@dataclass(frozen=True)
class Head:
    """What the logits mean."""

    task: str  # "classification" or "regression"
    row: str  # "pair" or "text"
    labels: tuple[str, ...]
    activation: str

    @classmethod
    def of(cls, loaded: Checkpoint, source: Source, row: str | None, labels: tuple[str, ...] | None) -> "Head":
        config = loaded.config
        own = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}  # transformers' default is two labels
        if not isinstance(own, dict) or sorted(own) != sorted(str(index) for index in range(len(own))):
            raise CheckpointError(f"config.json: id2label = {own!r} does not number its labels from 0 on")
        own = tuple(str(own[key]) for key in sorted(own, key=int))
        rows = loaded.reference.module.config.num_labels
        problem = config.get("problem_type")
        if problem not in (None, "regression", "single_label_classification", "multi_label_classification"):
            raise CheckpointError(f"config.json: problem_type = {problem!r} is unknown to transformers")
        is_regression = problem == "regression" or (problem is None and rows == 1)
        if is_regression and rows != 1:
            raise CheckpointError(
                f"config.json: a regression with {rows} outputs is not supported (supported: one output)"
            )
        if labels is None and source.preset and source.preset.labels:
            generic = all(label == f"LABEL_{index}" for index, label in enumerate(own))
            labels = source.preset.labels if generic else own
            if set(labels) != set(source.preset.labels):
                raise CheckpointError(
                    f"config.json names the labels {', '.join(own)}, but {source.name} has "
                    f"{', '.join(source.preset.labels)}: is this another checkpoint?"
                )
        labels = labels or own
        if len(labels) != rows or len(set(labels)) != rows:
            raise CheckpointError(
                f"{len(labels)} labels are named ({', '.join(labels)}), but the classifier has {rows} outputs: name "
                "each output once with --labels A,B,..."
            )
        is_pair = config["model_type"] == "deberta-v2" and not is_regression
        activation = "sigmoid" if problem == "multi_label_classification" or rows == 1 else "softmax"
        return cls(
            "regression" if is_regression else "classification",
            row or ("pair" if is_pair else "text"),
            labels,
            "identity" if is_regression else activation,
        )
