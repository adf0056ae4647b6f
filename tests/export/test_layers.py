"""The layers of assay_export: imports point down only, and no modules import each other in a circle."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "assay_export"
ROOT = Path(__file__).parents[2] / "export" / PACKAGE

# From the bottom up. A module may import from its own layer and from those below.
LAYERS = (
    "errors",
    "progress",
    "interruption",
    "texts",
    "checkpoint",
    "graphs",
    "gates",
    "tensorrt",
    "variants",
    "options",
    "bundle",
    "options",
    "exporter",
    "command",
)


def list_modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name; a package's own module is its __init__.py."""
    modules = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = (PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)
        modules[".".join(parts).removesuffix(".__init__")] = path
    return modules


MODULES = list_modules()


def read_imports(path: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports, at the top, inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports by a relative path"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in MODULES else str(node.module)


def find_layer(module: str) -> str:
    """Return the layer of a module: its first name below the package."""
    return module.split(".")[1]


IMPORTS = {module: sorted(set(read_imports(path))) for module, path in MODULES.items()}


def test_every_module_is_in_a_layer() -> None:
    assert {find_layer(module) for module in MODULES if module != PACKAGE} <= set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_itself_and_the_layers_below_it(layer: str) -> None:
    allowed = LAYERS[: LAYERS.index(layer) + 1]
    upwards = [
        f"{module} imports {imported}"
        for module, names in IMPORTS.items()
        if module != PACKAGE and find_layer(module) == layer
        for imported in names
        if imported == PACKAGE or (imported in MODULES and find_layer(imported) not in allowed)
    ]
    assert upwards == []


def find_circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the modules of one circle of imports, or an empty list if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert find_circle({module: [name for name in names if name in MODULES] for module, names in IMPORTS.items()}) == []


def test_a_circle_would_be_found() -> None:
    assert set(find_circle({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]})) == {"a", "b", "c"}


def test_the_export_imports_neither_the_benchmarks_nor_the_tests() -> None:
    outside = [
        f"{module} imports {imported}"
        for module, names in IMPORTS.items()
        for imported in names
        if imported.split(".")[0] in ("benchmarks", "tests")
    ]
    assert outside == []
