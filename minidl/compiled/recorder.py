"""The recorder: what a function does to Tensors, line by line, while Python runs it.

A line is an operation, an addition to a gradient, or a Python function that is called in its place. Its
operands are identified by where they lie: in an argument, in what an earlier line made, in a model's parameters or
gradients, or in an array that the function finds outside. Two recordings of one function agree if their lines
do, so a program can be checked by recording anew.
"""
from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from ..autograd.parameter import Parameter
from ..autograd.tape import unseen
from ..autograd.tensor import Tensor
from ..kernels.ledger import Ledger, Line, Root, owner_of, set_types
from .errors import CaptureError, PlainOnly
from .foresight import graph_behind

set_types(Tensor, Parameter)

WAYS_OUT = ("give it to the step as an argument, draw it with minidl (minidl.randn, Dropout), or keep it where the "
            "function finds it at each call (a global, an attribute)")
CALLS = ("function", "call", "draw")  # lines that call Python


class Recorder(Ledger):
    """Receives each operation from ``recording_into``; the lines and the memory that they read are in the Ledger.

    knows(array) : whether the function finds it outside. resting() : a context in which no Python is watched.
    """

    def __init__(self, knows: Callable[[np.ndarray], bool], resting: Callable = nullcontext):
        self.knows, self.resting = knows, resting
        self.earlier: Recorder | None = None  # of the run that this one is compared with
        self.walks: dict[int, tuple[int, tuple]] = {}  # by their first lines: what follows them, and the graph
        self.own = False  # since the walk began no Python ran but minidl's
        self.foreseen = False  # lines were taken from the earlier run
        self.places: list[tuple[Parameter, int]] = []
        self.in_place: list[str] = []  # names of the functions that are called in their place
        self.undo: list[Callable[[], None]] = []
        self.snapshot: Any = None  # of what the step changes, where one was taken: see snapshot.py
        self.covered: set[int] = set()  # whose values that puts back already: parameters and optimizers' arrays
        self.streams: dict[Any, tuple[Callable[[], Any], Any]] = {}
        self.queried: dict[int, tuple[Parameter, bool]] = {}  # looked at before set
        self.arguments: list[np.ndarray | None] = []
        self.ignoring = False  # whether labels may be among the batches that a loss is to ignore

    # Arguments and constants

    def argument(self, array: np.ndarray | None) -> None:
        """The next argument, or None for a static one."""
        if array is not None:
            self.root(array, ("argument", len(self.arguments)))
        self.arguments.append(array)

    def constant(self, array: np.ndarray) -> None:
        """An array that the function makes of numbers in its text: the same at each call."""
        if id(array) not in self.roots:
            self.root(array, ("constant", array.dtype.str, array.shape, array.tobytes()))

    # Operations and changes

    def call(self, name: str, function: Callable, inputs, outputs, listed: bool = True) -> None:
        """A Python function on arrays has made the outputs (None: none there) of the inputs.

        listed : whether it is a user's, which is called in its place, and not minidl's own draw of random numbers.
        """
        operands, told = self.operands(inputs, name)
        made = tuple([x._data if isinstance(x, Tensor) else x for x in outputs])
        self._refresh()  # a module's own backward adds to its parameters' gradients
        arrays = [x for x in made if x is not None]
        for n, array in enumerate(arrays):
            if id(owner_of(array)) not in self.roots:
                self.root(owner_of(array), ("line", len(self.lines), n))
        self.lines.append(Line("function" if listed else "draw", function, operands, {}, made))
        self.signature.append(("function", name, told, *[(x.shape, x.dtype) for x in arrays]))
        if listed and name not in self.in_place:
            self.in_place.append(name)

    def accumulate(self, parameter: Parameter, gradient: Tensor) -> None:
        """A gradient was added to that of a parameter."""
        self.write("accumulate", None, (gradient,), self.gradient_of(parameter))
        self.mark("reached", parameter)

    def accumulate_by(self, operation, inputs, parameter: Parameter, settings: dict) -> None:
        """An operation's result was added to a parameter's gradient, term by term."""
        self.write("accumulate", operation, inputs, self.gradient_of(parameter), settings)
        self.mark("reached", parameter)

    def zero_grad(self, parameter: Parameter, set_to_none: bool) -> None:
        """A parameter's gradient was cleared."""
        self.write("zero", None, (), self.gradient_of(parameter))
        if set_to_none:
            self.mark("cleared", parameter)

    def set_grad(self, parameter: Parameter, values) -> None:
        """Values were copied over a parameter's gradient."""
        self.write("overwrite", None, (values,), self.gradient_of(parameter))
        self.mark("reached", parameter)

    def overwrite(self, tensor: Tensor, values) -> None:
        """Values, of a Tensor, an array or a number, were copied into a Tensor."""
        if isinstance(tensor, Parameter):
            self.gradient_of(tensor)
        self.write("overwrite", None, (values,), tensor._data)
        if tensor.status is not None:
            self.mark("changed", tensor)

    def overwrite_array(self, array: np.ndarray, values) -> None:
        """Values were copied over gradients that lie side by side, as one array."""
        self.write("overwrite", None, (values,), array)

    def only_plain(self, why: str) -> None:
        """PlainOnly: what comes next cannot be a part of a recorded step, which runs plain from now on."""
        raise PlainOnly(why)

    def read(self, tensor: Tensor, how: str) -> None:
        """CaptureError where Python takes a value out of a Tensor."""
        root = self.roots.get(id(owner_of(tensor._data)))
        if root is None or root.key[0] != "constant":
            raise CaptureError(
                f"capture: {how} takes a value out of a Tensor while the step is recorded, which would stay the same "
                "at each later call. Return the Tensor and read it outside, choose with minidl.where, or give what "
                "steers the step as an argument that is a Python number")

    def finite(self, number: Tensor) -> None:
        """The step ends here unless this number is finite."""
        operands, told = self.operands((number,), "finite")
        self.lines.append(Line("finite", None, operands))
        self.signature.append(("finite", told))

    @contextmanager
    def calling(self, function: Callable[[], Any], name: str, put_back: Callable[[], None] | None = None,
                listed: bool = True):
        """Around a call that is made in its place at each replay, and may change parameters and their gradients.

        put_back : undoes what else the call changes. listed : whether it is a user's own Python.
        """
        self._verify_all()
        if put_back is not None:
            self.undo.append(put_back)
        with unseen(), self.resting():
            yield
        self._refresh()
        self.lines.append(Line("call", function))
        self.signature.append(("call", name, id(getattr(function, "__self__", None))))
        if listed and name not in self.in_place:
            self.in_place.append(name)

    @contextmanager
    def walking(self, tensor: Tensor):
        """Around a backward(): True, and it is not told, where the earlier run tells what it does."""
        begin, graph, earlier = len(self.lines), graph_behind(tensor, self), self.earlier
        known = None if graph is None or earlier is None else earlier.walks.get(begin)
        if earlier and known and known[1] == graph and self.signature == earlier.signature[:begin]:
            self._verify_read()
            with unseen(), self.resting():
                yield True
            self._foresee(earlier, begin, known[0])
            self.walks[begin] = known
            return
        self.own = earlier is None  # of a run that is compared, not all calls are told
        yield False
        if self.own and graph is not None and not any([line.what in CALLS for line in self.lines[begin:]]):
            self.walks[begin] = len(self.lines), graph

    def _foresee(self, earlier: Recorder, begin: int, end: int) -> None:
        """Take these lines of the earlier run, which were run without being told."""
        lines = earlier.lines[begin:end]
        for line in lines:
            if line.what == "reached":
                self.settled.add(id(line.operation))
            elif line.what == "accumulate":
                self.take(line.outputs[0], line.what)
        self.lines.extend(lines)
        self.signature.extend(earlier.signature[begin:end])
        self.foreseen = True

    def _refresh(self) -> None:
        """Take parameters, gradients and streams of random numbers as they are now."""
        for parameter in self.parameters.values():
            self.take(parameter._data, "")
            self.take(parameter._grad, "")
        for key, (stream, _) in self.streams.items():
            self.streams[key] = stream, stream()

    def stream(self, key, state: Callable[[], Any]) -> None:
        """A generator that the function sees; ``state()`` tells where its stream is, as something to compare."""
        if key not in self.streams:
            self.streams[key] = state, state()

    def leaf(self, tensor: Tensor, gradient: Tensor) -> bool:
        """A leaf that is no Parameter receives a gradient; True if it outlives the step, and replays add to it, too."""
        root = self.roots.get(id(owner_of(tensor._data)))
        if root is None or root.key[0] != "outside":
            return False

        def accumulate(array):
            tensor.accumulate(array)
            return ()

        self.call("a gradient", accumulate, (gradient,), (), listed=False)
        return True

    def gradient_queried(self, parameter: Parameter) -> None:
        """The function asks whether a parameter has a gradient before it has made one."""
        if id(parameter) not in self.settled and id(parameter) not in self.queried:
            self.queried[id(parameter)] = parameter, parameter.status.has_grad

    def add_parameters(self, parameters) -> None:
        """Parameters that a call will change."""
        for parameter in parameters:
            self.gradient_of(parameter)

    # What the Ledger asks

    def add_parameter(self, parameter: Parameter) -> None:
        """One that is met for the first time."""
        self.parameters[id(parameter)] = parameter
        self.places.append((parameter, parameter.start))
        store, status = parameter.store, parameter.status
        for array, kind in ((store.values, "values"), (store.gradients, "gradients")):
            if id(array) not in self.roots:
                self.root(array, (kind, id(array)), True).take(array[:store.used])
        if id(status) in self.covered:
            return
        begin, end, flags = parameter.start, parameter.start + parameter.numel(), status.has_grad
        values, gradients = store.values[begin:end].copy(), store.gradients[begin:end].copy()

        def put_back():
            store.values[begin:end], store.gradients[begin:end] = values, gradients
            status.has_grad = flags

        self.undo.append(put_back)

    def root_outside(self, array: np.ndarray, owner: np.ndarray, who: str) -> Root:
        """The root of an array that no line made; CaptureError for one that is made anew at each call."""
        if not self.knows(array):
            raise CaptureError(
                f"capture: {who}: the function makes an array of shape {array.shape} outside minidl, which would "
                f"stay the same at each later call: {WAYS_OUT}")
        return self.root(owner, ("outside", id(owner)))

    def written(self, array: np.ndarray, who: str) -> None:
        raise CaptureError(
            f"capture: {who}: an array of shape {array.shape} was written to outside minidl, which a later call "
            "would not do: write it with operations on Tensors (within no_grad() for a parameter or a gradient)")

    def argument_written(self) -> None:
        raise CaptureError(
            "capture: the function writes into an argument, which at a later call is a copy of what was given: "
            "clone() it first")

    def gaps(self) -> None:
        raise CaptureError("capture: the function uses a part of an array whose elements do not lie side by side: make "
                           "it contiguous")

    # What is checked

    def _verify_read(self) -> None:
        """Check all but gradients."""
        changed = self.first_written()
        if changed is not None:
            self.written(changed, "before the end of the step")
        parameter = self.first_changed(False)
        if parameter is not None:
            self.written(parameter._data, f"before the end of the step: {parameter.described()}")

    def _verify_all(self) -> None:
        self._verify_read()
        parameter = self.first_changed(True)
        if parameter is not None:
            self.written(parameter._grad, f"before the end of the step: the gradient of {parameter.described()}")
        self.drawing()

    def drawing(self) -> None:
        """Check that only minidl drew from the generators that the function sees."""
        for stream, state in self.streams.values():
            if stream() != state:
                raise CaptureError(
                    "capture: the function draws random numbers outside minidl, which would stay the same at each "
                    f"later call: {WAYS_OUT}")

    # The end

    def finish(self) -> None:
        """The function has returned."""
        self._verify_all()

    def close(self) -> None:
        """Let go of what only the recording needs: copies of all that was written to."""
        self.undo, self.earlier = [], None
        self.whole.clear()
        if self.snapshot is not None:
            self.snapshot.forget()
        for root in self.roots.values():
            root.forget()

    def lies_where_it_lay(self) -> bool:
        """Whether the parameters are still where they were when they were recorded."""
        return all(id(parameter.store.values) in self.roots and start == parameter.start
                   for parameter, start in self.places)

    def roll_back(self) -> None:
        """Put parameters, gradients and the optimizers' state back to where they were before."""
        for put_back in reversed(self.undo):
            put_back()
