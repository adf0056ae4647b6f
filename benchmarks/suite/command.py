"""Measure a model's peers in turns.

`python -m benchmarks run MODEL` prepares the model and the peers, asks PyTorch for its answers, and then measures, one
mode after the other. docs/measurements/benchmarks.md has the method.
"""

import argparse
import os
from pathlib import Path
from typing import Any, get_args

from assay.inputs.tokenization import BundleTokenizer
from assay.threads import usable_cores
from benchmarks.peers import PeerError
from benchmarks.suite import machine, peers, report, texts
from benchmarks.suite.run import Run, child, say
from benchmarks.suite.samples import REFERENCE, RESULTS, ROWS, begin, read_json, refuse_taken, write_json
from benchmarks.suite.setup import Mode, Prepared, Setup, described

HELP = "measure speed, parity and limits of a model's peers"
MODES: tuple[Mode, ...] = get_args(Mode)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="MODEL", help="checkpoint folder, Hub id, osmosis, maxwell, or standin:osmosis"
    )
    parser.add_argument("--peers", type=words, metavar="A,B", help=f"of {', '.join(peers.PEERS)}; default: all")
    parser.add_argument("--lengths", type=integers, default="16,32,64,128,256,512", metavar="N,N", help="tokens")
    parser.add_argument("--batches", type=integers, default="1", metavar="N,N", help="rows of a request")
    parser.add_argument("--modes", type=words, default=",".join(MODES), metavar="M,M", help="of latency, throughput")
    parser.add_argument(
        "--rows", type=int, default=texts.THROUGHPUT_ROWS, metavar="N", help="texts of a measurement of throughput"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--minutes", type=float, default=20, help="of measuring, beyond preparation; default: 20")
    parser.add_argument("--baseline", default="torch-fp32", metavar="PEER", help="whose time is 1; default: torch-fp32")
    parser.add_argument("--threads", type=int, help="of every peer; default: the cores this process may use")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="results; default: build/benchmarks/MODEL-DEVICE")
    parser.add_argument(
        "--work", type=Path, default=Path("build/benchmarks/work"), metavar="FOLDER", help="what is made"
    )
    parser.add_argument("--resume", action="store_true", help="continue the interrupted run in --out")


def run(options: argparse.Namespace) -> int:
    _check(options)
    name = options.model.replace(":", "-").replace("/", "-").strip("-.")
    out = options.out or Path("build/benchmarks") / f"{name}-{options.device}"
    refuse_taken(out, options.resume)
    options.work.mkdir(parents=True, exist_ok=True)
    prepared = _model(options)
    setup = _setup(options, prepared)
    names, absent = _peers(options, setup)
    plan = _plan(options, prepared, setup, names, absent)
    samples = begin(out, plan, options.resume)
    try:
        if not (out / ROWS).exists():
            write_json(out / ROWS, _rows(options, setup))
        if not (out / REFERENCE).exists():
            say("asking PyTorch for its answers")
            child("the reference answers", "benchmarks.suite.reference", setup.to_json(), str(out))
        Run(plan, setup, out, samples, options.minutes * 60 / len(options.modes)).measure()
    except KeyboardInterrupt:
        say(f"interrupted: what was measured is in {out}; the same command with --resume continues it")
        raise
    finally:
        samples.close()
    report.write(out)
    print((out / report.MARKDOWN).read_text(encoding="utf-8"))
    say(f"{out / RESULTS}, {out / report.MARKDOWN}, {out / report.HTML}")
    return 0


def _check(options: argparse.Namespace) -> None:
    for name in options.peers or ():
        peers.known(name)
    peers.known(options.baseline)
    if unknown := [mode for mode in options.modes if mode not in MODES]:
        raise PeerError(f"--modes has {unknown[0]!r}, expected of {', '.join(MODES)}")
    if not options.minutes > 0:
        raise PeerError(f"--minutes is {options.minutes}, expected more than 0")
    if options.threads is not None and options.threads < 1:
        raise PeerError(f"--threads is {options.threads}, expected at least 1")
    if options.rows < 1:
        raise PeerError(f"--rows is {options.rows}, expected at least 1")
    for name, least in (("lengths", 4), ("batches", 1)):
        if low := [value for value in getattr(options, name) if value < least]:
            raise PeerError(f"--{name} has {low[0]}, expected at least {least}")


def _model(options: argparse.Namespace) -> Prepared:
    """Prepare the model in a process that ends, so that no PyTorch stays in this one."""
    answer = options.work / f".model-{os.getpid()}.json"
    try:
        child("the model", "benchmarks.suite.model", options.model, str(options.work.resolve()), str(answer))
        return Prepared(**read_json(answer))
    finally:
        answer.unlink(missing_ok=True)


def _setup(options: argparse.Namespace, prepared: Prepared) -> Setup:
    manifest = described(prepared)
    if long := [length for length in options.lengths if length > manifest.max_length]:
        raise PeerError(f"--lengths has {long[0]}, and {prepared.name} reads {manifest.max_length}")
    return Setup(
        checkpoint=prepared.checkpoint,
        bundle=prepared.bundle,
        work=prepared.work,
        input=manifest.input,
        task=manifest.task,
        max_length=manifest.max_length,
        device=options.device,
        threads=options.threads or usable_cores(),
        random_weights=prepared.random_weights,
    )


def _peers(options: argparse.Namespace, setup: Setup) -> tuple[list[str], dict[str, str]]:
    """The peers to measure, and the reasons of those that were asked for and cannot be."""
    fit, absent = [], {}
    for name in options.peers or peers.PEERS:
        peer = peers.known(name)
        if setup.device not in peer.devices or setup.input not in peer.inputs:
            if options.peers:
                absent[name] = f"is not for {setup.device} and input {setup.input}"
        elif missing := peer.missing():
            absent[name] = f"{' and '.join(missing)} not installed: pip install 'assay[{peer.extra}]'"
        else:
            fit.append(name)
    if not fit:
        raise PeerError(f"none of the peers can be measured: {'; '.join(f'{k} {v}' for k, v in absent.items())}")
    return fit, absent


def _plan(
    options: argparse.Namespace, prepared: Prepared, setup: Setup, names: list[str], absent: dict[str, str]
) -> dict[str, Any]:
    manifest = described(prepared)
    return {
        "model": options.model,
        "weights_sha256": prepared.weights_sha256,
        "random_weights": prepared.random_weights,
        "architecture": manifest.architecture,
        "activation": manifest.activation,
        "input": setup.input,
        "device": setup.device,
        "threads": setup.threads,
        "lengths": options.lengths,
        "batches": options.batches,
        "modes": options.modes,
        "baseline": options.baseline,
        "peers": names,
        "absent": absent,
        "versions": {name: peers.known(name).versions() for name in names},
        "machine": machine.describe(),
        "gpu": machine.gpu() if setup.device == "cuda" else None,
    }


def _rows(options: argparse.Namespace, setup: Setup) -> dict[str, Any]:
    bundle = Path(setup.bundle)
    data = (bundle / "tokenizer.json").read_bytes()
    tokenizer = BundleTokenizer(data, setup.input, setup.max_length, "longest_first")
    latency = {}
    for length in options.lengths:
        for batch in options.batches:
            found = texts.rows_of_length(tokenizer, setup.input, length, texts.REQUESTS * batch)
            latency[cell(length, batch)] = [found[start : start + batch] for start in range(0, len(found), batch)]
    throughput, source = texts.throughput_rows(tokenizer, setup.input, setup.max_length, options.rows)
    tokens = sorted(texts.length(tokenizer, row) for row in throughput)
    return {
        "latency": latency,
        "lengths": {name: texts.length(tokenizer, requests[0][0]) for name, requests in latency.items()},
        "throughput": throughput,
        "parity": throughput[: texts.PARITY_ROWS],
        "throughput_tokens": tokens,
        "throughput_source": source,
    }


def cell(length: int, batch: int) -> str:
    """The name of a latency cell: "64" for one row of 64 tokens, "64 x 8" for eight."""
    return str(length) if batch == 1 else f"{length} x {batch}"


def words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def integers(text: str) -> list[int]:
    return [int(word) for word in words(text)]
