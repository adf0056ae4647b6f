"""Copies of a bundle: complete, checked, and never over something else."""

from pathlib import Path

import numpy as np
import pytest

import assay
from assay import BundleError, InputError
from tests.runtime import tiny

PAIRS = [("what causes rain", "rain forms"), ("a", "b c")]


def test_a_copy_has_the_same_files_and_answers_the_same(pair_bundle: Path, tmp_path: Path) -> None:
    model = assay.load(pair_bundle, threads=1)
    copy = model.save_pretrained(tmp_path / "new" / "copy")
    assert copy == tmp_path / "new" / "copy"
    names = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    assert names == {*model.manifest.files, "assay.json"}
    assert all((copy / name).read_bytes() == (pair_bundle / name).read_bytes() for name in names)
    assert all((copy / name).stat().st_nlink == 1 for name in names)
    assert np.array_equal(assay.load(copy, threads=1).logits(PAIRS), model.logits(PAIRS))
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_what_exists_is_never_replaced(pair_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    model = assay.load(pair_bundle, threads=1)
    for taken in (tmp_path, tmp_path / "link"):
        with pytest.raises(InputError, match="exists, expected a path that does not exist"):
            model.save_pretrained(taken)
    for wrong, found in (("", "a str"), (None, "None"), (3, "the int 3"), ("a\0b", "a str")):
        with pytest.raises(InputError, match=f"the folder is {found}"):
            model.save_pretrained(wrong)  # type: ignore[arg-type]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written .* nothing was left behind"):
        model.save_pretrained(tmp_path / "file" / "copy")


def test_a_damaged_bundle_is_not_copied(tmp_path: Path) -> None:
    model = assay.load(tiny.write(tmp_path / "bundle"), threads=1)
    damaged = tmp_path / "bundle" / "golden.json"
    damaged.write_bytes(b" " * damaged.stat().st_size)
    with pytest.raises(BundleError, match=r"golden\.json: is damaged or changed"):
        model.save_pretrained(tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]
