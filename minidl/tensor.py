"""Tensor and Parameter: arrays that remember how they were computed, and the gradients they gather."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from . import storage
from .arrays import FLOATS
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

    __slots__ = ("__weakref__", "data", "grad", "node", "requires_grad")
    __array_priority__ = 100  # array + tensor is the tensor's affair

    def __init__(self, data, requires_grad: bool = False):
        data = as_array(data)
        if data.dtype.kind not in "fiub":
            raise TypeError(f"Tensor: expected numbers, got {data.dtype}")
        if requires_grad and data.dtype not in FLOATS:
            raise TypeError(f"Tensor: only float32 and float64 have gradients, got {data.dtype}")
        self.data, self.requires_grad = data, requires_grad
        self.grad: np.ndarray | None = None
        self.node: Node | None = None

    shape = property(lambda self: self.data.shape)
    dtype = property(lambda self: self.data.dtype)
    ndim = property(lambda self: self.data.ndim)
    is_leaf = property(lambda self: self.node is None)

    def size(self, dim: int | None = None):
        """The shape, or the length of one axis (PyTorch's meaning; NumPy's size is numel())."""
        return self.data.shape if dim is None else self.data.shape[dim]

    def dim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self.data.size

    def item(self) -> float:
        """The one element as a Python number. ValueError if there are more."""
        return self.data.item()

    def tolist(self):
        """The elements as Python numbers, in nested lists."""
        return self.data.tolist()

    def numpy(self) -> np.ndarray:
        """The array, without a copy. RuntimeError if it requires a gradient: detach() first."""
        if self.requires_grad:
            raise RuntimeError("numpy(): this Tensor requires grad; use detach().numpy()")
        return self.data

    def detach(self) -> Tensor:
        """The same array, off the tape."""
        return Tensor(self.data)

    def backward(self, gradient=None, retain_graph: bool = False) -> None:
        """Add to ``grad`` of every leaf that requires it the derivative of this Tensor.

        gradient : an array or Tensor of this shape and dtype, or numbers; by default 1, which a Tensor
            of one element alone may leave out.
        retain_graph : keep what the derivatives need, for another backward() through the same graph.

        Raises RuntimeError if nothing here requires a gradient, if the gradient is left out of a
        Tensor of several elements, or if the graph was freed by an earlier backward(); ValueError and
        TypeError for a gradient of another shape or dtype. The gradients are then as they were.
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
            if self.data.size != 1:
                raise RuntimeError(
                    f"backward: expected a gradient of shape {self.shape}, got none")
            return np.ones(self.shape, self.dtype)
        return _like(self, given, "backward: expected a gradient")

    def accumulate(self, gradient: np.ndarray) -> None:
        """grad += gradient, in a new array: that of the gradient may be another's too."""
        self.grad = np.array(gradient) if self.grad is None else self.grad + gradient

    def zero_(self) -> Tensor:
        """Set every element to zero, in place."""
        self.data[...] = 0
        return self

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options):
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()

    def __reduce__(self):
        if self.node is not None:
            raise RuntimeError("a Tensor cannot be copied or pickled with the graph behind it: detach() it")
        return _restore_tensor, (self.data, self.grad, self.requires_grad)

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 else super().__format__(spec)

    def __repr__(self) -> str:
        body = np.array2string(self.data, separator=", ", prefix="tensor(")
        return f"tensor({body}{', requires_grad=True' if self.requires_grad else ''})"


def as_array(data) -> np.ndarray:
    """The array of a Tensor or an array, as it is; one of numbers and lists, their floats as float32."""
    if isinstance(data, np.ndarray):
        return data
    if isinstance(data, Tensor):
        return data.data
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


def record(name: str, value: np.ndarray, inputs: Sequence[Tensor], gradients: Callable) -> Tensor:
    """A Tensor of ``value``, on the tape with its inputs."""
    output = Tensor(value, requires_grad=True)
    output.node = Node(name, inputs, gradients)
    return output


def tensor(data, requires_grad: bool = False, dtype=None) -> Tensor:
    """A Tensor of ``data``: an array, without a copy unless ``dtype`` asks for it, or numbers or lists."""
    if dtype is not None:
        data = np.asarray(data.data if isinstance(data, Tensor) else data, dtype)
    return Tensor(data, requires_grad)


def _restore_tensor(data, grad, requires_grad: bool) -> Tensor:
    restored = Tensor(data, requires_grad)
    restored.grad = grad
    return restored


class Parameter(Tensor):
    """A value that is trained, with its gradient: two views of one shape into a Store.

    ``data`` and ``grad`` may be assigned to: the new value, of the same shape and dtype, is copied into
    place, so that the views stay in the store. ``order="F"`` keeps a matrix transposed in memory: a Linear's
    weight has PyTorch's shape (out, in) and lies as (in, out), which its products read along the rows.

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
        self.status, self.node = Status(), None
        self.name, self.order = name, order
        self.requires_grad = requires_grad
        self._place(*storage.place(data.size, data.dtype), data.shape)
        self._data[...] = data

    def _place(self, store: storage.Store, start: int, shape: tuple[int, ...]) -> None:
        self.store, self.start = store, start
        end = start + math.prod(shape)
        self._data = store.values[start:end].reshape(shape, order=self.order)
        self._grad = store.gradients[start:end].reshape(shape, order=self.order)

    def move(self, store: storage.Store, start: int) -> None:
        """Copy value and gradient to ``store`` at ``start`` and live there from now on."""
        data, grad = self._data, self._grad
        self._place(store, start, data.shape)
        self._data[...] = data
        self._grad[...] = grad

    @property
    def data(self) -> np.ndarray:
        return self._data

    @data.setter
    def data(self, value) -> None:
        self._data[...] = _like(self, value, f"Parameter {self.name!r}: expected values")
        self.status.advance()

    @property
    def requires_grad(self) -> bool:  # type: ignore[override]
        return self.status.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.status.requires_grad = value

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
