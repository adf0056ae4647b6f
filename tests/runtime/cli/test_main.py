import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from assay import Classifier, Scorer, cli
from assay.bundle import golden
from assay.cli.main import main
from tests.runtime import pretend_gpu, tiny

PAIR = ["what causes rain", "rain forms when water is a b"]


def run(*words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `assay WORDS`."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as error:
        code = int(error.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def process(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assay", *map(str, words)]
    return subprocess.run(command, text=True, check=False, **{"capture_output": True} | options)


def test_predict_prints_label_and_score(
    pair_bundle: Path, judge: Classifier, capsys: pytest.CaptureFixture[str]
) -> None:
    prediction = judge.predict(*PAIR)
    assert run("predict", pair_bundle, *PAIR, capsys=capsys) == (0, f"{prediction.label}\t{prediction.score:.4f}\n", "")


def test_predict_prints_json(pair_bundle: Path, judge: Classifier, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("predict", pair_bundle, *PAIR, "--json", capsys=capsys)
    prediction = judge.predict(*PAIR)
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert answer["label"] == prediction.label
    assert answer["scores"] == pytest.approx(prediction.scores)
    assert list(answer["scores"]) == list(judge.labels)


def test_predict_answers_each_row_of_a_file_in_order(
    pair_bundle: Path, judge: Classifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [("a " * number, "b") for number in range(9)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": text, "text_pair": pair}) + "\n" for text, pair in pairs))
    code, out, _ = run("predict", pair_bundle, "--file", path, "--json", "--threads", 1, capsys=capsys)
    assert code == 0
    scores = [json.loads(line)["score"] for line in out.splitlines()]
    assert scores == pytest.approx([prediction.score for prediction in judge.predict_batch(pairs)])


def test_score_prints_each_text_in_each_form(
    score_bundle: Path, scorer: Scorer, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["a", "", "rain"]
    code, out, _ = run("score", score_bundle, *texts, capsys=capsys)
    assert code == 0
    assert [float(line) for line in out.splitlines()] == pytest.approx(scorer.score_batch(texts).tolist(), rel=1e-5)
    _, out, _ = run("score", score_bundle, "--scale", "-1", "1", *texts, "--json", capsys=capsys)
    expected = scorer.score_batch(texts, scale=(-1, 1)).tolist()
    assert [json.loads(line)["score"] for line in out.splitlines()] == pytest.approx(expected)
    _, out, _ = run("score", score_bundle, *texts, "--evol", capsys=capsys)
    assert [int(line) for line in out.splitlines()] == scorer.evol_complexity_batch(texts).tolist()
    _, out, _ = run("score", score_bundle, "a", "--evol", "--json", capsys=capsys)
    assert json.loads(out) == {"evol_complexity": scorer.evol_complexity("a")}


def test_options_may_stand_anywhere_and_a_double_dash_ends_them(
    score_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = run("score", score_bundle, "a", "b", capsys=capsys)
    assert expected[0] == 0
    for words in (
        ["--threads", 1, score_bundle, "a", "b"],
        [score_bundle, "--threads", 1, "a", "b"],
        [score_bundle, "a", "--threads", 1, "b"],
        [score_bundle, "--threads", 1, "--", "a", "b"],
    ):
        assert run("score", *words, capsys=capsys) == expected
    code, out, _ = run("score", score_bundle, "--", "--json", "--debug", capsys=capsys)
    assert (code, len(out.splitlines())) == (0, 2)


def test_a_text_too_long_is_refused_or_cut(score_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("score", score_bundle, "a " * 40, capsys=capsys)
    assert (code, out) == (1, "")
    assert "42 tokens, the model reads 16" in err
    assert "--truncate" in err
    assert run("score", score_bundle, "a " * 40, "--truncate", capsys=capsys)[0] == 0


def test_info_shows_the_manifest(pair_bundle: Path, score_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("info", pair_bundle, capsys=capsys)
    assert (code, err) == (0, "")
    for words in ("classification of pairs", "ADDR_DIRECT, ADDR_PARTIAL", "16 tokens", "onnx/model_cpu.onnx", "1e-06"):
        assert words in out
    for words in ("on cpu      fp32, onnx/model_cpu.onnx (auto: on cpu the bundle has no int8)", "on tensorrt fp32"):
        assert words in out
    assert "Evol-Complexity 1 to 6" in run("info", score_bundle, capsys=capsys)[1]
    _, out, _ = run("info", pair_bundle, "--json", capsys=capsys)
    assert json.loads(out) == json.loads((pair_bundle / "assay.json").read_text())


def test_verify_checks_every_file_and_every_graph(own_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("verify", own_bundle, "--json", capsys=capsys)
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert answer["files"] == 7
    assert [(graph["variant"], graph["dialect"]) for graph in answer["graphs"]] == [
        ("fp32", "portable"),
        ("fp32", "cpu"),
    ]
    assert {(graph["rows"], graph["tolerance"]) for graph in answer["graphs"]} == {(3, 1e-4)}
    assert all(0 < graph["max_abs_delta"] < 1e-5 for graph in answer["graphs"])
    _, out, _ = run("verify", own_bundle, capsys=capsys)
    assert "7 files" in out
    assert "fp32 portable: max |delta logit|" in out
    graph = own_bundle / "onnx/model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    code, out, err = run("verify", own_bundle, capsys=capsys)
    assert (code, out) == (1, "")
    assert "onnx/model.onnx: is damaged" in err


def test_verify_refuses_a_graph_that_answers_otherwise_than_pytorch_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny.write(tmp_path / "wrong")
    rows = tiny.golden_rows(tiny.weights(3))
    rows.logits[1, 2] += 0.001
    (folder / "golden.json").write_bytes(golden.dump(rows))
    tiny.reseal(folder, tiny.document())
    code, out, err = run("verify", folder, capsys=capsys)
    assert (code, err.count("\n")) == (1, 1)
    assert "7 files" in out
    assert "onnx/model.onnx on cpu: the logits of golden row 1 (4 tokens) are" in err


def test_verify_says_that_a_bundle_without_golden_rows_is_to_be_exported_again(
    own_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_bundle / "golden.json").unlink()
    tiny.reseal(own_bundle, tiny.document())
    code, _, err = run("verify", own_bundle, capsys=capsys)
    assert code == 1
    assert "has no golden.json" in err
    assert run("predict", own_bundle, *PAIR, capsys=capsys)[0] == 0


def test_verify_runs_the_portable_graphs_on_a_gpu(
    own_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend_gpu.install(monkeypatch, tmp_path / "cache")
    rows = tiny.golden_rows(tiny.weights(3))
    bias = tiny.weights(3)["bias"]
    # The tiny graph takes its mean over the padding as well: here to 16 tokens.
    lengths = np.array([[len(row.ids)] for row in rows.tokens])
    padded = golden.Golden(rows.tokens, (rows.logits - bias) * lengths.astype(np.float32) / 16 + bias, {})
    (own_bundle / "golden.json").write_bytes(golden.dump(padded))
    tiny.reseal(own_bundle, tiny.document())
    code, out, err = run("verify", own_bundle, "--device", "cuda", "--json", capsys=capsys)
    assert (code, err) == (0, "")
    assert [graph["dialect"] for graph in json.loads(out)["graphs"]] == ["portable"]


def test_warmup_builds_each_length_once_and_shows_its_progress_on_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny.write(tmp_path / "long", max_length=100)
    created = pretend_gpu.install(monkeypatch, tmp_path / "cache")
    code, out, err = run("warmup", folder, "--device", "tensorrt", "--up-to", 40, "--json", capsys=capsys)
    assert code == 0
    assert [(engine["length"], engine["built"]) for engine in json.loads(out)["engines"]] == [(32, True), (64, True)]
    first, second, third = err.splitlines()
    assert first == "fp32 (auto: on tensorrt the bundle has no int8_qdq and no fp16): 2 lengths up to 64 tokens"
    assert second.startswith("[1/2] 32 tokens ... built, ")
    assert third.startswith("[2/2] 64 tokens ... built, ")
    code, out, err = run("warmup", folder, "--device", "tensorrt", capsys=capsys)
    assert (code, out) == (0, "")
    assert [line.split(",")[0] for line in err.splitlines()[1:]] == [
        "[1/3] 32 tokens ... was built before",
        "[2/3] 64 tokens ... was built before",
        "[3/3] 100 tokens ... built",
    ]
    assert [state for _, _, state in created] == ["builds", "builds", "loads", "loads", "builds"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "required: COMMAND"),
        (["--debug", "predict", "PAIR"], "see assay predict --help"),
        (["prdict"], "invalid choice"),
        (["predict"], "required: BUNDLE"),
        (["predict", "PAIR"], "neither TEXT nor --file"),
        (["predict", "PAIR", "a"], "found 1 texts, expected two"),
        (["predict", "PAIR", "a", "b", "c"], "found 3 texts"),
        (["predict", "PAIR", "a", "b", "--file", "x.jsonl"], "TEXT and --file"),
        (["predict", "PAIR", "a", "b", "--thread", "1"], "unrecognized arguments"),
        (["predict", "PAIR", "a", "b", "--threads", "0"], "at least 1"),
        (["predict", "PAIR", "a", "b", "--threads", "two"], "at least 1"),
        (["score", "SCORE", "a", "--scale", "1"], "expected 2 arguments"),
        (["score", "SCORE", "a", "--scale", "a", "b"], "invalid float"),
        (["score", "SCORE", "a", "--scale", "1", "6", "--evol"], "not allowed with"),
        (["info"], "required: BUNDLE"),
        (["warmup", "PAIR"], "required: --device"),
        (["warmup", "PAIR", "--device", "tensorrt", "--up-to", "0"], "at least 1"),
        (["warmup", "PAIR", "--device", "tensorrt", "--up-to", "17"], "the model reads 16"),
        (["info", "PAIR", "more"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    words: list[str], message: str, pair_bundle: Path, score_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"PAIR": pair_bundle, "SCORE": score_bundle}
    code, out, err = run(*(places.get(word, word) for word in words), capsys=capsys)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("assay: error: ")
    assert message in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "NONE", "a", "b"], "no such folder"),
        (["info", "NONE"], "no such folder"),
        (["verify", "NONE"], "no such folder"),
        (["predict", "SCORE", "a"], "use assay score"),
        (["score", "PAIR", "a"], "use assay predict"),
        (["predict", "PAIR", "a", "b", "--device", "gpu"], "device is 'gpu'"),
        (["predict", "PAIR", "a", "b", "--device", "cuda"], "CUDAExecutionProvider"),
        (["predict", "PAIR", "a", "b", "--variant", "int8"], "has no variant int8"),
        (["verify", "PAIR", "--device", "auto"], "device is 'auto'"),
        (["warmup", "PAIR", "--device", "cuda"], "nothing is built ahead"),
        (["warmup", "PAIR", "--device", "tensorrt", "--variant", "fp16"], "has no variant fp16"),
        (["predict", "PAIR", "a\udcff", "b"], "lone surrogate"),
        (["predict", "PAIR", "nan", "b"], "row 0 gave the logits"),
        (["score", "SCORE", "a", "--scale", "6", "1"], "scale is"),
        (["score", "SCORE", "a", "--scale", "nan", "1"], "scale is"),
        (["predict", "PAIR", "--file", "NONE"], "ends in"),
        (["predict", "PAIR", "--file", "none.jsonl"], "cannot be read"),
    ],
)
def test_a_failure_is_one_line_and_exit_code_1(
    words: list[str], message: str, pair_bundle: Path, score_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"PAIR": pair_bundle, "SCORE": score_bundle, "NONE": "nowhere"}
    code, out, err = run(*(places.get(word, word) for word in words), capsys=capsys)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("assay: error: ")
    assert message in err


@pytest.mark.parametrize("words", [["--debug", "info", "nowhere"], ["info", "nowhere", "--debug"]])
def test_debug_shows_the_traceback_before_the_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(*words, capsys=capsys)
    assert code == 1
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("assay: error: nowhere: no such folder")


def test_a_defect_is_one_line_as_well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(_: object) -> int:
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr(cli.info, "run", broken)
    code, _, err = run("info", "x", capsys=capsys)
    assert (code, err.count("\n")) == (1, 1)
    assert "ZeroDivisionError: a b (a defect of assay" in err


def test_an_interrupt_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.info, "run", interrupted)
    assert run("info", "x", capsys=capsys) == (130, "", "")


def test_a_real_interrupt_is_quiet(pair_bundle: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "rows.jsonl"
    os.mkfifo(fifo)
    command = [sys.executable, "-m", "assay", "predict", str(pair_bundle), "--file", str(fifo)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with fifo.open("w"):  # opens once the command waits for its rows
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
    assert (child.returncode, out, err) == (130, b"", b"")


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("--version", capsys=capsys)
    assert (code, out.split()[0]) == (0, "assay")


def test_standard_input_is_read_as_json_lines(
    score_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b'{"text": "a"}\n{"text": "b"}\n')))
    code, out, _ = run("score", score_bundle, "--file", "-", capsys=capsys)
    assert (code, len(out.splitlines())) == (0, 2)


@pytest.mark.parametrize(
    ("words", "unbuffered"),
    [(["info", "BUNDLE"], ""), (["info", "BUNDLE"], "1"), (["--help"], ""), (["--version"], "")],
)
def test_a_reader_that_goes_away_ends_the_command_quietly(words: list[str], unbuffered: str, pair_bundle: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    words = [str(pair_bundle) if word == "BUNDLE" else word for word in words]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = process(*words, capture_output=False, stdout=write, stderr=subprocess.PIPE, env=environment)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_closed_standard_output_is_a_failure(pair_bundle: Path) -> None:
    command = f"exec {sys.executable} -m assay info {pair_bundle} >&-"
    done = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "standard output is closed" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line(pair_bundle: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = process("info", pair_bundle, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.startswith("assay: error: [Errno 28]")
    assert done.stderr.count("\n") == 1


def test_output_that_the_terminal_cannot_encode_is_escaped(tmp_path: Path) -> None:
    from tests.runtime import tiny

    folder = tiny.write(tmp_path / "labels", labels=["ü", "字", "c"])
    done = process("info", folder, env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\xfc, \u5b57, c" in done.stdout


class Entry:
    """An entry point as importlib.metadata gives it."""

    def __init__(self, name: str, module: Any) -> None:
        self.name, self._module = name, module

    def __lt__(self, other: "Entry") -> bool:
        return self.name < other.name

    def load(self) -> Any:
        if isinstance(self._module, Exception):
            raise self._module
        return self._module


def plug_in(code: str) -> ModuleType:
    module = ModuleType("plug_in")
    exec(code, module.__dict__)
    return module


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    greet = "HELP = 'greet'\ndef add_arguments(p): p.add_argument('name')\ndef run(a): print('hi', a.name); return 5\n"
    lazy = "HELP = 'lazy'\ndef add_arguments(p): pass\ndef run(a): import not_installed_anywhere\n"
    entries = [
        Entry("greet", plug_in(greet)),
        Entry("lazy", plug_in(lazy)),
        Entry("heavy", ModuleNotFoundError("No module named 'torch'", name="torch")),
        Entry("info", AssertionError("an own command is not replaced")),
    ]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: entries if group == "assay.commands" else [])


@pytest.mark.usefixtures("plugged")
def test_a_plugged_in_command_runs_with_its_arguments_and_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("greet", "you", capsys=capsys) == (5, "hi you\n", "")
    assert run("greet", capsys=capsys)[0] == 2


@pytest.mark.usefixtures("plugged")
def test_help_lists_plugged_in_commands_without_loading_them(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("--help", capsys=capsys)
    assert code == 0
    for name in ("predict", "score", "info", "verify", "warmup", "greet", "heavy", "lazy"):
        assert name in out


@pytest.mark.usefixtures("plugged")
@pytest.mark.parametrize(("name", "missing"), [("heavy", "torch"), ("lazy", "not_installed_anywhere")])
def test_a_plugged_in_command_whose_packages_are_missing_names_the_extra(
    name: str, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(name, capsys=capsys)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"needs {missing}" in err
    assert "pip install 'assay[export]'" in err


def test_info_shows_the_gate_of_int8_and_what_each_layer_got(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = tiny.entry("onnx/model_int8.onnx", ["input_ids"])
    entry["parity"] = {"summary": "0.00% label flips"}
    entry["layers"] = [
        {"layer": "layer.0.query_key_value", "recipe": "int8", "why": "relative output error 0.0100"},
        {"layer": "classifier", "recipe": "fp32", "why": "nothing else helped"},
    ]
    out = run("info", tiny.write(tmp_path / "bundle", variants={"int8": {"cpu": entry}}), capsys=capsys)[1]
    assert "onnx/model_int8.onnx, 0.0 MB, 0.00% label flips" in out
    assert "  layer.0.query_key_value  int8  relative output error 0.0100" in out
    assert "  classifier               fp32  nothing else helped" in out
