"""Functions of a user's that run before or after a module's forward, or when gradients come back to it.

A module that has hooks becomes an instance of a class derived from its own, of the same name, whose forward calls
them around the one below. Being a forward of its own, it is differentiated by the tape, is recorded while Python
runs it, and is no layer that a program could be written from; all that holds for a user's module holds for it.
"""
from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from ..autograd import storage
from .backward_hooks import Passage

if TYPE_CHECKING:
    from .module import Module

_numbers = count()
_classes: dict[type, type] = {}
KINDS = {"_forward_hooks", "_forward_pre_hooks", "_backward_hooks"}


class RemovableHandle:
    """What registering a hook gives: ``remove()`` takes the hook away; so does the end of a ``with`` block."""

    def __init__(self, module: Module, kind: str):
        self.module, self.kind, self.id = module, kind, next(_numbers)

    def remove(self) -> None:
        """The hook is called no more. Nothing happens where it was removed before."""
        hooks = vars(self.module).get(self.kind, {})
        if self.id in hooks:
            # A new dictionary: a forward that is under way goes through the old one.
            _set(self.module, self.kind, {key: hook for key, hook in hooks.items() if key != self.id})

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception) -> None:
        self.remove()


def register(module: Module, kind: str, hook: Callable, prepend: bool) -> RemovableHandle:
    """Let the hook be called: kind is one of KINDS."""
    if not callable(hook):
        raise TypeError(f"{type(module).__name__}: expected a hook that can be called, got {type(hook).__name__}")
    handle, hooks = RemovableHandle(module, kind), vars(module).get(kind, {})
    new = {handle.id: hook}
    _set(module, kind, {**new, **hooks} if prepend else {**hooks, **new})
    return handle


def _set(module: Module, kind: str, hooks: dict[int, Callable]) -> None:
    own = vars(module)
    own.pop(kind, None)
    if hooks:
        own[kind] = hooks
    module.saved = None
    base = unhooked(type(module))
    module.__class__ = hooked(base) if KINDS & own.keys() else base
    storage.moved()  # so that programs that were written from the module look at it again


def unhooked(kind: type) -> type:
    """The class without its hooks."""
    return vars(kind).get("_unhooked", kind)


def hooked(base: type[Module]) -> type[Module]:
    """The class derived from this one whose forward calls the hooks."""
    if base in _classes:
        return _classes[base]

    def forward(self, *inputs, **named):
        for hook in vars(self).get("_forward_pre_hooks", {}).values():
            changed = hook(self, inputs)
            if changed is not None:
                inputs = changed if isinstance(changed, tuple) else (changed,)
        back = vars(self).get("_backward_hooks")
        passage = Passage(self, back) if back else None
        if passage is not None:
            inputs = passage.enter(inputs)
        output = base.forward(self, *inputs, **named)
        for hook in vars(self).get("_forward_hooks", {}).values():
            changed = hook(self, inputs, output)
            if changed is not None:
                output = changed
        return output if passage is None else passage.leave(output)

    def __reduce_ex__(self, protocol):
        return _restored, (base,), self.__getstate__()

    members: dict[str, Any] = {
        "forward": forward, "__reduce_ex__": __reduce_ex__, "_unhooked": base, "__module__": base.__module__,
        "__qualname__": base.__qualname__, "__doc__": base.__doc__}
    made = _classes[base] = type(base.__name__, (base,), members)
    return made


def _restored(base: type[Module]) -> Module:
    module = base.__new__(base)
    module.__class__ = hooked(base)
    return module
