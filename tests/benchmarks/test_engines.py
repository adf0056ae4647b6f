"""benchmarks.engines: sessions on the runtime's own graphs."""

from pathlib import Path

import numpy as np
import pytest

from assay.bundle.manifest import Graph
from assay_export.graphs import cpu_session
from assay_export.graphs.entry import GRAPH_INPUTS
from assay_export.graphs.writer import Dialect
from assay_export.variants.int8.kernels.variant import run_packed
from benchmarks.engines.session import open_graph
from benchmarks.standins import plain_int8
from tests.export import tiny


@pytest.mark.parametrize("dialect", [Dialect.KERNELS, Dialect.CPU], ids=["packed", "batched"])
def test_a_graph_of_either_kind_is_called_with_rows_of_ids(dialect: Dialect, tmp_path: Path) -> None:
    config, ids = tiny.deberta_config(), tiny.token_ids(3, 9)
    tiny.save(tiny.model(config), tmp_path / "checkpoint", config)
    model = plain_int8.load(tmp_path / "checkpoint")
    path = plain_int8.save(model, plain_int8.PlainRecipes(), tmp_path, dialect)
    call = open_graph(path, Graph(path.name, (), GRAPH_INPUTS[dialect], "basic", {}), model.labels, threads=1)
    if dialect is Dialect.KERNELS:
        expected = run_packed(path, [{"input_ids": row[None]} for row in ids])
    else:
        (expected,) = cpu_session.load(path).run(["logits"], {"input_ids": ids})
    np.testing.assert_allclose(np.asarray(call(ids)), expected, atol=1e-6)
