"""Fill a folder with the browser page, the JavaScript libraries and bundles, for any server of static files.

    make web
    python examples/browser/make_site.py build/web bundles/pair-classifier bundles/complexity
    python -m http.server --bind 127.0.0.1 --directory build/web

Of each bundle, the graphs that ONNX Runtime's web build can run are copied, and their hashes are checked.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["LIBRARIES", "make_site"]

PAGE = Path(__file__).parent
PACKAGES = PAGE.parent / "node_modules"
LIBRARIES = (
    "@huggingface/transformers/dist/transformers.web.min.js",
    "onnxruntime-web/dist/ort.wasm.min.mjs",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
)


def make_site(out: Path, bundles: Sequence[Path]) -> None:
    """Fill the folder `out`, which must not exist, with a page that answers from `bundles`.

    Raises:
        FileNotFoundError: A library or a file of a bundle is absent.
        FileExistsError: `out` exists.
        ValueError: A file of a bundle does not match its hash, or two bundles have the same name.
    """
    names = [bundle.resolve().name for bundle in bundles]
    if len(set(names)) != len(names):
        raise ValueError(f"two bundles have the same name ({', '.join(names)}); rename one")
    (out / "lib").mkdir(parents=True)
    for name in LIBRARIES:
        shutil.copy(PACKAGES / name, out / "lib")
    for name in ("index.html", "bundle.js"):
        shutil.copy(PAGE / name, out)
    for bundle, name in zip(bundles, names, strict=True):
        _copy_bundle(bundle, out / "bundles" / name)
    (out / "bundles.json").write_text(json.dumps(names), encoding="utf-8")


def _copy_bundle(bundle: Path, target: Path) -> None:
    manifest = json.loads((bundle / "assay.json").read_text(encoding="utf-8"))
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", *_list_graph_files(manifest)):
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(bundle / name, copy)
        with copy.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != manifest["files"][name]["sha256"]:
                raise ValueError(f"{bundle / name} does not match its hash in assay.json; export the bundle again")
    shutil.copy(bundle / "assay.json", target)


def _list_graph_files(manifest: dict[str, Any]) -> Iterator[str]:
    """Yield the files of the graphs that bundle.js opens (listGraphs)."""
    for dialects in manifest["variants"].values():
        if graph := dialects.get("portable") or dialects.get("cpu"):
            yield from (graph["file"], *graph["data"])


if __name__ == "__main__":
    try:
        make_site(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
