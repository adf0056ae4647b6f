"""The command that fills a folder with the browser page."""

import json
import shutil
from pathlib import Path

import pytest

from examples.browser import make_site as example
from tests.conftest import ROOT


@pytest.fixture
def bundle(pair_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the pair classifier's bundle."""
    return shutil.copytree(pair_bundle, tmp_path / "judge")


@pytest.fixture(autouse=True)
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the npm packages, so that these tests need none."""
    monkeypatch.setattr(example, "PACKAGES", tmp_path / "node_modules")
    for name in example.LIBRARIES:
        path = tmp_path / "node_modules" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_a_site_has_the_graphs_of_the_web_build_and_no_others(bundle: Path, tmp_path: Path) -> None:
    manifest = json.loads((bundle / "assay.json").read_text(encoding="utf-8"))
    manifest["variants"]["int8"] = {"kernels": {"file": "onnx/model_int8.onnx", "data": []}}
    (bundle / "assay.json").write_text(json.dumps(manifest), encoding="utf-8")
    example.make_site(tmp_path / "site", [bundle])
    assert json.loads((tmp_path / "site/bundles.json").read_text(encoding="utf-8")) == ["judge"]
    assert sorted(path.name for path in (tmp_path / "site/bundles/judge/onnx").iterdir()) == [
        "model.onnx",
        "model.onnx_data",
    ]


def test_a_damaged_file_is_refused(bundle: Path, tmp_path: Path) -> None:
    with (bundle / "onnx/model.onnx_data").open("r+b") as file:
        file.write(b"damaged")
    with pytest.raises(ValueError, match=r"model.onnx_data does not match its hash"):
        example.make_site(tmp_path / "site", [bundle])


def test_two_bundles_of_one_name_are_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two bundles have the same name"):
        example.make_site(tmp_path / "site", [bundle, bundle])


def test_the_page_imports_the_libraries_that_a_site_has() -> None:
    page = (ROOT / "examples/browser/index.html").read_text(encoding="utf-8")
    imports = json.loads(page.split('<script type="importmap">')[1].split("</script>")[0])["imports"]
    assert {Path(path).name for path in imports.values()} <= {Path(name).name for name in example.LIBRARIES}
    assert "//" not in page.replace("// ", "")  # no address of another server
