"""Module: the base of every layer, container and loss.

A module computes ``forward(x)`` on arrays and ``backward(gradient)``, which adds to the gradients of
its parameters and returns the gradient of its input. What backward needs, forward saves in
``self.saved`` and nowhere else, so that a module can be used several times in one graph.

A module called on a Tensor is recorded on the tape. One that defines ``backward`` is differentiated by
it; one that defines only ``forward``, written with Tensors, modules and operations, is differentiated
by the tape, for arrays, too. Either may call ``forward`` of its base class, with its inputs.
minidl's own modules define both, and ``expressed``, the same forward written with operations, which is used for
Tensors, so that it can be differentiated again.

A parameter whose ``requires_grad`` is False is frozen: it gets no gradient, and backward goes back no
further than the first parameter that is trained.
"""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import arrays
from ..autograd import storage
from ..autograd.parameter import Parameter
from ..autograd.tape import active_recorder, recording, unseen
from ..autograd.tensor import Tensor, record
from .members import Members

if TYPE_CHECKING:
    from .summary import Summary

ndarray = np.ndarray  # as one name, which predict looks up at each call
_OR_AFTER = ", or after one that was not recorded: within no_grad(), or of Tensors, which have a backward themselves"


def _put_back(states: Iterable[tuple[Module, Any]]) -> None:
    for module, saved in states:
        module.saved = saved


def _by_tape(method: Callable) -> Callable:
    """``method``, a forward without a backward of its own, run on Tensors for arrays, too; its graph is saved."""
    @functools.wraps(method)
    def run(self, *inputs, **named):
        self.saved = None
        if any([_holds_tensor(x) for x in inputs]) or (named and any([_holds_tensor(x) for x in named.values()])):
            output = method(self, *inputs, **named)
            self.saved = None  # and what the base class's forward saved
            return output
        taped = recording()
        leaves: list[Tensor] = []
        output = method(self, *[_as_tensors(x, taped, leaves) for x in inputs], **named)
        self.saved = None
        outputs: list[Tensor] = []
        arrays = _as_arrays(output, outputs)
        if taped and outputs:
            self.saved = leaves, outputs
        return arrays

    return run


def _holds_tensor(x) -> bool:
    return isinstance(x, Tensor) or (type(x) is tuple and any([_holds_tensor(item) for item in x]))


def _as_tensors(x, taped: bool, leaves: list):
    """An input as a Tensor; a tuple of arrays, as a state is, item by item. None, flags and names stay."""
    if type(x) is tuple and all([item is None or isinstance(item, (ndarray, tuple)) for item in x]):
        return tuple([_as_tensors(item, taped, leaves) for item in x])
    if x is None or isinstance(x, (bool, str)):
        return x
    made = Tensor(x, requires_grad=taped and np.asarray(x).dtype in arrays.FLOATS)
    if made.requires_grad:
        leaves.append(made)
    return made


def _as_arrays(output, found: list):
    """An output with arrays for its Tensors, which are found on the way."""
    if isinstance(output, Tensor):
        found.append(output)
        return output._data
    return tuple([_as_arrays(item, found) for item in output]) if type(output) is tuple else output


def _gradients_of(gradient) -> list:
    """The gradients of outputs in tuples, in their order."""
    return [x for item in gradient for x in _gradients_of(item)] if type(gradient) is tuple else [gradient]


def _as_node(owner: type[Module], method: Callable) -> Callable:
    """``method``, a forward on arrays with a backward of its own: for Tensors one node of the tape."""
    @functools.wraps(method)
    def run(self, *inputs, **named):
        for x in inputs:
            if isinstance(x, Tensor):
                return self.recorded(inputs, owner)
        return method(self, *inputs, **named)

    return run


class Module(Members):
    """The base of all modules. Children and parameters are its attributes; only buffers are registered."""

    training = True
    saved: Any = None
    _predictors: list
    inherits_backward = False  # whether a subclass with a forward of its own inherits backward
    defines_backward = False  # whether the class defines the backward that belongs to its forward
    takes_tensors = False  # whether the forward that the class itself defines takes Tensors, too
    by_operations = False  # whether ``expressed`` computes what forward and backward do
    reads: Any = "xy"  # whether backward reads the inputs' values (x) and the output's (y)

    def __new__(cls, *args, **settings):
        # An ordinary dictionary: CPython's key-sharing dictionaries of instances are slow to read after vars().
        module = super().__new__(cls)
        module.__dict__ = {}
        return module

    def forward(self, *inputs):
        """The output for the inputs."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def backward(self, gradient):
        """Add to the parameters' gradients; return the gradient of the input (a tuple if several).

        For a module that defines only forward, through what the tape recorded; None for an input that
        the output does not depend on, or is cut off from (``detach()``, ``no_grad()``). Of several outputs,
        ``gradient`` is that of the first, or those of all, in tuples as the outputs are, with None for one that
        nothing depends on. Raises RuntimeError before a forward.
        """
        inputs, outputs = self.require_saved()
        given = _gradients_of(gradient)
        if len(given) not in (1, len(outputs)):
            raise ValueError(f"{self.title()}: expected {len(outputs)} gradients, got {len(given)}")
        for output, dy in zip(outputs, given, strict=False):
            if output.requires_grad and dy is not None:
                output.backward(np.asarray(dy, output.dtype), retain_graph=True)
        gradients = tuple(x.grad for x in inputs)
        for x in inputs:
            x.grad = None
        return gradients[0] if len(gradients) == 1 else gradients

    def expressed(self, *inputs):
        """forward, written with operations on Tensors.

        It is used where the class that defines it also defines forward and backward.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no expressed")

    def predict(self, X) -> np.ndarray:
        """The outputs for the rows of X (N, in), in evaluation mode, compiled and in blocks; see minidl.predict."""
        try:
            idle = self._predictors
            forward = idle.pop()  # used by this thread alone, until it is put back
        except (AttributeError, IndexError):
            idle = self.__dict__.setdefault("_predictors", [])
            forward = None
        try:
            y = forward(X) if type(X) is ndarray else None
        except (IndexError, TypeError, ValueError):
            y = None
        if y is None:
            from ..compiled.prediction import predicted  # imported here: it is above this file

            y, forward = predicted(self, forward, X)
        if forward is not None:
            idle.append(forward)
        return y

    def accumulate(self, gradient) -> None:
        """backward() where the gradient of the input is not needed."""
        self.backward(gradient)

    def __init_subclass__(cls, **settings):
        super().__init_subclass__(**settings)
        # An inherited backward is not the derivative of a forward that a subclass defines, unless the base class says
        # so (inherits_backward); nor does an inherited accumulate belong to a backward that a subclass defines.
        # (A class that has Module's backward, since it defines only a forward, does not count as defining one.)
        forward, backward, accumulate = (
            next(c for c in cls.__mro__ if name in vars(c)
                 and (c is Module or name == "forward" or vars(c)[name] is not vars(Module)[name]))
            for name in ("forward", "backward", "accumulate"))
        expressed = next(c for c in cls.__mro__ if "expressed" in vars(c))
        cls.by_operations = expressed is forward is backward
        cls.defines_backward = backward is not Module and (cls.inherits_backward or issubclass(backward, forward))
        if not cls.defines_backward:
            cls.backward, cls.accumulate = Module.backward, Module.accumulate
        elif not issubclass(accumulate, backward):
            cls.accumulate = Module.accumulate
        if not cls.defines_backward and (forward is cls or not issubclass(forward, Module)):
            cls.forward = _by_tape(cls.forward)
        elif forward is cls and not (cls.inherits_backward or vars(cls).get("takes_tensors")):
            cls.forward = _as_node(cls, cls.forward)

    def __call__(self, *inputs, **named):
        if self.defines_backward and not named:
            for x in inputs:
                if isinstance(x, Tensor):
                    return self.expressed(*inputs) if self.by_operations else self.recorded(inputs, type(self))
        return self.forward(*inputs, **named)

    def recorded(self, inputs, owner: type[Module]) -> Tensor:
        """The output of the owner's forward: by operations, if it is expressed by them, or else as one node.

        The derivative of a node is the owner's backward, and has no derivative itself.

        owner : this module's class, or the base class whose forward a subclass calls with Tensors.
        """
        if type(self).forward is owner.forward:
            owner = type(self)
        if owner.by_operations:
            return owner.expressed(self, *inputs)

        given = [x for x in inputs if isinstance(x, Tensor)]
        input_requires_grad = any([x.requires_grad for x in given])
        taped = recording() and (input_requires_grad or self.is_trained())
        modules = self.modules() if taped else []
        states: list[tuple[Module, Any]] = []  # what the last forward saved, for the node's backward

        def compute(*arrays):
            rest = iter(arrays)
            y = owner.forward(self, *[next(rest) if isinstance(x, Tensor) else x for x in inputs])
            states[:] = [(module, module.saved) for module in modules]
            return np.asarray(y)

        with unseen():
            y = compute(*[x._data for x in given])
        output = self._node(owner, inputs, y, input_requires_grad, states) if taped else Tensor(y)
        recorder = active_recorder()
        if recorder is not None:
            recorder.call(self.title(), compute, given, (output,))
        return output

    def _node(self, owner: type[Module], inputs, y: np.ndarray, input_requires_grad: bool, states: list) -> Tensor:
        """The output y of the owner's forward, on the tape; input_requires_grad: whether an input does."""
        back = owner.backward if input_requires_grad or owner.accumulate is Module.accumulate else owner.accumulate

        def gradients(g):
            before = [(module, module.saved) for module, _ in states]
            _put_back(states)
            try:
                dx = back(self, g)
            finally:
                _put_back(before)
            return dx if isinstance(dx, tuple) else (dx, *[None] * (len(inputs) - 1))

        tensors = [x if isinstance(x, Tensor) else Tensor(np.asarray(x)) for x in inputs]
        reads = self.reads
        read = [*(tensors if "x" in reads else []), *self.read_parameters(input_requires_grad)]
        return record(type(self).__name__, y, tensors, gradients, read, "y" in reads, self.parameters)

    def require_saved(self):
        """What forward saved for backward. RuntimeError if there was no forward."""
        if self.saved is None:
            hint = "" if self.defines_backward else _OR_AFTER
            raise RuntimeError(f"{self.title()}: backward called before forward{hint}")
        return self.saved

    def check_gradient(self, gradient, shape: tuple[int, ...], dtype) -> None:
        """Raise TypeError or ValueError unless ``gradient`` is an array of the output's shape and dtype."""
        if not isinstance(gradient, np.ndarray) or gradient.dtype != dtype:
            came = getattr(gradient, "dtype", type(gradient).__name__)
            raise TypeError(f"{self.title()}: expected gradient of dtype {dtype}, got {came}")
        if gradient.shape != shape:
            raise ValueError(f"{self.title()}: expected gradient of shape {shape}, got {gradient.shape}")

    def __getstate__(self) -> dict:
        # Without what forward saved: a copy or a pickle is as before its first forward.
        return {name: value for name, value in vars(self).items() if name not in ("saved", "_predictors", "_kernels")}

    # What it is made of

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the attributes that are modules."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def children(self) -> list[Module]:
        return [module for _, module in self.named_children()]

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """(dotted name, module) of itself and all below, each once, or under each of its names."""
        seen = set()

        def walk(module, name):
            if id(module) not in seen or not remove_duplicate:
                seen.add(id(module))
                yield name, module
                for child_name, child in module.named_children():
                    yield from walk(child, f"{name}.{child_name}" if name else child_name)

        return walk(self, prefix)

    def modules(self) -> list[Module]:
        return [module for _, module in self.named_modules()]

    def named_parameters(self, remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """(dotted name, Parameter) of all that it holds, each once, or under each of its names."""
        seen = set()
        for name, module in self.named_modules(remove_duplicate=remove_duplicate):
            for own_name, value in vars(module).items():
                if isinstance(value, Parameter) and not (remove_duplicate and id(value) in seen):
                    seen.add(id(value))
                    yield f"{name}.{own_name}" if name else own_name, value

    def parameters(self) -> list[Parameter]:
        """The Parameters of the module and all below it; each learns its dotted name."""
        found = []
        for name, parameter in self.named_parameters():
            parameter.name = name
            found.append(parameter)
        return found

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Hold a Tensor that is not trained, but is a part of the module's state, as the attribute ``name``.

        persistent : whether it is in state_dict(). Assigning another Tensor to the attribute replaces it; a captured
        step repeats changes in place (copy_, add_, within no_grad()).
        Raises TypeError for what is no Tensor, or a Parameter, and KeyError for a name that is taken or has a dot.
        """
        if not isinstance(name, str):
            raise TypeError(f"register_buffer: expected a name of type str, got {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(f"register_buffer: expected a name without dots, got {name!r}")
        buffers = vars(self).setdefault("_buffers", {})
        if hasattr(self, name) and name not in buffers:
            raise KeyError(f"register_buffer: {type(self).__name__} has an attribute {name!r} already")
        if tensor is not None and (not isinstance(tensor, Tensor) or isinstance(tensor, Parameter)):
            raise TypeError(f"register_buffer: expected {name} to be a Tensor or None, got {type(tensor).__name__}")
        buffers[name] = bool(persistent)
        setattr(self, name, tensor)

    def _own_buffers(self, persistent: bool = False) -> Iterator[tuple[str, Tensor]]:
        """(name, Tensor) of its own buffers; only those in state_dict(), if persistent."""
        for name, kept in vars(self).get("_buffers", {}).items():
            value = vars(self).get(name)
            if isinstance(value, Tensor) and (kept or not persistent):
                yield name, value

    def named_buffers(self, remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        """(dotted name, Tensor) of all buffers that it holds, each once, or under each of its names."""
        seen = set()
        for name, module in self.named_modules(remove_duplicate=remove_duplicate):
            for own_name, value in module._own_buffers():
                if not (remove_duplicate and id(value) in seen):
                    seen.add(id(value))
                    yield f"{name}.{own_name}" if name else own_name, value

    def buffers(self) -> list[Tensor]:
        """The buffers of the module and all below it."""
        return [value for _, value in self.named_buffers()]

    def _named_state(self) -> Iterator[tuple[str, Tensor]]:
        """(dotted name, Parameter or persistent buffer), in PyTorch's order, under each of its names."""
        for name, module in self.named_modules(remove_duplicate=False):
            own = [item for item in vars(module).items() if isinstance(item[1], Parameter)]
            for own_name, value in (*own, *module._own_buffers(persistent=True)):
                yield f"{name}.{own_name}" if name else own_name, value

    def has_parameters(self) -> bool:
        """Whether it or a module below it holds a Parameter."""
        return (any(isinstance(value, Parameter) for value in vars(self).values())
                or any(child.has_parameters() for child in self.children()))

    def is_trained(self) -> bool:
        """Whether it or a module below it holds a Parameter that requires a gradient."""
        return (any(isinstance(value, Parameter) and value.requires_grad for value in vars(self).values())
                or any(child.is_trained() for child in self.children()))

    def read_parameters(self, input_requires_grad: bool) -> list[Parameter]:
        """The parameters whose values backward reads, or accumulate where no input requires a gradient.

        By default all that it and its children hold. (Within a module that defines only forward, the tape
        checks them.)
        """
        own = [value for value in vars(self).values() if isinstance(value, Parameter)]
        return sum((child.read_parameters(True) for child in self.children() if child.defines_backward), own)

    def param(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The reports' list of (value, gradient) pairs; [] for a module without parameters."""
        return [(parameter.data, parameter.gradient) for parameter in self.parameters()]

    @property
    def flat_parameters(self) -> np.ndarray:
        """All parameters as one array, of which each Parameter is a view."""
        return storage.flatten(self.parameters())[0]

    @property
    def flat_gradients(self) -> np.ndarray:
        """All gradients as one array, in the order of flat_parameters."""
        return storage.flatten(self.parameters())[1]

    # Modes, gradients and state

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Remove the gradients of all parameters; without ``set_to_none`` set those that exist to zero."""
        for parameter in self.parameters():
            parameter.zero_grad(set_to_none)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Train all its parameters, or freeze them (False): no gradient, no step. Returns the module."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def train(self, mode: bool = True) -> Module:
        """Set training mode, in which dropout drops. Returns the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Set evaluation mode. Returns the module."""
        return self.train(False)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and persistent buffers by PyTorch's names ("0.weight", of shape (out, in)).

        One that is used in several places is listed under each of its names, as in PyTorch.
        """
        return {name: value.data.copy() for name, value in self._named_state()}

    def load_state_dict(self, state) -> None:
        """Copy ``state`` into the parameters and persistent buffers.

        Everything is checked first: ValueError for names that are missing or too many and for shapes
        that differ, TypeError for another dtype or what is no mapping, and the module stays as it was.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"load_state_dict: expected arrays by their names, got {type(state).__name__}")
        own = dict(self._named_state())
        missing, extra = [key for key in own if key not in state], [key for key in state if key not in own]
        if missing or extra:
            raise ValueError(
                f"load_state_dict: missing {missing or 'nothing'}, unexpected {extra or 'nothing'}")
        values = {name: np.asarray(x.data if isinstance(x, Tensor) else x) for name, x in state.items()}
        for name, x in own.items():
            if values[name].shape != x.shape:
                raise ValueError(f"load_state_dict: {name}: expected shape {x.shape}, got {values[name].shape}")
            if values[name].dtype != x.dtype:
                raise TypeError(f"load_state_dict: {name}: expected dtype {x.dtype}, got {values[name].dtype}")
        for name, x in own.items():
            x.overwrite(values[name])

    # How it is shown

    def extra_repr(self) -> str:
        """The settings, as shown between the parentheses of the repr."""
        return ""

    def title(self) -> str:
        """The class and the settings: the repr without the modules inside."""
        return f"{type(self).__name__}({self.extra_repr()})"

    def __repr__(self) -> str:
        lines = [f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.named_children()]
        return self.title() if not lines else "\n".join([self.title()[:-1], *lines, ")"])

    def summary(self, input_shape=None) -> Summary:
        """A table of the modules, their settings and their numbers of parameters, and the total.

        input_shape : the shape of an input, the batch included, as (64, 784); an array or a Tensor instead, such as the
        integers of an Embedding; or a list of these for a forward of several inputs. The table then has what each
        module gives for it: the shapes of its outputs, the multiply-adds of its products (linear layers, convolutions,
        recurrent layers, attention; "?" where it runs NumPy code), and the memory that its outputs take, views of
        others left out. The input is run through once, in evaluation mode; the model is left as it was.

        The result is a str; a notebook shows it as a table, and ``rows``, ``parameters``, ``trained``,
        ``multiply_adds``, ``memory`` and ``state`` (bytes of parameters and buffers) are its numbers.
        Raises TypeError or ValueError for what is no shape, and whatever the model raises for such an input.
        """
        from .summary import summary  # few models are shown

        return summary(self, input_shape)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()
