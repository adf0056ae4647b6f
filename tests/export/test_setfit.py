"""Exports of SetFit models: the bundle answers as SetFitModel, sentence-transformers and the head alone do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from tokenizers import Tokenizer

import assay
from assay.ort import kernels
from assay_export import ExportError, export
from tests.export import setfit_models, tiny
from tests.export.setfit_models import TEXTS
from tests.export.variants.comparable import comparable

WriteTokenizer = Callable[[Path], Path]
ROUNDING = 1e-5


def embed(encoder: str, tokenizer: Tokenizer, pooling: str, normalize: bool) -> np.ndarray:
    """Compute embeddings as sentence-transformers does, one text at a time, with transformers alone."""
    import torch

    module = tiny.model((setfit_models.ENCODERS | setfit_models.TRACED)[encoder], head="Base")
    rows = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        ids = ids if len(ids) <= setfit_models.LENGTH else [*ids[: setfit_models.LENGTH - 1], ids[-1]]
        tensor = torch.tensor([ids])
        with torch.inference_mode():
            hidden = module(input_ids=tensor, attention_mask=torch.ones_like(tensor)).last_hidden_state[0].numpy()
        pooled = hidden[0] if pooling == "cls" else hidden.mean(axis=0)
        rows.append(pooled / np.linalg.norm(pooled) if normalize else pooled)
    return np.stack(rows)


def probabilities(head: Any, embeddings: np.ndarray) -> np.ndarray:
    """Return the head's probabilities, those of "yes" where it has a pair for each label."""
    import torch

    is_torch = isinstance(head, torch.nn.Module)
    if is_torch:
        with torch.inference_mode():
            result: np.ndarray = head.predict_proba(torch.from_numpy(embeddings)).numpy()
        return result
    found = head.predict_proba(embeddings)
    return np.stack([pair[:, 1] for pair in found], axis=1) if isinstance(found, list) else found


def answer(bundle: Path, variant: str = "fp32") -> np.ndarray:
    model = assay.load_classifier(bundle, variant=variant, threads=1)
    result: np.ndarray = model.predict_proba(TEXTS)
    return result


@pytest.mark.parametrize(
    ("encoder", "pooling", "normalize", "kind"),
    [
        ("bert", "mean", False, "three classes"),
        ("bert", "mean", True, "one-vs-rest"),
        ("bert", "cls", True, "two classes"),
        ("modernbert", "mean", True, "two classes"),
        ("modernbert", "cls", False, "text classes"),
        ("roberta", "mean", False, "multi-output"),
        ("distilbert", "mean", True, "three classes"),
        ("bert", "mean", True, "torch"),
        ("modernbert", "cls", False, "torch, several labels"),
    ],
)
def test_a_bundle_answers_as_its_head_does_on_the_embeddings_of_the_encoder(
    encoder: str,
    pooling: str,
    normalize: bool,
    kind: str,
    tokenizer: Tokenizer,
    write_tokenizer: WriteTokenizer,
    tmp_path: Path,
) -> None:
    embeddings = embed(encoder, tokenizer, pooling, normalize)
    is_torch, is_multi = kind.startswith("torch"), kind in ("one-vs-rest", "multi-output", "torch, several labels")
    if is_torch:
        head = setfit_models.torch_head(temperature=0.5, multitarget=is_multi)
    else:
        head = setfit_models.heads(embeddings)[kind]
    folder = setfit_models.save(
        tmp_path / "model", write_tokenizer, encoder=encoder, head=head, pooling=pooling, normalize=normalize
    )
    manifest = export(folder, tmp_path / "bundle")
    assert (manifest.graph_origin, manifest.pooling, manifest.input) == ("authored", pooling, "text")
    assert (manifest.max_length, manifest.truncation) == (setfit_models.LENGTH, "longest_first")
    assert manifest.activation == ("sigmoid" if is_multi else "softmax")
    assert np.abs(answer(tmp_path / "bundle") - probabilities(head, embeddings)).max() < ROUNDING


@pytest.mark.parametrize("encoder", setfit_models.TRACED)
def test_an_encoder_without_an_authored_graph_is_traced_in_fp32_only(
    encoder: str, tokenizer: Tokenizer, write_tokenizer: WriteTokenizer, tmp_path: Path
) -> None:
    embeddings = embed(encoder, tokenizer, "mean", True)
    head = setfit_models.heads(embeddings)["three classes"]
    folder = setfit_models.save(tmp_path / "model", write_tokenizer, encoder=encoder, head=head, normalize=True)
    with pytest.raises(ExportError, match="fp16: needs an authored graph"):
        export(folder, tmp_path / "bundle", variants=["fp32", "fp16"])
    assert export(folder, tmp_path / "bundle").graph_origin == "traced"
    assert np.abs(answer(tmp_path / "bundle") - probabilities(head, embeddings)).max() < ROUNDING


@pytest.mark.skipif(kernels.find_problem() is not None, reason="the CPU kernels are not installed")
@pytest.mark.parametrize(("encoder", "is_torch"), [("bert", False), ("modernbert", False), ("bert", True)])
def test_every_variant_answers_as_the_float32_graph_does(
    encoder: str, is_torch: bool, write_tokenizer: WriteTokenizer, tmp_path: Path
) -> None:
    head = setfit_models.torch_head(multitarget=True) if is_torch else None
    folder = setfit_models.save(tmp_path / "model", write_tokenizer, encoder=encoder, head=head, normalize=True)
    limits = {"fp16": 2e-3, "int8": 0.05, "int8_ort": 0.05}
    variants = comparable("fp32", *limits)
    # Random weights say nothing of what int8 does to answers: its gate is as wide as an option allows.
    export(folder, tmp_path / "bundle", variants=variants, max_flips=1.0, max_drift=1.0)
    expected = answer(tmp_path / "bundle")
    for variant in variants[1:]:
        assert np.abs(answer(tmp_path / "bundle", variant) - expected).max() < limits[variant], variant


@pytest.mark.parametrize("is_torch", [False, True])
@pytest.mark.parametrize("strategy", [None, "one-vs-rest", "multi-output"])
def test_setfits_own_answers_are_those_of_the_bundle(
    strategy: str | None, is_torch: bool, write_tokenizer: WriteTokenizer, tmp_path: Path
) -> None:
    setfit = pytest.importorskip("setfit", reason="the right probabilities are those of SetFitModel")
    body = setfit_models.save(tmp_path / "body", write_tokenizer, encoder="modernbert", normalize=True)
    (body / "model_head.pkl").unlink()
    made: dict[str, Any] = {"labels": ["bad", "fair", "good"], "normalize_embeddings": True, "device": "cpu"}
    if is_torch:
        made |= {"use_differentiable_head": True, "head_params": {"out_features": 3, "temperature": 0.3}}
    model = setfit.SetFitModel.from_pretrained(str(body), multi_target_strategy=strategy, **made)
    targets: Any = [0, 1, 2, 0, 1, 2, 0, 1] if strategy is None else setfit_models.SEVERAL.tolist()
    model.fit(TEXTS, targets, num_epochs=2, batch_size=4, head_learning_rate=0.1, show_progress_bar=False)
    model.save_pretrained(tmp_path / "saved")
    export(tmp_path / "saved", tmp_path / "bundle")
    found = assay.load_classifier(tmp_path / "bundle", threads=1)
    assert found.labels == ("bad", "fair", "good")
    expected = model.predict_proba(TEXTS, as_numpy=True)
    expected = expected[:, :, 1] if expected.ndim == 3 else expected  # multi-output of scikit-learn: no and yes
    assert np.abs(found.predict_proba(TEXTS) - expected).max() < 1e-5
    answers, predicted = found.predict_batch(TEXTS), model.predict(TEXTS, as_numpy=True)
    if strategy is None:
        assert [answer.label for answer in answers] == list(predicted)
    else:
        assert [[label in answer.labels for label in found.labels] for answer in answers] == predicted.tolist()


def test_sentence_transformers_files_of_today_and_in_folders_of_their_own_are_read(
    write_tokenizer: WriteTokenizer, tmp_path: Path
) -> None:
    library = pytest.importorskip("sentence_transformers", reason="the right embeddings are those of the library")
    old = setfit_models.save(tmp_path / "old", write_tokenizer, subfolder="0_Transformer", normalize=True)
    encoder = library.SentenceTransformer(str(old), device="cpu")
    head = setfit_models.heads(encoder.encode(TEXTS))["three classes"]
    expected = head.predict_proba(encoder.encode(TEXTS))
    encoder.save(str(tmp_path / "new"))
    for folder in (old, tmp_path / "new"):
        joblib.dump(head, folder / "model_head.pkl")
        manifest = export(folder, tmp_path / "bundle", force=True)
        assert manifest.max_length == setfit_models.LENGTH
        assert np.abs(answer(tmp_path / "bundle") - expected).max() < ROUNDING


def test_labels_are_setfits_names_at_the_numbers_of_the_classes(
    write_tokenizer: WriteTokenizer, tmp_path: Path
) -> None:
    head = setfit_models.heads(setfit_models.random_embeddings())["two classes"]
    head.classes_ = np.array([0, 2])  # the training texts had none of the second label
    folder = setfit_models.save(tmp_path / "model", write_tokenizer, head=head, labels=["bad", "fair", "good"])
    assert export(folder, tmp_path / "bundle").labels == ("bad", "good")
    assert export(folder, tmp_path / "renamed", labels=["no", "yes"]).labels == ("no", "yes")


def test_options_that_a_setfit_model_has_no_use_for_are_refused(
    write_tokenizer: WriteTokenizer, tmp_path: Path
) -> None:
    folder = setfit_models.save(tmp_path / "model", write_tokenizer)
    with pytest.raises(ExportError, match="--input pair is for models of two texts"):
        export(folder, tmp_path / "bundle", input="pair")
    with pytest.raises(ExportError, match="--score-range is for a regression"):
        export(folder, tmp_path / "bundle", score_range=(0, 1))
    with pytest.raises(ExportError, match=r"1 label is named \(one\), but the classifier has 3 outputs"):
        export(folder, tmp_path / "bundle", labels=["one"])
