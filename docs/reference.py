"""The pages of the reference: one for each public module, every public name of it once."""
from __future__ import annotations

import importlib
import inspect
import re
from importlib.util import find_spec
from pathlib import Path

from minidl import kernels, nn
from minidl.functional.operation import Operation

# The page of a name is the first module here that has it in ``__all__`` and where no earlier page shows it.
MODULES = {
    "minidl.functional": "Functions",
    "minidl": "Tensors, fit, capture, files",
    "minidl.nn": "Modules and losses",
    "minidl.nn.init": "Initial values",
    "minidl.nn.utils": "Utilities for parameters",
    "minidl.optim": "Optimizers",
    "minidl.optim.lr_scheduler": "Learning-rate schedules",
    "minidl.optim.swa_utils": "Averaged weights",
    "minidl.data": "Data",
    "minidl.training": "Training",
    "minidl.plot": "Pictures",
    "minidl.autograd": "Derivatives",
    "minidl.metrics": "Metrics",
}
SPECIAL = re.compile(r"([\\*|_`])")  # what reStructuredText would read as its own


def public(module) -> list[str]:
    """The public names of a module, which are its ``__all__``, or else what is defined in it."""
    listed = getattr(module, "__all__", None)
    if listed is None:
        listed = [name for name, thing in vars(module).items() if not name.startswith("_")
                  and (inspect.isclass(thing) or callable(thing))
                  and (getattr(thing, "__module__", "") or "").startswith(module.__name__)]
    return sorted(name for name in listed if not inspect.ismodule(getattr(module, name)))


def entry(module: str, name: str) -> list[str]:
    """The directive for a name, by what it is; nothing for what has no docstring, as a dtype."""
    thing = getattr(importlib.import_module(module), name)
    if thing is Operation:
        return []  # the architecture tells how one is written
    if inspect.isclass(thing):
        own = ["   :members:"] if (thing.__module__ or "").startswith("minidl") else []
        return [f".. autoclass:: {module}.{name}", *own, ""]
    if inspect.isroutine(thing):
        return [f".. autofunction:: {module}.{name}", ""]
    if isinstance(thing, Operation):
        told = inspect.getdoc(described(thing))
        return [f".. py:function:: {module}.{name}({', '.join(arguments(thing))})", "",
                *(f"   {line}" for line in literal(told or FORMULAS[name])), ""]
    return []


FORMULAS = {"pow": "a to the power of b, element by element.", "where": "a where the condition holds, b elsewhere.",
            "ones_like": "Ones, of the shape and dtype of x.", "zeros_like": "Zeros, of the shape and dtype of x."}


def arguments(operation) -> list[str]:
    """The names of its inputs, as far as they have any, and of its settings."""
    weighted = ["output", "target", "weight", "pos_weight"]
    inputs = ["x"] if operation.arity == 1 else ["a", "b"] if operation.arity == 2 else weighted[:operation.arity]
    return [*inputs, *operation.settings]


def described(operation):
    """What has the formula in its docstring: the module or loss of this operation, or else its kernel."""
    for module in vars(nn).values():
        if inspect.isclass(module) and getattr(module, "operation", None) is operation and module.__doc__:
            return module
    return FormulaOf(operation)


class FormulaOf:
    """The line of a kernel's docstring that tells what it computes."""

    def __init__(self, operation):
        kernel = getattr(kernels.of("float32"), str(operation.kernel), None)
        self.__doc__ = (kernel.__doc__ or "").partition("\n\n")[2] if kernel else None


def literal(text: str) -> list[str]:
    """Lines that reStructuredText shows as they are."""
    return ["| " + SPECIAL.sub(r"\\\1", line) for line in text.splitlines()]


def write(folder: Path) -> None:
    """Write the pages into a folder, where they differ from what is there."""
    folder.mkdir(exist_ok=True)
    shown: set[int] = set()
    pages = []
    for module_name, title in MODULES.items():
        if module_name == "minidl.plot" and find_spec("matplotlib") is None:
            continue
        module = importlib.import_module(module_name)
        lines = [title, "=" * len(title), "", f"``{module_name}``", ""]
        for name in public(module):
            if id(getattr(module, name)) not in shown:
                shown.add(id(getattr(module, name)))
                lines += entry(module_name, name)
        pages.append(module_name)
        update(folder / f"{module_name}.rst", "\n".join(lines))
    index = ["Reference", "=========", "", ".. toctree::", "   :maxdepth: 1", "", *(f"   {page}" for page in pages), ""]
    update(folder / "index.rst", "\n".join(index))


def update(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
