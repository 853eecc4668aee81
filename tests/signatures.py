"""The signatures of what minidl offers, as text: ``python tests/signatures.py > tests/signatures.txt``."""
from __future__ import annotations

import inspect
import types
from collections.abc import Iterator

import numpy as np

import minidl
from minidl import data, estimators, functional, metrics, nn, optim, training
from minidl.functional import Operation
from minidl.nn import init, utils
from minidl.optim import lr_scheduler, swa_utils

PLACES = (functional, nn, init, utils, optim, lr_scheduler, swa_utils, training, estimators, data, metrics,
          minidl)


def plain(thing) -> str:
    """Parameters and defaults, without annotations; TypeError or ValueError for what is C, or NumPy's."""
    function = thing.value if isinstance(thing, Operation) else thing
    if isinstance(function, np.ufunc):
        raise TypeError(f"{function} is as NumPy says")
    found = inspect.signature(function)
    bare = [one.replace(annotation=inspect.Parameter.empty, default=getattr(one.default, "__name__", one.default)
                        if callable(one.default) and one.default is not one.empty else one.default)
            for one in found.parameters.values()]
    return str(found.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def offered(place) -> Iterator[tuple[str, object]]:
    """The public functions, operations and classes of a module, and the methods that classes define, by name."""
    for name in sorted(vars(place)):
        thing = vars(place)[name]
        if name.startswith("_") or isinstance(thing, types.ModuleType) or not callable(thing):
            continue
        if not isinstance(thing, Operation) and not getattr(thing, "__module__", "").startswith("minidl"):
            continue
        yield name, thing
        for method, own in sorted(vars(thing).items()) if isinstance(thing, type) else ():
            if inspect.isfunction(own) and not method.startswith("_"):
                yield f"{name}.{method}", own


def lines() -> Iterator[str]:
    seen: set[object] = set()
    for place in PLACES:
        for name, thing in offered(place):
            if thing in seen:
                continue
            seen.add(thing)
            try:
                yield f"{place.__name__}.{name}{plain(thing)}"
            except (TypeError, ValueError):
                continue


if __name__ == "__main__":
    print(*lines(), sep="\n")
