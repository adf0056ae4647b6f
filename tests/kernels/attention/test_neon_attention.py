"""The NEON kernels: cross-compiled, run by qemu, compared with numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.kernels import neon
from tests.kernels.attention.attention_reference import Attention, Case
from tests.kernels.attention.conftest import assert_close
from tests.kernels.attention.conftest import run as run_here

ARRAYS = ["query", "kv", "row_starts", "frequencies", "bucket_rows"]
TABLES = [f"position_{part}{suffix}" for part in ("keys", "queries") for suffix in ("", "_scale", "_sum")]


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    neon.build()


def describe(case: Attention) -> bytes:
    tensors = case.tensors | case.initializers
    scale = tensors.get("position_keys_scale", tensors.get("position_queries_scale"))
    panels = tensors.get("position_keys", tensors.get("position_queries"))
    rows = scale.shape[1] if scale is not None else panels.shape[1] * 16 if panels is not None else 0
    head = [
        case.key.shape[1], case.key.shape[2], int(case.arithmetic == "float32"), int(case.first_token),
        case.half_window, len(tensors.get("bucket_rows", ())) // 2, rows, len(case.lengths), len(case.key),
    ]  # fmt: skip
    arrays = [tensors.get(name) for name in (*ARRAYS, *TABLES)]
    words = [array.view(np.int32) if array is not None and array.dtype == np.int8 else array for array in arrays]
    return neon.encode(head, words)


def cases() -> list[Attention]:
    frequencies = (1 / 10000.0 ** (np.arange(0, 20, 2) / 20)).astype(np.float32)
    result = []
    for arithmetic in ("int8", "float32"):
        for first_token in (False, True):
            options: dict[str, Any] = {"arithmetic": arithmetic, "first_token": first_token}
            for keys, queries in ((True, True), (True, False), (False, True)):
                result.append(
                    Case([1, 70, 17, 130], d=12, options=options).attention(8, 40, keys=keys, queries=queries)
                )
            result.append(Case([600, 3], heads=1, d=33, options=options).attention(64, 512, keys=True, queries=True))
            result.append(Case([5, 33], d=7, options=options).attention())
            result.append(Case([70, 1], d=32, options=options).attention())
            for half_window in (-1, 0, 3, 64):
                rotary = options | {"frequencies": frequencies, "half_window": half_window}
                result.append(Case([1, 530, 16], d=20, options=rotary).attention())
    spoilt = Case([4, 70], options={"arithmetic": "int8"}).attention(8, 40, keys=True, queries=True)
    spoilt.value[40, 1, 3] = np.nan
    return [*result, spoilt]


@pytest.mark.parametrize("instruction_set", ["neon_dotprod", "plain"])
def test_attention_is_close_to_the_reference(instruction_set: str, tmp_path: Path) -> None:
    given = cases()
    sizes = [(len(case.query), case.key.shape[1] * case.key.shape[2]) for case in given]
    *outputs, last = neon.run("run_attention", instruction_set, [describe(case) for case in given], sizes, tmp_path)
    for case, y in zip(given[:-1], outputs, strict=True):
        assert_close(case, y)
    spoilt = last.reshape(74, 2, -1)
    assert np.isnan(spoilt[4:, 1]).all()
    assert np.isfinite(spoilt[:, 0]).all()
    assert np.isfinite(spoilt[:4]).all()


@pytest.mark.parametrize("instruction_set", ["neon_dotprod", "plain"])
def test_attention_has_the_bits_that_it_has_on_this_machine(
    instruction_set: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = cases()
    sizes = [(len(case.query), case.key.shape[1] * case.key.shape[2]) for case in given]
    outputs = neon.run("run_attention", instruction_set, [describe(case) for case in given], sizes, tmp_path)
    monkeypatch.setenv("ASSAY_KERNELS_ISA", "plain")
    for case, y in zip(given, outputs, strict=True):
        np.testing.assert_array_equal(y, run_here(case))
