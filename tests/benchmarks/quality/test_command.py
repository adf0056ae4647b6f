"""`python -m benchmarks quality` end to end: the demo checkpoints, bad rows, variants that differ or fail, refusals."""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from scipy.stats import spearmanr

import assay
from assay.bundle.folder import open_bundle
from assay.bundle.manifest import MANIFEST_NAME
from assay.errors import AssayError
from assay_export import export
from assay_export.checkpoint.source import resolve
from assay_export.graphs.entry import make_entry
from assay_export.graphs.writer import Dialect
from benchmarks.quality import answers, command
from tests.conftest import CHECKPOINTS, held_out
from tests.runtime import tiny

pytest.importorskip("sklearn", reason="scikit-learn computes the measures; it comes with the extra bench")

PAIRS = CHECKPOINTS / "held_out_pairs.jsonl"
INSTRUCTIONS = CHECKPOINTS / "held_out_instructions.jsonl"
ON_PAIRS = ["--data", PAIRS, "--pair", "text", "text_pair", "--label", "label"]
ON_INSTRUCTIONS = ["--data", INSTRUCTIONS, "--text", "text", "--label", "score"]


def run(*arguments: object, json_file: Path | None = None) -> tuple[int, dict[str, Any]]:
    """The exit code of `quality` and, with a `json_file`, what it wrote there."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    words = [str(argument) for argument in arguments]
    code = command.run(parser.parse_args([*words, *(["--json", str(json_file)] if json_file else [])]))
    return code, json.loads(json_file.read_text()) if json_file else {}


@pytest.fixture(scope="module")
def two_variants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo classifier with outlier channels and, as its int8, the graph that no gate has seen: some labels flip."""
    from benchmarks.standins import plain_int8

    checkpoint, bundle = CHECKPOINTS / "pair-classifier-outliers", tmp_path_factory.mktemp("outliers") / "bundle"
    document = dict(export(str(checkpoint), bundle).document)
    path = plain_int8.save(plain_int8.load(checkpoint), plain_int8.PlainRecipes(), bundle / "onnx")
    entry = make_entry(Dialect.KERNELS, f"onnx/{path.name}", [f"onnx/{path.name}_data"]) | {"parity": {}}
    tiny.reseal(bundle, document | {"variants": document["variants"] | {"int8": {"kernels": entry}}})
    return bundle


def tiny_bundle(folder: Path, broken_int8: bool = False, **changes: Any) -> Path:
    """A synthetic bundle whose int8 has the opposite logits, or answers NaN for the word "a"."""
    variants = {
        "fp32": {"cpu": tiny.entry("onnx/model.onnx", ["input_ids"])},
        "int8": {"cpu": tiny.entry("onnx/model_int8.onnx", ["input_ids"], "int8_data")},
    }
    made = tiny.document(variants=variants, **changes)
    tiny.write(folder, variants=variants, **changes)
    weights = tiny.weights(len(made["labels"]))
    if broken_int8:
        weights["embedding"][tiny.WORDS.index("a")] = np.nan
    else:
        weights["kernel"], weights["bias"] = -weights["kernel"], -weights["bias"]
    (folder / "onnx/int8_data").write_bytes(b"".join(array.tobytes() for array in weights.values()))
    tiny.reseal(folder, made)
    return folder


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_classifiers_checkpoint_is_exported_and_measured_beside_pytorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code, found = run(CHECKPOINTS / "pair-classifier", *ON_PAIRS, json_file=tmp_path / "out.json")
    assert code == 0
    assert found["rows"] == {"good": 200, "bad": [], "truncated": []}
    assert found["baseline"] == "torch fp32"
    assert list(found["results"]) == ["torch fp32", "fp32"]
    for side in found["results"].values():  # tests/checkpoints/README.md: 0.960
        assert side["metrics"]["accuracy"] == 0.96
        assert sum(entry["support"] for entry in side["metrics"]["classes"]) == 200
        assert np.trace(side["metrics"]["confusion_matrix"]) == 192
    assert found["results"]["fp32"]["against_baseline"]["labels_changed"] == 0
    out = capsys.readouterr().out
    assert "| torch fp32 | 96.00% |" in out
    assert "| fp32 | 96.00% |" in out
    assert "fp32: the same as torch fp32's." in out
    assert list(tmp_path.glob("assay-quality-*")) == []  # the temporary bundle is gone


def test_a_scorers_adapter_is_exported_and_measured_beside_pytorch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "kept"
    model = CHECKPOINTS / "complexity-adapter"
    code, found = run(model, *ON_INSTRUCTIONS, "--work", work, "--changed", 3, json_file=tmp_path / "out.json")
    assert code == 0
    rows = held_out("instructions")
    truth = np.array([row["score"] for row in rows])
    scorer = assay.load(work)
    assert isinstance(scorer, assay.Scorer)
    scores = scorer.score_batch([row["text"] for row in rows], truncate=True)
    for side in found["results"].values():
        measures = side["metrics"]
        assert measures["mae"] == pytest.approx(np.abs(scores - truth).mean(), abs=1e-6)
        assert measures["spearman"] == pytest.approx(spearmanr(scores, truth).statistic, abs=1e-4)
        assert measures["spearman"] == pytest.approx(0.976, abs=5e-4)  # tests/checkpoints/README.md
        assert measures["exact_match"] is None  # the checkpoint says nothing about an Evol-Complexity scale
    out = capsys.readouterr().out
    assert "rounded half to even" not in out
    assert "## fp32 against torch fp32\n\nRows with an output more than 0.0001 away: none." in out


@pytest.fixture(scope="module")
def evol_bundle(scorer_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo scorer with the Evol-Complexity scale that an export of Maxwell declares."""
    folder = tmp_path_factory.mktemp("evol") / "bundle"
    shutil.copytree(scorer_bundle, folder)
    document = json.loads((folder / MANIFEST_NAME).read_text())
    document["scale"]["evol_complexity"] = [1, 6]
    tiny.reseal(folder, document)
    return folder


def test_the_exact_match_is_of_the_evol_complexity_that_the_scorer_returns(
    evol_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, found = run(evol_bundle, *ON_INSTRUCTIONS, json_file=tmp_path / "out.json")
    rows = held_out("instructions")
    evol = assay.load_scorer(evol_bundle).evol_complexity_batch([row["text"] for row in rows], truncate=True)
    right = np.rint(np.array([row["score"] for row in rows]) * 5 + 1)
    assert found["results"]["fp32"]["metrics"]["exact_match"] == np.mean(evol == right)
    out = capsys.readouterr().out
    assert "| exact match, 1..6 |" in out
    assert "labels and clamped outputs are put on 1..6 and rounded half to even" in out


def test_labels_on_1_to_6_give_the_same_measures_in_their_own_units(evol_bundle: Path, tmp_path: Path) -> None:
    rows = held_out("instructions")[:40]
    native = write_rows(tmp_path / "native.jsonl", rows)
    scaled = write_rows(tmp_path / "scaled.jsonl", [row | {"score": row["score"] * 5 + 1} for row in rows])
    fields = ["--text", "text", "--label", "score"]
    _, first = run(evol_bundle, "--data", native, *fields, json_file=tmp_path / "1.json")
    _, second = run(evol_bundle, "--data", scaled, *fields, "--label-scale", 1, 6, json_file=tmp_path / "2.json")
    one, other = (found["results"]["fp32"]["metrics"] for found in (first, second))
    assert other["mae"] == pytest.approx(5 * one["mae"])
    assert other["rmse"] == pytest.approx(5 * one["rmse"])
    assert other["pearson"] == pytest.approx(one["pearson"])
    assert other["exact_match"] == one["exact_match"] is not None


def test_rows_that_a_variant_answers_differently_are_listed(
    two_variants: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = CHECKPOINTS / "pair-classifier-outliers"
    code, found = run(
        two_variants, *ON_PAIRS, "--checkpoint", checkpoint, "--changed", 1, json_file=tmp_path / "out.json"
    )
    assert code == 0
    rows = held_out("pairs")
    pairs = [(row["text"], row["text_pair"]) for row in rows]
    answered = {}
    for variant in ("fp32", "int8"):
        model = assay.load(two_variants, variant=variant)
        assert isinstance(model, assay.Classifier)
        answered[variant] = [prediction.label for prediction in model.predict_batch(pairs)]
    flipped = {n + 1 for n in range(200) if answered["int8"][n] != answered["fp32"][n]}
    changed = found["results"]["int8"]["changed"]
    assert {row["line"] for row in changed} == flipped != set()
    assert found["results"]["int8"]["against_baseline"]["labels_changed"] == len(flipped)
    for row in changed:
        assert row["answer"]["label"] == answered["int8"][row["line"] - 1]
        assert row["baseline"]["label"] == answered["fp32"][row["line"] - 1]
        assert row["right"] == rows[row["line"] - 1]["label"]
        assert all(len(text) <= 80 for text in row["texts"])
    assert found["results"]["fp32"]["changed"] == []
    section = capsys.readouterr().out.split("## int8 against torch fp32")[1]
    listed = [line for line in section.splitlines() if line.startswith("| ")][2:]
    assert len(listed) == 1
    assert listed[0].startswith(f"| {changed[0]['line']} | ")


def test_pytorch_is_what_transformers_answers_with_the_same_truncation(pair_bundle: Path) -> None:
    checkpoint = CHECKPOINTS / "pair-classifier"
    rows = [(row["text"], row["text_pair"]) for row in held_out("pairs")[:6]]
    rows += [(rows[0][0] * 40, rows[0][1]), (rows[1][0] * 30, rows[1][1] * 20)]
    ours = answers.ask_torch(resolve(str(checkpoint)), None, open_bundle(pair_bundle), rows, lambda: None)
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(checkpoint).eval()
    for row, logits in zip(rows, ours, strict=True):
        inputs = tokenizer(*row, return_tensors="pt", truncation=True, max_length=512)
        with torch.no_grad():
            np.testing.assert_allclose(model(**inputs).logits[0].numpy(), logits, atol=2e-5)
    assert answers.find_truncated(open_bundle(pair_bundle), rows) == [6, 7]


def test_bad_rows_are_counted_listed_and_left_out_and_long_ones_are_truncated(
    scorer_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = held_out("instructions")[:5]
    rows[1]["text"] *= 100
    bad: list[dict[str, Any]] = [
        {"text": "", "score": 0.5},
        {"text": "a"},
        *({"text": "a", "score": "x"} for _ in range(10)),
    ]
    data = write_rows(tmp_path / "rows.jsonl", [*rows[:2], *bad, *rows[2:]])
    code, found = run(
        scorer_bundle, "--data", data, "--text", "text", "--label", "score", json_file=tmp_path / "out.json"
    )
    assert code == 0
    assert found["rows"]["good"] == 5
    assert [row["line"] for row in found["rows"]["bad"]] == list(range(3, 15))
    assert found["rows"]["truncated"] == [2]
    out = capsys.readouterr().out
    assert "5 good rows, which all figures are based on; 12 bad; 1 truncated to the" in out
    assert '| 3 | field "text": is empty |' in out
    assert out.count('| score "x" is not a finite number |') == 8
    assert "2 more: --json writes all of them." in out


def test_without_a_checkpoint_pytorch_is_said_to_be_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    data = write_rows(tmp_path / "x.jsonl", [{"a": "what", "b": "rain", "label": n % 3} for n in range(6)])
    arguments = [bundle, "--data", data, "--pair", "a", "b", "--label", "label"]
    code, found = run(*arguments, "--variants", "int8,fp32", json_file=tmp_path / "out.json")
    assert code == 0
    assert found["baseline"] == "fp32"
    assert list(found["results"]) == ["int8", "fp32"]
    assert found["results"]["int8"]["against_baseline"]["labels_changed"] == 6
    assert "against_baseline" not in found["results"]["fp32"]
    assert found["checkpoint"] is None
    assert "PyTorch is left out, because a bundle does not contain weights: pass the checkpoint with --checkpoint" in (
        capsys.readouterr().out
    )


def test_a_variant_that_fails_says_why_and_the_others_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", broken_int8=True)
    rows = [{"a": "what", "b": "rain", "label": 0}, {"a": "", "b": "", "label": 0}, {"a": "a", "b": "b", "label": 0}]
    data = write_rows(tmp_path / "x.jsonl", rows)
    arguments = [bundle, "--data", data, "--pair", "a", "b", "--label", "label"]
    code, found = run(*arguments, json_file=tmp_path / "out.json")
    assert code == 1
    assert found["results"]["int8"]["failure"].startswith("line 3: ")
    assert "metrics" in found["results"]["fp32"]
    assert "**int8 failed**: line 3: " in capsys.readouterr().out
    with pytest.raises(AssayError, match="no variant answered; int8: line 3: "):
        run(*arguments, "--variants", "int8")


def test_the_report_is_printed_though_the_json_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    bundle = tiny_bundle(tmp_path / "bundle")
    data = write_rows(tmp_path / "x.jsonl", [{"a": "what", "b": "rain", "label": 0}])
    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(AssayError, match="No space left on device"):
        run(bundle, "--data", data, "--pair", "a", "b", "--label", "label", json_file=tmp_path / "out.json")
    assert "# Quality of" in capsys.readouterr().out


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "x.jsonl", [])
    with pytest.raises(AssayError, match="has no rows"):
        run(tmp_path, "--data", data, "--pair", "a", "b", "--label", "label")


def test_texts_and_labels_cannot_break_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", labels=["a|b", "c||d", "e"])
    rows = [{"a": f"what | rain\n\n{word}", "b": "is | a", "label": "c||d"} for word in tiny.WORDS[6:]]
    data = write_rows(tmp_path / "x.jsonl", rows)
    _, found = run(
        bundle,
        *("--data", data, "--pair", "a", "b", "--label", "label", "--changed", 99),
        json_file=tmp_path / "o.json",
    )
    assert found["results"]["int8"]["changed"] != []
    tables = [block for block in capsys.readouterr().out.split("\n\n") if block.startswith("|")]
    assert len(tables) >= 4
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table.splitlines()}) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "a", "--label", "label"], "is a pair: pass --pair FIELD FIELD"),
        (["--pair", "a", "b", "--label", "label", "--label-scale", 1, 6], "this model is a classifier"),
        (["--pair", "a", "b", "--label", "label", "--variants", "fp16"], "has no variant fp16"),
        (["--pair", "a", "b", "--label", "label", "--variants", "auto"], "name the variants"),
        (["--pair", "a", "b", "--label", "label", "--device", "tpu"], "tpu"),
        (["--pair", "a", "b", "--label", "label", "--work", "x"], "MODEL is a bundle already"),
        (["--pair", "a", "b", "--label", "label", "--base", "x"], "add --checkpoint"),
        (
            ["--pair", "a", "b", "--label", "nothing"],
            '1 bad row, first in line 1: field "nothing": is missing',
        ),
        (["--pair", "a", "b", "--label", "label", "--checkpoint", "no/such/thing"], "is not a folder here"),
        (
            ["--pair", "a", "b", "--label", "label", "--json", "no/such/folder.json"],
            "pass a file in an existing folder",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(
    arguments: list[object], message: str, tmp_path: Path
) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    data = write_rows(tmp_path / "x.jsonl", [{"a": "what", "b": "rain", "label": 0}])
    with pytest.raises(AssayError, match=message) as refused:
        run(bundle, "--data", data, *arguments)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("scale", [("6", "1"), ("0", "nan"), ("0", "inf"), ("2", "2")])
def test_a_label_scale_that_is_none_is_refused(scale: tuple[str, str], tmp_path: Path) -> None:
    bundle = tiny.write(tmp_path / "bundle", **tiny.REGRESSION)
    data = write_rows(tmp_path / "x.jsonl", [{"text": "what", "label": 0}])
    with pytest.raises(AssayError, match="expected two finite numbers, the smaller first"):
        run(bundle, "--data", data, "--text", "text", "--label", "label", "--label-scale", *scale)


def test_a_bundle_that_names_no_scale_takes_labels_in_its_own_units_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tiny.write(tmp_path / "bundle", **tiny.REGRESSION | {"scale": None})
    data = write_rows(tmp_path / "x.jsonl", [{"text": "what", "label": 70}, {"text": "rain", "label": -7.5}])
    arguments = [bundle, "--data", data, "--text", "text", "--label", "label"]
    assert run(*arguments)[0] == 0
    assert "The bundle does not declare its scale." in capsys.readouterr().out
    with pytest.raises(AssayError, match="scale of the output, which the bundle does not declare"):
        run(*arguments, "--label-scale", 1, 6)


def test_a_multi_label_classifier_is_refused(tmp_path: Path) -> None:
    bundle = tiny.write(tmp_path / "bundle", activation="sigmoid")
    data = write_rows(tmp_path / "x.jsonl", [{"a": "what", "b": "rain", "label": 0}])
    with pytest.raises(AssayError, match="multi-label"):
        run(bundle, "--data", data, "--pair", "a", "b", "--label", "label")


def test_a_checkpoint_that_the_bundle_was_not_made_of_is_refused(pair_bundle: Path) -> None:
    with pytest.raises(AssayError, match="pass the checkpoint that the bundle was exported from"):
        run(pair_bundle, *ON_PAIRS, "--checkpoint", CHECKPOINTS / "pair-classifier-outliers")


def test_a_work_folder_that_exists_is_refused_and_kept(tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(CHECKPOINTS / "complexity-base", work)
    with pytest.raises(AssayError, match="exists: name another folder"):
        run(CHECKPOINTS / "pair-classifier", *ON_PAIRS, "--work", work)
    assert (work / "config.json").is_file()


def test_an_absent_package_is_one_line_that_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("benchmarks.quality.evaluate", "benchmarks.quality.metrics"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.delattr(f"benchmarks.quality.{name.rsplit('.', 1)[1]}", raising=False)
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)  # what Python takes for a module that is not there
    with pytest.raises(AssayError, match=r"needs sklearn\.metrics, which is not installed.*pip install"):
        run(tmp_path, *ON_PAIRS)
