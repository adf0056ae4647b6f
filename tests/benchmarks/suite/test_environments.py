"""Peers with an environment of their own: where their Python and versions come from, with a stub for one."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.inputs.calibration import read_calibration
from benchmarks.machine import measure_environment
from benchmarks.suite import peers
from benchmarks.suite.environments import HERE, find_environment
from benchmarks.suite.measure.process import PeerProcess, run_module
from benchmarks.suite.setup import Setup
from tests.conftest import CHECKPOINTS

STUB = """
import os, sys
from benchmarks.suite.measure.worker import serve_process

class Peer:
    def load(self):
        return {"module": sys.argv[2], "peer": sys.argv[3], "path": os.environ["PYTHONPATH"]}

serve_process(Peer)
"""
PEERS = peers.PEERS
OWN = [name for name, known in PEERS.items() if known.environment]


def make_setup(environments: Path, work: Path, bundle: Path | None = None) -> Setup:
    folder = str(CHECKPOINTS / "pair-classifier")
    return Setup(
        folder, str(bundle or folder), str(work), "pair", "classification", 512, "cpu", 1, False, str(environments)
    )


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    """A folder of environments in which that of torchao is a script, with one distribution."""
    folder = tmp_path / "torchao"
    (folder / "bin").mkdir(parents=True)
    script = folder / "stub.py"
    script.write_text(STUB, encoding="utf-8")
    python = folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    packages = folder / "lib" / "python3.11" / "site-packages"
    (packages / "torchao-9.8.7.dist-info").mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: torchao\nVersion: 9.8.7\n"
    (packages / "torchao-9.8.7.dist-info" / "METADATA").write_text(metadata, encoding="utf-8")
    record = "torchao-9.8.7.dist-info/METADATA,,\n"
    (packages / "torchao-9.8.7.dist-info" / "RECORD").write_text(record, encoding="utf-8")
    return tmp_path


def test_a_peer_starts_in_its_own_environment_with_nothing_of_this_one(stub: Path, tmp_path: Path) -> None:
    process = PeerProcess.start("torchao-int8", make_setup(stub, tmp_path), "latency", tmp_path / "logs")
    try:
        answer = process.ask("load", 60)
    finally:
        process.close()
    assert answer["module"] == "benchmarks.suite.measure.worker"
    assert answer["peer"] == "torchao-int8"
    assert answer["path"].split(os.pathsep) == [str(ROOT), str(ROOT / "runtime"), str(ROOT / "export")]


def test_versions_and_sizes_are_those_of_the_environment(stub: Path) -> None:
    known, environment = peers.find_peer("torchao-int8"), find_environment("torchao", str(stub))
    assert known.versions(environment) == {"torchao in torchao": "9.8.7"}
    assert known.missing(environment) == ["torch", "transformers"]
    assert measure_environment(["torchao"], environment.search_path) == len(
        "Metadata-Version: 2.1\nName: torchao\nVersion: 9.8.7\n"
    )
    assert known.how_to_install == "make bench-peers PEERS=torchao"


def test_every_peer_without_one_uses_this_python() -> None:
    assert find_environment("", "anywhere") is HERE
    assert HERE.python == sys.executable
    assert HERE.make_variables()["PYTHONPATH"].split(os.pathsep)[1:] == sys.path


def test_an_absent_environment_has_none_of_the_packages(tmp_path: Path) -> None:
    for name in OWN:
        known = peers.find_peer(name)
        assert known.missing(find_environment(known.environment, str(tmp_path))) == list(known.needs)


def test_every_environment_has_its_requirements_with_one_build_of_torch() -> None:
    folder = Path(peers.__file__).parent / "requirements"
    main = [path for path in folder.iterdir() if not path.name.endswith(".no-deps.txt")]
    assert {path.stem for path in main} == {peers.find_peer(name).environment for name in OWN}
    assert {path.name.removesuffix(".no-deps.txt") + ".txt" for path in set(folder.iterdir()) - set(main)} <= {
        path.name for path in main
    }
    for path in main:
        lines = path.read_text(encoding="utf-8").splitlines()
        needs = {need for name in OWN if PEERS[name].environment == path.stem for need in PEERS[name].needs}
        assert ("torch==2.13.0" in lines) == bool(needs & {"torch", "transformers"})


def test_the_files_of_such_a_peer_are_listed_without_its_packages(pair_bundle: Path, tmp_path: Path) -> None:
    setup = make_setup(tmp_path, tmp_path, pair_bundle)
    assert all(peers.list_files(name, setup) for name in OWN)


def test_preparation_runs_in_the_environment(stub: Path) -> None:
    python = stub / "torchao" / "bin" / "python"
    python.write_text('#!/bin/sh\necho "asked for $2" >&2\nexit 3\n', encoding="utf-8")
    with pytest.raises(BenchmarkError, match=r"^asked for some\.module$"):
        run_module("it", "some.module", environment=find_environment("torchao", str(stub)))


@pytest.mark.parametrize("name", [name for name in OWN if "compile" not in name])
def test_a_peer_of_an_installed_environment_returns_raw_logits_in_label_order(
    name: str, pair_bundle: Path, tmp_path: Path
) -> None:
    known, folder = peers.find_peer(name), ROOT / "build" / "peers"
    environment = find_environment(known.environment, str(folder))
    if known.missing(environment):
        pytest.skip(f"{environment.folder} is not installed: {known.how_to_install}")
    setup = make_setup(folder, tmp_path, pair_bundle)
    module = "benchmarks.suite.preparation.peer"
    run_module(name, module, name, setup.to_json(), environment=environment)
    rows = read_calibration("pair")[:4]  # static scales that fit these rows need not fit others
    process = PeerProcess.start(name, setup, "latency", tmp_path / "logs")
    try:
        process.ask("load", 300)
        logits = np.array(process.ask("logits", 300, rows=json.loads(json.dumps(rows)))["logits"])
    finally:
        process.close()
    reference = peers.make("torch-fp32", setup, "latency")
    reference.load()
    expected = reference.run(rows)
    # Raw logits in label order. How exact they are is judged by the suite's parity, not here.
    assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > 0.95
    assert 0.7 < logits.std() / expected.std() < 1.3
    assert all(path.is_file() for path in peers.list_files(name, setup))
