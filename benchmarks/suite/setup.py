"""What a peer knows before it loads. It travels to the peer's process as JSON."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from assay.bundle import manifest
from assay.inputs.validation import Row

__all__ = ["Float32", "Mode", "Prepared", "Setup", "choose_first_row", "parse_row", "read_manifest"]

Mode = Literal["latency", "throughput"]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Prepared:
    """What was made of MODEL."""

    name: str
    checkpoint: str
    bundle: str
    work: str
    weights_sha256: str
    random_weights: bool  # a stand-in, whose answers mean nothing


@dataclass(frozen=True)
class Setup:
    """The model and the conditions, the same for every peer of a run."""

    checkpoint: str  # folder of a whole model that transformers loads, adapters merged
    bundle: str  # assay's bundle of it, with the tokenizer of all peers
    work: str  # where each peer has a folder for what it prepares
    input: Literal["pair", "text"]
    task: Literal["classification", "regression"]
    max_length: int
    device: Literal["cpu", "cuda"]
    threads: int  # that every peer may use
    random_weights: bool  # a stand-in: no gate can judge its answers
    environments: str = "build/peers"  # where peers with an environment of their own have it

    def folder(self, peer: str) -> Path:
        """Return the folder for what this peer prepares."""
        return Path(self.work) / peer

    def to_json(self) -> str:
        """Write the setup as JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


def read_manifest(prepared: Prepared) -> manifest.Manifest:
    """Read the manifest of the fp32 bundle."""
    return manifest.read(Path(prepared.bundle) / manifest.MANIFEST_NAME)


def choose_first_row(setup: Setup) -> Row:
    """Return the row that every peer answers first, which ends its start."""
    objective, response = "What causes rain?", "Rain forms when water vapor in the atmosphere condenses into droplets."
    return (objective, response) if setup.input == "pair" else objective


def parse_row(value: Any) -> Row:
    """Turn a row from JSON, where a pair is a list, into a row."""
    return value if isinstance(value, str) else (value[0], value[1])
