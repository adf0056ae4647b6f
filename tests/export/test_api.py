"""The Python interface of the export: what `assay_export` offers, and the example that shows it."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import assay
import assay_export
from assay_export import exporter
from tests.conftest import CHECKPOINTS, ROOT


def run_example(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / "export_checkpoint.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_example_exports_a_bundle_and_says_how_close_its_graphs_are(tmp_path: Path) -> None:
    done = run_example(CHECKPOINTS / "pair-classifier", tmp_path / "bundle")
    assert done.returncode == 0, done.stderr
    assert "fp32, portable: onnx/model.onnx, mean |delta| " in done.stdout
    assert assay.load(tmp_path / "bundle").manifest.task == "classification"


def test_the_example_prints_an_error_on_one_line(tmp_path: Path) -> None:
    done = run_example(tmp_path / "nothing", tmp_path / "bundle")
    assert done.returncode == 1
    assert done.stderr.startswith("not exported: ")
    assert done.stderr.count("\n") == 1


def test_the_package_offers_the_export_its_error_and_its_types() -> None:
    assert assay_export.__all__ == ["ExportError", "export"]
    assert assay_export.export is exporter.export
    assert issubclass(assay_export.ExportError, assay.AssayError)
    assert (files("assay_export") / "py.typed").is_file()


def test_a_name_that_the_package_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'exprot'"):
        assay_export.exprot  # noqa: B018


def test_importing_the_package_does_not_import_torch() -> None:
    program = "import sys, assay_export, assay_export.command; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


def test_onnx_runtime_is_imported_without_its_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    code = "import sys, os, assay_export; told = os.environ['ORT_DISABLE_TELEMETRY'], 'onnxruntime' in sys.modules; \
    import assay_export.graphs.cpu_session; print(told, 'onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "('1', False) True\n"
