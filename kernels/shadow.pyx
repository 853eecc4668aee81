"""The memory that a recording's operands lie in, and what it held after the lines so far.

A recording asks this of each operand of each line, at its first run and at each check: which array's memory is it, where in
it, and did anybody write there meanwhile?
"""

import numpy

from cpython.object cimport PyObject

cdef extern from "memory.h":
    ctypedef struct ArrayHead:
        char* data
        int nd
        Py_ssize_t* dimensions
        Py_ssize_t* strides
        PyObject* base
        int flags

cdef extern from "string.h" nogil:
    void* memcpy(void* to, const void* source, size_t size)
    int memcmp(const void* a, const void* b, size_t size)

cdef extern from "stdlib.h" nogil:
    void* malloc(size_t size)
    void free(void* memory)

cdef enum:
    C_CONTIGUOUS = 1  # NPY_ARRAY_C_CONTIGUOUS
    F_CONTIGUOUS = 2
    MOST_AXES = 64

cdef type NDARRAY = numpy.ndarray


class Gaps(ValueError):
    """A part of an array whose elements do not lie side by side."""


cdef inline ArrayHead* head(object array) noexcept:
    return <ArrayHead*><PyObject*>array


cpdef object owner_of(object array):
    """The array whose memory it views, or itself."""
    cdef PyObject* base
    if not isinstance(array, NDARRAY):
        raise TypeError(f"expected an array, got {type(array).__name__}")
    while True:
        base = head(array).base
        if base is NULL or not (type(<object>base) is NDARRAY or isinstance(<object>base, NDARRAY)):
            return array
        array = <object>base


cdef class Root:
    """An array that operands view: ``array``, what it is as ``key``, and a copy of its content.

    ``same(view)``: whether the view holds what the copy has there; ``take(view)``: the copy has it from now on.
    ``told(view)``: a key to compare views by. Gaps is raised for a view of an array whose elements do not lie side by
    side, and for one that reaches beyond its array.
    """

    cdef readonly object array
    cdef readonly tuple key
    cdef char* copy         # of the elements as they lie; NULL where they do not lie side by side
    cdef object content     # then: the elements
    cdef Py_ssize_t bytes
    cdef tuple whole        # what told() gives of the array itself

    def __cinit__(self, array not None, tuple key not None):
        if not isinstance(array, NDARRAY):
            raise TypeError(f"expected an array, got {type(array).__name__}")
        self.array, self.key, self.bytes = array, key, array.nbytes
        if head(array).flags & (C_CONTIGUOUS | F_CONTIGUOUS):
            self.copy = <char*>malloc(self.bytes + 1)
            if self.copy is NULL:
                raise MemoryError
            memcpy(self.copy, head(array).data, self.bytes)
        else:
            self.content = array.tobytes()

    def __dealloc__(self):
        free(self.copy)

    cdef Py_ssize_t offset(self, object view) except -1:
        """Where in the array the view begins; checked that all of it lies within."""
        cdef ArrayHead* mine = head(view)
        cdef Py_ssize_t low, high, i, step
        if view is self.array and self.bytes == view.nbytes:
            return 0
        low = mine.data - head(self.array).data
        high = low + <Py_ssize_t>view.itemsize
        cdef Py_ssize_t begin = low
        for i in range(mine.nd):
            if mine.dimensions[i] == 0:
                return 0
            step = (mine.dimensions[i] - 1) * mine.strides[i]
            if step < 0:
                low += step
            else:
                high += step
        if low < 0 or high > self.bytes or self.bytes != self.array.nbytes or mine.nd > MOST_AXES:
            raise Gaps("a view that reaches beyond its array")
        return begin

    cpdef bint same(self, view) except -1:
        """Whether nobody has written to this part of the array."""
        cdef Py_ssize_t begin
        cdef ArrayHead* mine = head(view)
        if not isinstance(view, NDARRAY):
            raise TypeError(f"expected an array, got {type(view).__name__}")
        if view is self.array and self.bytes != view.nbytes:  # it was resized
            return False
        if self.copy is NULL:
            if view is not self.array:
                raise Gaps("a part of an array with gaps")
            return view.tobytes() == self.content
        begin = self.offset(view)
        if mine.flags & (C_CONTIGUOUS | F_CONTIGUOUS):
            return memcmp(self.copy + begin, mine.data, view.nbytes) == 0
        return walk(mine, self.copy + begin, mine.data, 0, view.itemsize, False)

    cpdef int take(self, view) except -1:
        """The copy has this part of the array as it is now."""
        cdef Py_ssize_t begin
        cdef ArrayHead* mine = head(view)
        if not isinstance(view, NDARRAY):
            raise TypeError(f"expected an array, got {type(view).__name__}")
        if self.copy is NULL:
            if view is not self.array:
                raise Gaps("a part of an array with gaps")
            self.content = view.tobytes()
            return 0
        begin = self.offset(view)
        if mine.flags & (C_CONTIGUOUS | F_CONTIGUOUS):
            memcpy(self.copy + begin, mine.data, view.nbytes)
        else:
            walk(mine, self.copy + begin, mine.data, 0, view.itemsize, True)
        return 0

    cpdef tuple told(self, view):
        """(key, offset, shape, strides, dtype)."""
        if not isinstance(view, NDARRAY):
            raise TypeError(f"expected an array, got {type(view).__name__}")
        if view is self.array:  # its shape may be assigned to
            if self.whole is None or view.shape != self.whole[2] or view.dtype != self.whole[4]:
                self.whole = self.key, 0, view.shape, view.strides, view.dtype
            return self.whole
        return self.key, head(view).data - head(self.array).data, view.shape, view.strides, view.dtype


cdef bint walk(ArrayHead* view, char* copy, char* there, int axis, Py_ssize_t size, bint taking) noexcept:
    """Compare the elements of a view with their copies, or take them; whether all are the same."""
    cdef Py_ssize_t i, step
    if axis == view.nd:
        if taking:
            memcpy(copy, there, size)
            return True
        return memcmp(copy, there, size) == 0
    step = view.strides[axis]
    if axis == view.nd - 1 and step == size:
        size *= view.dimensions[axis]
        if taking:
            memcpy(copy, there, size)
            return True
        return memcmp(copy, there, size) == 0
    for i in range(view.dimensions[axis]):
        if not walk(view, copy + i * step, there + i * step, axis + 1, size, taking):
            return False
    return True


def first_written(list pairs not None):
    """The number of the first (Root, view) of which the view holds something else than the copy, or -1."""
    cdef Py_ssize_t i
    cdef tuple pair
    for i in range(len(pairs)):
        pair = <tuple?>pairs[i]
        if not (<Root?>pair[0]).same(pair[1]):
            return i
    return -1
