"""The recorder: what a function does to Tensors, line by line, while Python runs it.

A line is an operation, an addition to a gradient, or a Python function that is called in its place. Its
operands are identified by where they lie: in an argument, in what an earlier line made, in a model's parameters or
gradients, or in an array that the function finds outside. Two recordings of one function agree if their lines
do, so a program can be checked by recording anew.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..autograd.parameter import Parameter
from ..autograd.tape import unseen
from ..autograd.tensor import Tensor
from .arena import in_memory_order
from .errors import CaptureError, PlainOnly

WAYS_OUT = ("give it to the step as an argument, draw it with minidl (minidl.randn, Dropout), or keep it where the "
            "function finds it at each call (a global, an attribute)")


class Line(NamedTuple):
    """One thing that the function did.

    what : "operation"; "function" (a Python function on arrays), "draw" (one of minidl's own, of random numbers);
        "accumulate", "overwrite", "zero" (an array is
        written to); "call" (a Python function of no arguments); "reached", "cleared", "changed" (a parameter's
        status); "finite" (the step ends here unless the operand is finite).
    """

    what: str
    operation: Any = None
    operands: tuple = ()
    settings: Mapping = MappingProxyType({})
    outputs: tuple = ()


class Root:
    """Memory of operands: its array, its kind, and a copy of its content after the lines so far."""

    __slots__ = ("array", "key", "shadow")

    def __init__(self, array: np.ndarray, key: tuple):
        self.array, self.key, self.shadow = array, key, array.copy(order="K")


class Recorder:
    """Receives each operation from ``recording_into``. ``knows(array)``: whether the function finds it outside."""

    def __init__(self, knows: Callable[[np.ndarray], bool]):
        self.knows = knows
        self.lines: list[Line] = []
        self.signature: list[tuple] = []
        self.roots: dict[int, Root] = {}
        self.parameters: dict[int, Parameter] = {}
        self.places: list[tuple[Parameter, int]] = []
        self.in_place: list[str] = []  # names of the functions that are called in their place
        self.undo: list[Callable[[], None]] = []
        self.streams: dict[Any, tuple[Callable[[], Any], str]] = {}
        self.assigned: set[int] = set()  # parameters whose gradient the step has set or cleared
        self.queried: dict[int, tuple[Parameter, bool]] = {}  # others whose gradient the function has looked at
        self.arguments: list[np.ndarray | None] = []
        self.paused = False

    # Arguments and constants

    def argument(self, array: np.ndarray | None) -> None:
        """The next argument, or None for a static one."""
        if array is not None:
            self._root(array, ("argument", len(self.arguments)))
        self.arguments.append(array)

    def constant(self, array: np.ndarray) -> None:
        """An array that the function makes of numbers in its text: the same at each call."""
        if not self.paused and id(array) not in self.roots:
            self._root(array, ("constant", array.dtype.str, array.shape, array.tobytes()))

    # Operations and changes

    def operation(self, operation, inputs, settings: dict, output: Tensor) -> None:
        """An operation on Tensors, arrays and numbers has made ``output``."""
        if self.paused:
            return
        operands = tuple([self.operand(x, operation.name) for x in inputs])
        settings = {name: self._setting(value, operation.name) for name, value in settings.items()}
        if id(_owner(output._data)) in self.roots:  # a view of what is known already
            return
        self._append(Line("operation", operation, operands, settings, (output._data,)),
                     ("operation", operation.name, self.told(operands), self.told(settings)))

    def call(self, name: str, function: Callable, inputs, outputs, listed: bool = True) -> None:
        """A Python function on arrays has made the outputs (None: none there) of the inputs.

        listed : whether it is a user's, which is called in its place, and not minidl's own draw of random numbers.
        """
        if self.paused:
            return
        operands = tuple([self.operand(x, name) for x in inputs])
        made = tuple([x._data if isinstance(x, Tensor) else x for x in outputs])
        self._refresh()  # a module's own backward adds to its parameters' gradients
        self._append(Line("function" if listed else "draw", function, operands, {}, made),
                     ("function", name, self.told(operands)))
        if listed and name not in self.in_place:
            self.in_place.append(name)

    def accumulate(self, parameter: Parameter, gradient: Tensor) -> None:
        """A gradient was added to that of a parameter."""
        if not self.paused:
            self._parameter(parameter)
            self._write("accumulate", None, (gradient,), parameter._grad)
            self.mark("reached", parameter)

    def accumulate_by(self, operation, inputs, parameter: Parameter, settings: dict) -> None:
        """An operation's result was added to a parameter's gradient, term by term."""
        if not self.paused:
            self._parameter(parameter)
            self._write("accumulate", operation, inputs, parameter._grad, settings)
            self.mark("reached", parameter)

    def zero_grad(self, parameter: Parameter, set_to_none: bool) -> None:
        """A parameter's gradient was cleared."""
        if not self.paused:
            self._parameter(parameter)
            self._write("zero", None, (), parameter._grad)
            if set_to_none:
                self.mark("cleared", parameter)

    def set_grad(self, parameter: Parameter, values) -> None:
        """Values were copied over a parameter's gradient."""
        if not self.paused:
            self._parameter(parameter)
            self._write("overwrite", None, (values,), parameter._grad)
            self.mark("reached", parameter)

    def overwrite(self, tensor: Tensor, values) -> None:
        """Values, of a Tensor, an array or a number, were copied into a Tensor."""
        if self.paused:
            return
        if isinstance(tensor, Parameter):
            self._parameter(tensor)
        self._write("overwrite", None, (values,), tensor._data)
        if tensor.status is not None:
            self.mark("changed", tensor)

    def overwrite_array(self, array: np.ndarray, values) -> None:
        """Values were copied over gradients that lie side by side, as one array."""
        if not self.paused:
            self._write("overwrite", None, (values,), array)

    def only_plain(self, why: str) -> None:
        """PlainOnly: what comes next cannot be a part of a recorded step, which runs plain from now on."""
        if not self.paused:
            raise PlainOnly(why)

    def read(self, tensor: Tensor, how: str) -> None:
        """CaptureError where Python takes a value out of a Tensor."""
        if self.paused:
            return
        root = self.roots.get(id(_owner(tensor._data)))
        if root is None or root.key[0] != "constant":
            raise CaptureError(
                f"capture: {how} takes a value out of a Tensor while the step is recorded, which would stay the same "
                "at each later call. Return the Tensor and read it outside, choose with minidl.where, or give what "
                "steers the step as an argument that is a Python number")

    def _write(self, what: str, operation, operands, target: np.ndarray,
               settings: Mapping = MappingProxyType({})) -> None:
        """Something was added to an array, or copied over it."""
        operands = tuple([self.operand(x, what) for x in operands])
        self._verify(target, skip=True)
        root = self.roots[id(_owner(target))]
        if root.key[0] == "argument":
            raise CaptureError(
                "capture: the function writes into an argument, which at a later call is a copy of what was given: "
                "clone() it first")
        _shadow_of(target, root)[...] = target
        self.lines.append(Line(what, operation, operands, settings, (target,)))
        name = getattr(operation, "name", None)
        self.signature.append((what, name, self.told(operands), self._place(target), repr(dict(settings))))

    def mark(self, what: str, parameter: Tensor) -> None:
        """"reached", "cleared" or "changed"."""
        self.assigned.add(id(parameter))
        if isinstance(parameter, Parameter):
            self._parameter(parameter)
        self.lines.append(Line(what, parameter))
        self.signature.append((what, id(parameter)))

    def finite(self, number: Tensor) -> None:
        """The step ends here unless this number is finite."""
        operand = self.operand(number, "finite")
        self.lines.append(Line("finite", None, (operand,)))
        self.signature.append(("finite", self.told((operand,))))

    @contextmanager
    def calling(self, function: Callable[[], Any], name: str, put_back: Callable[[], None] | None = None,
                listed: bool = True):
        """Around a call that is made in its place at each replay, and may change parameters and their gradients.

        put_back : undoes what else the call changes. listed : whether it is a user's own Python.
        """
        if self.paused:
            yield
            return
        self._verify_all()
        if put_back is not None:
            self.undo.append(put_back)
        with unseen():
            yield
        self._refresh()
        self.lines.append(Line("call", function))
        self.signature.append(("call", name, id(getattr(function, "__self__", None))))
        if listed and name not in self.in_place:
            self.in_place.append(name)

    def _refresh(self) -> None:
        """Take parameters, gradients and streams of random numbers as they are now."""
        for parameter in self.parameters.values():
            for array in (parameter._data, parameter._grad):
                _shadow_of(array, self.roots[id(_owner(array))])[...] = array
        for key, (stream, _) in self.streams.items():
            self.streams[key] = stream, repr(stream())

    def stream(self, key, state: Callable[[], Any]) -> None:
        """A generator that the function sees; ``state()`` tells where its stream is."""
        if key not in self.streams:
            self.streams[key] = state, repr(state())

    def leaf(self, tensor: Tensor, gradient: Tensor) -> bool:
        """A leaf that is no Parameter receives a gradient; True if it outlives the step, and replays add to it, too."""
        root = self.roots.get(id(_owner(tensor._data)))
        if self.paused or root is None or root.key[0] != "outside":
            return False

        def accumulate(array):
            tensor.accumulate(array)
            return ()

        self.call("a gradient", accumulate, (gradient,), (), listed=False)
        return True

    def gradient_queried(self, parameter: Parameter) -> None:
        """The function asks whether a parameter has a gradient before it has made one."""
        if not self.paused and id(parameter) not in self.assigned and id(parameter) not in self.queried:
            self.queried[id(parameter)] = parameter, parameter.status.has_grad

    def add_parameters(self, parameters) -> None:
        """Parameters that a call will change."""
        for parameter in parameters:
            self._parameter(parameter)

    # How operands are identified

    def _append(self, line: Line, signature: tuple) -> None:
        arrays = [x for x in line.outputs if x is not None]
        for n, array in enumerate(arrays):
            if id(_owner(array)) not in self.roots:
                self._root(_owner(array), ("line", len(self.lines), n))
        self.lines.append(line)
        self.signature.append((*signature, *[(x.shape, x.dtype.str) for x in arrays]))

    def _root(self, array: np.ndarray, key: tuple) -> Root:
        root = self.roots[id(array)] = Root(array, key)
        return root

    def _parameter(self, parameter: Parameter) -> None:
        if id(parameter) in self.parameters:
            return
        self.parameters[id(parameter)] = parameter
        self.places.append((parameter, parameter.start))
        store, status = parameter.store, parameter.status
        flags = status.has_grad
        for array, kind in ((store.values, "values"), (store.gradients, "gradients")):
            if id(array) not in self.roots:
                self._root(array, (kind, id(array)))
        begin, end = parameter.start, parameter.start + parameter.numel()
        values, gradients = store.values[begin:end].copy(), store.gradients[begin:end].copy()

        def put_back():
            store.values[begin:end], store.gradients[begin:end] = values, gradients
            status.has_grad = flags

        self.undo.append(put_back)

    def operand(self, x, who: str):
        """An operand as an array or a number; CaptureError for an array that is made anew at each call."""
        if isinstance(x, Parameter):
            self._parameter(x)
        if isinstance(x, Tensor):
            x = x._data
        if isinstance(x, np.generic):
            x = np.asarray(x) if x.dtype.kind not in "fiub" else x.item()
        if isinstance(x, np.ndarray):
            self._verify(x, who=who)
        return x

    def _verify(self, array: np.ndarray, who: str = "", skip: bool = False) -> None:
        """Check that the array is known, and holds what the recorded lines left in it."""
        owner = _owner(array)
        root = self.roots.get(id(owner))
        if root is None:
            if not self.knows(array):
                raise CaptureError(
                    f"capture: {who}: the function makes an array of shape {array.shape} outside minidl, which would "
                    f"stay the same at each later call: {WAYS_OUT}")
            root = self._root(owner, ("outside", id(owner)))
        elif not skip and not _same(array, root):
            raise CaptureError(
                f"capture: {who}: an array of shape {array.shape} was written to outside minidl, which a later call "
                "would not do: write it with operations on Tensors (within no_grad() for a parameter or a gradient)")

    def _verify_all(self) -> None:
        for root in list(self.roots.values()):
            if root.key[0] not in ("constant", "values", "gradients"):
                self._verify(root.array, "before the end of the step")
        for parameter in self.parameters.values():
            self._verify(parameter._data, f"before the end of the step: {parameter.described()}")
            self._verify(parameter._grad, f"before the end of the step: the gradient of {parameter.described()}")
        self.drawing()

    def drawing(self) -> None:
        """Check that only minidl drew from the generators that the function sees."""
        for stream, state in self.streams.values():
            if repr(stream()) != state:
                raise CaptureError(
                    "capture: the function draws random numbers outside minidl, which would stay the same at each "
                    f"later call: {WAYS_OUT}")

    def _setting(self, value, who: str):
        if isinstance(value, (Tensor, np.ndarray)):
            return self.operand(value, who)
        if isinstance(value, (tuple, list)):
            return type(value)(self._setting(item, who) for item in value)
        return value

    def told(self, value):
        """A key to compare recordings by."""
        if isinstance(value, np.ndarray):
            return self._place(value)
        if isinstance(value, (tuple, list)):
            return tuple([self.told(item) for item in value])
        if isinstance(value, dict):
            return tuple([(name, self.told(item)) for name, item in value.items()])
        return type(value).__name__, repr(value)

    def _place(self, array: np.ndarray) -> tuple:
        owner = _owner(array)
        offset = array.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
        return self.roots[id(owner)].key, offset, array.shape, array.strides, array.dtype.str

    # The end

    def finish(self) -> None:
        """The function has returned."""
        self._verify_all()

    def lies_where_it_lay(self) -> bool:
        """Whether the parameters are still where they were when they were recorded."""
        return all(id(parameter.store.values) in self.roots and start == parameter.start
                   for parameter, start in self.places)

    def roll_back(self) -> None:
        """Put parameters, gradients and the optimizers' state back to where they were before."""
        for put_back in reversed(self.undo):
            put_back()


def _owner(array: np.ndarray) -> np.ndarray:
    """The array whose memory it views, or itself."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _shadow_of(array: np.ndarray, root: Root) -> np.ndarray:
    """The part of a root's copy that belongs to this view of its array. CaptureError where that has gaps."""
    owner, shadow = root.array, root.shadow
    if array is owner:
        return shadow
    flat = in_memory_order(shadow)
    if shadow.strides != owner.strides or not flat.flags.c_contiguous:
        raise CaptureError("capture: the function uses a part of an array whose elements do not lie side by side: "
                           "make it contiguous")
    offset = array.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
    return np.ndarray(array.shape, array.dtype, flat, offset, array.strides)


def _same(array: np.ndarray, root: Root) -> bool:
    """Whether an array equals the copy that its root has."""
    return array.tobytes() == _shadow_of(array, root).tobytes()
