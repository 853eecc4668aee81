"""A parameter's array as users see it: writing into it counts as a change of the parameter."""
from __future__ import annotations

import numpy as np

from ..kernels.memory import Status

# NumPy's functions that write into their first argument
_WRITERS = (np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask)


class Counted(np.ndarray):
    """A view of a parameter's array that advances the parameter's version with each write.

    ``w[...] = v``, ``w -= v``, ``np.copyto(w, v)``, ``out=w`` and the methods that write are counted, on
    views of it, too; writes through ``np.asarray(w)`` or the buffer are not. Results computed from it are plain arrays.
    """

    _status: Status | None = None  # of the array that of() made, which is the base of its views

    @classmethod
    def of(cls, array: np.ndarray, status: Status) -> Counted:
        made = array.view(cls)
        made._status = status
        return made

    def written(self) -> None:
        """Count a write as a change of the parameter, unless this is a copy."""
        owner = self.base if type(self.base) is Counted else self
        if owner._status is not None:
            owner._status.advance()

    def __setitem__(self, index, value) -> None:
        self.written()
        super().__setitem__(index, value)

    def __array_wrap__(self, array, context=None, return_scalar=False):
        if array is self:  # out=self, as the in-place operators have it
            self.written()
            return self
        array = np.asarray(array)
        return array[()] if return_scalar else array

    def __array_function__(self, function, types, args, kwargs):
        if function in _WRITERS and isinstance(args[0], Counted):
            args[0].written()
        return super().__array_function__(function, types, args, kwargs)

    def fill(self, value) -> None:
        self.written()
        super().fill(value)

    def put(self, *args, **kwargs) -> None:
        self.written()
        super().put(*args, **kwargs)

    def sort(self, *args, **kwargs) -> None:
        self.written()
        super().sort(*args, **kwargs)

    def partition(self, *args, **kwargs) -> None:
        self.written()
        super().partition(*args, **kwargs)

    def __deepcopy__(self, memo):
        return np.array(self)

    def __reduce_ex__(self, protocol):
        return np.array(self).__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return repr(np.asarray(self))
