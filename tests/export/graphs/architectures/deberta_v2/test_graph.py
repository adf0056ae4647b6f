"""The authored DeBERTa-v2/v3 graph against transformers' PyTorch model, over the configs that it claims to support."""

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from assay_export.errors import UnsupportedConfigError
from assay_export.graphs.architectures.deberta_v2 import graph as deberta_v2
from assay_export.graphs.architectures.deberta_v2.relative_positions import Buckets, bucket_rows
from assay_export.graphs.writer import ACTIVATIONS, Dialect
from assay_export.tensorrt import lint
from tests.export import tiny

# Bucket boundaries of 8 buckets over 40 positions lie at 4, 5, 6, 13 and 20; 40 is max_position_embeddings.
LENGTHS = (1, 2, 3, 4, 5, 6, 7, 13, 14, 15, 20, 21, 22, 39, 40)

MATRIX: dict[str, dict[str, Any]] = {
    "as DeBERTa-v3": {},
    "c2p only": {"pos_att_type": ["c2p"]},
    "p2c only": {"pos_att_type": ["p2c"]},
    "terms as a string": {"pos_att_type": "c2p|p2c"},
    "terms as a string with capitals and blanks": {"pos_att_type": " P2C | c2p "},
    "no position term": {"pos_att_type": []},
    "no position term, null": {"pos_att_type": None, "share_att_key": False},
    "separate position keys": {"share_att_key": False},
    "separate position keys, c2p only": {"share_att_key": False, "pos_att_type": ["c2p"]},
    "separate position keys, p2c only": {"share_att_key": False, "pos_att_type": ["p2c"]},
    "a row for every distance": {"position_buckets": -1},
    "a row for every near distance": {"position_buckets": -1, "max_relative_positions": 9, "share_att_key": False},
    "zero buckets": {"position_buckets": 0},
    "odd number of buckets": {"position_buckets": 7},
    "buckets up to less than the longest": {"max_relative_positions": 20},
    "buckets up to more than the longest": {"max_relative_positions": 100, "position_buckets": 16},
    "relative table as it is": {"norm_rel_ebd": "none"},
    "absolute positions too": {"position_biased_input": True},
    "absolute positions only": {"position_biased_input": True, "pos_att_type": []},
    "three layers": {"num_hidden_layers": 3},
    "one layer": {"num_hidden_layers": 1},
    "one layer, p2c only": {"num_hidden_layers": 1, "pos_att_type": ["p2c"]},
    "one head": {"num_attention_heads": 1},
    "one output": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}},
    "a large epsilon": {"layer_norm_eps": 0.1},
    "an intermediate size below the hidden size": {"intermediate_size": 12},
    "a convolution": {"conv_kernel_size": 3, "conv_act": "gelu"},
    "a convolution, activated as by default": {"conv_kernel_size": 3, "num_hidden_layers": 3},
    "a convolution of one token": {"conv_kernel_size": 1},
    "a convolution over more tokens than a short text has": {"conv_kernel_size": 9, "conv_act": "relu"},
    "a convolution in groups": {"conv_kernel_size": 5, "conv_groups": 4, "position_biased_input": True},
    "a convolution of every channel alone": {"conv_kernel_size": 3, "conv_groups": 32, "pos_att_type": []},
    "one layer, with a convolution": {"conv_kernel_size": 3, "num_hidden_layers": 1},
}


@pytest.fixture(scope="module", params=list(MATRIX.values()), ids=list(MATRIX))
def graphs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tiny.Graphs:
    config = tiny.deberta_config(**request.param)
    return tiny.Graphs(tiny.model(config), config, tmp_path_factory.mktemp("deberta"))


@pytest.fixture(scope="module")
def as_v3(tmp_path_factory: pytest.TempPathFactory) -> tiny.Graphs:
    config = tiny.deberta_config(num_hidden_layers=3)
    return tiny.Graphs(tiny.model(config), config, tmp_path_factory.mktemp("deberta"))


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
        length: graphs.delta(Dialect.PORTABLE, tiny.token_ids(3, length), padding(length)) for length in (2, 7, 22, 40)
    }
    assert max(deltas.values()) < tiny.ROUNDING, deltas


def test_a_portable_graph_reads_past_max_position_embeddings_where_pytorch_does(graphs: tiny.Graphs) -> None:
    if graphs.config["position_biased_input"]:
        with pytest.raises(RuntimeError):  # a table of absolute positions ends; PyTorch refuses as well
            tiny.logits(graphs.module, tiny.token_ids(1, 41))
        return
    deltas = {length: graphs.delta(Dialect.PORTABLE, tiny.token_ids(2, length)) for length in (41, 57, 130)}
    assert max(deltas.values()) < tiny.ROUNDING, deltas


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_every_activation_is_transformers_own(kind: str, tmp_path: Any) -> None:
    config = tiny.deberta_config(hidden_act=kind, pooler_hidden_act=kind)
    graphs = tiny.Graphs(tiny.model(config), config, tmp_path)
    for dialect in Dialect:
        assert graphs.delta(dialect, tiny.token_ids(2, 21)) < tiny.ROUNDING


def test_the_two_activations_of_a_config_are_not_swapped(tmp_path: Any) -> None:
    config = tiny.deberta_config(hidden_act="relu", pooler_hidden_act="tanh")
    graphs = tiny.Graphs(tiny.model(config), config, tmp_path)
    for dialect in Dialect:
        assert graphs.delta(dialect, tiny.token_ids(2, 21)) < tiny.ROUNDING


@pytest.mark.parametrize("share", [True, False], ids=["shared", "separate"])
def test_no_weight_could_be_dropped_or_changed_without_these_comparisons_seeing_it(share: bool) -> None:
    module = tiny.model(tiny.deberta_config(share_att_key=share, position_biased_input=True, conv_kernel_size=3))
    ids = tiny.token_ids(8, 40)
    before = tiny.logits(module, ids)
    blind = []
    for name, parameter in module.named_parameters():
        if name.endswith("pos_key_proj.bias"):
            continue  # it adds the same to every score of a query, which softmax does not see
        kept = parameter.data.clone()
        parameter.data = torch.zeros_like(kept)
        if np.abs(tiny.logits(module, ids) - before).max() < 100 * tiny.ROUNDING:
            blind.append(name)
        parameter.data = kept
    assert blind == []


def test_keys_left_out_of_the_config_mean_what_transformers_takes_them_for(tmp_path: Any) -> None:
    config = tiny.deberta_config(position_biased_input=True, share_att_key=False, position_buckets=-1)
    for key in (
        "hidden_act",
        "layer_norm_eps",
        "max_relative_positions",
        "norm_rel_ebd",
        "pooler_hidden_act",
        "pooler_hidden_size",
        "position_biased_input",
        "position_buckets",
        "share_att_key",
        "pad_token_id",
        "type_vocab_size",
    ):
        del config[key]
    graphs = tiny.Graphs(tiny.model(config), config, tmp_path)
    for dialect in Dialect:
        assert graphs.delta(dialect, tiny.token_ids(2, 21)) < tiny.ROUNDING


@pytest.mark.parametrize(
    ("buckets", "longest"),
    [(8, 6), (256, 512), (32, 512), (256, 1024), (8, 40), (7, 40), (8, 20), (17, 300), (2, 128), (48, 64)],
)
def test_every_distance_has_the_table_row_of_make_log_bucket_position(buckets: int, longest: int) -> None:
    distance = torch.arange(-longest, longest + 1)
    transformers_bucket = make_log_bucket_position(distance, buckets, longest).to(torch.long)
    expected = torch.clamp(transformers_bucket + buckets, 0, 2 * buckets)
    np.testing.assert_array_equal(bucket_rows(Buckets(longest, buckets)), expected.numpy())


def test_distances_past_the_longest_have_the_last_row_in_transformers_too() -> None:
    far = torch.tensor([512, 513, 700, 5000])
    rows = torch.clamp(make_log_bucket_position(torch.cat([far, -far]), 256, 512).long() + 256, 0, 511)
    assert rows.tolist() == [511] * 4 + [0] * 4


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("type_vocab_size", 2),
        ("conv_kernel_size", 2),  # torch returns one token less than it was given
        ("conv_kernel_size", -1),
        ("conv_kernel_size", None),
        ("conv_groups", 5),
        ("conv_groups", 0),
        ("conv_act", "mish"),
        ("embedding_size", 16),
        ("pooler_hidden_size", 16),
        ("attention_head_size", 4),
        ("pos_att_type", ["c2p", "p2p"]),
        ("pos_att_type", "p2p"),
        ("pos_att_type", ["C2P"]),  # transformers lowers the case of a string only
        ("hidden_act", "mish"),
        ("pooler_hidden_act", "quick_gelu"),
        ("relative_attention", False),
        ("relative_attention", None),
        ("norm_rel_ebd", "batch_norm"),
        ("share_att_key", "yes"),
        ("position_biased_input", None),
        ("num_attention_heads", 5),
        ("num_attention_heads", None),
        ("num_attention_heads", 0),
        ("hidden_size", "32"),
        ("num_hidden_layers", 0),
        ("max_position_embeddings", 0),
        ("max_position_embeddings", 40.5),
        ("max_relative_positions", None),
        ("position_buckets", "8"),
        ("position_buckets", 1),
        ("pos_att_type", 1e30),
        ("pos_att_type", {"a": 1}),
        ("pos_att_type", [None]),
        ("layer_norm_eps", None),
    ],
)
def test_a_config_value_that_is_not_supported_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(UnsupportedConfigError, match=rf"config\.json: {key}\b") as caught:
        deberta_v2.read_config(tiny.deberta_config(**{"conv_kernel_size": 3, key: value}))
    if not isinstance(value, list):
        assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("buckets", "farthest", "least"),
    [(8, 1, 6), (8, 5, 6), (256, 129, 130), (7, 10, 40)],  # an odd number of buckets goes on beyond the farthest
)
def test_distances_that_log_buckets_cannot_number_are_refused(buckets: int, farthest: int, least: int) -> None:
    config = tiny.deberta_config(position_buckets=buckets, max_relative_positions=farthest)
    with pytest.raises(UnsupportedConfigError, match=rf"max_relative_positions = {farthest} .* from {least} on"):
        deberta_v2.read_config(config)
    assert deberta_v2.read_config(config | {"max_relative_positions": least}).buckets == Buckets(least, buckets)


@pytest.mark.parametrize(
    "key",
    ["hidden_size", "num_attention_heads", "num_hidden_layers", "max_position_embeddings", "relative_attention"],
)
def test_a_config_key_that_the_graph_cannot_do_without_is_asked_for_by_name(key: str) -> None:
    config = tiny.deberta_config()
    del config[key]
    with pytest.raises(UnsupportedConfigError, match=rf"config\.json: {key}\b"):
        deberta_v2.read_config(config)


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
    as_v3: tiny.Graphs, dialect: Dialect, names: list[str]
) -> None:
    session = as_v3.session(dialect)
    assert [(node.name, node.type, node.shape) for node in session.get_inputs()] == [
        (name, "tensor(int64)", ["batch", "sequence"]) for name in names
    ]
    (output,) = session.get_outputs()
    assert (output.name, output.type, output.shape) == ("logits", "tensor(float)", ["batch", 5])


def test_the_last_layer_computes_one_query_row(as_v3: tiny.Graphs) -> None:
    assert [shape[1] for shape in tiny.feed_forward_shapes(as_v3.paths[Dialect.PORTABLE], 21)] == [21, 21, 1]
