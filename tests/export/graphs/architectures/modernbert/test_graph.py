"""The authored ModernBERT graph against transformers' PyTorch model, over the configs that it claims to support."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from assay_export.checkpoint.configs.config_dialects import to_transformers_4
from assay_export.errors import UnsupportedConfigError
from assay_export.graphs.architectures.modernbert import graph as modernbert
from assay_export.graphs.writer import ACTIVATIONS, Dialect
from assay_export.tensorrt import lint
from tests.export import tiny

# Around the window's halves, powers of two, and the 90 that is max_position_embeddings.
LENGTHS = (1, 2, 3, 4, 5, 6, 8, 9, 10, 16, 17, 33, 64, 65, 89, 90)

GLOBAL, LOCAL = "full_attention", "sliding_attention"

MATRIX: dict[str, dict[str, Any]] = {
    "mean pooling": {},
    "cls pooling": {"classifier_pooling": "cls"},
    "every bias": {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True},
    "every bias, cls pooling": {
        "norm_bias": True,
        "attention_bias": True,
        "mlp_bias": True,
        "classifier_bias": True,
        "classifier_pooling": "cls",
    },
    "attention bias only": {"attention_bias": True},
    "mlp bias only": {"mlp_bias": True},
    "norm bias only": {"norm_bias": True},
    "other thetas": {"global_rope_theta": 3000.0, "local_rope_theta": 20.0},
    "one theta for both": {"local_rope_theta": None, "global_rope_theta": 50.0},
    "an odd window": {"local_attention": 7},
    "a window of two": {"local_attention": 2},
    "a window of one": {"local_attention": 1},
    "a window past every length": {"local_attention": 1000},
    "all layers global": {"global_attn_every_n_layers": 1},
    "every second layer global, cls pooling": {"global_attn_every_n_layers": 2, "classifier_pooling": "cls"},
    "a global last layer, cls pooling": {
        "num_hidden_layers": 4,
        "classifier_pooling": "cls",
    },
    "only the first layer global": {"global_attn_every_n_layers": 50},
    "one layer": {"num_hidden_layers": 1},
    "one layer, cls pooling": {"num_hidden_layers": 1, "classifier_pooling": "cls"},
    "one head": {"num_attention_heads": 1},
    "heads of two channels": {"num_attention_heads": 16},
    "three outputs": {
        "id2label": {"0": "a", "1": "b", "2": "c"},
        "label2id": {"a": 0, "b": 1, "c": 2},
        "problem_type": None,
    },
    "a large epsilon": {"norm_eps": 0.1},
}

PATTERNS: dict[str, list[str]] = {
    "a local layer first": [LOCAL, GLOBAL, LOCAL, GLOBAL],
    "two of each": [GLOBAL, GLOBAL, LOCAL, LOCAL],
    "a global layer late": [GLOBAL, LOCAL, LOCAL, LOCAL, GLOBAL],
    "all layers local": [LOCAL, LOCAL, LOCAL, LOCAL],
}


def with_pattern(config: dict[str, Any], pattern: list[str]) -> Any:
    """transformers' model with an attention per layer that its 4.57 cannot be configured to: each is taken from a model
    in which layer 0 is global and layer 1 is local."""
    module = tiny.model(config)
    first_global = tiny.model(config | {"global_attn_every_n_layers": 50, "num_hidden_layers": 2})
    for layer, kind in zip(module.model.layers, pattern, strict=True):
        template = first_global.model.layers[0 if kind == GLOBAL else 1].attn
        layer.attn.local_attention = template.local_attention
        layer.attn.rotary_emb = template.rotary_emb
    return module


def graphs_of(config: dict[str, Any], folder: Path) -> tiny.Graphs:
    return tiny.Graphs(tiny.model(config), to_transformers_4(config), folder)


@pytest.fixture(
    scope="module",
    params=[*MATRIX.values(), *PATTERNS.values()],
    ids=[*MATRIX, *(f"layers: {name}" for name in PATTERNS)],
)
def graphs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tiny.Graphs:
    folder = tmp_path_factory.mktemp("modernbert")
    if isinstance(request.param, dict):
        return graphs_of(tiny.modernbert_config(**request.param), folder)
    config = tiny.modernbert_config(num_hidden_layers=len(request.param), classifier_pooling="cls")
    module = with_pattern(config, request.param)
    del config["global_attn_every_n_layers"]
    return tiny.Graphs(module, to_transformers_4(config | {"layer_types": request.param}), folder)


@pytest.mark.parametrize("dialect", Dialect)
def test_every_length_gives_pytorchs_logits(graphs: tiny.Graphs, dialect: Dialect) -> None:
    deltas = {length: graphs.delta(dialect, tiny.token_ids(1, length)) for length in LENGTHS}
    assert max(deltas.values()) < tiny.ROUNDING, deltas


@pytest.mark.parametrize("dialect", Dialect)
def test_a_batch_of_equal_lengths_gives_pytorchs_logits(graphs: tiny.Graphs, dialect: Dialect) -> None:
    deltas = {length: graphs.delta(dialect, tiny.token_ids(3, length)) for length in (1, 2, 21, 90)}
    assert max(deltas.values()) < tiny.ROUNDING, deltas


def left_padding(length: int) -> np.ndarray:
    return tiny.right_padding(length)[:, ::-1].copy()


@pytest.mark.parametrize("padding", [tiny.right_padding, tiny.holes, left_padding])
def test_padded_rows_of_a_portable_graph_give_pytorchs_logits(graphs: tiny.Graphs, padding: Any) -> None:
    deltas = {
        length: graphs.delta(Dialect.PORTABLE, tiny.token_ids(3, length), padding(length)) for length in (2, 9, 40, 90)
    }
    assert max(deltas.values()) < tiny.ROUNDING, deltas


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_every_activation_is_transformers_own(kind: str, tmp_path: Path) -> None:
    config = tiny.modernbert_config(hidden_activation=kind, classifier_activation=kind, num_hidden_layers=2)
    graphs = graphs_of(config, tmp_path)
    for dialect in Dialect:
        assert graphs.delta(dialect, tiny.token_ids(2, 21)) < tiny.ROUNDING


def test_the_two_activations_of_a_config_are_not_swapped(tmp_path: Path) -> None:
    config = tiny.modernbert_config(hidden_activation="relu", classifier_activation="tanh", num_hidden_layers=2)
    graphs = graphs_of(config, tmp_path)
    for dialect in Dialect:
        assert graphs.delta(dialect, tiny.token_ids(2, 21)) < tiny.ROUNDING


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_no_weight_could_be_dropped_or_changed_without_these_comparisons_seeing_it(pooling: str) -> None:
    every_bias = MATRIX["every bias"] | {"classifier_pooling": pooling}
    module = tiny.model(tiny.modernbert_config(**every_bias))
    ids = tiny.token_ids(8, 65)
    before = tiny.logits(module, ids)
    blind = []
    for name, parameter in module.named_parameters():
        kept = parameter.data.clone()
        parameter.data = torch.zeros_like(kept)
        if np.abs(tiny.logits(module, ids) - before).max() < 100 * tiny.ROUNDING:
            blind.append(name)
        parameter.data = kept
    assert blind == []


def test_thetas_and_the_window_move_the_logits_that_are_compared() -> None:
    ids = tiny.token_ids(8, 65)
    usual = tiny.logits(tiny.model(tiny.modernbert_config()), ids)
    for change in ({"global_rope_theta": 160.0}, {"local_rope_theta": 10.0}, {"local_attention": 6}):
        changed = tiny.logits(tiny.model(tiny.modernbert_config(**change)), ids)
        assert np.abs(changed - usual).max() > 100 * tiny.ROUNDING, change


def test_keys_left_out_of_the_config_mean_what_transformers_takes_them_for(tmp_path: Path) -> None:
    config = tiny.modernbert_config(max_position_embeddings=200)
    for key in (
        "hidden_activation",
        "norm_eps",
        "norm_bias",
        "attention_bias",
        "mlp_bias",
        "global_attn_every_n_layers",
        "global_rope_theta",
        "local_rope_theta",
        "local_attention",
        "classifier_pooling",
        "classifier_bias",
        "classifier_activation",
    ):
        del config[key]
    graphs = graphs_of(config, tmp_path)
    for dialect in Dialect:
        assert graphs.delta(dialect, tiny.token_ids(2, 150)) < tiny.ROUNDING


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classifier_pooling", "max"),
        ("hidden_activation", "mish"),
        ("classifier_activation", None),
        ("num_attention_heads", 5),
        ("num_attention_heads", 32),  # heads of one channel cannot be rotated
        ("num_attention_heads", None),
        ("hidden_size", 0),
        ("num_hidden_layers", 0),
        ("num_hidden_layers", "3"),
        ("max_position_embeddings", None),
        ("local_attention", 0),
        ("local_attention", -1),
        ("local_attention", 8.5),
        ("global_rope_theta", None),
        ("global_rope_theta", 0),
        ("local_rope_theta", "10000"),
        ("norm_eps", None),
        ("global_attn_every_n_layers", 0),
        ("global_attn_every_n_layers", -3),
    ],
)
def test_a_config_value_that_is_not_supported_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(UnsupportedConfigError, match=rf"config\.json: {key} = {value!r}"):
        modernbert.read_config(to_transformers_4(tiny.modernbert_config(**{key: value})))


@pytest.mark.parametrize("key", ["hidden_size", "num_attention_heads", "max_position_embeddings"])
def test_a_config_key_that_the_graph_cannot_do_without_is_asked_for_by_name(key: str) -> None:
    config = tiny.modernbert_config()
    del config[key]
    with pytest.raises(UnsupportedConfigError, match=rf"config\.json: {key} is missing"):
        modernbert.read_config(to_transformers_4(config))


def test_the_portable_graph_is_standard_onnx_of_opset_20(graphs: tiny.Graphs) -> None:
    path = graphs.paths[Dialect.PORTABLE]
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path, load_external_data=False)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    assert {node.domain for node in model.graph.node} == {""}
    assert list(model.functions) == []


def test_the_portable_graph_has_nothing_that_tensorrt_does_not_take(graphs: tiny.Graphs) -> None:
    assert lint.lint(graphs.paths[Dialect.PORTABLE], graphs.config["max_position_embeddings"]) == []


@pytest.mark.parametrize(
    ("dialect", "names"), [(Dialect.PORTABLE, ["input_ids", "attention_mask"]), (Dialect.CPU, ["input_ids"])]
)
def test_inputs_and_output_have_the_names_types_and_axes_of_the_dialect(
    graphs: tiny.Graphs, dialect: Dialect, names: list[str]
) -> None:
    session = graphs.session(dialect)
    assert [(node.name, node.type, node.shape) for node in session.get_inputs()] == [
        (name, "tensor(int64)", ["batch", "sequence"]) for name in names
    ]
    (output,) = session.get_outputs()
    labels = len(graphs.config["id2label"])
    assert (output.name, output.type, output.shape) == ("logits", "tensor(float)", ["batch", labels])


@pytest.mark.parametrize(("pooling", "rows"), [("cls", [21, 21, 1]), ("mean", [21, 21, 21])])
def test_the_last_layer_computes_one_query_row_where_the_head_reads_one(
    pooling: str, rows: list[int], tmp_path: Path
) -> None:
    graphs = graphs_of(tiny.modernbert_config(classifier_pooling=pooling), tmp_path)
    assert [shape[1] for shape in tiny.feed_forward_shapes(graphs.paths[Dialect.PORTABLE], 21)] == rows
