"""What the runtime imports, checked in a separate interpreter."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HEAVY = ["torch", "transformers", "optimum", "onnx", "onnxscript", "onnx_ir", "peft", "safetensors", "huggingface_hub"]


def modules_after(code: str) -> set[str]:
    """The modules loaded once `code` has run in a fresh interpreter."""
    code += "\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return set(loaded)


def test_predicting_and_scoring_import_nothing_heavy(pair_bundle: Path, score_bundle: Path) -> None:
    loaded = modules_after(
        "import assay\n"
        f"judge = assay.load({str(pair_bundle)!r})\n"
        "judge.predict('a', 'b'); judge.predict_batch([('a', 'b')]); judge({'text': 'a', 'text_pair': 'b'})\n"
        f"scorer = assay.load({str(score_bundle)!r})\n"
        "scorer.score('a', scale=(0, 100)); scorer.evol_complexity('a'); scorer('a')\n"
        "from assay.cli.main import main\n"
        f"assert main(['verify', {str(pair_bundle)!r}]) == 0\n"
        f"assert main(['info', {str(pair_bundle)!r}]) == 0\n"
    )
    assert {"assay", "numpy", "onnxruntime", "tokenizers"} <= loaded
    assert loaded.isdisjoint(HEAVY)
    assert not any(name.startswith("assay_export") for name in loaded)


def test_importing_assay_imports_none_of_its_dependencies() -> None:
    loaded = modules_after("import assay; dir(assay)")
    assert loaded.isdisjoint([*HEAVY, "numpy", "onnxruntime", "tokenizers", "importlib.metadata"])


def test_help_of_the_command_line_imports_none_of_the_dependencies() -> None:
    loaded = modules_after("from assay.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass")
    assert loaded.isdisjoint([*HEAVY, "numpy", "onnxruntime", "tokenizers"])


def test_every_public_name_is_there() -> None:
    import assay

    for name in assay.__all__:
        assert getattr(assay, name) is not None
    assert set(assay.__all__) <= set(dir(assay))


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    import assay

    assert assay.__version__ == version("assay")
