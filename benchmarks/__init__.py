"""Measurements of models and of what they run on. Nothing here is part of the product or of its wheel.

From the lowest floor up, each room importing only what stands before it:

- `errors`, then `machine`, `command_line`, `cost`, `timing`: what every measurement needs.
- `inputs`: the texts that are measured, and the optional materials next to the repository.
- `engines`: implementations that a probe calls in its own process.
- `standins`: full-size checkpoints and graphs with random weights.
- `suite` (`python -m benchmarks run`, `compare`, `report` and `readme`) and `probes` (`python -m
  benchmarks.probes.NAME`, one question each): the measurements of speed. They do not import each other.
- `quality` (`python -m benchmarks quality`): accuracy on labelled rows. It asks the peers of the suite, too.
"""

from pathlib import Path

from assay.ort.installation import disable_telemetry

__all__ = ["ROOT"]

ROOT = Path(__file__).resolve().parent.parent
"""The repository."""

disable_telemetry()  # in every peer, too, which inherits the environment
