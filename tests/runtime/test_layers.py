"""Imports inside runtime/assay go downwards. Read from the source, so that imports inside functions count as well."""

import ast
from collections.abc import Iterator
from pathlib import Path

import assay

ROOT = Path(assay.__file__).parent

# From bottom to top. A room may import rooms of lower lines and itself, but not its neighbours on the same line.
LAYERS = [
    ["control_characters"],
    ["errors"],
    ["optional_packages", "files", "system"],
    ["inputs"],
    ["devices"],
    ["bundle"],
    ["ort"],
    ["gpu"],
    ["models"],
    ["load_options"],
    ["building"],
    ["loading"],
    ["aio", "annotate", "demo", "integrations", "publish", "select", "triton"],
    ["assay"],  # the package itself, which offers names of all the rooms below
    ["cli"],
    ["__main__"],
]
LEVELS = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def read_modules() -> dict[str, ast.Module]:
    """The syntax tree of every module of the package assay, by dotted name."""
    modules = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ("assay", *path.relative_to(ROOT).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = ast.parse(path.read_text(encoding="utf-8"))
    return modules


MODULES = read_modules()


def imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """The dotted names that the import statements among `nodes` import, modules where they are modules."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """The statements that run when a module is imported: not those in functions or for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from executed(child)


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def test_every_module_is_in_a_room_with_a_level() -> None:
    assert {room(module) for module in MODULES} == set(LEVELS)


def test_imports_between_rooms_go_down_only() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, tree in MODULES.items()
        for name in imported(ast.walk(tree))
        if name.split(".")[0] == "assay" and room(module) != room(name) and LEVELS[room(name)] >= LEVELS[room(module)]
    ]
    assert wrong == []


def test_no_module_imports_itself_through_others() -> None:
    arrows = {module: set(imported(executed(tree))) & MODULES.keys() for module, tree in MODULES.items()}
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a circle: {' -> '.join((*path[path.index(module) :], module))}"
        if module not in finished:
            for name in sorted(arrows[module]):
                visit(name, (*path, module))
            finished.add(module)

    for module in sorted(MODULES):
        visit(module, ())


def test_the_runtime_imports_neither_the_export_nor_the_benchmarks() -> None:
    roots = {name.split(".")[0] for tree in MODULES.values() for name in imported(ast.walk(tree))}
    assert roots.isdisjoint({"assay_export", "benchmarks", "tests"})
