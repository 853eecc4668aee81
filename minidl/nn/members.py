"""What a module has beside its arithmetic: its members by their names, hooks, and its dtype."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..autograd.parameter import Parameter
from ..autograd.tensor import Tensor
from . import conversion, hooks

if TYPE_CHECKING:
    from .module import Module


class Members:
    """The base of Module that holds these methods."""

    if TYPE_CHECKING:
        children: Callable[[], list[Module]]
        named_children: Callable
        requires_grad_: Callable

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call fn(module) for each module below and then for itself, for initial values, say; returns the module."""
        for child in self.children():
            child.apply(fn)
        fn(self)  # type: ignore[arg-type]
        return self

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Hold a Parameter, or None, as the attribute ``name``: the same as an assignment, but a name is checked.

        Raises TypeError for what is no Parameter, and KeyError for a name that is taken or has a dot.
        """
        self._check_name("register_parameter", name, param, Parameter)
        setattr(self, name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """Hold a module as the attribute ``name``. Raises as register_parameter does."""
        from .module import Module  # which is derived from this class

        self._check_name("add_module", name, module, Module)
        setattr(self, name, module)

    register_module = add_module

    def _check_name(self, who: str, name, value, kind: type) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{who}: expected a name of type str, got {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(f"{who}: expected a name without dots, got {name!r}")
        if hasattr(self, name) and not isinstance(getattr(self, name), kind):
            raise KeyError(f"{who}: {type(self).__name__} has an attribute {name!r} already")
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"{who}: expected {name} to be a {kind.__name__} or None, got {type(value).__name__}")

    def get_submodule(self, target: str) -> Module:
        """The module of this dotted name; itself for "". AttributeError where there is none."""
        found: Any = self
        for name in target.split(".") if target else ():
            below = dict(found.named_children())
            if name not in below:
                raise AttributeError(f"{type(found).__name__} has no module {name!r}, of {target!r}")
            found = below[name]
        return found

    def get_parameter(self, target: str) -> Parameter:
        """The Parameter of this dotted name. AttributeError where there is none."""
        return self._get(target, Parameter)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of this dotted name. AttributeError where there is none."""
        owner, _, name = target.rpartition(".")
        if name not in vars(self.get_submodule(owner)).get("_buffers", {}):
            raise AttributeError(f"{type(self).__name__} has no buffer {target!r}")
        return self._get(target, Tensor)

    def _get(self, target: str, kind: type) -> Any:
        owner, _, name = target.rpartition(".")
        value = vars(self.get_submodule(owner)).get(name)
        if not isinstance(value, kind):
            raise AttributeError(f"{type(self).__name__} has no {kind.__name__} {target!r}")
        return value

    # Hooks

    def register_forward_pre_hook(self, hook: Callable, *, prepend: bool = False) -> hooks.RemovableHandle:
        """Call hook(module, inputs) before each forward; what it returns, unless None, takes the inputs' place.

        inputs is a tuple; a hook may return one, or a single input. ``prepend`` puts it before those that there are.
        A captured step records what hooks do with Tensors; one that changes a list or a counter is an error there,
        and ``fit`` then runs plain and says so. Returns a handle, whose remove() takes the hook away.
        """
        return hooks.register(self, "_forward_pre_hooks", hook, prepend)  # type: ignore[arg-type]

    def register_forward_hook(self, hook: Callable, *, prepend: bool = False) -> hooks.RemovableHandle:
        """Call hook(module, inputs, output) after each forward; what it returns, unless None, is the new output.

        It is called with Tensors, also where the module was given arrays. See register_forward_pre_hook.
        """
        return hooks.register(self, "_forward_hooks", hook, prepend)  # type: ignore[arg-type]

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> hooks.RemovableHandle:
        """Call hook(module, grad_input, grad_output) when a backward has come back to the module's inputs.

        Both are tuples of Tensors, one for each input and output, None where there is none. What the hook returns,
        unless None, takes the place of the gradient of the one input. A captured step calls it in its place; one that
        changes a list or a counter is an error there, and ``fit`` then runs plain and says so. It is not
        differentiated: create_graph=True is a RuntimeError.
        """
        return hooks.register(self, "_backward_hooks", hook, prepend)  # type: ignore[arg-type]

    # Dtype and device

    def to(self, *args, dtype=None, device=None, non_blocking: bool = False) -> Self:
        """Into another dtype, float32 or float64, in place: parameters, gradients and buffers of floats.

        The device may be "cpu" alone. Returns the module. An optimizer's state follows at its next step.
        Raises TypeError for another dtype or device.
        """
        asked = conversion.asked_for(type(self).__name__, args, dtype, device)
        if asked is not None:
            conversion.convert(self, asked)  # type: ignore[arg-type]
        return self

    def float(self) -> Self:
        """Into float32; returns the module."""
        return self.to(np.float32)

    def double(self) -> Self:
        """Into float64; returns the module."""
        return self.to(np.float64)

    def cpu(self) -> Self:
        """The module as it is: it is on the CPU."""
        return self
