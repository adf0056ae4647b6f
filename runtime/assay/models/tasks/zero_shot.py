"""Zero-shot classification with a model of natural language inference, as transformers' pipeline computes it (4.57).

Each text is paired with a hypothesis per label, and the logit of "entailment" says how well the label fits. The rules
of pipelines/zero_shot_classification.py are:

| case | score of a label |
|---|---|
| several labels | a softmax of the entailment logits over the labels |
| `multi_label`, or one label | a softmax of its entailment logit and its contradiction logit |

Entailment is the first label of the model that starts with "entail", in any case. Contradiction is the first label of
the model, or the last one where the first is entailment. The pipeline guesses where no label starts so; here that is an
error. Equal scores keep the order of the labels, and the bundle's truncation applies.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from string import Formatter
from typing import TypedDict

from assay.errors import InputError, NumericalError
from assay.inputs.validation import check_batch, check_text, describe, first_twice
from assay.models.activations import softmax
from assay.models.runner import Float32

__all__ = [
    "ZeroShot",
    "check_labels",
    "check_texts",
    "find_entailment",
    "order",
    "rows_of_texts",
    "score_labels",
    "write_hypotheses",
]


class ZeroShot(TypedDict):
    """The answer to one text: the labels with their scores, best first."""

    sequence: str
    labels: list[str]
    scores: list[float]


def check_texts(texts: object) -> list[str]:
    """Return the texts of a call, one or a batch. Raises InputError, in a batch with the index of the row."""
    if isinstance(texts, str):
        return [check_text(texts, "the text")]
    return [str(text) for text in check_batch(texts, "text")]


def check_labels(labels: object) -> list[str]:
    """Return the candidate labels: a list of str, or a str with commas between them, as the pipeline takes it.

    Raises:
        InputError: There is none, one is there twice, or one is not a text.
    """
    if isinstance(labels, str):
        labels = [label.strip() for label in labels.split(",") if label.strip()]
    if not isinstance(labels, Sequence) or isinstance(labels, bytes | bytearray | memoryview):
        raise InputError(f"labels is {describe(labels)}, expected a list of labels (str)")
    if not labels:
        raise InputError("labels is empty, expected at least one label")
    checked = [check_text(label, f"label {index}") for index, label in enumerate(labels)]
    twice = first_twice(checked)
    if twice is not None:
        raise InputError(f"labels: found {twice!r:.80} twice, expected each once")
    return checked


def write_hypotheses(template: object, labels: Sequence[str]) -> list[str]:
    """Return the hypothesis of each label: `template` with the label in the place of {}.

    Raises:
        InputError: `template` is not a text with {} and no other field.
    """
    checked = check_text(template, "hypothesis_template")
    expected = "expected a text with {} where the label goes, such as 'This example is {}.'"
    try:
        fields = [part[1:] for part in Formatter().parse(checked) if part[1] is not None]
    except ValueError as error:
        raise InputError(f"hypothesis_template is {checked!r:.80} ({error}), {expected}") from None
    if fields not in ([("", "", None)], [("0", "", None)] * max(1, len(fields))):
        raise InputError(f"hypothesis_template is {checked!r:.80}, {expected}")
    return [checked.format(label) for label in labels]


def find_entailment(entailment: object, labels: Sequence[str]) -> tuple[int, int]:
    """Return the columns of entailment and contradiction in the model's logits.

    Args:
        entailment: The model's label that means entailment. None for the first one that starts with "entail".
        labels: The labels of the model, in logit order.

    Raises:
        InputError: No label starts so, or the model lacks the given label or has no other one.
    """
    found = [label for label in labels if label.lower().startswith("entail")] if entailment is None else [entailment]
    if not found or not isinstance(found[0], str) or found[0] not in labels or len(labels) < 2:
        what = "no entailment" if entailment is None else describe(entailment)
        shown = repr(entailment)[:80] if isinstance(entailment, str) else what
        raise InputError(
            f"zero_shot: found {shown} among the model's labels {', '.join(labels)[:300]}, expected a model of natural "
            "language inference; if one of them means entailment, pass entailment=LABEL"
        )
    column = labels.index(found[0])
    return column, len(labels) - 1 if column == 0 else 0


@contextmanager
def rows_of_texts(labels: int) -> Iterator[None]:
    """Turn errors of the rows of a batch, `labels` for each text, into errors with the index of the text."""
    try:
        yield
    except (InputError, NumericalError) as error:
        if error.row is None:
            raise
        index = error.row // labels
        where = f"row {index}, label {error.row % labels}"
        message = str(error).replace(f"row {error.row}", where, 1)
        raise type(error)(message, row=index) from error


def score_labels(logits: Float32, entailment: int, contradiction: int, *, multi_label: bool) -> Float32:
    """Return the scores [texts, candidates] of `logits` [texts, candidates, labels], by the table above."""
    if multi_label or logits.shape[1] == 1:
        pairs = logits[:, :, [contradiction, entailment]]
        scores: Float32 = softmax(pairs)[:, :, 1]
        return scores
    return softmax(logits[:, :, entailment])


def order(text: str, labels: Sequence[str], scores: Sequence[float]) -> ZeroShot:
    """Return the answer to a text. Equal scores keep the order of `labels`."""
    best = sorted(range(len(labels)), key=lambda index: -scores[index])
    return ZeroShot(sequence=text, labels=[labels[i] for i in best], scores=[scores[i] for i in best])
