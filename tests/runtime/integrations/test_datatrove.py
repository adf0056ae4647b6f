import pickle
from pathlib import Path
from typing import Any

import pytest

import assay
from assay import Classifier, InputError, Scorer

pytest.importorskip("datatrove", reason="datatrove is not installed: pip install datatrove")

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

from tests.runtime.annotate import rows

TEXTS = ["a", "what causes rain", "rain forms when water is a b", "b c", "d", "e f"]


def make(*arguments: Any, **options: Any) -> Any:
    return assay.integrations.datatrove.Filter(*arguments, **options)


def documents(**metadata: Any) -> list[Any]:
    return [Document(text=text, id=str(row), metadata=dict(metadata)) for row, text in enumerate(TEXTS)]


def test_documents_within_the_range_are_kept_with_their_scores(score_bundle: Path, scorer: Scorer) -> None:
    scores = scorer.score_batch(TEXTS).tolist()
    least, most = sorted(scores)[1], sorted(scores)[-2]
    step = make(score_bundle, least=least, most=most, batch_size=4)
    kept = list(step.run(documents()))
    assert [doc.text for doc in kept] == [
        text for text, score in zip(TEXTS, scores, strict=True) if least <= score <= most
    ]
    assert {doc.text: doc.metadata["score"] for doc in kept}.items() <= dict(zip(TEXTS, scores, strict=True)).items()
    assert (step.stats["dropped_score_low"].total, step.stats["dropped_score_high"].total) == (1, 1)


def test_documents_with_a_label_are_kept(pair_bundle: Path, judge: Classifier) -> None:
    expected = [answer.label for answer in judge.predict_batch([("what causes rain", text) for text in TEXTS])]
    step = make(pair_bundle, labels=[expected[0]], first="objective")
    batch = documents(objective="what causes rain")
    assert step.filter_batch(batch) == [True if label == expected[0] else (False, "label") for label in expected]
    assert [doc.metadata["label"] for doc in batch] == expected
    assert step.filter(documents(objective="what causes rain")[0]) is True


def test_of_several_labels_one_is_enough(text_bundle: Path, tagger: Classifier) -> None:
    batch = documents()
    found = make(text_bundle, labels=tagger.labels[:1], threshold=0.4).filter_batch(batch)
    expected = [answer.labels for answer in tagger.predict_batch(TEXTS, threshold=0.4)]
    assert found == [True if tagger.labels[0] in labels else (False, "label") for labels in expected]


def test_a_document_without_an_answer_ends_the_run_or_is_dropped(score_bundle: Path) -> None:
    with pytest.raises(InputError, match="row 1"):
        make(score_bundle, least=-99).filter_batch([Document("a", "0"), Document("a " * 40, "1")])
    batch = [Document("a", "0"), Document("a " * 40, "1")]
    step = make(score_bundle, least=-99, on_error="null")
    assert step.filter_batch(batch) == [True, (False, "error")]
    assert batch[1].metadata["score"] is None
    assert "tokens" in batch[1].metadata["error"]


def test_processes_filter_files_as_the_model_does(score_bundle: Path, scorer: Scorer, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for part in range(2):
        table = [{"text": text, "id": f"{part}-{row}"} for row, text in enumerate(TEXTS)]
        rows.write(tmp_path / f"in/{part}.jsonl", table)
    least = sorted(scorer.score_batch(TEXTS).tolist())[2]
    steps = [
        JsonlReader(str(tmp_path / "in")),
        make(score_bundle, least=least, exclusion_writer=JsonlWriter(str(tmp_path / "dropped"), compression=None)),
        JsonlWriter(str(tmp_path / "kept"), compression=None),
    ]
    LocalPipelineExecutor(pipeline=steps, tasks=2, workers=2, logging_dir=str(tmp_path / "logs")).run()
    kept = [row for path in sorted((tmp_path / "kept").iterdir()) for row in rows.read(path)]
    dropped = [row for path in sorted((tmp_path / "dropped").iterdir()) for row in rows.read(path)]
    assert (len(kept), len(dropped)) == (8, 4)
    assert {row["metadata"]["filter_reason"] for row in dropped} == {"score_low"}
    for row in kept:
        assert row["metadata"]["score"] == pytest.approx(scorer.score(row["text"]), rel=1e-6)


def test_it_pickles_without_weights(score_bundle: Path) -> None:
    step = make(score_bundle, least=0.0)
    assert step.filter_batch(documents()) == pickle.loads(pickle.dumps(step)).filter_batch(documents())


@pytest.mark.parametrize(
    ("bundle", "options", "message"),
    [
        ("score", {}, "found neither least, most nor labels"),
        ("score", {"least": 0, "first": "q"}, "first is .*, expected None: this bundle reads one text"),
        ("pair", {"labels": ["NOADDR_ON"]}, "expected the metadata with the first text"),
        ("pair", {"labels": ["x"], "first": "q"}, "labels: found 'x', expected of ADDR_DIRECT"),
        ("pair", {"labels": "NOADDR_ON", "first": "q"}, "expected a list of labels"),
        ("pair", {"least": 0, "columns": ["label"], "first": "q"}, "column 'score' is not among the answers label"),
    ],
)
def test_wrong_options_are_refused_when_the_step_is_made(
    pair_bundle: Path, score_bundle: Path, bundle: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make({"pair": pair_bundle, "score": score_bundle}[bundle], **options)


def test_metadata_is_never_overwritten(score_bundle: Path) -> None:
    with pytest.raises(InputError, match="document '0': has 'score' in its metadata already"):
        make(score_bundle, least=0).filter_batch(documents(score=1))
