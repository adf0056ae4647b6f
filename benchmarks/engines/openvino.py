"""OpenVINO: int8 made by NNCF from a bundle's portable graph, and requests in both modes."""

import importlib.metadata
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.bundle.manifest import Manifest
from assay.optional_packages import require
from benchmarks.inputs.calibration import choose_rows, tokenise_calibration
from benchmarks.timing import Ids, Turn, one_at_a_time

__all__ = ["many_requests", "name_quantised", "one_request", "open_batches", "quantise", "require_openvino"]

Float32 = npt.NDArray[np.float32]

CALIBRATION_ROWS, CALIBRATION_TOKENS = 64, 256  # for NNCF: rows, and the tokens that each is cut to


def require_openvino() -> None:
    """Check that OpenVINO and NNCF can be imported.

    Raises:
        InstallationError: One of them is missing.
    """
    _openvino()
    _nncf()


def _openvino() -> Any:
    return require("openvino", "'assay[bench]'", "OpenVINO int8")


def _nncf() -> Any:
    return require("nncf", "'assay[bench]'", "OpenVINO int8")


def name_quantised(manifest: Manifest) -> str:
    """Name the folder of a quantised model by its weights, by the version of NNCF and by the calibration."""
    portable = manifest.variants["fp32"]["portable"]
    weights = manifest.files[portable.data[0] if portable.data else portable.file].sha256[:12]
    version = importlib.metadata.version("nncf")
    return f"{manifest.name}-{weights}-nncf-{version}-{CALIBRATION_ROWS}x{CALIBRATION_TOKENS}"


def quantise(bundle: Path, manifest: Manifest, folder: Path) -> Path:
    """Quantise the portable graph of a bundle by nncf.quantize with its transformer preset, SmoothQuant included.

    Returns:
        The OpenVINO model in the new `folder`, or the one that an earlier run left there.
    """
    model = folder / "model.xml"
    if model.is_file():
        return model
    openvino, nncf = _openvino(), _nncf()
    rows = choose_rows(tokenise_calibration(bundle, manifest), CALIBRATION_ROWS, CALIBRATION_TOKENS)
    data = nncf.Dataset(rows, lambda ids: {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    source = openvino.Core().read_model(str(bundle / manifest.variants["fp32"]["portable"].file))
    quantised = nncf.quantize(source, data, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(rows))
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    openvino.save_model(quantised, str(partial / model.name))
    partial.rename(folder)
    return model


def one_request(model: Path, cores: int) -> tuple[Turn, str]:
    """Run one request at a time on all cores.

    Returns:
        The turn, and the type that OpenVINO chose for whatever is not int8.
    """
    compiled = _compile(model, {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": cores})
    request, masks = compiled.create_infer_request(), _Masks()
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()

    def call(ids: Ids) -> object:
        return request.infer(
            {"input_ids": ids, "attention_mask": masks[ids.shape[1]]}, share_inputs=True, share_outputs=True
        )

    return one_at_a_time(call), precision


def many_requests(model: Path, cores: int) -> Turn:
    """Run one stream per core, fed by OpenVINO's own queue of requests and timed like `timing.from_callers`."""
    streams = {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores}
    queue, masks = _openvino().AsyncInferQueue(_compile(model, streams)), _Masks()

    def turn(inputs: Sequence[Ids]) -> float:
        start = 0.0
        for part in (inputs[:cores], inputs):
            start = time.perf_counter()
            for ids in part:
                queue.start_async({"input_ids": ids, "attention_mask": masks[ids.shape[1]]}, share_inputs=True)
            queue.wait_all()
        return (time.perf_counter() - start) / len(inputs)

    return turn


def open_batches(model: Path, streams: int | None, cores: int) -> Callable[[Sequence[Ids], int], Float32]:
    """Compile for throughput, with `streams` parallel requests, or as many as OpenVINO chooses if that is None.

    Returns:
        A function that takes rows of token ids [sequence] and a batch size, and returns logits [rows, labels] in order.
        Rows of similar length share a padded batch, longest first. OpenVINO's own queue feeds the requests.
    """
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_NUM_THREADS": cores}
    compiled = _compile(model, settings if streams is None else settings | {"NUM_STREAMS": streams})
    queue = _openvino().AsyncInferQueue(compiled)
    answers: dict[int, Float32] = {}

    def keep(request: Any, indices: list[int]) -> None:
        for index, row in zip(indices, request.get_output_tensor(0).data, strict=True):
            answers[index] = row.copy()

    queue.set_callback(keep)

    def call(rows: Sequence[Ids], batch: int) -> Float32:
        answers.clear()
        order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            ids, mask = np.zeros((2, len(part), len(rows[part[0]])), np.int64)  # the mask hides id 0
            for place, index in enumerate(part):
                ids[place, : len(rows[index])], mask[place, : len(rows[index])] = rows[index], 1
            queue.start_async({"input_ids": ids, "attention_mask": mask}, part)
        queue.wait_all()
        return np.stack([answers[index] for index in range(len(rows))])

    return call


class _Masks(dict[int, Ids]):
    """Attention masks of ones by length, kept alive because requests read them in place."""

    def __missing__(self, length: int) -> Ids:
        return self.setdefault(length, np.ones((1, length), np.int64))


def _compile(model: Path, settings: dict[str, Any]) -> Any:
    return _openvino().Core().compile_model(str(model), "CPU", settings)
