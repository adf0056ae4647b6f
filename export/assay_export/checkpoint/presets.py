"""Everything that model cards decide: names on the Hub, labels, score ranges, and defaults for similar checkpoints."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["PRESETS", "TRUNCATION", "Input", "Preset", "choose_input", "find_preset"]

Input = Literal["pair", "text"]


@dataclass(frozen=True)
class Preset:
    """A published model that is known by a short name, as its card describes it.

    `labels` are the names in logit order, or None if the checkpoint names them itself. `score_range` is the range of a
    regression's own output, and `evol_complexity` the range of the scale that the card converts it to.
    """

    hub_id: str
    labels: tuple[str, ...] | None = None
    score_range: tuple[float, float] | None = None
    evol_complexity: tuple[int, int] | None = None


PRESETS: Mapping[str, Preset] = {
    "osmosis": Preset(
        "KingTechnician/osmosis-crossencoder-joint",
        labels=("ADDR_DIRECT", "ADDR_PARTIAL", "NOADDR_ON", "NOADDR_TANGENTIAL", "NOADDR_OFF"),
    ),
    "maxwell": Preset(
        "thethinkmachine/Maxwell-Task-Complexity-Scorer-v0.2", score_range=(0.0, 1.0), evol_complexity=(1, 6)
    ),
}

#: How the runtime treats an input that is too long. The osmosis card truncates its pairs longest-first; the Maxwell
#: card has no truncation, so text that would lose its end is refused.
TRUNCATION: Mapping[Input, Literal["longest_first", "refuse"]] = {"pair": "longest_first", "text": "refuse"}


def choose_input(model_type: str, task: str) -> Input:
    """Return what one row is unless the user says otherwise.

    A DeBERTa classifier is taken for a cross-encoder of pairs, like osmosis. Every other model reads single texts, like
    Maxwell.
    """
    return "pair" if model_type == "deberta-v2" and task == "classification" else "text"


def find_preset(hub_id: str) -> tuple[str, Preset] | None:
    """Return the name and the preset of a repository on the Hub, or None if it is not a preset's."""
    return next(((name, preset) for name, preset in PRESETS.items() if preset.hub_id == hub_id), None)
