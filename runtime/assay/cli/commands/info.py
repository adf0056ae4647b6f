"""assay info: what a bundle says about itself. It reads only assay.json; verify checks that the rest agrees."""

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from assay.bundle.folder import Bundle
from assay.cli.options import add_bundle, add_json, open_asked, print_json
from assay.control_characters import escape_controls
from assay.devices import KINDS
from assay.errors import BundleError

if TYPE_CHECKING:
    from assay.bundle.manifest import Graph, Manifest

__all__ = ["HELP", "add_arguments", "run"]

HELP = "show what a bundle is: task, labels, limits, variants, parity, source"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    add_json(parser, "the bundle's manifest, assay.json, on one line")


def run(args: argparse.Namespace) -> int:
    bundle = open_asked(args)
    manifest = bundle.manifest
    if args.json:
        print_json(dict(manifest.document))
        return 0
    for name, value in (*_describe(manifest), *_list_choices(bundle)):
        print(f"{name:<12}{escape_controls(value)}")
    for variant, dialects in manifest.variants.items():
        for graph in dialects.values():
            _print_layers(variant, graph)
    return 0


def _print_layers(variant: str, graph: "Graph") -> None:
    """Print the recipe of each linear layer of a quantised graph, and why it has it."""
    if not graph.layers:
        return
    cells = [[str(layer.get(key, "")) for key in ("layer", "recipe", "why")] for layer in graph.layers]
    widths = [max(len(row[column]) for row in cells) for column in range(2)]
    print(f"\n{variant} layers of {graph.file}")
    for layer, recipe, why in cells:
        print(escape_controls(f"  {layer:<{widths[0]}}  {recipe:<{widths[1]}}  {why}".rstrip()))


def _describe(manifest: "Manifest") -> Iterator[tuple[str, str]]:
    rows = "pairs of texts" if manifest.input == "pair" else "texts"
    yield "name", manifest.name
    yield (
        "model",
        f"{manifest.architecture}, {manifest.graph_origin} graph, pooling {manifest.pooling or 'of the architecture'}",
    )
    if manifest.graph_origin_reason is not None:
        yield "traced", f"because {manifest.graph_origin_reason}"
    yield "task", f"{manifest.task} of {rows}, activation {manifest.activation}"
    yield "labels", ", ".join(manifest.labels) + ("; a row may have several" if manifest.is_multi_label else "")
    if manifest.scale is not None:
        low, high = manifest.scale.native
        evol = manifest.scale.evol_complexity
        yield "scale", f"{low:g} to {high:g}" + ("" if evol is None else f"; Evol-Complexity {evol[0]} to {evol[1]}")
    longer = (
        "truncated longest-first" if manifest.truncation == "longest_first" else "refused, or truncated with --truncate"
    )
    yield "reads", f"{manifest.max_length:,} tokens; longer texts are {longer}"
    for variant, dialects in manifest.variants.items():
        for dialect, graph in dialects.items():
            yield f"{variant}", f"{dialect}: {_describe_graph(graph, manifest)}"
    yield "files", f"{len(manifest.files)}, {_sum_megabytes(record.size for record in manifest.files.values())}"
    yield "source", _join_pairs(manifest.source)
    yield "made with", _join_pairs(manifest.tools)


def _list_choices(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Yield what the variant "auto" is on each device, and why."""
    from assay.ort import kernels
    from assay.ort.usable import find_unusable_dialects

    unusable = find_unusable_dialects(bundle.manifest.variants)
    for kind in KINDS:
        try:
            choice = bundle.choose("auto", kind, unusable if kind == "cpu" else {})
        except BundleError:
            yield f"on {kind}", "none: the bundle has no portable graph"
        else:
            with_set = f" with {kernels.read_instruction_set()}" if choice.graph.is_packed else ""
            yield f"on {kind}", f"{choice.variant}{with_set}, {choice.graph.file} ({choice.why})"


def _describe_graph(graph: "Graph", manifest: "Manifest") -> str:
    size = _sum_megabytes(manifest.files[name].size for name in graph.files)
    if isinstance(graph.parity.get("summary"), str):
        shared = f"; rows share calls of up to {graph.tokens_per_call} tokens" if graph.tokens_per_call > 1 else ""
        return f"{graph.file}, {size}, {graph.parity['summary']}{shared}"
    delta, threshold = graph.parity.get("max_abs_delta"), graph.parity.get("threshold")
    parity = f", max |delta logit| {delta:.2g}" if isinstance(delta, int | float) else ""
    limit = f" of {threshold:.2g} allowed" if parity and isinstance(threshold, int | float) else ""
    own = graph.parity.get("reference_error")
    why = f" (PyTorch's own float32 error is {own:.2g})" if limit and isinstance(own, int | float) else ""
    return f"{graph.file}, {size}{parity}{limit}{why}"


def _sum_megabytes(sizes: "Iterator[int]") -> str:
    return f"{sum(sizes) / 1e6:,.1f} MB"


def _join_pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)
