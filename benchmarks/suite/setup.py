"""What a peer is told before it loads. It travels to the peer's process as JSON."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from assay.bundle import manifest
from assay.inputs.validation import Row

Mode = Literal["latency", "throughput"]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Prepared:
    """What was made of MODEL. `random_weights`: a stand-in, whose answers mean nothing."""

    name: str
    checkpoint: str
    bundle: str
    work: str
    weights_sha256: str
    random_weights: bool


@dataclass(frozen=True)
class Setup:
    """The model and the conditions, the same for every peer of a run."""

    checkpoint: str  # folder of a whole model that transformers loads, adapters merged
    bundle: str  # assay's bundle of it; its tokenizer is everyone's
    work: str  # where peers keep what they prepare, a folder each
    input: Literal["pair", "text"]
    task: Literal["classification", "regression"]
    max_length: int
    device: Literal["cpu", "cuda"]
    threads: int  # that every peer may use
    random_weights: bool  # a stand-in: no gate can be held on its answers

    def folder(self, peer: str) -> Path:
        """The peer's own folder for what it prepares."""
        return Path(self.work) / peer

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Setup":
        return cls(**json.loads(text))


def described(prepared: Prepared) -> manifest.Manifest:
    """The manifest of the fp32 bundle."""
    return manifest.read(Path(prepared.bundle) / manifest.MANIFEST_NAME)


def first_row(setup: Setup) -> Row:
    """The row that every peer answers first, for the time from its start to its first answer."""
    objective, response = "What causes rain?", "Rain forms when water vapor in the atmosphere condenses into droplets."
    return (objective, response) if setup.input == "pair" else objective


def as_row(value: Any) -> Row:
    """A row as JSON holds it."""
    return value if isinstance(value, str) else (value[0], value[1])
