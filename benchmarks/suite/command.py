"""`python -m benchmarks run MODEL`: measures the peers of a model in turns.

It prepares the model and the peers, asks PyTorch for its answers, and then measures one mode after the other.
docs/measurements/benchmarks.md has the method.
"""

import argparse
import os
from pathlib import Path
from typing import Any, get_args

from assay.inputs.tokenization import BundleTokenizer
from benchmarks import machine
from benchmarks.errors import BenchmarkError
from benchmarks.inputs import texts
from benchmarks.suite import peers
from benchmarks.suite.environments import find_environment
from benchmarks.suite.measure.process import run_module, say
from benchmarks.suite.measure.run import Run
from benchmarks.suite.report import document
from benchmarks.suite.samples import REFERENCE, RESULTS, ROWS, begin, read_json, refuse_taken, write_json
from benchmarks.suite.setup import Mode, Prepared, Setup, read_manifest

__all__ = ["HELP", "add_arguments", "run"]

HELP = "measure speed, parity and limits of a model's peers"
MODES: tuple[Mode, ...] = get_args(Mode)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "model", metavar="MODEL", help="checkpoint folder, Hub id, osmosis, maxwell, or standin:osmosis"
    )
    left_out = ", ".join(peer.name for peer in peers.PEERS.values() if peer.on_request)
    parser.add_argument(
        "--peers",
        type=_split_words,
        metavar="A,B",
        help=f"of {', '.join(peers.PEERS)}; default: all but {left_out}",
    )
    parser.add_argument("--lengths", type=_split_integers, default="16,32,64,128,256,512", metavar="N,N", help="tokens")
    parser.add_argument("--batches", type=_split_integers, default="1", metavar="N,N", help="rows of a request")
    parser.add_argument(
        "--modes", type=_split_words, default=",".join(MODES), metavar="M,M", help="of latency, throughput"
    )
    parser.add_argument(
        "--rows", type=int, default=texts.THROUGHPUT_ROWS, metavar="N", help="texts that throughput is measured on"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--minutes", type=float, default=20, help="to measure, without preparation; default: 20")
    parser.add_argument(
        "--baseline", default="torch-fp32", metavar="PEER", help="peer whose time is 1; default: torch-fp32"
    )
    parser.add_argument("--threads", type=int, help="threads of every peer; default: the cores this process may use")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where results go; default: build/benchmarks/MODEL-DEVICE"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("build/benchmarks/work"), metavar="FOLDER", help="where models are kept"
    )
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path("build/peers"),
        metavar="FOLDER",
        help="where make bench-peers installed the peers that have an environment of their own; default: build/peers",
    )
    parser.add_argument("--resume", action="store_true", help="continue the interrupted run in --out")


def run(options: argparse.Namespace) -> int:
    """Measure, write the report and print it.

    Raises:
        AssayError: The options, the model or the folder for results cannot be used.
    """
    _check_options(options)
    name = options.model.replace(":", "-").replace("/", "-").strip("-.")
    out = options.out or Path("build/benchmarks") / f"{name}-{options.device}"
    refuse_taken(out, options.resume)
    options.work.mkdir(parents=True, exist_ok=True)
    prepared = _prepare_model(options)
    setup = _make_setup(options, prepared)
    names, absent = _choose_peers(options, setup)
    plan = _make_plan(options, prepared, setup, names, absent)
    samples = begin(out, plan, options.resume)
    try:
        if not (out / ROWS).exists():
            write_json(out / ROWS, _make_rows(options, setup))
        if not (out / REFERENCE).exists():
            say("asking PyTorch for its answers")
            run_module("the reference answers", "benchmarks.suite.preparation.reference", setup.to_json(), str(out))
        Run(plan, setup, out, samples, options.minutes * 60 / len(options.modes)).measure()
    except KeyboardInterrupt:
        say(f"interrupted: the samples so far are in {out}; the same command with --resume continues")
        raise
    finally:
        samples.close()
    document.write(out)
    print((out / document.MARKDOWN).read_text(encoding="utf-8"))
    say(f"{out / RESULTS}, {out / document.MARKDOWN}, {out / document.HTML}")
    return 0


def _check_options(options: argparse.Namespace) -> None:
    for name in options.peers or ():
        peers.find_peer(name)
    peers.find_peer(options.baseline)
    if unknown := [mode for mode in options.modes if mode not in MODES]:
        raise BenchmarkError(f"--modes has {unknown[0]!r}, expected some of {', '.join(MODES)}")
    if not options.minutes > 0:
        raise BenchmarkError(f"--minutes is {options.minutes}, expected more than 0")
    if options.threads is not None and options.threads < 1:
        raise BenchmarkError(f"--threads is {options.threads}, expected at least 1")
    if options.rows < 1:
        raise BenchmarkError(f"--rows is {options.rows}, expected at least 1")
    for name, least in (("lengths", 4), ("batches", 1)):
        if low := [value for value in getattr(options, name) if value < least]:
            raise BenchmarkError(f"--{name} has {low[0]}, expected at least {least}")


def _prepare_model(options: argparse.Namespace) -> Prepared:
    """Prepare the model in a separate process, so that no PyTorch stays in this one."""
    answer = options.work / f".model-{os.getpid()}.json"
    try:
        run_module(
            "the model", "benchmarks.suite.preparation.model", options.model, str(options.work.resolve()), str(answer)
        )
        return Prepared(**read_json(answer))
    finally:
        answer.unlink(missing_ok=True)


def _make_setup(options: argparse.Namespace, prepared: Prepared) -> Setup:
    manifest = read_manifest(prepared)
    if long := [length for length in options.lengths if length > manifest.max_length]:
        raise BenchmarkError(f"--lengths has {long[0]}, but {prepared.name} reads at most {manifest.max_length} tokens")
    return Setup(
        checkpoint=prepared.checkpoint,
        bundle=prepared.bundle,
        work=prepared.work,
        input=manifest.input,
        task=manifest.task,
        max_length=manifest.max_length,
        device=options.device,
        threads=options.threads or machine.usable_cores(),
        random_weights=prepared.random_weights,
        environments=str(options.environments.resolve()),
    )


def _choose_peers(options: argparse.Namespace, setup: Setup) -> tuple[list[str], dict[str, str]]:
    """Return the peers to measure, and for those that cannot be measured the reason."""
    fit: list[str] = []
    absent = {} if options.peers or setup.device != "cpu" else dict(peers.NO_PEERS)
    for name in options.peers or [peer.name for peer in peers.PEERS.values() if not peer.on_request]:
        peer = peers.find_peer(name)
        if setup.device not in peer.devices or setup.input not in peer.inputs:
            if options.peers:
                absent[name] = f"does not support {setup.device} with input {setup.input}"
        elif missing := peer.missing(find_environment(peer.environment, setup.environments)):
            absent[name] = f"{' and '.join(missing)} not installed: {peer.how_to_install}"
        else:
            fit.append(name)
    if not fit:
        raise BenchmarkError(f"none of the peers can be measured: {'; '.join(f'{k} {v}' for k, v in absent.items())}")
    return fit, absent


def _make_plan(
    options: argparse.Namespace, prepared: Prepared, setup: Setup, names: list[str], absent: dict[str, str]
) -> dict[str, Any]:
    manifest = read_manifest(prepared)
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
        "versions": {
            peer.name: peer.versions(find_environment(peer.environment, setup.environments))
            for peer in map(peers.find_peer, names)
        },
        "machine": machine.describe(),
        "gpu": machine.describe_gpu() if setup.device == "cuda" else None,
    }


def _make_rows(options: argparse.Namespace, setup: Setup) -> dict[str, Any]:
    bundle = Path(setup.bundle)
    data = (bundle / "tokenizer.json").read_bytes()
    tokenizer = BundleTokenizer(data, setup.input, setup.max_length, "longest_first")
    latency = {}
    for length in options.lengths:
        for batch in options.batches:
            found = texts.make_rows(tokenizer, setup.input, length, texts.REQUESTS * batch)
            latency[_name_cell(length, batch)] = [found[start : start + batch] for start in range(0, len(found), batch)]
    throughput, source = texts.choose_throughput_rows(tokenizer, setup.input, setup.max_length, options.rows)
    tokens = sorted(texts.count_tokens(tokenizer, row) for row in throughput)
    return {
        "latency": latency,
        "lengths": {name: texts.count_tokens(tokenizer, requests[0][0]) for name, requests in latency.items()},
        "throughput": throughput,
        "parity": throughput[: texts.PARITY_ROWS],
        "throughput_tokens": tokens,
        "throughput_source": source,
    }


def _name_cell(length: int, batch: int) -> str:
    """Name a latency cell: "64" for one row of 64 tokens, "64 x 8" for eight."""
    return str(length) if batch == 1 else f"{length} x {batch}"


def _split_words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _split_integers(text: str) -> list[int]:
    return [int(word) for word in _split_words(text)]
