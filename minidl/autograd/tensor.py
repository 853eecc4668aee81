"""Tensor: an array that remembers how it was computed, and accumulates a gradient."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

from .. import random
from ..arrays import FLOATS
from ..kernels.memory import Status
from . import operators, values
from .backward import run_backward
from .device import check_device, device
from .operators import Operators
from .tape import Node, active_recorder, constant, recording, recording_on_tape, unseen
from .values import Values


class Tensor(Operators):
    """A NumPy array that remembers how it was computed.

    ``data``: the array. ``grad``: its gradient, an array of the same shape, or None before the first
    backward(); after ``backward(create_graph=True)`` a Tensor, which can be differentiated again.
    ``requires_grad``: whether operations on it are recorded. An array keeps its dtype and its memory; numbers
    and lists are copied, their floats as float32.

    Raises TypeError for what are no numbers, and where a gradient is required of a dtype other than
    float32 and float64.
    """

    __slots__ = ("__weakref__", "_data", "_requires_grad", "grad", "node", "status")
    __array_priority__ = 100  # array + tensor calls the Tensor's operator

    def __init__(self, data, requires_grad: bool = False):
        given, data = data, as_array(data)
        if data is not given and active_recorder() is not None and not isinstance(given, Tensor):
            constant(data)
        if data.dtype.kind not in "fiub":
            raise TypeError(f"Tensor: expected numbers, got {data.dtype}")
        if requires_grad and data.dtype not in FLOATS:
            raise TypeError(f"Tensor: only float32 and float64 have gradients, got {data.dtype}")
        self._data, self._requires_grad = data, requires_grad
        self.grad: Any = None
        self.node: Node | None = None
        self.status: Status | None = None  # made when its values are first changed in place

    shape = property(lambda self: self._data.shape)
    dtype = property(lambda self: self._data.dtype)
    ndim = property(lambda self: self._data.ndim)
    is_leaf = property(lambda self: self.node is None)
    device = property(lambda self: device("cpu"))

    def _set_data(self, value) -> None:
        data = as_array(value)
        if self.requires_grad and data.dtype not in FLOATS:
            raise TypeError(f"Tensor: only float32 and float64 have gradients, got {data.dtype}")
        self._data = data

    def _set_requires_grad(self, value: bool) -> None:
        check_flag(value)
        if self.node is not None:
            raise RuntimeError("you can only change requires_grad flags of leaf variables; use detach() for a "
                               "Tensor that is not recorded")
        if value and self._data.dtype not in FLOATS:
            raise TypeError(f"Tensor: only float32 and float64 have gradients, got {self._data.dtype}")
        self._requires_grad = value

    data = property(lambda self: self._read("data"), _set_data)
    requires_grad = property(attrgetter("_requires_grad"), _set_requires_grad)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set ``requires_grad``, and return the Tensor. Raises as the attribute, but not for True on a non-leaf."""
        if self.node is None or not requires_grad:
            self.requires_grad = requires_grad
        return self

    @property
    def _version(self) -> int:
        """How often the values were changed in place."""
        return 0 if self.status is None else self.status.version

    def counted(self) -> Status:
        """The counter of changes of the values; Tensors that share memory share it."""
        if self.status is None:
            self.status = Status()
        return self.status

    def overwrite(self, values) -> None:
        """Copy the values, of a Tensor, an array or a number, into the array, in place."""
        recorder = active_recorder()
        if recorder is not None:  # it may refuse the change; then nothing has changed
            recorder.undo.append(partial(self._put_back, self._data.copy()))
        self._data[...] = values._data if isinstance(values, Tensor) else values
        self.counted().advance()
        if recorder is not None:
            recorder.overwrite(self, values)

    def _put_back(self, values: np.ndarray) -> None:
        self._data[...] = values
        self.counted().advance()

    def _read(self, how: str) -> np.ndarray:
        """The array, for Python to look at the values; a recorder may refuse."""
        recorder = active_recorder()
        if recorder is not None:
            recorder.read(self, how)
        return self._data

    def described(self) -> str:
        """The name of this Tensor in an error."""
        return f"a Tensor of shape {self.shape}"

    def size(self, dim: int | None = None):
        """The shape, or the length of one axis (PyTorch's meaning; NumPy's size is numel())."""
        return self._data.shape if dim is None else self._data.shape[dim]

    def dim(self) -> int:
        """The number of axes."""
        return self._data.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self._data.size

    def item(self) -> float:
        """The one element as a Python number. ValueError if there are more."""
        return self._read("item()").item()

    def tolist(self):
        """The elements as Python numbers, in nested lists."""
        return self._read("tolist()").tolist()

    def numpy(self) -> np.ndarray:
        """The array, without a copy. RuntimeError if it requires a gradient: detach() first."""
        if self.requires_grad:
            raise RuntimeError("numpy(): this Tensor requires grad; use detach().numpy()")
        return self._read("numpy()")

    def backward(self, gradient=None, retain_graph: bool | None = None, create_graph: bool = False) -> None:
        """Add to ``grad`` of every leaf that requires it the derivative of this Tensor.

        gradient : an array or Tensor of this shape and dtype, or numbers; by default 1, which a Tensor
            of one element alone may leave out.
        retain_graph : keep what the derivatives need, for another backward() through the same graph; by
            default as create_graph says.
        create_graph : record the derivatives, so that they can be differentiated again. ``grad`` of a leaf is
            then a Tensor; a Parameter's stays the array of its flat buffer, which gets the values:
            ``minidl.autograd.grad`` gives the derivative for a Parameter as a Tensor.

        Raises RuntimeError if nothing here requires a gradient, if the gradient is left out of a
        Tensor of several elements, if the graph was freed by an earlier backward(), or if it passes through
        a backward written with arrays and create_graph is set; ValueError and
        TypeError for a gradient of another shape or dtype; RuntimeError where a value that the derivatives read was
        changed in place since. The gradients have not changed then.
        """
        if not self.requires_grad:
            raise RuntimeError("backward: this Tensor does not require grad and was not recorded")
        retain = create_graph if retain_graph is None else retain_graph
        recorder = active_recorder()
        walking = None if create_graph or gradient is not None else getattr(recorder, "walking", None)
        if walking is None:
            self._walk(gradient, retain, create_graph, recorder is not None)
        else:
            with walking(self) as foreseen:
                self._walk(None, retain, False, not foreseen)

    def _walk(self, gradient, retain: bool, create_graph: bool, recorded: bool) -> None:
        if not create_graph and not recorded:
            start = self._gradient(gradient)
            if self.node is None:
                self.accumulate(start)
            else:
                run_backward(self, start, retain)
            return
        with recording_on_tape(create_graph):
            first = self.first_gradient(gradient)
            if self.node is None:
                self.accumulate(first)
            else:
                run_backward(self, first, retain, tensors=True)

    def _gradient(self, given) -> np.ndarray:
        """The gradient that backward() begins with."""
        if given is None:
            if self._data.size != 1:
                raise RuntimeError(
                    f"backward: expected a gradient of shape {self.shape}, got none")
            return np.full(self._data.shape, 1, self._data.dtype) if self._data.ndim else np.array(1, self._data.dtype)
        return like(self, given, "backward: expected a gradient")

    def first_gradient(self, given) -> Tensor:
        """The same as a Tensor; one that is given may have a graph of its own."""
        if given is None and self._data.size == 1:
            return operators.rows.ones_like(self)
        array = self._gradient(given)
        return given if isinstance(given, Tensor) else Tensor(array)

    def accumulate(self, gradient) -> None:
        """grad += gradient, in a new array, since other Tensors may share the array of the gradient.

        gradient : an array; or a Tensor, where the backward pass computes with them. Then grad is a Tensor, with its
            graph, if operations are recorded, and an array otherwise.
        """
        if isinstance(gradient, Tensor):
            recorder = active_recorder()
            if (recording() or recorder is not None) and not (recorder is not None and recorder.leaf(self, gradient)):
                total = gradient.clone() if self.grad is None else gradient.__radd__(self.grad)
                self.grad = total if recording() else Values.of(total._data)
                return
            gradient = gradient._data
        self.grad = Values.of(np.array(gradient if self.grad is None else as_array(self.grad) + gradient))

    def copy_(self, source) -> Tensor:
        """Copy a Tensor, an array or a number into the array, in place, broadcast and cast to its dtype.

        This and the other methods that change in place raise RuntimeError where this Tensor or the value
        requires a gradient, outside no_grad(), and ValueError for a shape that does not fit.
        """
        if isinstance(source, (Tensor, np.ndarray)) and source.dtype != self.dtype:
            source = operators.rows.to(source, self.dtype)
        return self._change(source)

    def fill_(self, value) -> Tensor:
        """Set every element to a number, in place."""
        if isinstance(value, (Tensor, np.ndarray)) and value.ndim:
            raise ValueError(f"fill_: expected a number, got an array of shape {value.shape}")
        return self.copy_(value)

    def add_(self, other, *, alpha=1) -> Tensor:
        """Add ``alpha`` times another, in place."""
        return self._change(self + (other if alpha == 1 else alpha * other), same_dtype=True)

    def sub_(self, other, *, alpha=1) -> Tensor:
        """Subtract ``alpha`` times another, in place."""
        return self._change(self - (other if alpha == 1 else alpha * other), same_dtype=True)

    def mul_(self, other) -> Tensor:
        """Multiply by another, in place."""
        return self._change(self * other, same_dtype=True)

    def div_(self, other) -> Tensor:
        """Divide by another, in place."""
        return self._change(self / other, same_dtype=True)

    def clamp_(self, min=None, max=None) -> Tensor:
        """Bring every element within [min, max], in place."""
        return self._change(self.clamp(min, max), same_dtype=True)

    def masked_fill_(self, mask, value) -> Tensor:
        """Set the elements where the mask is true to a number, in place."""
        return self._change(self.masked_fill(mask, value), same_dtype=True)

    def squeeze_(self, dim: int | None = None) -> Tensor:
        """Drop the axis ``dim``, or all axes, of length one, of this Tensor itself; the elements stay where they are.

        RuntimeError for one that requires a gradient, or is held by a module as a Parameter.
        """
        return self._reshape_in_place(operators.rows.squeeze(self.detach(), dim))

    def unsqueeze_(self, dim: int) -> Tensor:
        """Give this Tensor itself a new axis of length one at ``dim``. RuntimeError as for squeeze_."""
        return self._reshape_in_place(operators.rows.unsqueeze(self.detach(), dim))

    def _reshape_in_place(self, view: Tensor) -> Tensor:
        if self.requires_grad or type(self) is not Tensor:
            raise RuntimeError("a Tensor that requires grad, or a Parameter, does not change its shape in place")
        self._data = view._data
        return self

    def __setitem__(self, where, value) -> None:
        """``x[where] = value``, broadcast and cast, for any index that NumPy takes. Raises as copy_ does."""
        if active_recorder() is not None:
            self._change(operators.rows.index_put(self, where, value))
            return
        if recording() and (self.requires_grad or (isinstance(value, Tensor) and value.requires_grad)):
            raise _not_in_place()
        parts = where if isinstance(where, tuple) else (where,)
        self._data[tuple([part._data if isinstance(part, Tensor) else part for part in parts])] = (
            value._data if isinstance(value, Tensor) else value)
        self.counted().advance()

    def _change(self, values, same_dtype: bool = False) -> Tensor:
        """Overwrite the array, and return the Tensor."""
        if recording() and (self.requires_grad or (isinstance(values, Tensor) and values.requires_grad)):
            raise _not_in_place()
        shape = np.shape(values._data if isinstance(values, Tensor) else values)
        if np.broadcast_shapes(shape, self.shape) != self.shape:
            raise ValueError(f"expected values that fit into a Tensor of shape {self.shape}, got {shape}")
        if same_dtype and values.dtype != self.dtype:
            raise TypeError(f"a result of {values.dtype} does not fit into a Tensor of {self.dtype} in place")
        self.overwrite(values)
        return self

    def normal_(self, mean: float = 0.0, std: float = 1.0, *, generator=None) -> Tensor:
        """Fill with samples of N(mean, std²), in place; of minidl's own stream, or a seed's or Generator's."""
        return self._change(drawn("normal_", lambda: np.asarray(
            random.generator(generator).normal(mean, std, self.shape)).astype(self.dtype)))

    def uniform_(self, a: float = 0.0, b: float = 1.0, *, generator=None) -> Tensor:
        """Fill with samples of [a, b), in place; generator as for normal_."""
        return self._change(drawn("uniform_", lambda: np.asarray(
            random.generator(generator).uniform(a, b, self.shape)).astype(self.dtype)))

    def bernoulli_(self, p: float = 0.5, *, generator=None) -> Tensor:
        """Fill with 1 with probability p and 0 otherwise, in place; generator as for normal_."""
        return self._change(drawn("bernoulli_", lambda: np.asarray(
            random.generator(generator).random(self.shape) < p).astype(self.dtype)))

    def zero_(self) -> Tensor:
        """Set every element to zero, in place."""
        self.overwrite(0)
        return self

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options):
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self):
        return self._data.__dlpack_device__()

    def __reduce__(self):
        if self.node is not None:
            raise RuntimeError("a Tensor cannot be copied or pickled with the graph behind it: detach() it")
        return _restore_tensor, (self._data, self.grad, self.requires_grad)

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self._read("bool()"))

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._data.dtype.kind not in "iu" or self._data.size != 1:
            raise TypeError("only Tensors of one integer can be converted to an index")
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 else super().__format__(spec)

    def __repr__(self) -> str:
        body = np.array2string(self._read("repr()"), separator=", ", prefix="tensor(")
        return f"tensor({body}{', requires_grad=True' if self.requires_grad else ''})"


values.tensors = Tensor
_new = Tensor.__new__


def made(data: np.ndarray) -> Tensor:
    """A Tensor of an array of numbers, as operations make it, without checks."""
    output = _new(Tensor)
    output._data, output._requires_grad = data, False
    output.grad = output.node = output.status = None
    return output


def as_array(data) -> np.ndarray:
    """The array of a Tensor or an array, as it is; one of numbers and lists, their floats as float32."""
    if isinstance(data, np.ndarray):
        return data
    if isinstance(data, Tensor):
        return data._data
    array = np.asarray(data)
    listed = array.dtype == np.float64 and not isinstance(data, np.generic)
    return array.astype(np.float32) if listed else array


def like(x: Tensor, value, expected: str) -> np.ndarray:
    """The array of ``value``, which must have x's shape and dtype; mere numbers take on the dtype."""
    typed = isinstance(value, (Tensor, np.ndarray))
    array = as_array(value) if typed else np.asarray(value, x.dtype)
    if array.shape != x.shape:
        raise ValueError(f"{expected} of shape {x.shape}, got {array.shape}")
    if array.dtype != x.dtype:
        raise TypeError(f"{expected} of dtype {x.dtype}, got {array.dtype}")
    return array


def _not_in_place() -> RuntimeError:
    return RuntimeError("a Tensor that requires grad, or is given one, changes in place within no_grad() alone")


def check_flag(value) -> None:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"requires_grad must be a bool, got {type(value).__name__}")


def record(name: str, value: np.ndarray, inputs: Sequence[Tensor], gradients: Callable,
           reads: Iterable[Tensor] = (), reads_output: bool = False, parameters: Callable = list) -> Tensor:
    """A Tensor of ``value``, on the tape with its inputs; ``gradients`` is a function on arrays.

    ``reads``: the Tensors whose values the gradients are computed from; ``reads_output``: whether the output's
    is read, too. Where one of these has changed by then, backward() raises. ``parameters()``: the Parameters to whose
    gradients the function adds.
    """
    output = Tensor(value, requires_grad=True)
    read: list[tuple] = [(x, 0 if x.status is None else x.status.version) for x in reads]
    if reads_output:
        read.append((output.counted(), 0))
    output.node = Node(name, inputs, gradients, read, parameters)
    return output


def tensor(data, requires_grad: bool = False, dtype=None, device=None) -> Tensor:
    """A Tensor of ``data``: an array, without a copy unless ``dtype`` asks for it, or numbers or lists.

    The device may be "cpu" alone (ValueError).
    """
    check_device(device)
    if dtype is not None:
        if active_recorder() is not None and isinstance(data, (Tensor, np.ndarray)):
            return Tensor(data).to(dtype).requires_grad_(requires_grad)
        listed = not isinstance(data, (Tensor, np.ndarray))
        data = np.asarray(data._data if isinstance(data, Tensor) else data, dtype)
        if listed:
            constant(data)
    return Tensor(data, requires_grad)


def drawn(name: str, draw: Callable[..., np.ndarray], *inputs: Tensor) -> Tensor:
    """The random numbers draw(*arrays) as a Tensor; a recorded step draws anew at each replay."""
    recorder = active_recorder()
    if recorder is not None:
        recorder.drawing()
    with unseen():
        output = Tensor(draw(*[x._data for x in inputs]))
    if recorder is not None:
        recorder.call(name, draw, inputs, (output,), listed=False)
    return output


def _restore_tensor(data, grad, requires_grad: bool) -> Tensor:
    restored = Tensor(data, requires_grad)
    restored.grad = grad
    return restored
