"""What the logits of a checkpoint mean: the task, what one row is, the labels, the activation and the score range.

It is read from the files alone, so that what is wrong with them is said before the model is loaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from assay.control_characters import find_control
from assay.inputs.validation import first_twice
from assay_export.checkpoint.configs.cross_encoder import Activation, read_activation
from assay_export.checkpoint.files import CheckpointFiles
from assay_export.checkpoint.presets import TRUNCATION, Input, choose_input
from assay_export.checkpoint.setfit.sentences import SetFitFiles
from assay_export.checkpoint.source import Source
from assay_export.errors import CheckpointError

__all__ = ["Head", "read_head"]

_PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


@dataclass(frozen=True)
class Head:
    """What the logits mean.

    `row` is what the model judges. `score_range` is the range of a regression's score, None if it is unknown;
    `evol_complexity` is the range of the scale that the Maxwell card converts it to, None for any other model.
    `cuts_long_rows` is whether rows that are too long are cut whatever a row is, as sentence-transformers does.
    """

    task: Literal["classification", "regression"]
    row: Input
    labels: tuple[str, ...]
    activation: Literal["softmax", "sigmoid", "identity"]
    score_range: tuple[float, float] | None = None
    evol_complexity: tuple[int, int] | None = None
    cuts_long_rows: bool = False

    @property
    def measure(self) -> Literal["softmax", "sigmoid", "identity", "sigmoid score"]:
        """How the gates turn logits into answers. A score has no label that could flip."""
        return "sigmoid score" if (self.task, self.activation) == ("regression", "sigmoid") else self.activation

    @property
    def truncation(self) -> str:
        """What the runtime does with an input that is too long, as the manifest names it."""
        return "longest_first" if self.cuts_long_rows else TRUNCATION[self.row]


def read_head(
    files: CheckpointFiles,
    row: Input | None = None,
    labels: tuple[str, ...] | None = None,
    score_range: tuple[float, float] | None = None,
) -> Head:
    """Work out what the logits mean from config.json, sentence-transformers' files, the preset and what the user says.

    Args:
        files: The checkpoint.
        row: What one row is; None chooses by architecture and task.
        labels: Names in logit order, whatever the files say; None takes the preset's or those of config.json.
        score_range: The range of the output of a regression; None takes the preset's.

    Raises:
        CheckpointError: These contradict one another, or no bundle can express them.
    """
    if files.setfit is not None:
        return _read_setfit(files.setfit, files.source, row, labels, score_range)
    config, source, outputs = files.config, files.source, files.outputs
    problem = config.get("problem_type")
    if problem is not None and problem not in _PROBLEM_TYPES:
        raise CheckpointError(f"config.json: problem_type = {problem!r:.80} is unknown to transformers")
    if problem == "regression" and outputs != 1:
        raise CheckpointError(
            f"config.json: a regression with {outputs} outputs is not supported (supported: one output)"
        )
    names = _check_count(_choose_labels(config, source, outputs, labels), outputs)
    if outputs == 1 and problem in (None, "regression"):
        return _read_regression(files, row, names, score_range)
    found = read_activation(files)
    if score_range is not None:
        raise CheckpointError(
            f"--score-range is for a regression, and {source.name} is a classifier with {outputs} "
            f"{'output' if outputs == 1 else 'outputs'}: drop --score-range"
        )
    activation = _choose_activation(found, problem, outputs)
    return Head("classification", row or choose_input(files.model_type, "classification"), names, activation)


def _read_setfit(
    setfit: SetFitFiles,
    source: Source,
    row: Input | None,
    labels: tuple[str, ...] | None,
    score_range: tuple[float, float] | None,
) -> Head:
    """Read the head of a SetFit model, which classifies single texts and cuts those that are too long."""
    if row == "pair":
        raise CheckpointError(f"--input pair is for models of two texts, and {source.name} is a SetFit model: drop it")
    if score_range is not None:
        raise CheckpointError(
            f"--score-range is for a regression, and {source.name} is a classifier with {len(setfit.labels)} outputs: "
            "drop --score-range"
        )
    names = _check_count(setfit.labels if labels is None else labels, len(setfit.labels))
    return Head("classification", "text", names, setfit.head.activation, cuts_long_rows=True)


def _read_regression(
    files: CheckpointFiles, row: Input | None, labels: tuple[str, ...], score_range: tuple[float, float] | None
) -> Head:
    """Read a head with one output. Its score is the output if the checkpoint or the user says so, else the sigmoid."""
    preset = files.source.preset
    evol_complexity = None
    if preset and score_range in (None, preset.score_range):
        # The card's conversion starts from the card's range and from no other.
        score_range, evol_complexity = preset.score_range, preset.evol_complexity
    row = row or choose_input(files.model_type, "regression")
    activation = read_activation(files)
    if activation is None:
        is_stated = files.config.get("problem_type") == "regression" or score_range is not None
        activation = "identity" if is_stated else "sigmoid"  # the default of CrossEncoder and transformers' pipeline
    if activation == "softmax":
        raise CheckpointError(
            "the activation of sentence-transformers is Softmax, which is 1 for every row of one output; set it to "
            "torch.nn.Sigmoid or torch.nn.Identity where it is stated"
        )
    if activation == "identity":
        return Head("regression", row, labels, "identity", score_range, evol_complexity)
    if score_range not in (None, (0.0, 1.0)):
        raise CheckpointError(
            f"--score-range is {score_range[0]:g} to {score_range[1]:g}, but {files.source.name} answers through a "
            "sigmoid, whose range is 0 to 1: drop --score-range"
        )
    return Head("regression", row, labels, "sigmoid", (0.0, 1.0))


def _choose_activation(found: Activation | None, problem: str | None, outputs: int) -> Literal["softmax", "sigmoid"]:
    """Return the activation of a classifier, `found` being that of sentence-transformers.

    Identity is CrossEncoder's default for several outputs, so it says nothing about them: they are answered as by
    transformers' pipeline.
    """
    several = problem == "multi_label_classification" or outputs == 1
    if problem is None and found == "sigmoid":
        return "sigmoid"
    refused = ("softmax", "identity") if outputs == 1 else ("softmax",) if several else ("sigmoid",)
    if found in refused:
        raise CheckpointError(
            f"config.json: problem_type = {problem!r} contradicts the activation {found} of sentence-transformers; "
            "remove one of the two"
        )
    return "sigmoid" if several else "softmax"


def _choose_labels(
    config: Mapping[str, Any], source: Source, outputs: int, labels: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Return the labels in logit order: the user's, else the preset's, else those of config.json."""
    chosen = _read_labels(config, outputs) if labels is None else labels
    if labels is None and source.preset and source.preset.labels:
        is_generic = all(label == f"LABEL_{index}" for index, label in enumerate(chosen))
        chosen = source.preset.labels if is_generic else chosen
        if set(chosen) != set(source.preset.labels):
            raise CheckpointError(
                f"config.json names the labels {', '.join(chosen)}, but {source.name} has "
                f"{', '.join(source.preset.labels)}: is this another checkpoint?"
            )
    return chosen


def _check_count(chosen: tuple[str, ...], outputs: int) -> tuple[str, ...]:
    """Return the labels, which must be as many as the outputs of the classifier."""
    if len(chosen) != outputs:
        found = "1 label is named" if len(chosen) == 1 else f"{len(chosen)} labels are named"
        raise CheckpointError(
            f"{found} ({', '.join(chosen):.300}), but the classifier has {outputs} "
            f"{'output' if outputs == 1 else 'outputs'}: name each output once with --labels A,B,..."
        )
    return chosen


def _read_labels(config: Mapping[str, Any], outputs: int) -> tuple[str, ...]:
    """Return the labels of config.json, in logit order, those of transformers where it has numbers only.

    Raises:
        CheckpointError: They are not numbered from 0, or one is empty, there twice, or has a control character.
    """
    advice = "name each output once with --labels A,B,..."
    own, count = config.get("id2label"), config.get("num_labels")
    if own is None:
        count = 2 if count is None else count  # transformers' default
        if isinstance(count, bool) or count != outputs:
            raise CheckpointError(
                f"config.json has no id2label and num_labels = {count!r:.80} (by default 2), but the classifier has "
                f"{outputs} {'output' if outputs == 1 else 'outputs'}: {advice}"
            )
        return tuple(f"LABEL_{index}" for index in range(outputs))
    if not isinstance(own, dict) or not own or sorted(own) != sorted(str(index) for index in range(len(own))):
        raise CheckpointError(f"config.json: id2label = {own!r:.200} does not number its labels from 0 on: {advice}")
    labels = []
    for key in sorted(own, key=int):
        name = own[key]
        if isinstance(name, bool) or not isinstance(name, str | int | float) or not str(name).strip():
            raise CheckpointError(f"config.json: id2label[{key!r}] is {name!r:.80}, expected a name: {advice}")
        labels.append(str(name))
    for label in labels:
        if control := find_control(label):
            raise CheckpointError(
                f"config.json: id2label has the label {label!r:.80} with the control character {control}: {advice}"
            )
    if (twice := first_twice(labels)) is not None:
        raise CheckpointError(f"config.json: id2label has the label {twice!r:.80} twice: {advice}")
    return tuple(labels)
