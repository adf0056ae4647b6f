"""The two published models that are known by name, as their cards describe them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    hub_id: str
    labels: tuple[str, ...] | None = None  # None: the checkpoint's own


PRESETS = {
    "osmosis": Preset(
        "KingTechnician/osmosis-crossencoder-joint",
        labels=("ADDR_DIRECT", "ADDR_PARTIAL", "NOADDR_ON", "NOADDR_TANGENTIAL", "NOADDR_OFF"),
    ),
    "maxwell": Preset("thethinkmachine/Maxwell-Task-Complexity-Scorer-v0.2"),
}
