"""A parameter's array as users see it: writing into it counts as a change of the parameter."""
from __future__ import annotations

import numpy as np

from .values import Values

# NumPy's functions that write into their first argument
_WRITERS = (np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask)


class Counted(Values):
    """A view of a parameter's array that advances the parameter's version with each write.

    ``w[...] = v``, ``w -= v``, ``np.copyto(w, v)``, ``out=w`` and the methods that write are counted, on
    views of it, too; writes through ``np.asarray(w)`` or the buffer are not. Results computed from it are plain arrays.
    """

    def written(self) -> None:
        """Count a write as a change of the parameter, unless this is a copy."""
        status = self._owner()._status
        if status is not None:
            status.advance()

    def __setitem__(self, index, value) -> None:
        self.written()
        super().__setitem__(index, value)

    def __array_wrap__(self, array, *how):
        if array is self:
            self.written()
        return super().__array_wrap__(array, *how)

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
