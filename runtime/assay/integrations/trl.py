"""TRL: reward functions for GRPOTrainer and its relatives. TRL itself is not imported."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Unpack

from assay.bundle.manifest import Manifest
from assay.errors import InputError
from assay.inputs.validation import describe
from assay.integrations.annotation import Annotation, pin
from assay.load_options import Options
from assay.models.base import Model

__all__ = ["Reward", "RewardOptions", "reward"]


class RewardOptions(Options, total=False):
    """The keyword arguments of `reward` besides its own, the last ones those of assay.load."""

    on_error: Literal["raise", "null"]
    truncate: bool


def reward(
    bundle: str | os.PathLike[str] | Model,
    *,
    column: Literal["score", "evol_complexity"] = "score",
    scale: Sequence[float] | None = None,
    label: str | None = None,
    first: str = "prompt",
    **options: Unpack[RewardOptions],
) -> "Reward":
    """Return a reward function for GRPOTrainer(reward_funcs=...): the bundle's answer to each completion.

    It pickles as a path and options, and each process loads the bundle once. The same call has the same rewards in
    every process that runs it with the same options and versions.

    Args:
        bundle: A folder, a name on the Hub, or a loaded model.
        column: What a regression answers: "score" or "evol_complexity".
        scale: (min, max) that the score of a regression is rescaled to.
        label: The label of a classification bundle whose probability is the reward.
        first: For a bundle of pairs the column with the first text, as the objective of osmosis; the second is the
            completion. By default the prompt.
        options: on_error ("null" for None, which TRL leaves out of the sum of rewards, where a completion has no
            answer), truncate, and the options of assay.load. `threads` is 1 by default, because every process of a
            training run has a model of its own.

    Raises:
        InputError: An option is wrong or not for this bundle.
        BundleError: There is no such bundle.
    """
    if isinstance(bundle, Model):
        annotation, manifest = Annotation.of(bundle, options), bundle.manifest
    else:
        path, pinned, manifest = pin(bundle, options)
        annotation = Annotation.of(path, {"threads": 1, **pinned})
    if annotation.columns is not None or annotation.threshold is not None:
        raise InputError(
            "found columns or threshold, which a reward has no use for; name what it is with column or label"
        )
    _check_answer(manifest, column, scale, label)
    if not isinstance(first, str):
        raise InputError(f"first is {describe(first)}, expected the name of a column")
    names = ["scores"] if label is not None else [column]
    made = Annotation(
        annotation.bundle, names, scale, None, annotation.on_error, annotation.truncate, annotation.options
    )
    made.name_columns(manifest)  # raises where the bundle does not answer it
    return Reward(made, label, first, manifest.input == "pair", f"{manifest.name}_{label or column}")


@dataclass(frozen=True)
class Reward:
    """A reward function; `reward` makes it. TRL logs its rewards under `__name__`: the bundle and what it answers."""

    annotation: Annotation
    label: str | None
    first: str
    reads_pairs: bool
    name: str

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, prompts: Sequence[object], completions: Sequence[object], **columns: Any) -> list[float | None]:
        """Return the reward of each completion.

        Args:
            prompts: Texts, or conversations: lists of messages, of which the last one of the user counts.
            completions: Texts, or conversations, of which the last message of the assistant counts.
            columns: The other columns of the data set, and what else TRL passes.

        Raises:
            InputError: A prompt or completion is not a text, or is too long; with the row.
        """
        texts = [_read_text(completion, "assistant") for completion in completions]
        firsts = self._read_first(prompts, columns) if self.reads_pairs else None
        if firsts is not None and len(firsts) != len(texts):
            raise InputError(
                f"found {len(firsts):,} of {self.first!r} and {len(texts):,} completions, expected as many"
            )
        answers = self.annotation.answer(texts if firsts is None else firsts, None if firsts is None else texts)
        if self.label is not None:
            return [None if scores is None else scores[self.label] for scores in answers["scores"]]
        values = answers[next(iter(answers))]
        return [None if value is None else float(value) for value in values]

    def _read_first(self, prompts: Sequence[object], columns: Mapping[str, Any]) -> list[object]:
        if self.first == "prompt":
            return [_read_text(prompt, "user") for prompt in prompts]
        if self.first not in columns:
            names = ", ".join(["prompt", *columns])
            raise InputError(f"column {self.first!r:.80} is missing, found {names:.300}; name another with first=")
        return [_read_text(value, "user") for value in columns[self.first]]


def _check_answer(manifest: Manifest, column: object, scale: Sequence[float] | None, label: str | None) -> None:
    if column not in ("score", "evol_complexity"):
        raise InputError(f"column is {column!r:.80}, expected 'score' or 'evol_complexity'")
    if manifest.task == "regression":
        if label is not None:
            raise InputError(f"label is {label!r:.80}, expected none: this bundle is a regression")
        return
    if label not in manifest.labels:
        found = "none" if label is None else f"{label!r:.80}"
        raise InputError(f"label is {found}, expected the one to reward, of {', '.join(manifest.labels):.400}")
    if scale is not None or column != "score":
        raise InputError("found scale or column='evol_complexity', which are for a regression; this bundle classifies")


def _read_text(value: object, role: str) -> object:
    """Return the text of a prompt or a completion, or what there is instead, which the check of rows refuses."""
    if not isinstance(value, list | tuple) or not value:
        return value
    messages = [message for message in value if isinstance(message, Mapping)]
    spoken = [message for message in messages if message.get("role") == role] or messages
    content = spoken[-1].get("content") if spoken else value
    if isinstance(content, list):  # parts, as models with images have them
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return content
