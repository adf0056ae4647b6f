"""A config.json of transformers 5 is read with its own meaning, the same as its counterpart of transformers 4."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay_export.checkpoint.configs.config_dialects import to_transformers_4
from assay_export.checkpoint.files import open_files
from assay_export.checkpoint.loading import load as load_checkpoint
from assay_export.errors import UnsupportedConfigError
from assay_export.graphs.architectures.modernbert import graph as modernbert
from tests.export import tiny

GLOBAL, LOCAL = "full_attention", "sliding_attention"
PERIOD_2 = [GLOBAL, LOCAL, GLOBAL, LOCAL]
IRREGULAR = [LOCAL, GLOBAL, GLOBAL, LOCAL]

# No value of these is a default of either version.
VERSION_4 = tiny.modernbert_config(
    num_hidden_layers=4,
    global_rope_theta=3000.0,
    local_rope_theta=20.0,
    local_attention=6,
    global_attn_every_n_layers=2,
    torch_dtype="float32",
)


def version_5(layer_types: list[str] = PERIOD_2, **changes: Any) -> dict[str, Any]:
    """Return VERSION_4 as transformers 5 writes it."""
    config = {
        key: value
        for key, value in VERSION_4.items()
        if key not in ("global_rope_theta", "local_rope_theta", "global_attn_every_n_layers", "torch_dtype")
    }
    return {
        **config,
        "dtype": "float32",
        "layer_types": layer_types,
        "rope_parameters": {
            GLOBAL: {"rope_theta": 3000.0, "rope_type": "default"},
            LOCAL: {"rope_theta": 20.0, "rope_type": "default"},
        },
        "transformers_version": "5.0.0",
        **changes,
    }


def load(folder: Path, config: dict[str, Any]) -> Any:
    (folder / "config.json").write_text(json.dumps(config))
    return load_checkpoint(open_files(folder), []).reference.module


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights, which both dialects share; each test writes its own config.json."""
    return tiny.save(tiny.model(VERSION_4), tmp_path_factory.mktemp("checkpoint"))


def test_both_dialects_translate_to_the_same_settings_of_the_graph() -> None:
    expected = modernbert.read_config(to_transformers_4(VERSION_4))
    assert (expected.global_theta, expected.local_theta, expected.half_window) == (3000.0, 20.0, 3)
    assert modernbert.read_config(to_transformers_4(version_5())) == expected


def test_a_translation_from_transformers_5_has_all_older_keys() -> None:
    translated = to_transformers_4(version_5())
    written_by_5 = {"rope_parameters", "dtype"}
    assert written_by_5.isdisjoint(translated)
    assert {key: translated[key] for key in VERSION_4} == VERSION_4


def test_a_translation_does_not_change_its_input() -> None:
    config = version_5(sliding_window=3)
    before = json.dumps(config)
    to_transformers_4(config)
    assert json.dumps(config) == before


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sliding_window": 3},
        {"local_attention": 7, "sliding_window": 3},
        {"global_rope_theta": 3000.0},
        {"global_attn_every_n_layers": 2},
        {"global_attn_every_n_layers": 3},  # transformers 5 writes its default beside any layer_types
        {"rope_scaling": None},
    ],
    ids=str,
)
def test_the_reference_model_computes_the_same_logits_from_either_config(saved: Path, changes: dict[str, Any]) -> None:
    ids = tiny.token_ids(2, 60)
    expected = tiny.logits(tiny.model(VERSION_4), ids)
    np.testing.assert_allclose(tiny.logits(load(saved, version_5(**changes)), ids), expected, atol=tiny.ROUNDING)


def test_the_reference_model_without_a_translation_would_differ() -> None:
    """This is the trap: transformers 4.57 silently takes its defaults for keys that transformers 5 wrote."""
    ids = tiny.token_ids(2, 60)
    assert np.abs(tiny.logits(tiny.model(version_5()), ids) - tiny.logits(tiny.model(VERSION_4), ids)).max() > 0.01


def test_an_irregular_pattern_of_layers_reaches_the_reference_model(saved: Path) -> None:
    """Compare each layer's attention with that of a layer of the same kind in a regular model of transformers."""
    module = load(saved, version_5(IRREGULAR))
    regular = tiny.model(VERSION_4)  # global, local, global, local
    for layer, kind in zip(module.model.layers, IRREGULAR, strict=True):
        template = regular.model.layers[PERIOD_2.index(kind)].attn
        assert layer.attn.local_attention == template.local_attention
        assert layer.attn.rotary_emb.inv_freq.tolist() == template.rotary_emb.inv_freq.tolist()
    ids = tiny.token_ids(2, 60)
    assert np.abs(tiny.logits(module, ids) - tiny.logits(regular, ids)).max() > 0.01


@pytest.mark.parametrize(
    "pattern", [PERIOD_2, IRREGULAR, [LOCAL] * 4, [GLOBAL] * 4], ids=["2", "irregular", "local", "global"]
)
def test_graph_and_reference_model_agree_on_transformers_5s_config(
    saved: Path, tmp_path: Path, pattern: list[str]
) -> None:
    config = version_5(pattern)
    graphs = tiny.Graphs(load(saved, config), to_transformers_4(config), tmp_path)
    for dialect in graphs.paths:
        assert graphs.delta(dialect, tiny.token_ids(2, 60)) < tiny.ROUNDING


def test_rope_parameters_for_one_kind_of_layer_leave_the_other_at_its_default() -> None:
    config = modernbert.read_config(to_transformers_4(version_5(rope_parameters={GLOBAL: {"rope_theta": 77.0}})))
    assert (config.global_theta, config.local_theta) == (77.0, 10000.0)


def test_every_third_layer_is_global_by_default() -> None:
    config = version_5()
    del config["layer_types"]
    assert to_transformers_4(config)["layer_types"] == [GLOBAL, LOCAL, LOCAL, GLOBAL]


def test_dtype_is_torch_dtype_in_any_architecture() -> None:
    assert to_transformers_4({"model_type": "bert", "dtype": "float16"}) == {
        "model_type": "bert",
        "torch_dtype": "float16",
    }


def test_other_architectures_are_passed_through() -> None:
    config = tiny.deberta_config(sliding_window=3, rope_parameters={"rope_type": "yarn"})
    assert to_transformers_4(config) == config


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"global_rope_theta": 9.0}, "global_rope_theta = 9.0"),
        ({"local_rope_theta": 9.0}, "local_rope_theta = 9.0"),
        ({"sliding_window": 4}, "local_attention = 6"),
        ({"transformers_version": "4.57.0", "global_attn_every_n_layers": 3}, "global_attn_every_n_layers = 3"),
    ],
)
def test_two_keys_that_contradict_each_other_are_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(UnsupportedConfigError, match=f"config.json: {named}.* contradicts .*; remove one"):
        to_transformers_4(version_5(**changes))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"rope_parameters": {GLOBAL: {"rope_type": "yarn", "rope_theta": 3000.0}}},
            r"full_attention'\].rope_type = 'yarn'",
        ),
        ({"rope_parameters": {LOCAL: {"rope_type": "linear"}}}, r"sliding_attention'\].rope_type = 'linear'"),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 1.0}}, r"rope_parameters has 'rope_theta'"),
        ({"rope_parameters": [1]}, r"rope_parameters = \[1\]"),
        ({"rope_parameters": {GLOBAL: 3000.0}}, r"rope_parameters\['full_attention'\] = 3000.0"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling = "),
        ({"rope_scaling": "linear"}, "rope_scaling = 'linear'"),
        ({"sliding_window": "3"}, "sliding_window = '3'"),
        ({"layer_types": PERIOD_2[:3]}, "layer_types = "),
        ({"layer_types": [GLOBAL, LOCAL, LOCAL, "chunked_attention"]}, "layer_types = .*chunked_attention"),
        ({"layer_types": "full_attention"}, "layer_types = 'full_attention'"),
        ({"layer_types": [[GLOBAL]] * 4}, "layer_types = "),
    ],
)
def test_a_value_that_transformers_4_cannot_express_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(UnsupportedConfigError, match=f"config.json: .*{named}"):
        to_transformers_4(version_5(**changes))
