import threading
from pathlib import Path

import numpy as np
import pytest

import assay
from assay import ProviderError
from assay.bundle import golden
from assay.bundle.folder import open_bundle
from assay.cli.main import main
from assay.gpu import driver


def test_every_portable_graph_passes_verify_on_cuda(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(bundle), "--device", "cuda"]) == 0
    assert "allowed on cuda:0" in capsys.readouterr().out


def test_cuda_computes_everything_but_shapes(bundle: Path) -> None:
    info = assay.load(bundle, device="cuda", variant="fp32").info
    assert info["providers"] == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert info["nodes"]["CUDAExecutionProvider"] > info["nodes"].get("CPUExecutionProvider", 0)


@pytest.mark.parametrize("cuda_graphs", [False, True])
def test_cuda_gives_the_logits_of_the_cpu_for_every_length_and_batch(bundle: Path, cuda_graphs: bool) -> None:
    rows = golden.read(open_bundle(bundle)).tokens
    on_cpu = assay.load(bundle, device="cpu", variant="fp32")
    on_gpu = assay.load(bundle, device="cuda", variant="fp32", cuda_graphs=cuda_graphs)
    for batch in (rows, rows[:1], rows[:3], rows * 9, rows):  # a shape that comes again is replayed
        assert np.abs(on_gpu.answers(batch) - on_cpu.answers(batch)).max() <= 1e-4


def test_threads_share_a_session_on_cuda(bundle: Path) -> None:
    rows = golden.read(open_bundle(bundle)).tokens
    model = assay.load(bundle, device="cuda", cuda_graphs=True)
    expected = model.answers(rows)
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            if np.abs(model.answers(rows[number:]) - expected[number:]).max() > 1e-3:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_auto_takes_the_gpu(bundle: Path) -> None:
    assert assay.load(bundle, device="auto").info["device"] == "cuda:0"


def test_a_gpu_that_is_not_there_is_refused(bundle: Path) -> None:
    number = len(driver.find().gpus)
    with pytest.raises(ProviderError, match="no GPU with this number"):
        assay.load(bundle, device=f"cuda:{number}")


def test_a_memory_limit_that_is_too_small_is_a_provider_error(bundle: Path) -> None:
    with pytest.raises(ProviderError, match="memory is full"):
        assay.load(bundle, device="cuda", gpu_memory=4096)
