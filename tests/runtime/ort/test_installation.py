import subprocess
import sys
from pathlib import Path

import pytest

from assay.errors import InstallationError
from assay.ort import installation

ROOT = Path(installation.__file__).parents[2]


def site(folder: Path, distributions: list[str], init: str | None = "class InferenceSession: ...\n") -> Path:
    """A folder to put on sys.path that holds a package onnxruntime, as the given distributions would leave it."""
    (folder / "onnxruntime").mkdir(parents=True)
    if init is not None:
        (folder / "onnxruntime" / "__init__.py").write_text(init)
    for name in distributions:
        (folder / f"{name}.dist-info").mkdir()
    return folder


def python(code: str, *path: Path, argv0: str = "-c") -> subprocess.CompletedProcess[str]:
    """`code` in an interpreter that sees nothing installed but what `path` holds, and assay."""
    setup = f"import sys; sys.argv[0] = {argv0!r}; sys.path[:0] = {[str(folder) for folder in (*path, ROOT)]!r}\n"
    return subprocess.run([sys.executable, "-I", "-S", "-c", setup + code], capture_output=True, text=True, check=False)


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("code", ["from assay import load", "import assay; assay.load", "import assay; assay.aio"])
def test_without_onnx_runtime_the_first_use_names_both_extras(code: str) -> None:
    message = last_line(python(code))
    assert message.startswith("assay.errors.InstallationError: ONNX Runtime is not installed")
    assert "pip install 'assay[cpu]'" in message
    assert "'assay[gpu]'" in message


@pytest.mark.parametrize("argv0", ["-c", "/usr/bin/assay"])
def test_the_import_itself_neither_fails_nor_ends_the_process(argv0: str) -> None:
    code = "import assay\ntry:\n    assay.load\nexcept assay.InstallationError as error:\n    print(error)"
    done = python(code, argv0=argv0)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ONNX Runtime is not installed")


def test_without_onnx_runtime_a_command_says_so_on_one_line_and_help_works(pair_bundle: Path) -> None:
    hide = (
        "import importlib.util as util; find = util.find_spec; "
        "util.find_spec = lambda name: None if name == 'onnxruntime' else find(name)"
    )
    main = "from assay.__main__ import main; sys.exit(main())"

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        code = f"import sys; {hide}; sys.argv[1:] = {list(words)!r}; {main}"
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    done = command("predict", str(pair_bundle), "a", "b")
    assert done.stderr.startswith("assay: error: ONNX Runtime is not installed")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert command("--help").returncode == 0


@pytest.mark.parametrize(
    ("distributions", "found", "extra"),
    [
        (["onnxruntime-1.31.1", "onnxruntime_gpu-1.31.1"], "onnxruntime onnxruntime-gpu", "gpu"),
        (["onnxruntime-1.31.1", "onnxruntime_directml-1.24"], "onnxruntime onnxruntime-directml", "cpu"),
        (["onnxruntime-1.31.1", "ort_nightly-1.32.dev1"], "onnxruntime ort-nightly", "cpu"),
        (["onnxruntime_gpu-1.31.1", "onnxruntime_openvino-1.24"], "onnxruntime-gpu onnxruntime-openvino", "gpu"),
    ],
)
def test_two_builds_over_each_other_are_refused_with_the_commands_that_fix_it(
    distributions: list[str], found: str, extra: str, tmp_path: Path
) -> None:
    message = last_line(python("from assay import load", site(tmp_path / "site", distributions)))
    assert "2 builds" in message
    assert f"pip uninstall -y {found} && pip install 'assay[{extra}]'" in message


@pytest.mark.parametrize(
    "distributions",
    [
        [],
        ["onnxruntime-1.31.1"],
        ["onnxruntime_gpu-1.31.1"],
        ["onnxruntime-1.31.1", "onnxruntime_extensions-0.14", "onnx-1.23"],
    ],
)
def test_one_build_is_accepted(distributions: list[str], tmp_path: Path) -> None:
    done = python(
        "import assay.ort.installation as i; i.check(); print('sound')", site(tmp_path / "site", distributions)
    )
    assert (done.stdout, done.stderr) == ("sound\n", "")


def test_builds_in_two_places_do_not_touch_each_other(tmp_path: Path) -> None:
    inner, outer = (
        site(tmp_path / "venv", ["onnxruntime_gpu-1.31.1"]),
        site(tmp_path / "system", ["onnxruntime-1.31.1"]),
    )
    assert python("import assay.ort.installation as i; i.check()", inner, outer).returncode == 0


def test_the_remains_of_two_builds_are_recognised(tmp_path: Path) -> None:
    message = last_line(python("from assay import load", site(tmp_path / "site", ["onnxruntime-1.31.1"], init=None)))
    assert "incomplete" in message
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in message


@pytest.mark.parametrize(
    ("init", "said"),
    [
        ("raise ImportError('libonnxruntime.so: cannot\\nopen')", "ImportError: libonnxruntime.so: cannot open"),
        ("1 / 0", "ZeroDivisionError"),
        ("", "no InferenceSession"),
    ],
)
def test_an_onnx_runtime_that_cannot_be_imported_is_an_installation_error(init: str, said: str, tmp_path: Path) -> None:
    code = "from assay.ort import installation; installation.onnxruntime()"
    message = last_line(python(code, site(tmp_path / "site", [], init)))
    assert "InstallationError" in message
    assert said in message
    assert "pip install 'assay[cpu]'" in message


def test_an_installation_error_is_an_import_error() -> None:
    assert issubclass(InstallationError, ImportError)


def test_this_installation_is_sound() -> None:
    installation.check()
    assert hasattr(installation.onnxruntime(), "InferenceSession")


@pytest.mark.parametrize(("given", "kept"), [(None, "1"), ("0", "0")])
def test_onnx_runtime_is_imported_without_its_telemetry_unless_the_environment_says_otherwise(
    given: str | None, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    if given is not None:
        monkeypatch.setenv("ORT_DISABLE_TELEMETRY", given)
    code = "import os, assay.ort.installation as i; i.onnxruntime(); print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{kept}\n"
