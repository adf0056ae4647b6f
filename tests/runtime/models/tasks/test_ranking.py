"""Rankings, against CrossEncoder of sentence-transformers where it is installed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from assay import Classifier, InputError, NumericalError, Scorer
from assay.models.base import runner_of
from tests.runtime import tiny

QUERY = "what causes rain"
DOCUMENTS = ["a b", "rain forms when water", "", "c", "rain forms when water", "unknown words"]


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    """A regression of pairs, whose score is a sigmoid."""
    changes = tiny.REGRESSION | {"input": "pair", "activation": "sigmoid", "scale": None}
    return assay.load_scorer(tiny.write(tmp_path_factory.mktemp("bundles") / "reranker", **changes), threads=1)


def test_documents_are_ranked_by_their_scores_with_those_of_equal_score_in_order(reranker: Scorer) -> None:
    scores = reranker.score_batch([(QUERY, document) for document in DOCUMENTS]).tolist()
    ranked = reranker.rank(QUERY, DOCUMENTS, return_documents=True)
    expected = sorted(range(6), key=lambda index: (-scores[index], index))
    assert [list(entry) for entry in ranked] == [["corpus_id", "score", "text"]] * 6
    assert [entry["corpus_id"] for entry in ranked] == expected
    assert [entry["score"] for entry in ranked] == [scores[index] for index in expected]
    assert [entry["text"] for entry in ranked] == [DOCUMENTS[index] for index in expected]
    assert expected.index(4) == expected.index(1) + 1
    assert reranker.rank(QUERY, DOCUMENTS, 2) == [{"corpus_id": i, "score": scores[i]} for i in expected[:2]]
    assert reranker.rank(QUERY, iter(DOCUMENTS), 99) == reranker.rank(QUERY, DOCUMENTS)
    assert {type(entry["score"]) for entry in ranked} == {float}
    assert reranker.rank(QUERY, []) == []
    assert [entry["corpus_id"] for entry in reranker.rank(QUERY, ["same"] * 50)] == list(range(50))


def test_a_classifier_ranks_by_the_probability_of_a_label(judge: Classifier) -> None:
    pairs = [(QUERY, document) for document in DOCUMENTS]
    scores = judge.rerank_pairs(pairs, label="NOADDR_ON")
    assert np.array_equal(scores, judge.predict_proba(pairs)[:, 2])
    best = judge.rank(QUERY, DOCUMENTS, 1, label="NOADDR_ON")
    assert best == [{"corpus_id": int(scores.argmax()), "score": float(scores.max())}]


def test_pairs_may_have_different_queries(reranker: Scorer) -> None:
    pairs = [(QUERY, "a b"), ("a", "c")]
    assert np.array_equal(reranker.rerank_pairs(pairs), reranker.score_batch(pairs))
    assert reranker.rerank_pairs([]).shape == (0,)


def test_what_cannot_be_ranked_is_refused(judge: Classifier, scorer: Scorer, reranker: Scorer) -> None:
    with pytest.raises(InputError, match=r"rank asks for pairs of texts, this bundle reads one text"):
        scorer.rank(QUERY, DOCUMENTS)
    with pytest.raises(InputError, match=r"label is missing, expected one of ADDR_DIRECT, ADDR_PARTIAL, NOADDR_ON"):
        judge.rank(QUERY, DOCUMENTS)
    label: Any
    for label in ("RELEVANT", 2):
        with pytest.raises(InputError, match=r"label is ('RELEVANT'|the int 2), expected one of ADDR_DIRECT"):
            judge.rerank_pairs([(QUERY, "a")], label=label)
    top_k: Any
    for top_k in (0, -1, True, 1.0, "all"):
        with pytest.raises(InputError, match=r"top_k is .*, expected an integer of at least 1, or None"):
            reranker.rank(QUERY, DOCUMENTS, top_k)
    with pytest.raises(InputError, match="return_documents is a str"):
        reranker.rank(QUERY, DOCUMENTS, return_documents="yes")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="query: found None, expected a text"):
        reranker.rank(None, DOCUMENTS)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="row 1: found None") as caught:
        reranker.rank(QUERY, ["a", None])
    assert caught.value.row == 1
    with pytest.raises(InputError, match="the batch is a str of 1 character"):
        reranker.rank(QUERY, "a")
    with pytest.raises(NumericalError, match="row 1"):
        reranker.rank(QUERY, ["a", "nan"])


def test_a_bundle_ranks_as_cross_encoder_does_with_its_checkpoint(tmp_path: Path) -> None:
    library: Any = pytest.importorskip("sentence_transformers", reason="the right ranking is that of CrossEncoder")
    from assay_export import export
    from tests.runtime.demo_checkpoints import save_with_labels

    checkpoint = save_with_labels(tmp_path / "checkpoint", ["LABEL_0"])
    export(checkpoint, tmp_path / "bundle", input="pair")
    documents = ["Rain forms when water vapor condenses.", "Rivers are long.", "Clouds.", "", "Clouds."]
    expected = library.CrossEncoder(str(checkpoint), device="cpu").rank(
        "What causes rain?", documents, top_k=4, return_documents=True
    )
    ranked = assay.load(tmp_path / "bundle", threads=1).rank("What causes rain?", documents, 4, True)
    assert [entry["corpus_id"] for entry in ranked] == [entry["corpus_id"] for entry in expected]
    assert [entry["text"] for entry in ranked] == [entry["text"] for entry in expected]
    assert [entry["score"] for entry in ranked] == pytest.approx(
        [float(entry["score"]) for entry in expected], abs=1e-5
    )

    # The library itself opens the bundle, too.
    theirs = library.CrossEncoder(str(tmp_path / "bundle"), device="cpu", backend="onnx").rank(
        "What causes rain?", documents, top_k=4
    )
    assert [entry["corpus_id"] for entry in theirs] == [entry["corpus_id"] for entry in expected]
    assert [float(entry["score"]) for entry in theirs] == pytest.approx([entry["score"] for entry in ranked], abs=1e-5)


def test_progress_and_a_limit_of_tokens_change_no_answer(
    reranker: Scorer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm", reason="tqdm is not installed: pip install tqdm")
    documents = ["a b", "c", "rain forms", "a"] * 3
    expected = reranker.rank(QUERY, documents)
    session = runner_of(reranker).engine.get().session
    calls: list[int] = []
    answer = session.answer

    def record(tokens: Any) -> Any:
        calls.append(sum(len(row.ids) for row in tokens))
        return answer(tokens)

    monkeypatch.setattr(session, "answer", record)
    found = reranker.rank(QUERY, documents, progress=True, batch_tokens=20)
    assert "12/12" in capfd.readouterr().err
    assert len(calls) > 3
    assert max(calls) <= 20
    assert [entry["corpus_id"] for entry in found] == [entry["corpus_id"] for entry in expected]
    assert [entry["score"] for entry in found] == pytest.approx([entry["score"] for entry in expected], abs=1e-6)
    with pytest.raises(InputError, match="batch_tokens is the int 0"):
        reranker.rerank_pairs([(QUERY, "a")], batch_tokens=0)


def test_several_labels_have_the_logits_and_probabilities_of_cross_encoder(tmp_path: Path) -> None:
    library: Any = pytest.importorskip("sentence_transformers", reason="the right numbers are those of CrossEncoder")
    from assay_export import export
    from tests.runtime.demo_checkpoints import save_with_labels

    checkpoint = save_with_labels(tmp_path / "checkpoint", ["no", "perhaps", "yes"])
    export(checkpoint, tmp_path / "bundle", input="pair")
    model = assay.load_classifier(tmp_path / "bundle", threads=1)
    pairs = [("What causes rain?", "Clouds."), ("Name a river.", "The Rhine.")]
    theirs = library.CrossEncoder(str(checkpoint), device="cpu")
    assert np.allclose(model.logits(pairs), theirs.predict(pairs), atol=1e-5)
    assert np.allclose(model.predict_proba(pairs), theirs.predict(pairs, apply_softmax=True), atol=1e-5)
