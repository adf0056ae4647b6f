import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from assay.bundle.folder import open_bundle
from assay.bundle.manifest import MANIFEST_NAME
from assay.devices import KINDS, Kind
from assay.errors import AssayError, BundleError, InputError
from tests.runtime import tiny

ROW = ("what causes rain", "rain forms when water is a b")
FILES = [
    "assay.json",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "golden.json",
    "onnx/model.onnx",
    "onnx/model_cpu.onnx",
    "onnx/model.onnx_data",
]


def answer_or_error(folder: Path, **options: Any) -> Any:
    """The logits of one row, or the AssayError; any other exception fails the test."""
    try:
        with assay.load(folder, threads=1, **options) as model:
            return model.logits([ROW])
    except AssayError as error:
        return error


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_anywhere_is_an_error(name: str, own_bundle: Path) -> None:
    path = own_bundle / name
    data = path.read_bytes()
    places = {0, 1, len(data) // 2, len(data) - 2, len(data) - 1, *random.Random(name).choices(range(len(data)), k=25)}
    for place in sorted(places):
        damaged = bytearray(data)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        result = answer_or_error(own_bundle)
        assert isinstance(result, BundleError)
        assert name in str(result)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kept", [0, 1, 100])
def test_a_truncated_file_is_an_error(name: str, kept: int, own_bundle: Path) -> None:
    path = own_bundle / name
    path.write_bytes(path.read_bytes()[:kept] if path.stat().st_size > kept else b"")
    for verify in (True, False):
        result = answer_or_error(own_bundle, verify=verify)
        assert isinstance(result, BundleError)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_an_error_that_names_it(name: str, own_bundle: Path) -> None:
    (own_bundle / name).unlink()
    for verify in (True, False):
        result = answer_or_error(own_bundle, verify=verify)
        assert isinstance(result, BundleError)
        assert name in str(result)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_place_of_a_file_is_an_error(name: str, own_bundle: Path) -> None:
    (own_bundle / name).unlink()
    (own_bundle / name).mkdir()
    assert isinstance(answer_or_error(own_bundle, verify=False), BundleError)


def test_every_bad_file_is_named_at_once(own_bundle: Path) -> None:
    (own_bundle / "config.json").unlink()
    (own_bundle / "tokenizer.json").write_bytes(b"")
    with pytest.raises(BundleError, match=r"config\.json.*tokenizer\.json"):
        assay.load(own_bundle)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"null", b"\xff" * 100, b'{"version": "1.0", "model": {"type": "BPE"}}']
)
def test_without_verify_a_tokenizer_that_does_not_parse_is_a_bundle_error(content: bytes, tmp_path: Path) -> None:
    folder = resealed(tmp_path, lambda folder: (folder / "tokenizer.json").write_bytes(content))
    for verify in (True, False):
        result = answer_or_error(folder, verify=verify)
        assert isinstance(result, BundleError)
        assert "tokenizer.json" in str(result)


@pytest.mark.parametrize("content", [b"", b"ONNX", b"\x08\x0a" * 50])
def test_a_graph_that_onnx_runtime_rejects_is_a_bundle_error(content: bytes, tmp_path: Path) -> None:
    folder = resealed(tmp_path, lambda folder: (folder / "onnx/model_cpu.onnx").write_bytes(content))
    result = answer_or_error(folder)
    assert isinstance(result, BundleError)
    assert "model_cpu.onnx" in str(result)


def test_weights_shorter_than_the_graph_says_are_a_bundle_error(tmp_path: Path) -> None:
    folder = resealed(tmp_path, lambda folder: (folder / "onnx/model.onnx_data").write_bytes(b"0" * 16))
    assert isinstance(answer_or_error(folder), BundleError)


def resealed(tmp_path: Path, change: Callable[[Path], object]) -> Path:
    """A bundle that was made wrong, as against damaged later: its hashes agree."""
    folder = tiny.write(tmp_path / "resealed")
    change(folder)
    tiny.reseal(folder, tiny.document())
    return folder


def test_a_linked_folder_opens(pair_bundle: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(pair_bundle)
    assert np.array_equal(answer_or_error(link), answer_or_error(pair_bundle))


def test_a_hub_cache_of_links_to_blobs_opens(pair_bundle: Path, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    for number, name in enumerate(FILES):
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pair_bundle / name, blobs / str(number))
        (snapshot / name).symlink_to(os.path.relpath(blobs / str(number), (snapshot / name).parent))
    assert np.array_equal(answer_or_error(snapshot), answer_or_error(pair_bundle))


def test_a_read_only_bundle_answers(own_bundle: Path) -> None:
    before = sorted(own_bundle.rglob("*"))
    for path in [own_bundle, *before]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert isinstance(answer_or_error(own_bundle), np.ndarray)
        assert sorted(own_bundle.rglob("*")) == before
    finally:
        for path in [own_bundle, *before]:
            path.chmod(0o755)


def test_a_folder_name_that_is_not_ascii_opens(pair_bundle: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(pair_bundle, tmp_path / "mit Leerzeichen ü 字")
    assert isinstance(answer_or_error(folder), np.ndarray)


@pytest.mark.parametrize("path", [None, 3, 1.5, b"bundle", ["bundle"], object()])
def test_an_object_that_is_not_a_path_is_an_input_error(path: Any) -> None:
    with pytest.raises(InputError, match="path is"):
        assay.load(path)


def test_a_missing_folder_names_the_export(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="assay export SOURCE --out"):
        assay.load(tmp_path / "none")


def test_a_path_of_a_file_is_refused_in_favour_of_its_folder(pair_bundle: Path) -> None:
    with pytest.raises(BundleError, match="is a file"):
        assay.load(pair_bundle / MANIFEST_NAME)


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000])
def test_an_impossible_path_is_a_bundle_error(path: str) -> None:
    with pytest.raises(BundleError):
        assay.load(path)


def test_a_folder_without_a_manifest_is_not_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a bundle"):
        assay.load(tmp_path)


@pytest.fixture(scope="module")
def three_variants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    both = tiny.document()["variants"]["fp32"]
    variants = {
        "fp32": both,
        "fp16": {"portable": tiny.entry("onnx/model_fp16.onnx", ["input_ids", "attention_mask"])},
        "int8": {"cpu": tiny.entry("onnx/model_int8.onnx", ["input_ids"], "model_int8.onnx_data")},
    }
    return tiny.write(tmp_path_factory.mktemp("bundles") / "three", variants=variants)


@pytest.mark.parametrize(
    ("variant", "device", "file", "why"),
    [
        ("auto", "cpu", "onnx/model_int8.onnx", "auto: first choice on cpu"),
        ("auto", "cuda", "onnx/model_fp16.onnx", "auto: first choice on cuda"),
        ("auto", "tensorrt", "onnx/model_fp16.onnx", "auto: on tensorrt the bundle has no int8_qdq"),
        ("fp32", "cpu", "onnx/model_cpu.onnx", "asked for"),
        ("fp32", "cuda", "onnx/model.onnx", "asked for"),
        ("fp16", "cpu", "onnx/model_fp16.onnx", "asked for"),
    ],
)
def test_the_graph_fits_the_device_and_the_variant(
    variant: str, device: Kind, file: str, why: str, three_variants: Path
) -> None:
    choice = open_bundle(three_variants).choose(variant, device)
    assert (choice.graph.file, choice.why) == (file, why)


def test_auto_selects_int8_qdq_only_on_tensorrt(tmp_path: Path) -> None:
    variants = {
        "fp32": tiny.document()["variants"]["fp32"],
        "int8_qdq": {"portable": tiny.entry("onnx/model_int8_qdq.onnx", ["input_ids", "attention_mask"])},
    }
    bundle = open_bundle(tiny.write(tmp_path / "qdq", variants=variants))
    assert [bundle.choose("auto", kind).variant for kind in KINDS] == ["fp32", "fp32", "int8_qdq"]
    assert bundle.choose("int8_qdq", "cuda").graph.file == "onnx/model_int8_qdq.onnx"


@pytest.mark.parametrize(
    ("device", "why"),
    [("cpu", "no int8 and no int8_ort"), ("cuda", "no fp16"), ("tensorrt", "no int8_qdq and no fp16")],
)
def test_auto_selects_fp32_if_there_is_nothing_faster(device: Kind, why: str, pair_bundle: Path) -> None:
    choice = open_bundle(pair_bundle).choose("auto", device)
    assert (choice.variant, choice.why) == ("fp32", f"auto: on {device} the bundle has {why}")


@pytest.mark.parametrize(("variant", "device"), [("int8", "cuda"), ("int8_qdq", "cpu")])
def test_a_missing_variant_is_refused_with_the_existing_ones_and_the_command_that_adds_it(
    variant: str, device: Kind, three_variants: Path
) -> None:
    with pytest.raises(BundleError, match=r"fp32 \(portable/cpu\), fp16 \(portable\), int8 \(cpu\).*assay export"):
        open_bundle(three_variants).choose(variant, device)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("FP32", "variant is 'FP32', expected one of auto, fp32, fp16, int8, int8_ort, int8_qdq; did you mean 'fp32'?"),
        ("int8-QDQ", "did you mean 'int8_qdq'?"),
        ("int4", "variant is 'int4', expected one of auto, fp32"),
        ("", "variant is '', expected one of auto"),
    ],
)
def test_an_unknown_variant_is_refused_with_the_name_that_was_meant(
    variant: str, message: str, pair_bundle: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        open_bundle(pair_bundle).choose(variant, "cpu")
    with pytest.raises(InputError, match=re.escape(message)):
        assay.load("no such folder", variant=variant)


def test_only_the_files_of_the_chosen_graph_are_needed(three_variants: Path) -> None:
    bundle = open_bundle(three_variants)
    needed = bundle.list_needed(bundle.choose("int8", "cpu"))
    assert {name for name in needed if name.startswith("onnx/")} == {
        "onnx/model_int8.onnx",
        "onnx/model_int8.onnx_data",
    }
    assert {"config.json", "tokenizer.json", "tokenizer_config.json"} <= set(needed)


def test_a_damaged_variant_does_not_affect_the_others(three_variants: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(three_variants, tmp_path / "three"))
    (folder / "onnx/model_int8.onnx_data").write_bytes(b"")
    assert isinstance(answer_or_error(folder, variant="fp32"), np.ndarray)
    assert isinstance(answer_or_error(folder, variant="auto"), BundleError)
