"""The export end to end, on the demo checkpoints (trained stand-ins)."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers
from scipy.stats import spearmanr

import assay
from assay.errors import BundleError
from assay_export import exporter
from assay_export.checkpoint.files import open_files
from assay_export.checkpoint.loading import load
from assay_export.errors import ExportError, ParityError
from assay_export.graphs.architectures import AUTHORED
from tests.conftest import CHECKPOINTS, held_out

GENEROUS = 1e-4


def load_classifier(bundle: Path) -> assay.Classifier:
    model = assay.load(bundle)
    assert isinstance(model, assay.Classifier)
    return model


def load_scorer(bundle: Path) -> assay.Scorer:
    model = assay.load(bundle)
    assert isinstance(model, assay.Scorer)
    return model


def ask_pytorch(
    name: str, rows: Sequence[tuple[str, ...]], tokenizer_folder: Path, **options: Any
) -> npt.NDArray[np.float32]:
    """Return PyTorch's logits, with the tokenizer of transformers, one row at a time."""
    model = load(
        open_files(CHECKPOINTS / name), [{k: np.ones((1, 4), np.int64) for k in ("input_ids", "attention_mask")}]
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_folder)
    answers = []
    for row in rows:
        with torch.no_grad():
            inputs = tokenizer(*row, return_tensors="pt", return_token_type_ids=False, **options)
            answers.append(model.reference.module(**inputs).logits.numpy()[0])
    return np.array(answers)


def test_the_runtime_returns_the_logits_of_pytorch_for_held_out_pairs(pair_bundle: Path) -> None:
    rows = [(row["text"], row["text_pair"]) for row in held_out("pairs")[:60]]
    expected = ask_pytorch("pair-classifier", rows, CHECKPOINTS / "pair-classifier", truncation=True, max_length=512)
    logits = assay.load(pair_bundle).logits(rows)
    assert np.abs(logits - expected).max() <= GENEROUS
    assert (logits.argmax(-1) == expected.argmax(-1)).all()


def test_the_runtime_returns_the_logits_of_the_merged_adapter_for_held_out_instructions(scorer_bundle: Path) -> None:
    rows = [(row["text"],) for row in held_out("instructions")[:60]]
    expected = ask_pytorch("complexity-adapter", rows, CHECKPOINTS / "complexity-base")
    scores = load_scorer(scorer_bundle).score_batch([row[0] for row in rows])
    assert np.abs(scores - expected[:, 0]).max() <= GENEROUS


def test_the_exported_stand_ins_keep_their_held_out_quality(pair_bundle: Path, scorer_bundle: Path) -> None:
    pairs = held_out("pairs")
    predictions = load_classifier(pair_bundle).predict_batch([(row["text"], row["text_pair"]) for row in pairs])
    accuracy = np.mean([p.label == row["label"] for p, row in zip(predictions, pairs, strict=True)])
    instructions = held_out("instructions")
    scores = load_scorer(scorer_bundle).score_batch([row["text"] for row in instructions])
    assert accuracy >= 0.9
    assert spearmanr(scores, [row["score"] for row in instructions]).statistic >= 0.9


def test_a_pair_longer_than_the_model_is_truncated_as_transformers_truncates_it(pair_bundle: Path) -> None:
    row = ("What should I cook tonight? " * 60, "Cook the lentils slowly and taste them often. " * 80)
    expected = ask_pytorch("pair-classifier", [row], pair_bundle, truncation=True, max_length=512)
    assert np.abs(assay.load(pair_bundle).logits([row]) - expected).max() <= GENEROUS


@pytest.mark.parametrize(
    ("bundle_fixture", "row"), [("pair_bundle", ("Why?", "Because.")), ("scorer_bundle", ("Why?",))]
)
def test_every_graph_of_the_bundle_computes_the_same_logits(
    bundle_fixture: str, row: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    import onnxruntime

    bundle = request.getfixturevalue(bundle_fixture)
    tokenizer = transformers.AutoTokenizer.from_pretrained(bundle)
    ids = tokenizer(*row, return_tensors="np", return_token_type_ids=False)
    answers = []
    for graph in ("model.onnx", "model_cpu.onnx"):
        session = onnxruntime.InferenceSession(bundle / "onnx" / graph, providers=["CPUExecutionProvider"])
        answers.append(session.run(None, {node.name: ids[node.name] for node in session.get_inputs()})[0])
    assert np.abs(answers[0] - answers[1]).max() <= 1e-5


@pytest.mark.parametrize("bundle_fixture", ["pair_bundle", "scorer_bundle"])
def test_optimum_and_transformers_open_the_bundle_and_compute_the_same_logits(
    bundle_fixture: str, request: pytest.FixtureRequest
) -> None:
    from optimum.onnxruntime import ORTModelForSequenceClassification

    bundle = request.getfixturevalue(bundle_fixture)
    # Padded together, so that the portable graph needs its mask.
    rows = [("What causes rain?", "Clouds."), ("Name three rivers, and a lake that feeds none of them.", "The Rhine.")]
    model = ORTModelForSequenceClassification.from_pretrained(bundle)
    tokenizer = transformers.AutoTokenizer.from_pretrained(bundle)
    if bundle_fixture == "pair_bundle":
        inputs = tokenizer([a for a, _ in rows], [b for _, b in rows], return_tensors="pt", padding=True)
        ours = assay.load(bundle).logits(rows)
    else:
        inputs = tokenizer([a for a, _ in rows], return_tensors="pt", padding=True)
        ours = assay.load(bundle).logits([a for a, _ in rows])
    assert np.abs(model(**inputs).logits.numpy() - ours).max() <= 1e-5


def test_the_pipeline_of_transformers_answers_with_the_model_of_optimum_as_assay_does(pair_bundle: Path) -> None:
    from optimum.onnxruntime import ORTModelForSequenceClassification

    pipeline: Any = transformers.pipeline(
        "text-classification",
        model=ORTModelForSequenceClassification.from_pretrained(pair_bundle),
        tokenizer=transformers.AutoTokenizer.from_pretrained(pair_bundle),
        device="cpu",
    )
    rows = [{"text": "What causes rain?", "text_pair": "Clouds."}, {"text": "Name a river.", "text_pair": "The Rhine."}]
    ours: Any = assay.load(pair_bundle)(rows, top_k=None)
    for mine, theirs in zip(ours, pipeline(rows, top_k=None), strict=True):
        assert [entry["label"] for entry in mine] == [entry["label"] for entry in theirs]
        assert np.allclose([entry["score"] for entry in mine], [entry["score"] for entry in theirs], atol=1e-5)


def test_the_manifest_records_source_tools_parity_and_every_file(scorer_bundle: Path) -> None:
    manifest = json.loads((scorer_bundle / "assay.json").read_text(encoding="utf-8"))
    files = {path.relative_to(scorer_bundle).as_posix() for path in scorer_bundle.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == files - {"assay.json"}
    assert manifest["graph_origin"] == "authored"
    assert manifest["source"]["merge_max_abs_delta"] <= 1e-4
    assert manifest["source"]["base"] == "../complexity-base"
    assert manifest["tools"]["torch"].startswith(torch.__version__.split("+")[0])
    for graph in manifest["variants"]["fp32"].values():
        assert graph["parity"]["max_abs_delta"] <= graph["parity"]["threshold"] == 1e-4
        assert any("1031" in entry["shape"] for entry in graph["parity"]["shapes"])
    assert (scorer_bundle / "tokenizer.json").read_bytes() == (
        CHECKPOINTS / "complexity-base" / "tokenizer.json"
    ).read_bytes()


def test_the_config_says_regression_so_that_the_pipeline_does_not_apply_a_sigmoid(scorer_bundle: Path) -> None:
    config = json.loads((scorer_bundle / "config.json").read_text(encoding="utf-8"))
    assert config["problem_type"] == "regression"
    assert assay.load(scorer_bundle).manifest.activation == "identity"


def test_a_regression_of_an_unknown_range_is_scored_but_not_rescaled(tmp_path: Path) -> None:
    manifest = exporter.export(CHECKPOINTS / "complexity-adapter", tmp_path / "bundle")
    assert manifest.scale is None
    model = load_scorer(tmp_path / "bundle")
    assert np.isfinite(model.score("Write a poem."))
    with pytest.raises(BundleError):
        model.score("Write a poem.", scale=(1, 6))


def test_a_score_range_is_recorded_in_the_manifest(scorer_bundle: Path) -> None:
    manifest = json.loads((scorer_bundle / "assay.json").read_text(encoding="utf-8"))
    assert manifest["scale"] == {"native": [0.0, 1.0], "evol_complexity": None}


def test_a_graph_that_differs_from_pytorch_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    author = AUTHORED["deberta-v2"].author

    def author_wrongly(net: Any, config: Any, weights: dict[str, npt.NDArray[np.float32]]) -> Any:
        name = "deberta.encoder.layer.0.attention.self.value_proj.bias"
        return author(net, config, {**weights, name: weights[name] + 0.05})

    monkeypatch.setattr(AUTHORED["deberta-v2"], "author", author_wrongly)
    with pytest.raises(ParityError, match=r"onnx/model.onnx differs from PyTorch by .* at (batch|real text)"):
        exporter.export(str(CHECKPOINTS / "pair-classifier"), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_labels_passed_to_the_export_are_the_labels_of_the_predictions(tmp_path: Path) -> None:
    names = ["a", "b", "c", "d", "e"]
    exporter.export(str(CHECKPOINTS / "pair-classifier"), tmp_path / "bundle", labels=names)
    judge = load_classifier(tmp_path / "bundle")
    assert list(judge.predict("What causes rain?", "Clouds.").scores) == names
    config = transformers.AutoConfig.from_pretrained(tmp_path / "bundle")
    assert [config.id2label[index] for index in range(5)] == names


def test_an_existing_target_is_refused_before_any_work_and_replaced_with_force(
    pair_bundle: Path, tmp_path: Path
) -> None:
    target = tmp_path / "bundle"
    shutil.copytree(pair_bundle, target)
    (target / "assay.json").write_text("{}")
    with pytest.raises(ExportError, match="exists"):
        exporter.export(str(CHECKPOINTS / "pair-classifier"), target)
    exporter.export(str(CHECKPOINTS / "pair-classifier"), target, force=True)
    assert load_classifier(target).predict("What causes rain?", "Clouds.").label


def test_a_checkpoint_with_nan_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINTS / "pair-classifier", folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.bias"][0] = float("nan")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ExportError, match=r"PyTorch itself answers NaN .* classifier.bias has NaN or infinity"):
        exporter.export(str(folder), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_value_over_which_pytorch_fails_only_when_it_runs_is_refused_in_one_line(tmp_path: Path) -> None:
    checkpoint = Path(shutil.copytree(CHECKPOINTS / "pair-classifier", tmp_path / "checkpoint"))
    config = json.loads((checkpoint / "config.json").read_text()) | {"hidden_dropout_prob": float("nan")}
    (checkpoint / "config.json").write_text(json.dumps(config))
    with pytest.raises(ExportError, match=r"checkpoint cannot be loaded: .*dropout") as caught:
        exporter.export(checkpoint, tmp_path / "bundle")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "bundle").exists()
