"""The probe of int8 choices: every choice is a graph of the same model, and every turn returns seconds per row."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from assay_export.graphs import cpu_session
from benchmarks.probes import int8_choices
from benchmarks.standins import plain_int8
from benchmarks.timing import Ids
from tests.export import tiny


@pytest.mark.parametrize("config", [tiny.deberta_config(), tiny.modernbert_config()], ids=["deberta", "modernbert"])
def test_the_graphs_of_all_choices_answer_alike(config: dict[str, object], tmp_path: Path) -> None:
    tiny.save(tiny.model(config), tmp_path / "checkpoint", config)
    model, ids = plain_int8.load(tmp_path / "checkpoint"), tiny.token_ids(1, 30)
    choices = int8_choices.CHOICES[str(config["model_type"])]
    answers = {}
    for name, path in int8_choices.write_graphs(model, choices, tmp_path).items():
        session = cpu_session.load(path, choices[name].graph_optimization)
        (answers[name],) = session.run(["logits"], {"input_ids": ids})
    exported = answers.pop(int8_choices.AS_EXPORTED)
    for name, answer in answers.items():
        np.testing.assert_allclose(answer, exported, atol=0.5, err_msg=name)


def test_a_shared_call_stacks_eight_rows_and_its_time_is_divided_by_them() -> None:
    shapes: list[tuple[int, ...]] = []

    def call(ids: Ids) -> None:
        shapes.append(ids.shape)

    texts: Sequence[Ids] = [np.ones((1, 5), np.int64)] * 16
    assert int8_choices.make_turn(call, 1, shared=True)(texts) > 0
    assert set(shapes) == {(8, 5)}
    shapes.clear()
    int8_choices.make_turn(call, 2, shared=False)(texts)
    assert set(shapes) == {(1, 5)}


def test_a_checkpoint_without_a_graph_is_one_line_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert int8_choices.main([str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: ")
