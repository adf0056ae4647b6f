"""Imports inside benchmarks go down the floors that its docstring lists, and never in circles."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from tests.conftest import ROOT

BENCHMARKS = ROOT / "benchmarks"

# Each room may import those before it, and itself. Rooms on one line must not import each other.
FLOORS = (
    ("__init__",),
    ("errors",),
    ("command_line", "cost", "machine", "timing"),
    ("inputs",),
    ("engines",),
    ("standins",),
    ("suite", "probes"),
    ("quality",),
    ("__main__",),
)
SUITE_FLOORS = (
    ("__init__",),
    ("environments", "setup", "samples"),
    ("peers",),
    ("preparation", "measure", "report"),
    ("compare", "readme", "command"),
)


def name_module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_module(path): path for path in sorted(BENCHMARKS.rglob("*.py"))}


def read_imports(path: Path) -> Iterator[str]:
    """Yield the modules of benchmarks that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else str(node.module) for name in names]
        else:
            continue
        yield from (name for name in names if name in MODULES)


def find_room(module: str, package: str) -> str | None:
    """The room of `package` that a module is in, or None if it is elsewhere."""
    if module == package:
        return "__init__"
    return module.removeprefix(f"{package}.").split(".")[0] if module.startswith(f"{package}.") else None


def find_climbing(package: str, floors: tuple[tuple[str, ...], ...]) -> list[str]:
    """List the imports from one room into another one that is not below it."""
    floor = {room: number for number, rooms in enumerate(floors) for room in rooms}
    climbing = []
    for module, path in MODULES.items():
        room = find_room(module, package)
        if room is None:
            continue
        assert room in floor, f"{room} of {package} is on no floor: add it"
        for imported in read_imports(path):
            target = find_room(imported, package)
            if target not in (None, room) and floor[str(target)] >= floor[room]:
                climbing.append(f"{module} imports {imported}")
    return climbing


def test_rooms_import_only_rooms_below_them() -> None:
    assert find_climbing("benchmarks", FLOORS) == []
    assert find_climbing("benchmarks.suite", SUITE_FLOORS) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: set(read_imports(path)) - {module} for module, path in MODULES.items()}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert set(order) == set(MODULES)


def test_probes_do_not_import_each_other() -> None:
    for module, path in MODULES.items():
        if module.startswith("benchmarks.probes."):
            others = {name for name in read_imports(path) if name.startswith("benchmarks.probes.")}
            assert others == set(), module


def test_a_room_has_at_most_a_dozen_entries() -> None:
    for folder in {path.parent for path in MODULES.values()}:
        entries = [entry for entry in folder.iterdir() if entry.name not in ("__pycache__", "__init__.py")]
        assert len(entries) <= 12, folder
