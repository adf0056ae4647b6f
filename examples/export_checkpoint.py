"""Export a checkpoint to a bundle from Python, and say how close each graph is to PyTorch.

    python examples/export_checkpoint.py tests/checkpoints/pair-classifier bundles/pair-classifier fp32 int8

The command line does the same: assay export CHECKPOINT --out BUNDLE --variants fp32,int8
"""

import sys
from collections.abc import Sequence

import assay_export


def main(checkpoint: str, bundle: str, variants: Sequence[str] = ("fp32",)) -> int:
    try:
        manifest = assay_export.export(checkpoint, bundle, variants=variants, force=True)
    except assay_export.ExportError as error:
        print(f"not exported: {error}", file=sys.stderr)
        return 1
    print(f"{bundle}: {manifest.task}, labels {', '.join(manifest.labels)}, up to {manifest.max_length} tokens")
    for variant, dialects in manifest.variants.items():
        for dialect, graph in dialects.items():
            print(f"{variant}, {dialect}: {graph.file}, mean |delta| {graph.parity['mean_abs_delta']:.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:] or ["fp32"]))
