"""The model card of a bundle, as the Hub shows it: what its manifest says, and how to use it."""

import html
import json
import re
from collections.abc import Iterator, Mapping

from assay.bundle.manifest import Graph, Manifest

__all__ = ["MARK", "write_card"]

MARK = "<!-- written by assay push -->"
"""Is in every card that was written here, so that one that somebody wrote is not replaced."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PRESETS = {
    "fp32": {"dtype": "fp32"},
    "fp16": {"dtype": "fp16"},
    "int8_ort": {"dtype": "fp32", "model_file_name": "model_int8_ort"},
    "int8_qdq": {"dtype": "fp32", "model_file_name": "model_int8_qdq"},
}
"""The options of transformers.js for the variants that it can run, the most exact first."""


def write_card(manifest: Manifest, name: str, measured: str | None = None) -> str:
    """Return the card of the bundle with this manifest, in Markdown.

    Args:
        manifest: The manifest.
        name: The name on the Hub that it will have.
        measured: What is known of its speed, one line of Markdown; None for nothing.
    """
    sections = [
        "\n".join(_write_head(manifest)),
        MARK,
        f"# {_escape(name.partition('/')[2])}",
        f"An ONNX bundle of {_describe(manifest)}, made by `assay export` and compared with PyTorch there.",
        _write_limits(manifest),
        "## Use it",
        _write_python(manifest, name),
        *_write_javascript(manifest, name),
        "## Variants",
        _write_variants(manifest),
    ]
    if measured is not None:
        sections += ["## Speed", measured]
    return "\n\n".join(sections) + "\n"


def _write_head(manifest: Manifest) -> Iterator[str]:
    yield "---"
    yield "library_name: assay"
    yield "pipeline_tag: text-classification"
    yield "tags: [assay, onnx, transformers.js, text-classification]"
    base = manifest.source.get("id")
    if isinstance(base, str) and _HUB_NAME.fullmatch(base) and manifest.source.get("revision"):
        yield f"base_model: {base}"
    yield "---"


def _describe(manifest: Manifest) -> str:
    rows = "pairs of texts" if manifest.input == "pair" else "texts"
    what = "a regression over" if manifest.task == "regression" else "a classifier of"
    return f"{_escape(manifest.name)} ({_escape(manifest.architecture)}), {what} {rows}"


def _write_limits(manifest: Manifest) -> str:
    lines = [f"- A row has at most {manifest.max_length:,} tokens. Longer ones are " + _say_truncation(manifest)]
    if manifest.task == "regression":
        if manifest.scale is not None:
            low, high = manifest.scale.native
            lines.append(f"- The score is from {low:g} to {high:g}, and may exceed both ends a little.")
    else:
        several = " A row may have several." if manifest.is_multi_label else ""
        lines.append(f"- Labels: {', '.join(_escape(label) for label in manifest.labels)}.{several}")
    return "\n".join(lines)


def _say_truncation(manifest: Manifest) -> str:
    return "cut, the longest text first." if manifest.truncation == "longest_first" else "refused, or cut on request."


def _write_python(manifest: Manifest, name: str) -> str:
    texts = '"What causes rain?", "Rain forms when water vapor condenses."' if manifest.input == "pair" else '"A text."'
    call = "score" if manifest.task == "regression" else "predict"
    return (
        "```python\nimport assay  # with the extras cpu (or gpu) and hub\n\n"
        f'model = assay.load("{name}")\nprint(model.{call}({texts}))\n```'
    )


def _write_javascript(manifest: Manifest, name: str) -> Iterator[str]:
    variant = next((variant for variant in _PRESETS if "portable" in manifest.variants.get(variant, {})), None)
    if variant is None:
        yield "It does not run in Node or in a browser: it has no portable graph."
        return
    graph = manifest.variants[variant]["portable"]
    scores = "the score" if manifest.activation == "identity" else f"turned into scores by a {manifest.activation}"
    vnni = " On x86 this graph needs a CPU with VNNI there." if variant == "int8_ort" else ""
    yield (
        "In Node, with [onnxruntime-node](https://www.npmjs.com/package/onnxruntime-node) and the tokenizer of "
        f"transformers.js. The logits are {scores}.{vnni}\n\n" + _write_node(manifest, graph, name)
    )
    yield (
        "In Node or in a browser, with [transformers.js](https://huggingface.co/docs/transformers.js). Call the "
        "tokenizer and the model, not the pipeline, which reads no pairs and shows every regression as 1:\n\n"
        + _write_transformers_js(manifest, graph, _PRESETS[variant], name)
    )


def _write_node(manifest: Manifest, graph: Graph, name: str) -> str:
    folder = name.partition("/")[2]
    options = _write_pair(manifest) | {"return_token_type_ids": "token_type_ids" in graph.inputs}
    level = {"graphOptimizationLevel": graph.graph_optimization}
    return (
        f"```\nhf download {name} --local-dir {folder}\nnpm install onnxruntime-node @huggingface/transformers\n```\n\n"
        '```js\nimport { AutoTokenizer, env } from "@huggingface/transformers";\n'
        'import { InferenceSession, Tensor } from "onnxruntime-node";\n\n'
        'env.localModelPath = "./";\nenv.allowRemoteModels = false;\n'
        f'const tokenizer = await AutoTokenizer.from_pretrained("{folder}");\n'
        f'const session = await InferenceSession.create("{folder}/{graph.file}", {json.dumps(level)});\n'
        f'const inputs = tokenizer("What causes rain?", {json.dumps(options)});\n'
        "const feeds = session.inputNames.map((name) => "
        '[name, new Tensor("int64", inputs[name].data, inputs[name].dims)]);\n'
        "const { logits } = await session.run(Object.fromEntries(feeds));\nconsole.log([...logits.data]);\n```"
    )


def _write_transformers_js(manifest: Manifest, graph: Graph, preset: Mapping[str, str], name: str) -> str:
    options: dict[str, object] = dict(preset)
    if graph.data:
        options["use_external_data_format"] = True
    if graph.graph_optimization != "all":
        options["session_options"] = {"graphOptimizationLevel": graph.graph_optimization}
    pair = f", {json.dumps(_write_pair(manifest))}" if manifest.input == "pair" else ""
    return (
        '```js\nimport { pipeline } from "@huggingface/transformers";\n\n'
        f'const answer = await pipeline("text-classification", "{name}", {json.dumps(options)});\n'
        f'const inputs = answer.tokenizer("What causes rain?"{pair});\n'
        "console.log((await answer.model(inputs)).logits.tolist());\n```"
    )


def _write_pair(manifest: Manifest) -> dict[str, object]:
    return {"text_pair": "Rain forms when water vapor condenses."} if manifest.input == "pair" else {}


def _write_variants(manifest: Manifest) -> str:
    lines = ["| variant | graph | size | compared with PyTorch at export |", "|---|---|---|---|"]
    for variant, dialects in manifest.variants.items():
        for dialect, graph in dialects.items():
            size = sum(manifest.files[file].size for file in graph.files) / 1e6
            cells = [f"{variant}, {dialect}", f"`{graph.file}`", f"{size:,.1f} MB", _say_parity(graph)]
            lines.append(f"| {' | '.join(_escape(cell) if cell[0] != '`' else cell for cell in cells)} |")
    return "\n".join(lines)


def _say_parity(graph: Graph) -> str:
    """Return how far the graph's answers were from PyTorch's, and what its gate allowed, as the manifest has it."""
    summary, parity = graph.parity.get("summary"), graph.parity
    if isinstance(summary, str) and summary:
        return summary
    delta, limit, rows = parity.get("max_abs_delta"), parity.get("threshold"), parity.get("rows")
    if not isinstance(delta, int | float):
        return "not recorded"
    text = f"logits differ by at most {delta:.2g}"
    text += f" of {limit:.2g} allowed" if isinstance(limit, int | float) else ""
    text += f", {rows:,} rows" if isinstance(rows, int) else ""
    agreement = parity.get("label_agreement")
    return text + (f", same label in {agreement:.1%}" if isinstance(agreement, int | float) else "")


def _escape(text: str) -> str:
    """Return a name that the bundle chose such that it is text in Markdown, also in a table."""
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", html.escape(" ".join(text.split()), quote=False))
