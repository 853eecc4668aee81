"""Tensor, Parameter, and the tape on which operations on them are recorded.

A Tensor that came out of an operation remembers it in a Node: the inputs, and the function that turns
the gradient of the output into theirs. backward() walks the nodes from the last to the first; each was
numbered when it was made, so the order is a sort, and a chain of any length needs no recursion.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import count

import numpy as np

from .storage import Store

_serial = count()


class _Recording(threading.local):
    on = True


_recording = _Recording()


def recording() -> bool:
    """Whether operations of this thread are put on the tape."""
    return _recording.on


class no_grad:
    """Within ``with no_grad():``, or in a function so decorated, nothing is recorded."""

    def __enter__(self) -> None:
        self._before, _recording.on = _recording.on, False

    def __exit__(self, *exception) -> None:
        _recording.on = self._before

    def __call__(self, function: Callable) -> Callable:
        def wrapped(*args, **kwargs):
            with no_grad():
                return function(*args, **kwargs)
        return wrapped


class Node:
    """One recorded operation: ``gradients(g)`` gives the gradient of each input, or None."""

    __slots__ = ("gradients", "inputs", "name", "serial")

    def __init__(self, name: str, inputs: Sequence[Tensor], gradients: Callable):
        self.name, self.inputs, self.gradients, self.serial = name, inputs, gradients, next(_serial)

    def free(self) -> None:
        """Let go of what the derivative needs."""
        self.inputs = self.gradients = None


class Tensor:
    """A NumPy array that remembers how it was computed.

    ``data``: the array. ``grad``: its gradient, an array of the same shape, or None before the first
    backward(). ``requires_grad``: whether operations on it are recorded. A list becomes a float32
    array if it holds floats; an array keeps its dtype and its memory.

    Raises TypeError where a gradient is asked of a dtype other than float32 and float64.
    """

    __slots__ = ("__weakref__", "data", "grad", "node", "requires_grad")
    __array_priority__ = 100  # array + tensor is the tensor's affair

    def __init__(self, data, requires_grad: bool = False):
        if not isinstance(data, np.ndarray):
            listed = not isinstance(data, np.generic)
            data = np.asarray(data)
            if listed and data.dtype == np.float64:
                data = data.astype(np.float32)
        if requires_grad and data.dtype not in (np.float32, np.float64):
            raise TypeError(f"Tensor: only float32 and float64 have gradients, got {data.dtype}")
        self.data, self.grad, self.requires_grad, self.node = data, None, requires_grad, None

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

        gradient : array of this shape, by default 1, which a Tensor of one element alone may leave out.
        retain_graph : keep what the derivatives need, for another backward() through the same graph.

        Raises RuntimeError if nothing here requires a gradient, if the gradient is left out of a
        Tensor of several elements, or if the graph was freed by an earlier backward().
        """
        if not self.requires_grad:
            raise RuntimeError("backward: this Tensor does not require grad and was not recorded")
        if gradient is None:
            if self.data.size != 1:
                raise RuntimeError(
                    f"backward: only one element has an implicit gradient; this Tensor has shape {self.shape}")
            gradient = np.ones(self.shape, self.dtype)
        gradient = gradient.data if isinstance(gradient, Tensor) else np.asarray(gradient, self.dtype)
        if gradient.shape != self.shape:
            raise ValueError(f"backward: expected a gradient of shape {self.shape}, got {gradient.shape}")
        if self.node is None:
            self._accumulate(gradient)
            return
        waiting = {self.node: gradient}
        for node in _order(self.node):
            for tensor, g in zip(node.inputs, node.gradients(waiting.pop(node)), strict=True):
                if g is None or not tensor.requires_grad:
                    continue
                if tensor.node is None:
                    tensor._accumulate(g)
                else:
                    waiting[tensor.node] = waiting[tensor.node] + g if tensor.node in waiting else g
            if not retain_graph:
                node.free()

    def _accumulate(self, gradient: np.ndarray) -> None:
        # Never in place: the gradient may be an array that others hold too.
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

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.data)

    def __format__(self, spec: str) -> str:
        return format(self.item() if self.data.size == 1 and spec else self, "" if self.data.size != 1 else spec)

    def __repr__(self) -> str:
        body = np.array2string(self.data, separator=", ", prefix="tensor(")
        return f"tensor({body}{', requires_grad=True' if self.requires_grad else ''})"


def _order(last: Node) -> list[Node]:
    """The nodes that ``last`` came from, itself first, none before one that uses it."""
    seen, stack = {last}, [last]
    while stack:
        node = stack.pop()
        if node.inputs is None:
            raise RuntimeError(
                f"backward: the graph was freed by an earlier backward (at {node.name}); "
                "pass retain_graph=True to the first one to go through it again")
        for tensor in node.inputs:
            if tensor.node is not None and tensor.node not in seen:
                seen.add(tensor.node)
                stack.append(tensor.node)
    return sorted(seen, key=lambda node: -node.serial)


def record(name: str, value: np.ndarray, inputs: Sequence[Tensor], gradients: Callable) -> Tensor:
    """A Tensor of ``value``, on the tape with its inputs."""
    output = Tensor(value, requires_grad=True)
    output.node = Node(name, inputs, gradients)
    return output


def tensor(data, requires_grad: bool = False, dtype=None) -> Tensor:
    """A Tensor of ``data`` (array, numbers or lists), copied only where ``dtype`` or a list asks for it."""
    if isinstance(data, Tensor):
        data = data.data
    result = Tensor(data if dtype is None else np.asarray(data, dtype), requires_grad)
    return result


class Parameter(Tensor):
    """A value that is trained, with its gradient: two views of one shape into a Store.

    ``data`` and ``grad`` may be assigned to: the new value is copied into place, so that the views
    stay in the store; None as a gradient is zero. ``order="F"`` keeps a matrix transposed in memory: a
    Linear's weight has PyTorch's shape (out, in) and lies as (in, out), which its products read along
    the rows.

    Raises TypeError unless ``data`` is a float32 or float64 array.
    """

    def __init__(self, data, name: str = "parameter", order: str = "C"):
        data = np.asarray(data.data if isinstance(data, Tensor) else data)
        if data.dtype not in (np.float32, np.float64):
            raise TypeError(f"Parameter {name!r}: expected float32 or float64, got {data.dtype}")
        self.requires_grad, self.node = True, None
        self.name, self.order = name, order
        store = Store(data.size, data.dtype)
        store.values[:] = data.ravel(order)
        self._place(store, 0, data.shape)

    def _place(self, store: Store, start: int, shape: tuple[int, ...]) -> None:
        self.store, self.start = store, start
        end = start + int(np.prod(shape))
        self._data = store.values[start:end].reshape(shape, order=self.order)
        self._grad = store.gradients[start:end].reshape(shape, order=self.order)

    def move(self, store: Store, start: int) -> None:
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
        self._data[...] = _of_shape(value, self)

    @property
    def grad(self) -> np.ndarray:
        return self._grad

    @grad.setter
    def grad(self, value) -> None:
        self._grad[...] = 0 if value is None else _of_shape(value, self)

    def _accumulate(self, gradient: np.ndarray) -> None:
        self._grad += gradient

    def __reduce__(self):
        return _restore, (self._data.copy(), self._grad.copy(), self.name, self.order, self.requires_grad)

    def __deepcopy__(self, memo):
        return _restore(*self.__reduce__()[1])

    def __repr__(self) -> str:
        return f"Parameter({self.name}, shape={self.shape}, dtype={self.dtype})"


def _of_shape(value, parameter: Parameter) -> np.ndarray:
    value = np.asarray(value.data if isinstance(value, Tensor) else value)
    if value.shape != parameter.shape:
        raise ValueError(f"Parameter {parameter.name!r}: expected shape {parameter.shape}, got {value.shape}")
    return value


def _restore(data, grad, name: str, order: str, requires_grad: bool) -> Parameter:
    parameter = Parameter(data, name, order)
    parameter.grad = grad
    parameter.requires_grad = requires_grad
    return parameter
