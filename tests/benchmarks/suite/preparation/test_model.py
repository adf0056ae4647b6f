"""What a user names becomes a whole checkpoint and a bundle, prepared once."""

import shutil
from pathlib import Path

import pytest

from assay_export.checkpoint.files import open_files
from benchmarks.errors import BenchmarkError
from benchmarks.suite.preparation import model
from tests.conftest import CHECKPOINTS


def test_an_adapter_is_merged_into_a_checkpoint_that_exports_like_any_other(tmp_path: Path) -> None:
    import assay
    from assay_export import export

    prepared = model.prepare(str(CHECKPOINTS / "complexity-adapter"), tmp_path)
    assert open_files(Path(prepared.checkpoint)).base is None
    export(prepared.checkpoint, tmp_path / "again", input="text")
    texts = ["Name three primary colours.", "Prove the bound, then say what changes if elements may repeat."]
    answers = [assay.load(folder).logits(texts) for folder in (prepared.bundle, tmp_path / "again")]
    assert abs(answers[0] - answers[1]).max() < 1e-5


def test_what_was_prepared_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = model.prepare(str(CHECKPOINTS / "pair-classifier"), tmp_path)
    monkeypatch.setattr("assay_export.exporter.export", lambda *_args, **_options: pytest.fail("exported twice"))
    assert model.prepare(str(CHECKPOINTS / "pair-classifier"), tmp_path) == first


def test_other_weights_of_the_base_are_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay_export.exporter.export", lambda _source, bundle, **_options: bundle.mkdir(parents=True))
    monkeypatch.setattr(model, "_merge", lambda *_: None)
    for name in ("complexity-adapter", "complexity-base"):
        shutil.copytree(CHECKPOINTS / name, tmp_path / name)
    before = model.prepare(str(tmp_path / "complexity-adapter"), tmp_path / "work")
    weights = tmp_path / "complexity-base" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    after = model.prepare(str(tmp_path / "complexity-adapter"), tmp_path / "work")
    assert before.weights_sha256 != after.weights_sha256
    assert before.bundle != after.bundle


def test_a_stand_in_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="expected osmosis or maxwell"):
        model.prepare("standin:gpt", tmp_path)


def test_a_checkpoint_without_safetensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="pickled weights are not read"):
        model.hash_files(tmp_path.glob("*.safetensors"))
