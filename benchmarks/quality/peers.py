"""Asks peers of the benchmark suite for their logits, each in a process of its own as in the suite.

A peer makes its int8 model as its library's documentation has it (`benchmarks.suite.peers`), and takes text.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from assay.bundle.folder import Bundle
from assay.errors import InputError, NumericalError
from assay.inputs.validation import Row
from assay.models.base import Float32
from assay_export.checkpoint.files import open_files
from assay_export.checkpoint.source import Source
from benchmarks import machine
from benchmarks.errors import BenchmarkError
from benchmarks.suite import peers
from benchmarks.suite.environments import find_environment
from benchmarks.suite.measure.process import PeerProcess, run_module
from benchmarks.suite.setup import Setup

__all__ = ["ask_peer", "check_peers"]

ROWS_PER_QUESTION = 64
LOAD_SECONDS, ANSWER_SECONDS = 900.0, 600.0


def check_peers(names: Sequence[str], source: Source | None, bundle: Bundle, environments: str) -> dict[str, str]:
    """Check before the long run that the peers can be asked.

    Returns:
        The versions of their distributions.

    Raises:
        BenchmarkError: There is no such peer, it does not take these rows, or it is not installed.
        InputError: There is no checkpoint that they can load.
    """
    versions: dict[str, str] = {}
    for name in names:
        peer = peers.find_peer(name)
        environment = find_environment(peer.environment, environments)
        if "cpu" not in peer.devices or bundle.manifest.input not in peer.inputs:
            raise BenchmarkError(f"--peers has {name}, which does not take a {bundle.manifest.input} on the CPU")
        if missing := peer.missing(environment):
            raise BenchmarkError(f"--peers has {name}, which needs {' and '.join(missing)}: {peer.how_to_install}")
        versions |= peer.versions(environment)
    if names and source is None:
        raise InputError("--peers needs the checkpoint, which peers load: add --checkpoint")
    if names and source is not None and open_files(source.folder).base:
        raise InputError(f"--peers needs a whole checkpoint, and {source.id} is an adapter: leave --peers out")
    return versions


def ask_peer(
    name: str, source: Source, bundle: Bundle, environments: str, rows: Sequence[Row], advance: Callable[[], None]
) -> Float32:
    """Ask a peer.

    Args:
        name: Its name in the suite.
        source: The whole checkpoint.
        bundle: The bundle, with the tokenizer of all peers.
        environments: Where peers with an environment of their own have it.
        rows: The rows.
        advance: Is called after each row.

    Returns:
        Logits, float32 [rows, labels].

    Raises:
        BenchmarkError: The peer cannot be prepared or cannot answer.
        NumericalError: An answer is NaN or infinite; `row` is its index.
    """
    manifest = bundle.manifest
    work = Path(tempfile.mkdtemp(prefix="assay-peer-"))
    setup = Setup(
        checkpoint=str(source.folder),
        bundle=str(bundle.folder.resolve()),
        work=str(work),
        input=manifest.input,
        task=manifest.task,
        max_length=manifest.max_length,
        device="cpu",
        threads=machine.usable_cores(),
        random_weights=False,
        environments=environments,
    )
    logits = np.empty((len(rows), len(manifest.labels)), np.float32)
    environment = find_environment(peers.find_peer(name).environment, environments)
    try:
        run_module(name, "benchmarks.suite.preparation.peer", name, setup.to_json(), environment=environment)
        process = PeerProcess.start(name, setup, "latency", work / "logs")
        try:
            process.ask("load", LOAD_SECONDS)
            for start in range(0, len(rows), ROWS_PER_QUESTION):
                chunk = rows[start : start + ROWS_PER_QUESTION]
                answer = process.ask("logits", ANSWER_SECONDS, rows=chunk)  # a pair becomes a list in JSON
                logits[start : start + len(chunk)] = answer["logits"]
                for _ in chunk:
                    advance()
        finally:
            process.close()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    finite = np.isfinite(logits).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise NumericalError(f"{name} answers {logits[row].tolist()}", row=row)
    return logits
