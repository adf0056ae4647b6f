"""The authored graphs of the BERT family against transformers' PyTorch models, over the configs that they support."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from assay_export.errors import UnsupportedConfigError
from assay_export.graphs.architectures.bert import graph as bert
from assay_export.graphs.kernels.packing import pack_rows
from assay_export.graphs.writer import Dialect
from assay_export.tensorrt import lint
from tests.export import tiny

LENGTHS = (1, 2, 3, 7, 16, 17, 33, 39, 40)

MATRIX: dict[str, dict[str, Any]] = {
    "BERT": tiny.bert_config(),
    "BERT, one layer": tiny.bert_config(num_hidden_layers=1),
    "BERT, one head": tiny.bert_config(num_attention_heads=1),
    "BERT, heads of one channel": tiny.bert_config(num_attention_heads=32),
    "BERT, one token type": tiny.bert_config(type_vocab_size=1),
    "BERT, gelu_new": tiny.bert_config(hidden_act="gelu_new"),
    "BERT, gelu_pytorch_tanh": tiny.bert_config(hidden_act="gelu_pytorch_tanh"),
    "BERT, relu": tiny.bert_config(hidden_act="relu"),
    "BERT, a large epsilon": tiny.bert_config(layer_norm_eps=0.1),
    "BERT, a regression": tiny.bert_config(id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0}),
    "RoBERTa": tiny.bert_config("roberta"),
    "RoBERTa, padding is token 0": tiny.bert_config("roberta", pad_token_id=0, max_position_embeddings=41),
    "RoBERTa, two token types": tiny.bert_config("roberta", type_vocab_size=2),
    "XLM-RoBERTa": tiny.bert_config("xlm-roberta"),
    "CamemBERT": tiny.bert_config("camembert"),
    "DistilBERT": tiny.distilbert_config(),
    "DistilBERT, relu": tiny.distilbert_config(activation="relu"),
    "DistilBERT, sinusoidal positions": tiny.distilbert_config(sinusoidal_pos_embds=True),
    "ELECTRA": tiny.bert_config("electra"),
    "ELECTRA, embeddings as wide as the layers": tiny.bert_config("electra", embedding_size=32),
}

PAIRS = {name: MATRIX[name] for name in ("BERT", "BERT, one layer", "ELECTRA")}


def graphs_of(config: dict[str, Any], folder: Path) -> tiny.Graphs:
    return tiny.Graphs(tiny.model(config), config, folder)


@pytest.fixture(scope="module", params=MATRIX)
def graphs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tiny.Graphs:
    return graphs_of(MATRIX[request.param], tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module", params=PAIRS)
def pair_graphs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tiny.Graphs:
    config = PAIRS[request.param]
    return tiny.Graphs(tiny.model(config), config, tmp_path_factory.mktemp("pairs"), "pair")


@pytest.mark.parametrize("dialect", Dialect)
def test_every_length_gives_pytorchs_logits(graphs: tiny.Graphs, dialect: Dialect) -> None:
    deltas = {length: graphs.delta(dialect, tiny.token_ids(1, length)) for length in LENGTHS}
    assert max(deltas.values()) < tiny.ROUNDING, deltas


@pytest.mark.parametrize("dialect", Dialect)
def test_a_batch_of_equal_lengths_gives_pytorchs_logits(graphs: tiny.Graphs, dialect: Dialect) -> None:
    deltas = {length: graphs.delta(dialect, tiny.token_ids(3, length)) for length in (1, 2, 21, 40)}
    assert max(deltas.values()) < tiny.ROUNDING, deltas


@pytest.mark.parametrize("padding", [tiny.right_padding, tiny.holes])
def test_padded_rows_of_a_portable_graph_give_pytorchs_logits(graphs: tiny.Graphs, padding: Any) -> None:
    deltas = {
        length: graphs.delta(Dialect.PORTABLE, tiny.token_ids(3, length), padding(length)) for length in (2, 9, 40)
    }
    assert max(deltas.values()) < tiny.ROUNDING, deltas


@pytest.mark.parametrize("dialect", Dialect)
def test_token_types_of_pairs_give_pytorchs_logits(pair_graphs: tiny.Graphs, dialect: Dialect) -> None:
    deltas = {}
    for length in (1, 2, 21, 40):
        types = (np.arange(length) >= np.array([[length // 3], [length // 2], [length]])).astype(np.int64)
        deltas[length] = pair_graphs.delta(dialect, tiny.token_ids(3, length), token_type_ids=types)
    assert max(deltas.values()) < tiny.ROUNDING, deltas


@pytest.mark.parametrize("model_type", ["roberta", "xlm-roberta", "camembert"])
@pytest.mark.parametrize("dialect", Dialect)
def test_padding_tokens_inside_a_text_take_no_position(dialect: Dialect, model_type: str, tmp_path: Path) -> None:
    config = tiny.bert_config(model_type)
    graphs = graphs_of(config, tmp_path)
    ids = tiny.token_ids(2, 20)
    ids[0, [4, 5, 11]] = ids[1, [0, 19]] = config["pad_token_id"]
    without = np.where(ids == config["pad_token_id"], 4, ids)
    assert graphs.delta(dialect, ids) < tiny.ROUNDING
    assert np.abs(tiny.logits(graphs.module, ids) - tiny.logits(graphs.module, without)).max() > 100 * tiny.ROUNDING


@pytest.mark.parametrize("name", ["BERT", "RoBERTa"])
def test_packed_rows_of_different_lengths_give_pytorchs_logits(name: str, tmp_path: Path) -> None:
    config = MATRIX[name]
    graphs = graphs_of(config, tmp_path)
    rows = [tiny.token_ids(1, length, seed)[0] for seed, length in enumerate((5, 1, 40, 17, 2))]
    rows[3][2:5] = config["pad_token_id"]
    (answers,) = graphs.session(Dialect.KERNELS).run(["logits"], pack_rows(rows))
    expected = np.concatenate([tiny.logits(graphs.module, row[None]) for row in rows])
    np.testing.assert_allclose(answers, expected, rtol=0, atol=tiny.ROUNDING)


@pytest.mark.parametrize("name", ["BERT", "RoBERTa", "DistilBERT", "ELECTRA"])
def test_every_weight_of_the_model_moves_the_logits_that_are_compared(name: str) -> None:
    module = tiny.model(MATRIX[name])
    ids = tiny.token_ids(8, 40)
    before = tiny.logits(module, ids)
    blind = []
    for parameter_name, parameter in module.named_parameters():
        kept = parameter.data.clone()
        parameter.data = torch.zeros_like(kept)
        if np.abs(tiny.logits(module, ids) - before).max() < 100 * tiny.ROUNDING:
            blind.append(parameter_name)
        parameter.data = kept
    # A bias of the keys adds the same to all scores of a query, which softmax does not see.
    assert all(parameter_name.endswith(("key.bias", "k_lin.bias")) for parameter_name in blind)


@pytest.mark.parametrize("name", ["BERT", "RoBERTa", "DistilBERT", "ELECTRA"])
def test_keys_left_out_of_the_config_mean_what_transformers_takes_them_for(name: str, tmp_path: Path) -> None:
    config = dict(MATRIX[name])
    for key in ("hidden_act", "activation", "layer_norm_eps", "type_vocab_size", "pad_token_id", "embedding_size"):
        config.pop(key, None)
    graphs = graphs_of(config, tmp_path)
    for dialect in Dialect:
        assert graphs.delta(dialect, tiny.token_ids(2, 40)) < tiny.ROUNDING


REFUSED = [
    ("bert", "position_embedding_type", "relative_key"),
    ("electra", "position_embedding_type", "relative_key_query"),
    ("roberta", "position_embedding_type", None),
    ("bert", "is_decoder", True),
    ("camembert", "is_decoder", True),
    ("bert", "add_cross_attention", True),
    ("distilbert", "pruned_heads", {"1": [0]}),
    ("bert", "hidden_act", "silu"),
    ("xlm-roberta", "hidden_act", "gelu_fast"),
    ("distilbert", "activation", "silu"),
    ("bert", "num_attention_heads", 5),
    ("distilbert", "n_heads", 5),
    ("bert", "num_attention_heads", None),
    ("bert", "hidden_size", 0),
    ("distilbert", "dim", "32"),
    ("bert", "num_hidden_layers", 0),
    ("distilbert", "n_layers", 0),
    ("bert", "max_position_embeddings", None),
    ("roberta", "max_position_embeddings", 4),
    ("roberta", "pad_token_id", None),
    ("bert", "type_vocab_size", 0),
    ("electra", "embedding_size", 0),
    ("bert", "layer_norm_eps", 0),
]


@pytest.mark.parametrize(("model_type", "key", "value"), REFUSED)
def test_a_config_value_that_is_not_supported_is_refused_by_name(model_type: str, key: str, value: object) -> None:
    config = tiny.distilbert_config() if model_type == "distilbert" else tiny.bert_config(model_type)
    with pytest.raises(UnsupportedConfigError) as refusal:
        bert.read_config(config | {key: value})
    assert str(refusal.value).startswith(f"config.json: {key} = {value!r}")


@pytest.mark.parametrize("key", ["hidden_size", "num_attention_heads", "num_hidden_layers", "max_position_embeddings"])
def test_a_config_key_that_the_graph_cannot_do_without_is_asked_for_by_name(key: str) -> None:
    config = tiny.bert_config()
    del config[key]
    with pytest.raises(UnsupportedConfigError, match=rf"config\.json: {key} is missing"):
        bert.read_config(config)


@pytest.mark.parametrize(
    ("config", "max_length"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
    ],
)
def test_the_longest_input_follows_from_the_table_of_positions(config: dict[str, Any], max_length: int) -> None:
    assert bert.read_config(tiny.bert_config() | {"pad_token_id": 1} | config).max_length == max_length


@pytest.mark.parametrize(
    ("name", "row", "takes_types"),
    [
        ("BERT", "pair", True),
        ("ELECTRA", "pair", True),
        ("BERT", "text", False),
        ("BERT, one token type", "pair", False),
        ("RoBERTa, two token types", "pair", False),
        ("DistilBERT", "pair", False),
    ],
)
def test_token_types_are_an_input_where_a_pair_has_two_of_them(name: str, row: Any, takes_types: bool) -> None:
    assert bert.read_config(MATRIX[name]).for_rows(row).takes_token_types is takes_types


def test_the_portable_graph_is_standard_onnx_of_opset_20(graphs: tiny.Graphs) -> None:
    path = graphs.paths[Dialect.PORTABLE]
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path, load_external_data=False)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    assert {node.domain for node in model.graph.node} == {""}
    assert list(model.functions) == []


def test_the_portable_graph_has_nothing_that_tensorrt_does_not_take(graphs: tiny.Graphs) -> None:
    assert lint.lint(graphs.paths[Dialect.PORTABLE], 40) == []


def test_the_portable_graph_of_pairs_has_nothing_that_tensorrt_does_not_take(pair_graphs: tiny.Graphs) -> None:
    assert lint.lint(pair_graphs.paths[Dialect.PORTABLE], 40) == []


@pytest.mark.parametrize(
    ("dialect", "names"), [(Dialect.PORTABLE, ["input_ids", "attention_mask"]), (Dialect.CPU, ["input_ids"])]
)
def test_inputs_and_output_have_the_names_types_and_axes_of_the_dialect(
    graphs: tiny.Graphs, pair_graphs: tiny.Graphs, dialect: Dialect, names: list[str]
) -> None:
    for found, expected in ((graphs, names), (pair_graphs, [*names, "token_type_ids"])):
        session = found.session(dialect)
        assert [(node.name, node.type, node.shape) for node in session.get_inputs()] == [
            (name, "tensor(int64)", ["batch", "sequence"]) for name in expected
        ]
        (output,) = session.get_outputs()
        labels = len(found.config["id2label"])
        assert (output.name, output.type, output.shape) == ("logits", "tensor(float)", ["batch", labels])


def test_the_last_layer_computes_one_query_row(tmp_path: Path) -> None:
    graphs = graphs_of(tiny.bert_config(), tmp_path)
    shapes = tiny.feed_forward_shapes(graphs.paths[Dialect.PORTABLE], 21)
    assert [shape[1] for shape in shapes] == [21, 21, 1]
