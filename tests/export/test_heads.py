"""Exports of heads: the bundle answers as sentence-transformers and transformers answer for the same checkpoint."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import assay
from assay_export import ExportError, exporter
from tests.export import tiny
from tests.export.checkpoints import edit_json

PAIRS = [("what is rain", "rain is water"), ("a", "b"), ("why is the sky blue", "because 1 2 3")]
TEXTS = ["what is rain", "a", "9 8 7"]
SIGMOID, IDENTITY = "torch.nn.modules.activation.Sigmoid", "torch.nn.modules.linear.Identity"
ROUNDING = 1e-5

WriteTokenizer = Callable[[Path], Path]


def save(folder: Path, write_tokenizer: WriteTokenizer, outputs: int = 1, **changes: Any) -> Path:
    """Save a tiny ModernBERT with `outputs` outputs and a tokenizer that transformers 4 opens."""
    names = [f"LABEL_{index}" for index in range(outputs)]
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}
    config = tiny.modernbert_config(num_hidden_layers=1, max_position_embeddings=40, problem_type=None, **labels)
    config |= changes
    write_tokenizer(tiny.save(tiny.model(config), folder, config))
    edit_json(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    return folder


def score(bundle: Path, rows: Any) -> Any:
    scorer = assay.load(bundle, threads=1)
    assert isinstance(scorer, assay.Scorer)
    return scorer.score_batch(rows)


def save_again(folder: Path, activation: Any) -> None:
    """Save the checkpoint as the installed sentence-transformers does, in the same folder."""
    from sentence_transformers import CrossEncoder

    CrossEncoder(str(folder), device="cpu", activation_fn=activation).save_pretrained(str(folder))


FORMS: dict[str, tuple[Callable[[Path], None], str]] = {
    "nothing": (lambda _: None, "sigmoid"),
    "a regression with a Sigmoid": (
        lambda folder: edit_json(
            folder / "config.json", problem_type="regression", sentence_transformers={"activation_fn": SIGMOID}
        ),
        "sigmoid",
    ),
    "sentence-transformers 4": (
        lambda folder: edit_json(folder / "config.json", sentence_transformers={"activation_fn": IDENTITY}),
        "identity",
    ),
    "sentence-transformers 3": (
        lambda folder: edit_json(folder / "config.json", sbert_ce_default_activation_function=IDENTITY),
        "identity",
    ),
    "saved with a Sigmoid": (lambda folder: save_again(folder, torch.nn.Sigmoid()), "sigmoid"),
    "saved with an Identity": (lambda folder: save_again(folder, torch.nn.Identity()), "identity"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_reranker_scores_as_cross_encoder_does(form: str, write_tokenizer: WriteTokenizer, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers", reason="the right scores are those of CrossEncoder")
    prepare, activation = FORMS[form]
    checkpoint = save(tmp_path / "checkpoint", write_tokenizer)
    prepare(checkpoint)
    expected = library.CrossEncoder(str(checkpoint), device="cpu").predict(PAIRS)
    manifest = exporter.export(checkpoint, tmp_path / "bundle", input="pair")
    assert (manifest.task, manifest.activation) == ("regression", activation)
    assert np.abs(score(tmp_path / "bundle", PAIRS) - expected).max() <= ROUNDING
    assert np.ptp(expected) > 0.01

    # What the bundle's config.json says to the two libraries.
    config = transformers.AutoConfig.from_pretrained(tmp_path / "bundle")
    assert config.sentence_transformers["activation_fn"] == (SIGMOID if activation == "sigmoid" else IDENTITY)
    assert config.problem_type == (None if activation == "sigmoid" else "regression")


def test_the_length_to_which_cross_encoder_cuts_is_the_bundles(write_tokenizer: WriteTokenizer, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers", reason="the right scores are those of CrossEncoder")
    checkpoint = save(tmp_path / "checkpoint", write_tokenizer)
    save_again(checkpoint, torch.nn.Sigmoid())
    whole = library.CrossEncoder(str(checkpoint), device="cpu").predict(PAIRS)
    edit_json(checkpoint / "sentence_bert_config.json", max_seq_length=6)
    expected = library.CrossEncoder(str(checkpoint), device="cpu").predict(PAIRS)
    assert exporter.export(checkpoint, tmp_path / "bundle", input="pair").max_length == 6
    assert np.abs(score(tmp_path / "bundle", PAIRS) - expected).max() <= ROUNDING
    assert np.abs(whole - expected).max() > 0.001


@pytest.mark.parametrize("problem", [None, "regression"])
def test_one_output_without_an_activation_scores_as_the_pipeline_of_transformers_does(
    problem: str | None, write_tokenizer: WriteTokenizer, tmp_path: Path
) -> None:
    checkpoint = save(tmp_path / "checkpoint", write_tokenizer, problem_type=problem)
    pipeline: Any = transformers.pipeline("text-classification", model=str(checkpoint), device="cpu")
    expected = [answer["score"] for answer in pipeline(TEXTS)]
    exporter.export(checkpoint, tmp_path / "bundle")
    assert np.abs(score(tmp_path / "bundle", TEXTS) - expected).max() <= ROUNDING
    answers: Any = assay.load(tmp_path / "bundle", threads=1)(TEXTS)
    assert [answer["score"] for answer in answers] == pytest.approx(expected, abs=ROUNDING)


def test_the_score_of_a_sigmoid_has_a_range_and_that_of_an_output_has_none(
    write_tokenizer: WriteTokenizer, tmp_path: Path
) -> None:
    checkpoint = save(tmp_path / "checkpoint", write_tokenizer)
    exporter.export(checkpoint, tmp_path / "sigmoid")
    scorer = assay.load(tmp_path / "sigmoid", threads=1)
    assert isinstance(scorer, assay.Scorer)
    assert scorer.score("rain", scale=(0, 100)) == pytest.approx(100 * scorer.score("rain"), rel=1e-6)
    edit_json(checkpoint / "config.json", problem_type="regression")
    exporter.export(checkpoint, tmp_path / "identity")
    scorer = assay.load(tmp_path / "identity", threads=1)
    assert isinstance(scorer, assay.Scorer)
    with pytest.raises(assay.BundleError, match="does not say the range of its output"):
        scorer.score("rain", scale=(0, 100))
    for bundle in ("sigmoid", "identity"):
        scorer = assay.load(tmp_path / bundle, threads=1)
        assert isinstance(scorer, assay.Scorer)
        with pytest.raises(assay.BundleError, match="has no Evol-Complexity scale"):
            scorer.evol_complexity("rain")


@pytest.mark.parametrize(
    "config",
    [{"problem_type": "multi_label_classification"}, {"sentence_transformers": {"activation_fn": SIGMOID}}],
    ids=["problem_type", "sentence-transformers"],
)
def test_a_multi_label_head_gives_the_labels_whose_probability_reaches_the_threshold(
    config: dict[str, Any], write_tokenizer: WriteTokenizer, tmp_path: Path
) -> None:
    checkpoint = save(tmp_path / "checkpoint", write_tokenizer, outputs=4, **config)
    exporter.export(checkpoint, tmp_path / "bundle", labels=["a", "b", "c", "d"])
    tagger = assay.load(tmp_path / "bundle", threads=1)
    assert isinstance(tagger, assay.Classifier)
    # The bundle's config.json says multi-label in both cases, so that the pipeline answers the same.
    settings = json.loads((tmp_path / "bundle" / "config.json").read_text())
    edit_json(checkpoint / "config.json", **{key: settings[key] for key in ("problem_type", "id2label", "label2id")})
    pipeline: Any = transformers.pipeline("text-classification", model=str(checkpoint), device="cpu", top_k=None)
    for expected, prediction in zip(pipeline(TEXTS), tagger.predict_batch(TEXTS), strict=True):
        scores = {answer["label"]: answer["score"] for answer in expected}
        assert prediction.scores == pytest.approx(scores, abs=ROUNDING)
        assert prediction.labels == [label for label in "abcd" if scores[label] >= 0.5]


def test_labels_are_refused_before_the_model_is_loaded(
    write_tokenizer: WriteTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(exporter, "load_reference", load)
    checkpoint = save(tmp_path / "checkpoint", write_tokenizer, outputs=2, id2label={"0": "a\x1b[2J", "1": "b"})
    with pytest.raises(ExportError, match=r"the label 'a\\x1b\[2J' with the control character") as caught:
        exporter.export(checkpoint, tmp_path / "bundle")
    assert str(caught.value).isprintable()
    named = checkpoint.rename(tmp_path / "a\nb")
    (tmp_path / "link").symlink_to(named)  # a bundle has the name of the folder that the checkpoint is in
    with pytest.raises(ExportError, match=r"the name 'a\\nb' has the control character"):
        exporter.export(tmp_path / "link", tmp_path / "bundle", labels=["a", "b"])
    assert not (tmp_path / "bundle").exists()
