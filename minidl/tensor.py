"""Tensor and Parameter: arrays that remember how they were computed, and the gradients they gather."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Literal

import numpy as np

from . import storage
from .arrays import FLOATS
from .counted import Counted
from .kernels.memory import Status
from .tape import Node, walk_back


class Tensor:
    """A NumPy array that remembers how it was computed.

    ``data``: the array. ``grad``: its gradient, an array of the same shape, or None before the first
    backward(). ``requires_grad``: whether operations on it are recorded. An array keeps its dtype and
    its memory; numbers and lists are copied, their floats as float32.

    Raises TypeError for what are no numbers, and where a gradient is asked of a dtype other than
    float32 and float64.
    """

    __slots__ = ("__weakref__", "_data", "_requires_grad", "grad", "node", "status")
    __array_priority__ = 100  # array + tensor is the tensor's affair

    def __init__(self, data, requires_grad: bool = False):
        data = as_array(data)
        if data.dtype.kind not in "fiub":
            raise TypeError(f"Tensor: expected numbers, got {data.dtype}")
        if requires_grad and data.dtype not in FLOATS:
            raise TypeError(f"Tensor: only float32 and float64 have gradients, got {data.dtype}")
        self._data, self._requires_grad = data, requires_grad
        self.grad: np.ndarray | None = None
        self.node: Node | None = None
        self.status: Status | None = None  # made when its values are first changed in place

    shape = property(lambda self: self._data.shape)
    dtype = property(lambda self: self._data.dtype)
    ndim = property(lambda self: self._data.ndim)
    is_leaf = property(lambda self: self.node is None)

    def _set_data(self, value) -> None:
        data = as_array(value)
        if self.requires_grad and data.dtype not in FLOATS:
            raise TypeError(f"Tensor: only float32 and float64 have gradients, got {data.dtype}")
        self._data = data

    def _set_requires_grad(self, value: bool) -> None:
        _check_flag(value)
        if self.node is not None:
            raise RuntimeError("you can only change requires_grad flags of leaf variables; use detach() for a "
                               "Tensor that is not recorded")
        if value and self._data.dtype not in FLOATS:
            raise TypeError(f"Tensor: only float32 and float64 have gradients, got {self._data.dtype}")
        self._requires_grad = value

    data = property(attrgetter("_data"), _set_data)  # a getter in C, since every operation asks
    requires_grad = property(attrgetter("_requires_grad"), _set_requires_grad)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set ``requires_grad``, and return the Tensor. Raises as the attribute does, but for True on no leaf."""
        if self.node is None or not requires_grad:
            self.requires_grad = requires_grad
        return self

    @property
    def _version(self) -> int:
        """How often the values were changed in place."""
        return 0 if self.status is None else self.status.version

    def counted(self) -> Status:
        """What counts the changes of the values; Tensors that share them share it."""
        if self.status is None:
            self.status = Status()
        return self.status

    def overwrite(self, values) -> None:
        """Copy the values into the array, in place."""
        self._data[...] = values
        self.counted().advance()

    def described(self) -> str:
        """What an error calls it."""
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
        return self._data.item()

    def tolist(self):
        """The elements as Python numbers, in nested lists."""
        return self._data.tolist()

    def numpy(self) -> np.ndarray:
        """The array, without a copy. RuntimeError if it requires a gradient: detach() first."""
        if self.requires_grad:
            raise RuntimeError("numpy(): this Tensor requires grad; use detach().numpy()")
        return self.data

    def detach(self) -> Tensor:
        """The same array, off the tape."""
        detached = Tensor(self._data)
        detached.status = self.counted()
        return detached

    def backward(self, gradient=None, retain_graph: bool = False) -> None:
        """Add to ``grad`` of every leaf that requires it the derivative of this Tensor.

        gradient : an array or Tensor of this shape and dtype, or numbers; by default 1, which a Tensor
            of one element alone may leave out.
        retain_graph : keep what the derivatives need, for another backward() through the same graph.

        Raises RuntimeError if nothing here requires a gradient, if the gradient is left out of a
        Tensor of several elements, or if the graph was freed by an earlier backward(); ValueError and
        TypeError for a gradient of another shape or dtype; RuntimeError where what the derivatives read was
        changed in place since. The gradients are then as they were.
        """
        if not self.requires_grad:
            raise RuntimeError("backward: this Tensor does not require grad and was not recorded")
        gradient = self._gradient(gradient)
        if self.node is None:
            self.accumulate(gradient)
        else:
            walk_back(self.node, gradient, retain_graph)

    def _gradient(self, given) -> np.ndarray:
        """The gradient that backward() begins with."""
        if given is None:
            if self._data.size != 1:
                raise RuntimeError(
                    f"backward: expected a gradient of shape {self.shape}, got none")
            return np.ones(self.shape, self.dtype)
        return _like(self, given, "backward: expected a gradient")

    def accumulate(self, gradient: np.ndarray) -> None:
        """grad += gradient, in a new array: that of the gradient may be another's too."""
        self.grad = np.array(gradient if self.grad is None else self.grad + gradient)

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
        return bool(self._data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 else super().__format__(spec)

    def __repr__(self) -> str:
        body = np.array2string(self._data, separator=", ", prefix="tensor(")
        return f"tensor({body}{', requires_grad=True' if self.requires_grad else ''})"


def as_array(data) -> np.ndarray:
    """The array of a Tensor or an array, as it is; one of numbers and lists, their floats as float32."""
    if isinstance(data, np.ndarray):
        return data
    if isinstance(data, Tensor):
        return data._data
    array = np.asarray(data)
    listed = array.dtype == np.float64 and not isinstance(data, np.generic)
    return array.astype(np.float32) if listed else array


def _like(x: Tensor, value, expected: str) -> np.ndarray:
    """The array of ``value``, which must have x's shape and dtype; mere numbers take on the dtype."""
    typed = isinstance(value, (Tensor, np.ndarray))
    array = as_array(value) if typed else np.asarray(value, x.dtype)
    if array.shape != x.shape:
        raise ValueError(f"{expected} of shape {x.shape}, got {array.shape}")
    if array.dtype != x.dtype:
        raise TypeError(f"{expected} of dtype {x.dtype}, got {array.dtype}")
    return array


def _check_flag(value) -> None:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"requires_grad must be a bool, got {type(value).__name__}")


def record(name: str, value: np.ndarray, inputs: Sequence[Tensor], gradients: Callable,
           reads: Iterable[Tensor] = (), reads_output: bool = False) -> Tensor:
    """A Tensor of ``value``, on the tape with its inputs.

    ``reads``: the Tensors whose values the gradients are made of; ``reads_output``: whether they read the
    output's. Where one of these has changed by then, backward() raises.
    """
    output = Tensor(value, requires_grad=True)
    read: list[tuple] = [(x, 0 if x.status is None else x.status.version) for x in reads]
    if reads_output:
        read.append((output.counted(), 0))
    output.node = Node(name, inputs, gradients, read)
    return output


def tensor(data, requires_grad: bool = False, dtype=None) -> Tensor:
    """A Tensor of ``data``: an array, without a copy unless ``dtype`` asks for it, or numbers or lists."""
    if dtype is not None:
        data = np.asarray(data._data if isinstance(data, Tensor) else data, dtype)
    return Tensor(data, requires_grad)


def _restore_tensor(data, grad, requires_grad: bool) -> Tensor:
    restored = Tensor(data, requires_grad)
    restored.grad = grad
    return restored


class Parameter(Tensor):
    """A value that is trained, with its gradient: two views of one shape into a Store.

    ``data`` and ``grad`` may be assigned to: the new value, of the same shape and dtype, is copied into
    place, so that the views stay in the store. What is assigned to ``data`` or written into it counts as a
    change of the values, which a backward that reads them notices. ``order="F"`` keeps a matrix transposed
    in memory: a Linear's weight has PyTorch's shape (out, in) and lies as (in, out), which its products read
    along the rows.

    ``grad`` is None, as in PyTorch, until a backward reaches the parameter, and again after zero_grad():
    an optimizer leaves such a parameter alone. ``gradient`` is the array that backward adds to, always
    there, zero where ``grad`` is None; what is written into it by hand counts as a gradient.

    ``requires_grad = False`` freezes it: no backward computes its gradient and no optimizer moves it.

    Raises TypeError unless ``data`` is an array of float32 or float64 or a list of floats.
    """

    def __init__(self, data, name: str = "parameter", order: Literal["C", "F"] = "C", requires_grad: bool = True):
        data = as_array(data)
        if data.dtype not in FLOATS:
            raise TypeError(f"Parameter {name!r}: expected float32 or float64, got {data.dtype}")
        self.status: Status = Status()
        self.node = None
        self.name, self.order = name, order
        self.requires_grad = requires_grad
        self._place(*storage.place(data.size, data.dtype), data.shape)
        self._data[...] = data

    def _place(self, store: storage.Store, start: int, shape: tuple[int, ...]) -> None:
        self.store, self.start = store, start
        end = start + math.prod(shape)
        self._data = store.values[start:end].reshape(shape, order=self.order)
        self._grad = store.gradients[start:end].reshape(shape, order=self.order)
        self._shown: np.ndarray | None = None

    def move(self, store: storage.Store, start: int) -> None:
        """Copy value and gradient to ``store`` at ``start`` and live there from now on."""
        data, grad = self._data, self._grad
        self._place(store, start, data.shape)
        self._data[...] = data
        self._grad[...] = grad
        storage.moved()

    @property
    def data(self) -> np.ndarray:  # type: ignore[override]
        if self._shown is None:
            self._shown = Counted.of(self._data, self.status)
        return self._shown

    @data.setter
    def data(self, value) -> None:
        self.overwrite(_like(self, value, f"Parameter {self.name!r}: expected values"))

    def _set_requires_grad(self, value: bool) -> None:
        _check_flag(value)
        self.status.requires_grad = value

    requires_grad = property(attrgetter("status.requires_grad"), _set_requires_grad)  # type: ignore[assignment]

    def described(self) -> str:
        return f"Parameter {self.name!r} of shape {self.shape}"

    @property
    def gradient(self) -> np.ndarray:
        """The array of the gradient, which is always there."""
        return self._grad

    def has_grad(self) -> bool:
        """Whether there is a gradient: a backward reached it, or something else was written there."""
        return self.status.has_grad or bool(self._grad.any())

    @property
    def grad(self) -> np.ndarray | None:  # type: ignore[override]
        return self._grad if self.has_grad() else None

    @grad.setter
    def grad(self, value) -> None:
        if value is None:
            self._grad[...] = 0
        else:
            self._grad[...] = _like(self, value, f"Parameter {self.name!r}: expected a gradient")
        self.status.has_grad = value is not None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """There is no gradient any more; without ``set_to_none`` one that there is becomes zero."""
        there = not set_to_none and self.has_grad()
        self._grad[...] = 0
        self.status.has_grad = there

    def accumulate(self, gradient: np.ndarray) -> None:
        self._grad += gradient
        self.status.has_grad = True

    def __reduce__(self):
        return _restore_parameter, (self._data, self.grad, self.name, self.order, self.requires_grad)

    def __repr__(self) -> str:
        return f"Parameter({self.name}, shape={self.shape}, dtype={self.dtype})"


def _restore_parameter(data, grad, name: str, order: Literal["C", "F"], requires_grad: bool) -> Parameter:
    parameter = Parameter(data, name, order, requires_grad)
    parameter.grad = grad
    return parameter
