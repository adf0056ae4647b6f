"""Write a bundle as a model repository for NVIDIA's Triton Inference Server and its ONNX Runtime backend.

    OUT/NAME_cpu/config.pbtxt  tokenizer.json  assay.json  1/model.onnx  1/...       # KIND_CPU, fp32
    OUT/NAME_gpu/config.pbtxt  tokenizer.json  assay.json  1/model.onnx  1/...       # KIND_GPU, fp16 or fp32

There are two models instead of one with two instance groups: Triton refuses a model with an instance group for GPUs on
a machine without one, and the best graph for a GPU is not the one for a CPU. Both are portable graphs, which accept
padded rows. Graphs of the cpu dialect have no attention mask: a client that pads would get wrong answers unnoticed.

Fields: https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html
and the README of triton-inference-server/onnxruntime_backend. The tests parse the configuration with the schema of
tritonclient 2.73, and run the graphs.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import Literal

from assay.bundle.folder import Bundle, Choice
from assay.bundle.hub import open_bundle
from assay.bundle.manifest import MANIFEST_NAME, TOKENIZER_NAME, Graph
from assay.devices import Device
from assay.errors import BundleError, InputError, one_line
from assay.gpu import providers
from assay.gpu.options import GpuOptions
from assay.inputs.validation import describe

__all__ = ["KINDS", "MAX_BATCH", "write"]

Kind = Literal["cpu", "gpu"]

KINDS: tuple[Kind, ...] = ("cpu", "gpu")
MAX_BATCH = 8

_MAX_QUEUE = 128
_MAX_DELAY_MICROSECONDS = 2_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# The README of onnxruntime_backend: 1 is basic and extended, -1 is basic, 2 is none. Without a level, all are on.
_LEVELS = {"extended": 1, "basic": -1, "disabled": 2}


def write(
    bundle: str | os.PathLike[str],
    out: str | os.PathLike[str],
    name: str | None = None,
    max_batch: int = MAX_BATCH,
    threads: int | None = None,
    revision: str | None = None,
) -> dict[str, Choice]:
    """Write the repository `out` for a bundle.

    All files are hashed first. They become hard links to those of the bundle if the file system allows it, else copies.
    `out` is written completely or not at all.

    Args:
        bundle: As in assay.load.
        out: The folder to write. It must not exist.
        name: The name of the models before _cpu and _gpu. Default: that of the bundle.
        max_batch: The most rows that Triton runs together. Triton does not count tokens, so this limits the memory.
        threads: Threads of one run on the CPU. By default ONNX Runtime uses every core of the machine.
        revision: As in assay.load.

    Returns:
        The graphs by the names of the models.

    Raises:
        BundleError: The bundle is damaged or has no portable graph.
        InputError: An option is invalid, or `out` exists or cannot be written.
    """
    opened = open_bundle(bundle, revision)
    chosen = opened.manifest.name if name is None else name
    if not isinstance(chosen, str) or _NAME.fullmatch(chosen) is None:
        shown = repr(chosen[:80]) if isinstance(chosen, str) else describe(chosen)
        raise InputError(
            f"the model's name is {shown}, expected letters, digits and . _ - because it names a folder and is part of "
            "a URL; choose another name (--name)"
        )
    for option, number in (("max_batch", max_batch), ("threads", threads)):
        if number is not None and (not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= 1_024):
            raise InputError(f"{option} is {describe(number)}, expected an integer from 1 to 1,024")
    graphs: dict[Kind, Choice] = {"cpu": _choose_portable_fp32(opened), "gpu": opened.choose("auto", "cuda")}
    target = _check_target(out)
    files = sorted({file for choice in graphs.values() for file in opened.list_needed(choice)})
    opened.obtain(files)
    opened.check_hashes(files)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.partial-", dir=target.parent) as staging:
            repository = Path(staging) / "models"
            for kind, choice in graphs.items():
                folder = repository / f"{chosen}_{kind}"
                _write_files(opened, choice.graph, folder)
                config = _format_config(opened, choice, kind, max_batch, threads)
                (folder / "config.pbtxt").write_text(config, encoding="utf-8")
            _check_target(out)
            repository.rename(target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({one_line(error)}); nothing was left behind") from error
    return {f"{chosen}_{kind}": choice for kind, choice in graphs.items()}


def _choose_portable_fp32(bundle: Bundle) -> Choice:
    """Return the graph for a CPU: int8 graphs are of the cpu dialect, and fp16 is slower on a CPU than fp32."""
    graph = bundle.manifest.variants.get("fp32", {}).get("portable")
    if graph is None:
        raise BundleError(f"{bundle.folder}: has no portable fp32 graph, which Triton needs; export the bundle again")
    return Choice("fp32", "portable", graph)


def _check_target(out: str | os.PathLike[str]) -> Path:
    try:
        target = Path(os.path.abspath(os.fspath(out)))  # noqa: PTH100 - Path.absolute keeps "..", Path.resolve follows links
        if "\0" in str(target):
            raise ValueError("it has a NUL character")
        if not os.path.lexists(target):
            return target
    except (TypeError, ValueError) as error:
        raise InputError(
            f"out is {describe(out)}, expected the path of a folder to write ({one_line(error)})"
        ) from None
    raise InputError(f"{target}: exists, expected a path that does not exist; remove it or choose another")


def _write_files(bundle: Bundle, graph: Graph, folder: Path) -> None:
    """Write the graph as 1/model.onnx, its weights under the names that it refers to, and the files for clients."""
    version = folder / "1"
    version.mkdir(parents=True)
    home = PurePosixPath(graph.file).parent
    places = {graph.file: version / "model.onnx"}
    places |= {name: version / PurePosixPath(name).relative_to(home) for name in graph.data}
    places |= {name: folder / name for name in (TOKENIZER_NAME, MANIFEST_NAME)}
    for name, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        _link(bundle.folder / name, place)


def _link(source: Path, place: Path) -> None:
    source = source.resolve()  # a link to a link would point from the wrong folder
    try:
        os.link(source, place)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, place)


def _format_config(bundle: Bundle, choice: Choice, kind: Kind, max_batch: int, threads: int | None) -> str:
    """Return config.pbtxt, inference.ModelConfig in protobuf's text format."""
    inputs = ",\n".join(f'  {{ name: "{name}" data_type: TYPE_INT64 dims: [ -1 ] }}' for name in choice.graph.inputs)
    level = _LEVELS.get(choice.graph.graph_optimization)
    optimization = [] if level is None else [f"  graph {{ level: {level} }}"]
    if kind == "gpu":
        _, options = providers.configure_cuda(Device("cuda", 0), GpuOptions())[0]
        parameters = "\n".join(
            f'      parameters {{ key: "{key}" value: "{value}" }}'
            for key, value in options.items()
            if key != "device_id"
        )
        accelerator = f'gpu_execution_accelerator {{\n      name: "cuda"\n{parameters}\n    }}'
        optimization.append(f"  execution_accelerators {{\n    {accelerator}\n  }}")
    lines = [
        f"# {choice.variant}, {choice.graph.file}; written by assay triton.",
        "# Rows of one request have one length: pad on the right, attention_mask 1 for tokens and 0 for padding.",
        'backend: "onnxruntime"',
        'default_model_filename: "model.onnx"',
        f"max_batch_size: {max_batch}",
        f"input [\n{inputs}\n]",
        f'output [\n  {{ name: "logits" data_type: TYPE_FP32 dims: [ {len(bundle.manifest.labels)} ] }}\n]',
        "# Requests of equal length share a run. A full queue refuses requests.",
        f"dynamic_batching {{\n  max_queue_delay_microseconds: {_MAX_DELAY_MICROSECONDS}\n"
        f"  default_queue_policy {{ max_queue_size: {_MAX_QUEUE} }}\n}}",
        f"instance_group [ {{ kind: KIND_{kind.upper()} count: 1 }} ]",
    ]
    if optimization:
        lines.append("optimization {\n" + "\n".join(optimization) + "\n}")
    if kind == "cpu" and threads is not None:
        lines.append(f'parameters {{ key: "intra_op_thread_count" value: {{ string_value: "{threads}" }} }}')
    return "\n".join(lines) + "\n"
