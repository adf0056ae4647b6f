"""Peers of the benchmark suite in `quality`: their answers, and what is refused before a long run."""

from pathlib import Path

import numpy as np
import pytest

from assay.bundle.folder import Bundle, open_bundle
from assay.errors import AssayError, InputError, NumericalError
from assay_export.checkpoint.source import Source, resolve
from benchmarks.errors import BenchmarkError
from benchmarks.quality import peers
from benchmarks.quality.answers import ask_torch
from tests.conftest import CHECKPOINTS

ROWS = [("What causes rain?", "Rain forms when water vapour cools."), ("Name a colour.", "Blue.")] * 40


def test_a_peer_answers_as_pytorch_does_in_a_process_of_its_own(pair_bundle: Path) -> None:
    source, bundle = resolve(str(CHECKPOINTS / "pair-classifier")), open_bundle(pair_bundle)
    answered: list[None] = []
    found = peers.ask_peer("torch-fp32", source, bundle, "build/peers", ROWS, lambda: answered.append(None))
    assert len(answered) == len(ROWS)
    expected = ask_torch(source, None, bundle, ROWS, lambda: None)
    assert np.abs(found - expected).max() < 1e-4


def test_versions_of_the_peers_are_recorded(pair_bundle: Path) -> None:
    source = resolve(str(CHECKPOINTS / "pair-classifier"))
    assert peers.check_peers(["torch-fp32"], source, open_bundle(pair_bundle), "build/peers").keys() == {
        "torch",
        "transformers",
    }
    assert peers.check_peers([], None, open_bundle(pair_bundle), "build/peers") == {}


def test_what_no_peer_can_do_is_refused(pair_bundle: Path, scorer_bundle: Path, tmp_path: Path) -> None:
    pairs, texts = open_bundle(pair_bundle), open_bundle(scorer_bundle)
    source = resolve(str(CHECKPOINTS / "pair-classifier"))
    refusals: list[tuple[str, Source | None, Bundle, type[AssayError], str]] = [
        ("tensorflow", source, pairs, BenchmarkError, "no peer is called 'tensorflow'"),
        ("sentence-transformers", source, texts, BenchmarkError, "does not take a text on the CPU"),
        ("torch-fp16", source, pairs, BenchmarkError, "does not take a pair on the CPU"),
        ("torchao-int8", source, pairs, BenchmarkError, "which needs .*torchao.*: make bench-peers PEERS=torchao"),
        ("torch-fp32", None, pairs, InputError, "add --checkpoint"),
        ("torch-fp32", resolve(str(CHECKPOINTS / "complexity-adapter")), texts, InputError, "is an adapter"),
    ]
    for name, checkpoint, bundle, kind, said in refusals:
        with pytest.raises(kind, match=said):
            peers.check_peers([name], checkpoint, bundle, str(tmp_path))


def test_an_answer_that_is_not_finite_names_its_row(pair_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        @classmethod
        def start(cls, *_: object) -> "Broken":
            return cls()

        def ask(self, do: str, limit: float, rows: list[object] | None = None) -> dict[str, object]:  # noqa: ARG002
            return {"logits": [[0.0] * 5] + [[float("nan")] * 5] * (len(rows) - 1)} if rows else {}

        def close(self) -> None:
            pass

    monkeypatch.setattr(peers, "PeerProcess", Broken)
    monkeypatch.setattr(peers, "run_module", lambda *_, **__: None)
    source = resolve(str(CHECKPOINTS / "pair-classifier"))
    with pytest.raises(NumericalError, match="torch-fp32 answers") as raised:
        peers.ask_peer("torch-fp32", source, open_bundle(pair_bundle), "build/peers", ROWS[:2], lambda: None)
    assert raised.value.row == 1
