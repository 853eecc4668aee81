"""Parameter: a Tensor that is trained, and lives with its gradient in a flat buffer."""
from __future__ import annotations

import math
from operator import attrgetter
from typing import Literal

import numpy as np

from ..arrays import FLOATS
from ..kernels.memory import Status
from . import storage
from .counted import Counted
from .tape import active_recorder
from .tensor import Tensor, as_array, check_flag, like
from .values import Values

Order = Literal["C", "F"] | tuple[int, ...]


def _shaped(flat: np.ndarray, shape: tuple[int, ...], order: Order) -> np.ndarray:
    """A view of this shape, whose axes lie in this order."""
    if isinstance(order, str):
        return flat.reshape(shape, order=order)
    return flat.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))


class Parameter(Tensor):
    """A value that is trained, with its gradient: two views of one shape into a Store.

    ``data`` and ``grad`` may be assigned to: the new value, of the same shape and dtype, is copied into
    the store, so that the views stay. Assigning to ``data`` or writing into it counts as a change of the
    values, which a backward that reads them detects. ``order="F"`` keeps a matrix transposed
    in memory: a Linear's weight has PyTorch's shape (out, in) and lies as (in, out), which its products read
    along the rows. ``order`` may also name the axes as they lie, the last of which has stride one: a Conv2d's weight
    (out, in, kh, kw) lies as (kh, kw, in, out), (2, 3, 1, 0).

    ``grad`` is None, as in PyTorch, until a backward reaches the parameter, and again after zero_grad():
    an optimizer leaves such a parameter alone. ``gradient`` is the array that backward adds to; it always
    exists, and is zero where ``grad`` is None. Values that are written into it by hand count as a gradient.

    ``requires_grad = False`` freezes it: no backward computes its gradient and no optimizer updates it.

    Raises TypeError unless ``data`` is an array of float32 or float64 or a list of floats.
    """

    def __init__(self, data, name: str = "parameter", order: Order = "C", requires_grad: bool = True):
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
        self._data = _shaped(store.values[start:end], shape, self.order)
        self._grad = _shaped(store.gradients[start:end], shape, self.order)
        self._shown: np.ndarray | None = None
        self._shown_grad: np.ndarray | None = None

    def move(self, store: storage.Store, start: int) -> None:
        """Copy value and gradient to ``store`` at ``start``, and use that memory from now on."""
        data, grad = self._data, self._grad
        self._place(store, start, data.shape)
        self._data[...] = data
        self._grad[...] = grad
        storage.moved()

    def convert(self, dtype) -> None:
        """Live on in another dtype, float32 or float64: value and gradient are cast, and move."""
        if dtype not in FLOATS:
            raise TypeError(f"{self.described()}: expected float32 or float64, got {dtype}")
        data, grad = self._data, self._grad
        self._place(*storage.place(data.size, dtype), data.shape)
        self._data[...] = data
        self._grad[...] = grad
        self.status.advance()
        storage.moved()

    @property
    def data(self) -> np.ndarray:  # type: ignore[override]
        recorder = active_recorder()
        if recorder is not None:
            recorder.read(self, "data")
        if self._shown is None:
            self._shown = Counted.of(self._data, self.status)
        return self._shown

    @data.setter
    def data(self, value) -> None:
        array = like(self, value, f"Parameter {self.name!r}: expected values")
        self.overwrite(value if isinstance(value, Tensor) else array)

    def _set_requires_grad(self, value: bool) -> None:
        check_flag(value)
        self.status.requires_grad = value

    requires_grad = property(attrgetter("status.requires_grad"), _set_requires_grad)  # type: ignore[assignment]

    def described(self) -> str:
        return f"Parameter {self.name!r} of shape {self.shape}"

    @property
    def gradient(self) -> np.ndarray:
        """The array of the gradient, which always exists."""
        if self._shown_grad is None:
            self._shown_grad = Values.of(self._grad)
        return self._shown_grad

    def has_grad(self) -> bool:
        """Whether there is a gradient: a backward reached it, or its array is not zero."""
        return self.status.has_grad or bool(self._grad.any())

    @property
    def grad(self) -> np.ndarray | None:  # type: ignore[override]
        recorder = active_recorder()
        if recorder is not None:
            recorder.gradient_queried(self)
        return self.gradient if self.has_grad() else None

    @grad.setter
    def grad(self, value) -> None:
        if value is None:
            self.zero_grad()
            return
        self._grad[...] = like(self, value, f"Parameter {self.name!r}: expected a gradient")
        self.status.has_grad = True
        recorder = active_recorder()
        if recorder is not None:
            recorder.set_grad(self, value)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Remove the gradient; without ``set_to_none`` set it to zero, if there is one."""
        there = not set_to_none and self.has_grad()
        self._grad[...] = 0
        self.status.has_grad = there
        recorder = active_recorder()
        if recorder is not None:
            recorder.zero_grad(self, set_to_none)

    def accumulate(self, gradient) -> None:
        """Add an array or a Tensor to the gradient, in place."""
        self._grad += gradient._data if isinstance(gradient, Tensor) else gradient
        self.status.has_grad = True
        recorder = active_recorder()
        if recorder is not None:
            recorder.accumulate(self, gradient)

    def __reduce__(self):
        return _restore_parameter, (self._data, self.grad, self.name, self.order, self.requires_grad)

    def __repr__(self) -> str:
        return f"Parameter({self.name}, shape={self.shape}, dtype={self.dtype})"


def _restore_parameter(data, grad, name: str, order: Order, requires_grad: bool) -> Parameter:
    parameter = Parameter(data, name, order, requires_grad)
    parameter.grad = grad
    return parameter
