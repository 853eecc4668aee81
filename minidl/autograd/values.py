"""The arrays of parameters and gradients: NumPy's, with a Tensor's methods beside NumPy's own."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.memory import Status

tensors: Any = None  # the class Tensor, whose module sets it: it makes such views itself


class Values(np.ndarray):
    """A view of an array that also has those methods of a Tensor that arrays lack, as PyTorch's scripts use them.

        p.grad.data.clamp_(-1, 1);  p.data.add_(p.grad, alpha=-lr);  w.grad.zero_();  p.grad.norm(2).item()

    Those of one name are NumPy's: ``max(1)`` gives values alone, ``size`` is the number of elements. The methods that
    end in "_" change the array in place and count as a change of the Tensor that it belongs to; a captured step records
    them. The others give Tensors, off the tape. Results of arithmetic are plain arrays.
    """

    _tensor: Any = None
    _status: Status | None = None  # of what the array belongs to, as of() was told

    @classmethod
    def of(cls, array: np.ndarray, status: Status | None = None):
        """A view of the array, whose changes are counted there."""
        made = array.view(cls)
        made._status = status
        return made

    def _owner(self) -> Values:
        """The array that of() made, of which this one may be a view."""
        return self.base if isinstance(self.base, Values) else self

    def __getattr__(self, name: str):
        if name.startswith("_") or not callable(getattr(tensors, name, None)):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._as_tensor(), name)

    def _as_tensor(self):
        """A Tensor on this memory: the same one at each call, by which a recorder knows it."""
        if self._tensor is None:
            below = self.base  # not itself, which would keep it alive
            whole = type(below) is np.ndarray and (below.shape, below.strides, below.ctypes.data) == (
                self.shape, self.strides, self.ctypes.data)
            self._tensor = tensors(below if whole else np.asarray(self))
            self._tensor.status = self._owner()._status
        return self._tensor

    @property
    def data(self):  # NumPy's is the buffer
        """Itself."""
        return self

    def view(self, *shape, **named):
        """A view of another dtype or type, as NumPy's; or of another shape, given as integers, as a Tensor's."""
        whole = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        if whole and all(isinstance(n, (int, np.integer)) for n in whole):
            return self.reshape(whole)
        return super().view(*shape, **named)

    def __array_wrap__(self, array, context=None, return_scalar=False):
        if array is self:  # out=self, as the in-place operators have it
            return self
        array = np.asarray(array)
        return array[()] if return_scalar else array

    def __deepcopy__(self, memo):
        return Values.of(np.array(self))

    def __reduce_ex__(self, protocol):
        return np.array(self).__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return repr(np.asarray(self))
