"""benchmarks.engines: sessions on the runtime's own graphs, bare products and the floor of a model."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from assay.bundle.manifest import Graph
from assay_export.graphs import cpu_session
from assay_export.graphs.entry import GRAPH_INPUTS
from assay_export.graphs.writer import Dialect
from assay_export.variants.int8.kernels.variant import run_packed
from benchmarks.engines.kernel_products import bare_kernel_products
from benchmarks.engines.products import Layer, compute_floor
from benchmarks.engines.session import open_graph
from benchmarks.errors import BenchmarkError
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


@pytest.mark.parametrize("config", [tiny.deberta_config(), tiny.modernbert_config()], ids=["deberta", "modernbert"])
def test_the_bare_products_of_the_kernels_are_the_shapes_of_every_linear_layer(
    config: dict[str, object], tmp_path: Path
) -> None:
    tiny.save(tiny.model(config), tmp_path / "checkpoint", config)
    path = plain_int8.save(plain_int8.load(tmp_path / "checkpoint"), plain_int8.PlainRecipes(), tmp_path)
    layers = [node for node in onnx.load(path, load_external_data=False).graph.node if "Linear" in node.op_type]
    answer = bare_kernel_products(path, 1)(tiny.token_ids(1, 9))
    rows = np.asarray(answer).reshape(-1, 2)[:, 0]
    assert len(rows) == len(layers)
    assert set(rows) == {1, 9}
    assert rows[0] == 9  # the first layer sees every token
    assert rows[-1] == 1  # the classifier sees one vector per text


def test_a_graph_without_layers_for_the_kernels_is_refused(tmp_path: Path) -> None:
    config = tiny.deberta_config()
    tiny.save(tiny.model(config), tmp_path / "checkpoint", config)
    model = plain_int8.load(tmp_path / "checkpoint")
    path = plain_int8.save(model, plain_int8.PlainRecipes(), tmp_path, Dialect.CPU)
    with pytest.raises(BenchmarkError, match="found no Linear of assay-kernels"):
        bare_kernel_products(path, 1)


def test_a_short_text_is_bound_by_its_bytes_and_a_long_one_by_its_operations() -> None:
    layers = [Layer(pooled=False, width=10, columns=20), Layer(pooled=True, width=10, columns=5)]
    assert compute_floor(layers, tokens=1, peak=1e6, bytes_per_second=1e3) == pytest.approx(0.25)
    assert compute_floor(layers, tokens=1000, peak=1e6, bytes_per_second=1e3) == pytest.approx(0.4001)
