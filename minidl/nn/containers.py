"""Modules made of modules, or of parameters: Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from ..autograd.parameter import Parameter
from ..autograd.tensor import Tensor
from .module import Module


def _checked(owner: str, module) -> Module:
    if not isinstance(module, Module):
        raise TypeError(f"{owner}: expected modules, got {type(module).__name__}")
    return module


def _checked_name(owner: str, name) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{owner}: expected names of type str, got {type(name).__name__}")
    if not name or "." in name:
        raise KeyError(f"{owner}: expected names without dots, got {name!r}")
    return name


def _named(container: Module, members: Iterable[tuple[str, Module]]) -> Iterator[tuple[str, Module]]:
    """The members, and the modules that a subclass holds as attributes, in the order in which they were set."""
    for name, value in vars(container).items():
        if name == "_modules":
            yield from members
        elif isinstance(value, Module):
            yield name, value


class ModuleList(Module):
    """A list whose modules are found: names "0", "1", ... It has no forward of its own.

    A module that a subclass holds as an attribute is found, too, but is no member of the list.
    """

    def __init__(self, modules: Iterable[Module] = ()):
        self._modules: list[Module] = []
        self.extend(modules)

    def append(self, module: Module) -> ModuleList:
        self._modules.append(_checked(type(self).__name__, module))
        return self

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        self._modules.insert(index, _checked(type(self).__name__, module))

    def pop(self, index: int = -1) -> Module:
        """Remove a module, by default the last, and return it."""
        return self._modules.pop(index)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return _named(self, ((str(i), module) for i, module in enumerate(self._modules)))

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules)

    def __getitem__(self, index):
        return type(self)(self._modules[index]) if isinstance(index, slice) else self._modules[index]

    def __setitem__(self, index: int, module: Module) -> None:
        self._modules[index] = _checked(type(self).__name__, module)

    def __delitem__(self, index) -> None:
        del self._modules[index]


class Sequential(ModuleList):
    """Modules one after the other, given one by one, as one list, or as one dictionary with their names.

    forward: f_n(... f_2(f_1(x))); backward: the same modules in reverse. It may be nested, indexed,
    sliced and iterated, and a module may stand in it more than once. accumulate() goes back only as far as
    a module that is trained.

    Raises TypeError for anything that is not a module.
    """

    takes_tensors = True

    def __init__(self, *modules):
        given = modules[0] if len(modules) == 1 and not isinstance(modules[0], Module) else modules
        super().__init__(given.values() if isinstance(given, Mapping) else given)
        if isinstance(given, Mapping):
            self._names = [_checked_name(type(self).__name__, name) for name in given]

    # Names of one's own, from a dictionary; by default they are the places

    def named_children(self) -> Iterator[tuple[str, Module]]:
        names = vars(self).get("_names")
        return super().named_children() if names is None else _named(self, zip(names, self._modules, strict=True))

    def __getattr__(self, name: str) -> Module:
        for own, module in self.named_children() if "_modules" in vars(self) else ():
            if own == name:
                return module
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def append(self, module: Module) -> Sequential:
        super().append(module)
        if "_names" in vars(self):
            self._names.append(str(len(self._modules) - 1))
        return self

    def insert(self, index: int, module: Module) -> None:
        super().insert(index, module)
        if "_names" in vars(self):
            self._names.insert(index, str(range(len(self._modules))[index]))

    def pop(self, index: int = -1) -> Module:
        if "_names" in vars(self):
            self._names.pop(index)
        return super().pop(index)

    def __getitem__(self, index):
        names = vars(self).get("_names")
        if names is None or not isinstance(index, slice):
            return super().__getitem__(index)
        return type(self)(dict(zip(names[index], self._modules[index], strict=True)))

    def __delitem__(self, index) -> None:
        super().__delitem__(index)
        if "_names" in vars(self):
            del self._names[index]

    # What it computes

    def forward(self, x):
        if isinstance(x, Tensor):
            return self.recorded((x,), Sequential)
        saved = []
        for module in self._modules:
            x = module.forward(x) if module.defines_backward else module(x)
            saved.append(module.saved)
        self.saved = saved
        return x

    def expressed(self, x: Tensor) -> Tensor:
        for module in self._modules:
            x = module.expressed(x) if module.by_operations else module(x)
        return x

    def backward(self, gradient):
        """The gradient of the input; None where a module cuts it off, and the modules before it get none."""
        return self._backward_to(0, gradient)

    def accumulate(self, gradient) -> None:
        """backward() as far back as there are parameters that are trained."""
        saved, modules = self.require_saved(), self._modules
        for first, module in enumerate(modules):
            if module.is_trained():
                gradient = self._backward_to(first + 1, gradient)
                if gradient is not None:
                    module.saved = saved[first]
                    module.accumulate(gradient)
                break

    def _backward_to(self, end: int, gradient):
        """The gradient of the input of module ``end``."""
        saved, modules = self.require_saved(), self._modules
        for i in range(len(saved) - 1, end - 1, -1):
            module = modules[i]
            module.saved = saved[i]
            gradient = module.backward(gradient)
            if gradient is None:
                break
        return gradient

    def read_parameters(self, input_requires_grad: bool) -> list[Parameter]:
        found = []
        for module in self._modules:
            found += module.read_parameters(input_requires_grad) if module.defines_backward else []
            input_requires_grad = input_requires_grad or module.is_trained()
        return found

    @property
    def reads(self) -> str:
        """The input, if the first module that reads a value reads its input; the output likewise."""
        if not all(m.defines_backward for m in self._modules):
            return "xy"
        first, last = (next((m.reads for m in modules if m.reads), "")
                       for modules in (self._modules, self._modules[::-1]))
        return ("x" if "x" in first else "") + ("y" if "y" in last else "")


class ModuleDict(Module):
    """A dictionary whose modules are found, by their keys. It has no forward of its own.

    A module that a subclass holds as an attribute is found, too, but is no member of the dictionary.
    """

    def __init__(self, modules=()):
        self._modules: dict[str, Module] = {}
        for name, module in dict(modules).items():
            self[name] = module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return _named(self, self._modules.items())

    def __getitem__(self, name: str) -> Module:
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self._modules[name] = _checked("ModuleDict", module)

    def __delitem__(self, name: str) -> None:
        del self._modules[name]

    def __contains__(self, name: str) -> bool:
        return name in self._modules

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def keys(self):
        return self._modules.keys()

    def values(self):
        return self._modules.values()

    def items(self):
        return self._modules.items()


class _Parameters(Module):
    """Parameters that are found, as attributes with these names. It has no forward."""

    def _hold(self, name: str, value) -> None:
        if not isinstance(value, Parameter):
            if not isinstance(value, (Tensor, np.ndarray)):
                raise TypeError(f"{type(self).__name__}: expected Parameters or arrays, got {type(value).__name__}")
            value = Parameter(value, name)
        vars(self)[name] = value

    def _held(self) -> dict[str, Parameter]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Parameter)}

    def __len__(self) -> int:
        return len(self._held())

    def extra_repr(self) -> str:
        return ", ".join(f"({name}): {value.shape}" for name, value in self._held().items())


class ParameterList(_Parameters):
    """A list of Parameters, named "0", "1", ...; arrays and Tensors are made Parameters."""

    def __init__(self, values: Iterable = ()):
        self.extend(values)

    def append(self, value) -> ParameterList:
        self._hold(str(len(self)), value)
        return self

    def extend(self, values: Iterable) -> ParameterList:
        for value in values:
            self.append(value)
        return self

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._held().values())

    def __getitem__(self, index):
        found = list(self)[index]
        return type(self)(found) if isinstance(index, slice) else found

    def __setitem__(self, index: int, value) -> None:
        self._hold(str(range(len(self))[index]), value)


class ParameterDict(_Parameters):
    """A dictionary of Parameters, named by their keys; arrays and Tensors are made Parameters."""

    def __init__(self, parameters=()):
        for name, value in dict(parameters).items():
            self[name] = value

    def __getitem__(self, name: str) -> Parameter:
        return self._held()[name]

    def __setitem__(self, name: str, value) -> None:
        if hasattr(type(self), name) or name in vars(self).keys() - self._held().keys():
            raise KeyError(f"ParameterDict: {name!r} is an attribute of every ParameterDict")
        self._hold(name, value)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        del vars(self)[name]

    def __contains__(self, name: str) -> bool:
        return name in self._held()

    def __iter__(self) -> Iterator[str]:
        return iter(self._held())

    def keys(self):
        return self._held().keys()

    def values(self):
        return self._held().values()

    def items(self):
        return self._held().items()
