"""Rows packed end to end have the answers that they have alone, whatever the architecture's options and the recipes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.ort import kernels
from assay_export.checkpoint.configs.config_dialects import to_transformers_4
from assay_export.graphs.kernels.packing import pack_rows
from assay_export.graphs.writer import Array
from assay_export.variants.int8.linear import Recipe
from tests.export import tiny
from tests.export.variants.int8.kernels.tiny_int8 import EMBEDDINGS, Checkpoint

pytestmark = pytest.mark.skipif(kernels.find_problem() is not None, reason="the CPU kernels are not installed")

WIDE = {"hidden_size": 144, "intermediate_size": 200, "pooler_hidden_size": 144}  # more than two groups, and a part
LONGEST = 40


def deberta(**changes: Any) -> dict[str, Any]:
    return tiny.deberta_config(**WIDE, **changes)


def modernbert(**changes: Any) -> dict[str, Any]:
    sizes = {name: size for name, size in WIDE.items() if name != "pooler_hidden_size"}
    return to_transformers_4(tiny.modernbert_config(**sizes, **changes))


def bert(model_type: str = "bert", **changes: Any) -> dict[str, Any]:
    sizes = {name: size for name, size in WIDE.items() if name != "pooler_hidden_size"}
    return tiny.bert_config(model_type, **sizes, **changes)


CONFIGS: dict[str, dict[str, Any]] = {
    "DeBERTa": deberta(),
    "DeBERTa, c2p only": deberta(pos_att_type=["c2p"]),
    "DeBERTa, p2c only, a row for every distance": deberta(pos_att_type=["p2c"], position_buckets=-1),
    "DeBERTa, no position term, absolute positions": deberta(pos_att_type=[], position_biased_input=True),
    "DeBERTa, one layer": deberta(num_hidden_layers=1),
    "DeBERTa, a convolution": deberta(conv_kernel_size=3, conv_act="gelu"),
    "DeBERTa, one layer with a wide convolution": deberta(conv_kernel_size=7, conv_groups=2, num_hidden_layers=1),
    "ModernBERT": modernbert(),
    "ModernBERT, cls pooling": modernbert(classifier_pooling="cls"),
    "ModernBERT, biases": modernbert(attention_bias=True, mlp_bias=True, norm_bias=True, classifier_bias=True),
    "ModernBERT, a window of one": modernbert(local_attention=1),
    "BERT": bert(),
    "BERT, one layer": bert(num_hidden_layers=1),
    "RoBERTa": bert("roberta"),
    "ELECTRA": bert("electra", embedding_size=80),
    "DistilBERT": tiny.distilbert_config(dim=144, hidden_dim=200),
}

RECIPES: dict[str, Callable[[str], Recipe]] = {
    "plain": lambda _: Recipe(),
    "groups and columns": lambda name: Recipe("fp16") if name == EMBEDDINGS else Recipe(columns=(3, 77), group=64),
    "float32 attention": lambda name: Recipe("fp32" if name.endswith(".attention") else "int8"),
    "float32": lambda name: Recipe("fp16" if name == EMBEDDINGS else "fp32"),
}

rows_of_tokens = st.tuples(st.integers(1, LONGEST), st.integers(0, 3))
batches = st.lists(rows_of_tokens, min_size=1, max_size=20)


def draw(row: tuple[int, int]) -> Array:
    length, seed = row
    return tiny.token_ids(1, length, seed)[0]


class Sessions:
    """One graph in a session of one thread, for rows alone, and in one of three, for packed rows."""

    def __init__(self, path: Path) -> None:
        self.alone = self.open(path, 1)
        self.packed = self.open(path, 3)
        self._answers: dict[tuple[int, int], Array] = {}

    @staticmethod
    def open(path: Path, threads: int) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        kernels.register(options)
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def expect(self, row: tuple[int, int]) -> Array:
        if row not in self._answers:
            self._answers[row] = self.alone.run(["logits"], pack_rows([draw(row)]))[0][0]
        return self._answers[row]


@pytest.fixture(scope="module", params=CONFIGS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return Checkpoint(CONFIGS[request.param], tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module", params=RECIPES)
def sessions(request: pytest.FixtureRequest, checkpoint: Checkpoint) -> Sessions:
    choose = RECIPES[request.param]
    return Sessions(checkpoint.save({name: choose(name) for name in checkpoint.names}))


@given(batch=batches)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_a_packed_row_has_the_answer_that_it_has_alone(sessions: Sessions, batch: list[tuple[int, int]]) -> None:
    (answers,) = sessions.packed.run(["logits"], pack_rows(draw(row) for row in batch))
    assert np.array_equal(answers, np.stack([sessions.expect(row) for row in batch]))


def test_a_text_of_8192_tokens_has_one_answer_and_it_is_that_of_pytorch(tmp_path: Path) -> None:
    length = 8_192
    config = to_transformers_4(
        tiny.modernbert_config(max_position_embeddings=length, num_attention_heads=1, local_attention=128)
    )
    checkpoint = Checkpoint(config, tmp_path)
    ids = tiny.token_ids(1, length)
    other = draw((30, 0))
    int8 = Sessions(checkpoint.save(dict.fromkeys(checkpoint.names, Recipe())))
    (alone,) = int8.alone.run(["logits"], pack_rows([ids[0]]))
    (packed,) = int8.packed.run(["logits"], pack_rows([other, ids[0], other]))
    assert np.array_equal(packed[1], alone[0])
    assert np.array_equal(packed[0], packed[2])

    module = tiny.model(config)
    module.load_state_dict({name: torch.from_numpy(weight) for name, weight in checkpoint.weights.items()})
    expected = tiny.logits(module, ids)
    exact = checkpoint.list_exact()
    answer = checkpoint.answer(exact, pack_rows([ids[0]]))
    np.testing.assert_allclose(answer, expected, rtol=0, atol=tiny.ROUNDING)
    attention = {name: Recipe() for name in checkpoint.names if name.endswith(".attention")}
    answer = checkpoint.answer(exact | attention, pack_rows([ids[0]]))
    np.testing.assert_allclose(answer, expected, rtol=0, atol=0.02)
