"""Modules made of modules: Sequential, ModuleList, ModuleDict."""
from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..tensor import Tensor
from .module import Module


def _checked(owner: str, module) -> Module:
    if not isinstance(module, Module):
        raise TypeError(f"{owner}: expected modules, got {type(module).__name__}")
    return module


class ModuleList(Module):
    """A list whose modules are found: names "0", "1", ... It has no forward of its own."""

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
        return ((str(i), module) for i, module in enumerate(self._modules))

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
    """Modules one after the other, given one by one or as one list.

    forward: f_n(... f_2(f_1(x))); backward: the same modules in reverse. It may be nested, indexed,
    sliced and iterated, and a module may stand in it more than once.

    Raises TypeError for anything that is not a module.
    """

    def __init__(self, *modules):
        super().__init__(modules[0] if len(modules) == 1 and not isinstance(modules[0], Module) else modules)

    def forward(self, x):
        saved = []
        plain = not isinstance(x, Tensor)
        for module in self._modules:
            x = module.forward(x) if plain and module.explicit else module(x)
            saved.append(module.saved)
        self.saved = saved
        return x

    def backward(self, gradient):
        return self._backward_to(0, gradient)

    def accumulate(self, gradient) -> None:
        """backward() as far down as there are parameters."""
        for first, module in enumerate(self._modules):
            if module.has_parameters():
                gradient = self._backward_to(first + 1, gradient)
                module.saved = self.saved[first]
                module.accumulate(gradient)
                break

    def _backward_to(self, end: int, gradient):
        """The gradient of the input of module ``end``."""
        saved, modules = self.require_saved(), self._modules
        for i in range(len(saved) - 1, end - 1, -1):
            module = modules[i]
            module.saved = saved[i]
            gradient = module.backward(gradient)
        return gradient


class ModuleDict(Module):
    """A dictionary whose modules are found, by their keys. It has no forward of its own."""

    def __init__(self, modules=()):
        self._modules: dict[str, Module] = {}
        for name, module in dict(modules).items():
            self[name] = module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return iter(self._modules.items())

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
