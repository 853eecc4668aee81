"""Imports point downward only: no circle, and none that runs upward in the order of the house.

The imports are read from the text of the files, those inside functions too. What stands under
``if TYPE_CHECKING:`` is left out: it is never run.
"""
from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import minidl

ROOT = Path(minidl.__file__).parent

# The folders of the package, and the files beside them, from bottom to top. Each imports only from those before it,
# and from itself. "minidl" is minidl/__init__.py: what lies below it takes nothing from the package as a whole.
ORDER = [
    "kernels",
    "reference_windows", "reference", "random", "processor", "collector", "cuda", "files", "table", "metrics",
    "arrays", "checkpoint",
    "autograd",
    "functional", "creation",
    "distributions",
    "nn",
    "optim",
    "data", "utils",
    "compiled",
    "export",
    "training", "estimators",
    "minidl",
    "runs", "recipe", "sweep", "plot", "tables",
    "papers",
    "commands", "cli", "__main__",
]

# (file, what it imports within a function): upward, or around in a circle, for a reason that stands beside it.
ALLOWED = {
    ("minidl.nn.module", "minidl.compiled.prediction"):
        "Module.predict is a method, as users expect it; the program that it runs is written from modules",
    ("minidl.nn.members", "minidl.nn.module"):
        "the methods of a Module that stand in a file of their own ask what a Module is",
    ("minidl.training.live_plot", "minidl.plot"):
        "a callback, found where the others are, which draws while a model is trained",
    ("minidl.optim.compiled", "minidl.optim.optimizer"):
        "whether methods are the Optimizer's own is asked after both files were read",
}


class Import(NamedTuple):
    """``file`` imports ``target``; ``later``: within a function, thus not when the file is read."""

    file: str
    target: str
    later: bool


def name_of(path: Path) -> str:
    """The name by which a file is imported."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def is_type_checking(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def statements(tree: ast.AST, later: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """The imports below a node, and whether they stand in a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, later
        elif isinstance(node, ast.If) and is_type_checking(node.test):
            for other in node.orelse:
                yield from statements(other, later)
        else:
            yield from statements(node, later or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def targets(node: ast.Import | ast.ImportFrom, file: str, is_package: bool, files: set[str]) -> Iterator[str]:
    """The names of the modules that a statement imports, by their full names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parts = file.split(".")
        kept = parts[:len(parts) - node.level + is_package]
        base = ".".join([*kept, *([node.module] if node.module else [])])
    for alias in node.names:
        whole = f"{base}.{alias.name}"
        yield whole if whole in files else base


def read_imports(paths: dict[str, Path]) -> list[Import]:
    """All imports of minidl's own modules."""
    found = []
    files = {*paths, "minidl.kernels"}
    for file, path in paths.items():
        for node, later in statements(ast.parse(path.read_text())):
            for target in targets(node, file, path.name == "__init__.py", files):
                if target.split(".")[0] == "minidl":
                    found.append(Import(file, target, later))
    return found


def top(name: str) -> str:
    """The folder, or the file beside the folders, that a module belongs to."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def circle(edges: dict[str, set[str]]) -> list[str]:
    """The names along a circle; [] where there is none."""
    done: set[str] = set()

    def search(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name):], name]
        if name in done:
            return []
        for other in sorted(edges.get(name, ())):
            found = search(other, [*path, name])
            if found:
                return found
        done.add(name)
        return []

    return next((found for name in sorted(edges) if (found := search(name, []))), [])


# the kernels may stand elsewhere, behind a link
PATHS = {name_of(path): path for path in sorted([*ROOT.rglob("*.py"), *(ROOT / "kernels").glob("*.py")])}
IMPORTS = read_imports(PATHS)


def upward(found: Import) -> bool:
    """Whether it imports from what stands above it."""
    return ORDER.index(top(found.target)) > ORDER.index(top(found.file))


def test_every_folder_and_file_has_its_place_in_the_order():
    assert sorted(ORDER) == sorted({top(name) for name in PATHS})


def test_no_import_runs_upward():
    assert [found for found in IMPORTS if upward(found) and (found.file, found.target) not in ALLOWED] == []


def test_the_files_import_each_other_in_no_circle():
    edges: dict[str, set[str]] = {}
    for found in IMPORTS:
        # a package's own file is read before its parts, and its parts may ask for one another through it
        if found.file != found.target and (found.file, found.target) not in ALLOWED:
            edges.setdefault(found.file, set()).add(found.target)
    assert circle(edges) == []


@pytest.mark.parametrize("pair", ALLOWED, ids=lambda pair: f"{pair[0]} imports {pair[1]}")
def test_what_is_allowed_is_there_and_in_a_function(pair):
    found = [one for one in IMPORTS if (one.file, one.target) == pair]
    assert found and all(one.later for one in found)


def test_circles_and_imports_upward_are_found(tmp_path):
    """The checks themselves, on files that break the rules."""
    texts = {"minidl.arrays": "from .nn import module", "minidl.nn.module": "def f():\n    from .. import arrays",
             "minidl.optim": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .training import fit"}
    paths = {}
    for name, text in texts.items():
        paths[name] = tmp_path / f"{name}.py"
        paths[name].write_text(text)
    found = read_imports(paths)
    assert found == [Import("minidl.arrays", "minidl.nn.module", False),
                     Import("minidl.nn.module", "minidl.arrays", True)]
    assert [upward(one) for one in found] == [True, False]
    assert circle({one.file: {one.target} for one in found})[0] in texts
