"""The recorder: what a function does to Tensors, line by line, while Python runs it.

A line is an operation, an addition to a gradient, or a Python function that is called in its place. Its
operands are identified by where they lie: in an argument, in what an earlier line made, in a model's parameters or
gradients, or in an array that the function finds outside. Two recordings of one function agree if their lines
do, so a program can be checked by recording anew.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..autograd.parameter import Parameter
from ..autograd.tape import unseen
from ..autograd.tensor import Tensor
from ..kernels.shadow import Gaps, Root, first_written, owner_of
from .errors import CaptureError

WAYS_OUT = ("give it to the step as an argument, draw it with minidl (minidl.randn, Dropout), or keep it where the "
            "function finds it at each call (a global, an attribute)")
GAPS = ("capture: the function uses a part of an array whose elements do not lie side by side: make it contiguous")
NONE: Mapping = MappingProxyType({})  # settings
SAME = ("constant", "values", "gradients")  # roots that are not verified as a whole: nobody writes there, or many do


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
    settings: Mapping = NONE
    outputs: tuple = ()


class Recorder:
    """Receives each operation from ``recording_into``. ``knows(array)``: whether the function finds it outside."""

    def __init__(self, knows: Callable[[np.ndarray], bool]):
        self.knows = knows
        self.lines: list[Line] = []
        self.signature: list[tuple] = []
        self.roots: dict[int, Root] = {}
        self.whole: list[tuple[Root, np.ndarray]] = []  # those that nobody but the recorded lines writes to
        self.parameters: dict[int, Parameter] = {}
        self.places: list[tuple[Parameter, int]] = []
        self.in_place: list[str] = []  # what is called in its place, by name
        self.undo: list[Callable[[], None]] = []
        self.before: dict[int, np.ndarray] = {}  # values and gradients of the stores, for that
        self.streams: dict[Any, tuple[Callable[[], Any], Any]] = {}
        self.settled: set[int] = set()  # parameters whose gradient the step has set or cleared
        self.asked: dict[int, tuple[Parameter, bool]] = {}  # others that the function has asked for a gradient
        self.arguments: list[np.ndarray | None] = []
        self.paused = False

    # What goes in

    def argument(self, array: np.ndarray | None) -> None:
        """The next argument, or None for a static one."""
        if array is not None:
            self._root(array, ("argument", len(self.arguments)))
        self.arguments.append(array)

    def constant(self, array: np.ndarray) -> None:
        """An array that the function makes of numbers in its text: the same at each call."""
        if not self.paused and id(array) not in self.roots:
            self._root(array, ("constant", array.dtype.str, array.shape, array.tobytes()))

    # What is done

    def operation(self, operation, inputs, settings: dict, output: Tensor) -> None:
        """An operation on Tensors, arrays and numbers has made ``output``."""
        if self.paused:
            return
        name = operation.name
        operands, told = self._operands(inputs, name)
        made, told_settings = output._data, ()
        if settings:
            settings = {key: self._setting(value, name) for key, value in settings.items()}
            told_settings = self.told(settings)
        owner = owner_of(made)
        if id(owner) in self.roots:  # a view of what is known already
            return
        self._root(owner, ("line", len(self.lines), 0))
        self.lines.append(Line("operation", operation, operands, settings or NONE, (made,)))
        self.signature.append(("operation", name, told, told_settings, made.shape, made.dtype))

    def call(self, name: str, function: Callable, inputs, outputs, listed: bool = True) -> None:
        """A Python function on arrays has made the outputs (None: none there) of the inputs.

        listed : whether it is a user's, which is called in its place, and not minidl's own draw of random numbers.
        """
        if self.paused:
            return
        operands, told = self._operands(inputs, name)
        made = tuple([x._data if isinstance(x, Tensor) else x for x in outputs])
        self._refresh()  # a module's own backward adds to its parameters' gradients
        arrays = [x for x in made if x is not None]
        for n, array in enumerate(arrays):
            if id(owner_of(array)) not in self.roots:
                self._root(owner_of(array), ("line", len(self.lines), n))
        self.lines.append(Line("function" if listed else "draw", function, operands, NONE, made))
        self.signature.append(("function", name, told, *[(x.shape, x.dtype) for x in arrays]))
        if listed and name not in self.in_place:
            self.in_place.append(name)

    def accumulate(self, parameter: Parameter, gradient: Tensor) -> None:
        """A gradient was added to that of a parameter."""
        if not self.paused:
            self._parameter(parameter)
            self._write("accumulate", None, (gradient,), parameter._grad)
            self.mark("reached", parameter)

    def accumulate_by(self, operation, inputs, parameter: Parameter) -> None:
        """An operation's result was added to a parameter's gradient, term by term."""
        if not self.paused:
            self._parameter(parameter)
            self._write("accumulate", operation, inputs, parameter._grad)
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

    def read(self, tensor: Tensor, how: str) -> None:
        """CaptureError where Python takes a value out of a Tensor."""
        if self.paused:
            return
        root = self.roots.get(id(owner_of(tensor._data)))
        if root is None or root.key[0] != "constant":
            raise CaptureError(
                f"capture: {how} takes a value out of a Tensor while the step is recorded, which would stay the same "
                "at each later call. Return the Tensor and read it outside, choose with minidl.where, or give what "
                "steers the step as an argument that is a Python number")

    def _write(self, what: str, operation, operands, target: np.ndarray) -> None:
        """Something was added to an array, or copied over it."""
        operands, told = self._operands(operands, what)
        root = self._root_of(target, what)
        if root.key[0] == "argument":
            raise CaptureError(
                "capture: the function writes into an argument, which at a later call is a copy of what was given: "
                "clone() it first")
        _take(root, target)
        self.lines.append(Line(what, operation, operands, NONE, (target,)))
        self.signature.append((what, getattr(operation, "name", None), told, root.told(target)))

    def mark(self, what: str, parameter: Tensor) -> None:
        """"reached", "cleared" or "changed"."""
        self.settled.add(id(parameter))
        if isinstance(parameter, Parameter):
            self._parameter(parameter)
        self.lines.append(Line(what, parameter))
        self.signature.append((what, id(parameter)))

    def finite(self, number: Tensor) -> None:
        """The step ends here unless this number is finite."""
        operands, told = self._operands((number,), "finite")
        self.lines.append(Line("finite", None, operands))
        self.signature.append(("finite", told))

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
                _take(self.roots[id(owner_of(array))], array)
        for key, (stream, _) in self.streams.items():
            self.streams[key] = stream, stream()

    def stream(self, key, state: Callable[[], Any]) -> None:
        """A generator that the function sees; ``state()`` tells where its stream is, as something to compare."""
        if key not in self.streams:
            self.streams[key] = state, state()

    def leaf(self, tensor: Tensor, gradient: Tensor) -> bool:
        """A leaf that is no Parameter receives a gradient; True if it outlives the step, and replays add to it, too."""
        root = self.roots.get(id(owner_of(tensor._data)))
        if self.paused or root is None or root.key[0] != "outside":
            return False

        def accumulate(array):
            tensor.accumulate(array)
            return ()

        self.call("a gradient", accumulate, (gradient,), (), listed=False)
        return True

    def asked_for_gradient(self, parameter: Parameter) -> None:
        """The function asks whether a parameter has a gradient before it has made one."""
        if not self.paused and id(parameter) not in self.settled and id(parameter) not in self.asked:
            self.asked[id(parameter)] = parameter, parameter.status.has_grad

    def add_parameters(self, parameters) -> None:
        """Parameters that a call will change."""
        for parameter in parameters:
            self._parameter(parameter)

    # How operands are identified

    def _root(self, array: np.ndarray, key: tuple) -> Root:
        root = self.roots[id(array)] = Root(array, key)
        if key[0] not in SAME:
            self.whole.append((root, array))
        return root

    def _parameter(self, parameter: Parameter) -> None:
        if id(parameter) in self.parameters:
            return
        self.parameters[id(parameter)] = parameter
        self.places.append((parameter, parameter.start))
        store, status = parameter.store, parameter.status
        for array, kind in ((store.values, "values"), (store.gradients, "gradients")):
            if id(array) not in self.roots:
                self._root(array, (kind, id(array)))
                self.before[id(array)] = array.copy()
        self.undo.append(partial(self._put_back, store, parameter.start, parameter.numel(), status, status.has_grad))

    def _put_back(self, store, begin: int, size: int, status, has_grad: bool) -> None:
        """A parameter's value and gradient as they were before the step."""
        for array in (store.values, store.gradients):
            array[begin:begin + size] = self.before[id(array)][begin:begin + size]
        status.has_grad = has_grad

    def _operands(self, inputs, who: str) -> tuple[tuple, tuple]:
        """Arrays and numbers, and a key to compare them by."""
        found, told = [], []
        for x in inputs:
            x = self.operand(x, who)
            found.append(x)
            told.append(self.told(x))
        return tuple(found), tuple(told)

    def operand(self, x, who: str):
        """An operand as an array or a number; CaptureError for an array that is made anew at each call."""
        if isinstance(x, Tensor):
            if isinstance(x, Parameter):
                self._parameter(x)
            x = x._data
        elif isinstance(x, np.generic):
            x = np.asarray(x) if x.dtype.kind not in "fiub" else x.item()
        if isinstance(x, np.ndarray):
            self._verify(x, who)
        return x

    def _root_of(self, array: np.ndarray, who: str) -> Root:
        """The root of an array; CaptureError for one that is made anew at each call."""
        owner = owner_of(array)
        root = self.roots.get(id(owner))
        if root is None:
            if not self.knows(array):
                raise CaptureError(
                    f"capture: {who}: the function makes an array of shape {array.shape} outside minidl, which would "
                    f"stay the same at each later call: {WAYS_OUT}")
            root = self._root(owner, ("outside", id(owner)))
        return root

    def _verify(self, array: np.ndarray, who: str) -> None:
        """Check that the array is known, and holds what the recorded lines left in it."""
        if not _same(self._root_of(array, who), array):
            raise CaptureError(
                f"capture: {who}: an array of shape {array.shape} was written to outside minidl, which a later call "
                "would not do: write it with operations on Tensors (within no_grad() for a parameter or a gradient)")

    def _verify_all(self) -> None:
        i = first_written(self.whole)
        if i >= 0:
            self._verify(self.whole[i][1], "before the end of the step")
        for parameter in self.parameters.values():
            self._verify(parameter._data, f"before the end of the step: {parameter.described()}")
            self._verify(parameter._grad, f"before the end of the step: the gradient of {parameter.described()}")
        self.drawing()

    def drawing(self) -> None:
        """Check that only minidl drew from the generators that the function sees."""
        for stream, state in self.streams.values():
            if stream() != state:
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
            return self.roots[id(owner_of(value))].told(value)
        if isinstance(value, (tuple, list)):
            return tuple([self.told(item) for item in value])
        if isinstance(value, dict):
            return tuple([(name, self.told(item)) for name, item in value.items()])
        return type(value).__name__, repr(value)

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


def _same(root: Root, array: np.ndarray) -> bool:
    """Whether a part of a root holds what its copy holds. CaptureError where that has gaps."""
    try:
        return root.same(array)
    except Gaps:
        raise CaptureError(GAPS) from None


def _take(root: Root, array: np.ndarray) -> None:
    """This part of a root is what the recorded lines left in it."""
    try:
        root.take(array)
    except Gaps:
        raise CaptureError(GAPS) from None
