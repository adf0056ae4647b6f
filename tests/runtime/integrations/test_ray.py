"""A Ray of one CPU in this machine's memory. Starting it takes most of the time of these tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from assay import Classifier, InputError, Scorer
from tests import hub_server

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray[data]'")
pytest.importorskip("ray.data", reason="Ray Data is not installed: pip install 'ray[data]'")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    # Workers are processes of their own: they must find the sources that are tested here.
    environment = {
        "PYTHONPATH": os.pathsep.join([str(Path(assay.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    }
    ray.init(
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        object_store_memory=100_000_000,
        runtime_env={"env_vars": environment},
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


def map_batches(rows: list[dict[str, Any]], blocks: int = 1, **options: Any) -> list[dict[str, Any]]:
    data = ray.data.from_items(rows, override_num_blocks=blocks)
    answered = data.map_batches(
        assay.integrations.ray.Annotator,
        fn_constructor_kwargs=options,
        compute=ray.data.ActorPoolStrategy(size=1),
        batch_size=2,
    )
    return sorted(answered.take_all(), key=lambda row: row["id"])


def test_ray_data_answers_as_the_model(pair_bundle: Path, judge: Classifier) -> None:
    rows = [{"id": 0, "q": "a", "r": "b"}, {"id": 1, "q": "what causes", "r": "rain"}, {"id": 2, "q": "c", "r": ""}]
    answered = map_batches(
        rows, blocks=2, bundle=str(pair_bundle), pair=("q", "r"), columns=["label", "score", "scores"]
    )
    expected = judge.predict_batch([(row["q"], row["r"]) for row in rows])
    for row, got, prediction in zip(rows, answered, expected, strict=True):
        assert {name: got[name] for name in row} == row
        assert (got["label"], got["score"]) == (prediction.label, pytest.approx(prediction.score, rel=1e-6))
        assert got["scores"] == pytest.approx(prediction.scores)


def test_several_labels_are_a_list(text_bundle: Path, tagger: Classifier) -> None:
    rows: list[dict[str, Any]] = [{"id": number, "text": text} for number, text in enumerate("abcd")]
    answered = map_batches(rows, bundle=str(text_bundle), text="text", columns=["labels"], threshold=0.0)
    assert [list(row["labels"]) for row in answered] == [list(tagger.labels)] * 4


def test_a_row_without_an_answer_says_why(score_bundle: Path, scorer: Scorer) -> None:
    rows: list[dict[str, Any]] = [{"id": number, "text": text} for number, text in enumerate(["a", "b", None, "c"])]
    answered = map_batches(
        rows, blocks=2, bundle=str(score_bundle), text="text", columns=["score", "evol_complexity"], on_error="null"
    )
    assert [np.isnan(row["score"]) for row in answered] == [False, False, True, False]
    assert answered[3]["evol_complexity"] == scorer.evol_complexity("c")
    assert [row["error"] is None for row in answered] == [True, True, False, True]


def test_an_error_names_row_and_cause(score_bundle: Path) -> None:
    with pytest.raises(ray.exceptions.RayTaskError) as caught:
        map_batches([{"id": 0, "text": "a"}, {"id": 1, "text": None}], bundle=str(score_bundle), text="text")
    assert "row 1: " in str(caught.value)
    assert "found None, expected a text" in str(caught.value)


def test_a_model_uses_the_cpus_of_its_worker(score_bundle: Path) -> None:
    class Threads:
        def __init__(self, **options: Any) -> None:
            self.threads = assay.integrations.ray.Annotator(**options)._annotation.options["threads"]

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            return {"threads": np.full(len(batch["id"]), self.threads)}

    options = {"bundle": str(score_bundle), "text": "text"}
    answered = ray.data.from_items([{"id": 0}]).map_batches(
        Threads, fn_constructor_kwargs=options, compute=ray.data.ActorPoolStrategy(size=1), num_cpus=1
    )
    assert answered.take_all() == [{"threads": 1}]


def test_arrays_come_back_with_their_types(score_bundle: Path, scorer: Scorer) -> None:
    batch = {"text": np.array(["a", "b c"], dtype=object)}
    asked = assay.integrations.ray.Annotator(str(score_bundle), text="text", columns=["score", "evol_complexity"])
    answered = asked(batch)
    assert (answered["score"].dtype, answered["evol_complexity"].dtype) == (np.float32, np.int64)
    assert answered["score"].tolist() == scorer.score_batch(["a", "b c"]).tolist()
    with pytest.raises(InputError, match="column 'prompt' is missing, found 'text'"):
        assay.integrations.ray.Annotator(str(score_bundle), text="prompt")(batch)
    with pytest.raises(InputError, match="column 'score' is there already"):
        asked({**batch, "score": np.zeros(2)})


def test_every_worker_loads_the_commit_that_a_branch_was_on_the_driver(
    pair_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = assay.integrations.ray
    with hub_server.serve() as hub:
        hub_server.ask(hub, tmp_path, monkeypatch)
        commit = hub.add("acme/judge", pair_bundle)
        with pytest.raises(InputError, match=r"acme/judge: .* without a commit, .*pin_arguments"):
            adapter.Annotator("acme/judge", pair=("q", "r"))
        with pytest.raises(InputError, match="without a commit"):
            adapter.Annotator("acme/judge", pair=("q", "r"), revision="main")
        arguments = adapter.pin_arguments("acme/judge", pair=("q", "r"), columns=["label"], threads=1)
        assert arguments == {
            "bundle": "acme/judge",
            "pair": ("q", "r"),
            "columns": ["label"],
            "threads": 1,
            "revision": commit,
        }
        annotator = adapter.Annotator(**arguments)
        assert annotator._annotation.model().info["revision"] == commit


def test_a_folder_is_pinned_as_an_absolute_path(pair_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pair_bundle.parent)
    arguments = assay.integrations.ray.pin_arguments(pair_bundle.name, pair=("q", "r"))
    assert arguments == {"bundle": str(pair_bundle), "pair": ("q", "r")}
