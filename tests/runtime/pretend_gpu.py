"""Replace a GPU with the CPU provider and the CPU's memory, to test everything around CUDA."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from assay import devices
from assay.devices import Device
from assay.gpu import driver, providers, session
from assay.gpu.driver import Driver, Gpu
from assay.gpu.options import GpuOptions

CPU = "CPUExecutionProvider"
CARD = Gpu("Pretend", "9.0", 1 << 30)


def install(monkeypatch: pytest.MonkeyPatch, cache: Path, cards: Sequence[Gpu] = (CARD,)) -> list[Any]:
    """Let "cuda" and "tensorrt" load. Returns a list to which each session appends what it was created with.

    A TensorRT session writes one file in place of its engine, unless it exists.
    """
    created: list[Any] = []

    def cuda(device: Device, chosen: GpuOptions) -> Any:
        created.append((str(device), chosen.memory_limit, chosen.cuda_graphs))
        return [(CPU, {})]

    def tensorrt(
        device: Device, chosen: GpuOptions, inputs: Sequence[str], length: int, engines: Path, timing: Path
    ) -> Any:
        engine = engines / "engine"
        created.append((str(device), length, "loads" if engine.exists() else "builds"))
        engine.write_text(f"{length} {chosen} {inputs}")
        (timing / "timing").write_text("x")
        return [(CPU, {})]

    monkeypatch.setenv("ASSAY_CACHE", str(cache))
    monkeypatch.setattr(devices.Device, "required", property(lambda _: (CPU,)))
    monkeypatch.setattr(providers, "configure_cuda", cuda)
    monkeypatch.setattr(providers, "configure_tensorrt", tensorrt)
    monkeypatch.setattr(session, "_name_memory", lambda: "cpu")
    monkeypatch.setattr(session, "_refuse_data_on_cpu", lambda *_: None)
    monkeypatch.setattr(session, "_read_tensorrt_version", lambda _: "101303")
    monkeypatch.setattr(driver, "find", lambda: Driver(tuple(cards), "13.1", "" if cards else "there is no GPU here"))
    return created
