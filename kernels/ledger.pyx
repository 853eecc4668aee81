"""The lines of a recording; the memory that their operands lie in, and what it held after the lines so far.

A recording asks this of each operand of each line: which array's memory is it, where in it, and did anybody write
there meanwhile?
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
    void* calloc(size_t count, size_t size)
    void free(void* memory)

cdef enum:
    C_CONTIGUOUS = 1  # NPY_ARRAY_C_CONTIGUOUS
    F_CONTIGUOUS = 2
    MOST_AXES = 64

cdef type NDARRAY = numpy.ndarray
cdef type GENERIC = numpy.generic


class Gaps(ValueError):
    """A part of an array whose elements do not lie side by side."""


cdef inline ArrayHead* head(object array) noexcept:
    return <ArrayHead*><PyObject*>array


cdef bint is_dense(ArrayHead* array, Py_ssize_t size) noexcept:
    """Whether elements of this size lie side by side, in whatever order of the axes."""
    cdef int i, axis
    cdef Py_ssize_t step = size
    if array.flags & (C_CONTIGUOUS | F_CONTIGUOUS):
        return True
    for _ in range(array.nd):
        axis = -1
        for i in range(array.nd):
            if array.dimensions[i] > 1 and array.strides[i] == step:
                axis = i
        if axis < 0:
            break
        step *= array.dimensions[axis]
    cdef Py_ssize_t total = size
    for i in range(array.nd):
        total *= array.dimensions[i]
    return step == total


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


cpdef Py_ssize_t address_of(array) except? -1:
    """Where the first element of an array lies."""
    if not isinstance(array, NDARRAY):
        raise TypeError(f"expected an array, got {type(array).__name__}")
    return <Py_ssize_t>head(array).data


def span_of(array):
    """The first address of an array, and the one behind its last element."""
    cdef Py_ssize_t begin = address_of(array), low = begin, high = begin + <Py_ssize_t>array.itemsize, step
    cdef ArrayHead* mine = head(array)
    cdef int i
    for i in range(mine.nd):
        if mine.dimensions[i] == 0:
            return begin, begin
        step = (mine.dimensions[i] - 1) * mine.strides[i]
        if step < 0:
            low += step
        else:
            high += step
    return low, high


cdef class Line:
    """One thing that a recorded function did.

    what : "operation"; "function" (a Python function on arrays), "draw" (one of minidl's own, of random numbers);
        "accumulate", "overwrite", "zero" (an array is written to); "call" (a Python function of no arguments);
        "reached", "cleared", "changed" (a parameter's status); "finite" (the step ends here unless the operand is
        finite).
    """

    cdef readonly str what
    cdef readonly object operation
    cdef readonly tuple operands, outputs
    cdef readonly dict settings
    cdef list found

    def __init__(self, str what not None, operation=None, tuple operands not None=(), dict settings=None,
                 tuple outputs not None=()):
        self.what, self.operation, self.operands, self.outputs = what, operation, operands, outputs
        self.settings = {} if settings is None else settings

    @property
    def arrays(self):
        """All arrays that the line reads or writes."""
        if self.found is None:
            self.found = []
            collect(self.operands, self.found)
            if self.settings:
                collect(tuple(self.settings.values()), self.found)
            collect(self.outputs, self.found)
        return self.found

    @property
    def owners(self):
        """The ids of the arrays that these view."""
        return [id(owner_of(array)) for array in self.arrays]


cdef int collect(value, list found) except -1:
    if isinstance(value, NDARRAY):
        found.append(value)
    elif isinstance(value, (tuple, list)):
        for item in value:
            collect(item, found)
    return 0


cdef class Root:
    """An array that operands view: ``array``, what it is as ``key``, and a copy of its content.

    ``same(view)``: whether the view holds what the copy has there; ``take(view)``: the copy has it from now on.
    ``told(view)``: a key to compare views by. If it begins empty, it has what was taken alone. Gaps is raised for a
    view of an array whose elements do not lie side by side, and for one that reaches beyond its array.
    """

    cdef readonly object array
    cdef readonly tuple key
    cdef char* copy         # of the elements as they lie; NULL where they do not lie side by side
    cdef object content     # then: the elements
    cdef Py_ssize_t bytes
    cdef tuple whole        # what told() gives of the array itself

    def __cinit__(self, array not None, tuple key not None, bint empty=False):
        if not isinstance(array, NDARRAY):
            raise TypeError(f"expected an array, got {type(array).__name__}")
        self.array, self.key, self.bytes = array, key, array.nbytes
        if is_dense(head(array), array.itemsize):
            self.copy = <char*>calloc(self.bytes + 1, 1)
            if self.copy is NULL:
                raise MemoryError
            if not empty:
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
        if is_dense(mine, view.itemsize):
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
        if is_dense(mine, view.itemsize):
            memcpy(self.copy + begin, mine.data, view.nbytes)
        else:
            walk(mine, self.copy + begin, mine.data, 0, view.itemsize, True)
        return 0

    def forget(self):
        """Let go of the copy: from here on nothing is compared."""
        free(self.copy)
        self.copy, self.content = NULL, None

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


cdef object tensor_type = None
cdef object parameter_type = None


def set_types(type tensor not None, type parameter not None):
    """The classes of operands: a Tensor has its array as ``_data``, a Parameter its gradient as ``_grad``, too."""
    global tensor_type, parameter_type
    tensor_type, parameter_type = tensor, parameter


cdef class Ledger:
    """The lines of a recording, and their signature: a key for each line to compare recordings by.

    ``roots`` has the arrays that operands lie in, by their ids; ``whole`` those that the lines alone write to.
    A subclass gives ``add_parameter(parameter)`` for one that is met first, ``root_outside(array, owner, who)`` for an
    array that no line made, and ``written(array, who)`` and ``gaps()``, which raise an error.
    """

    cdef readonly dict roots, parameters
    cdef readonly list lines, signature, whole
    cdef readonly set settled  # parameters whose gradient the step has set or cleared

    def __cinit__(self, *_, **__):
        self.roots, self.parameters, self.settled = {}, {}, set()
        self.lines, self.signature, self.whole = [], [], []

    cpdef Root root(self, array, tuple key, bint empty=False):
        """The root of an array that owns its memory, or whose owner is no array; empty: with a copy of nothing yet."""
        cdef Root made = Root(array, key, empty)
        self.roots[id(array)] = made
        if key[0] not in ("constant", "values", "gradients"):
            self.whole.append((made, array))
        return made

    cpdef Root root_of(self, array, str who):
        """The root that an array views."""
        owner = owner_of(array)
        found = self.roots.get(id(owner))
        return self.root_outside(array, owner, who) if found is None else found

    cpdef verify(self, array, str who):
        """Raise an error unless the array is known, and holds what the lines left in it."""
        cdef Root root = self.root_of(array, who)
        try:
            if root.same(array):
                return
        except Gaps:
            self.gaps()
        self.written(array, who)

    cpdef take(self, array, str who):
        """From now on this is what the lines left in the array."""
        cdef Root root = self.root_of(array, who)
        try:
            root.take(array)
        except Gaps:
            self.gaps()
        return root

    cpdef operand(self, x, str who):
        """An operand as an array or a number."""
        if isinstance(x, tensor_type):
            if isinstance(x, parameter_type) and id(x) not in self.parameters:
                self.add_parameter(x)
            x = x._data
        elif isinstance(x, GENERIC):
            x = numpy.asarray(x) if x.dtype.kind not in "fiub" else x.item()
        if isinstance(x, NDARRAY):
            self.verify(x, who)
        return x

    cpdef told(self, value):
        """A key to compare operands and settings by."""
        if isinstance(value, NDARRAY):
            return (<Root?>self.roots[id(owner_of(value))]).told(value)
        if isinstance(value, (tuple, list)):
            return tuple([self.told(item) for item in value])
        if isinstance(value, dict):
            return tuple([(name, self.told(item)) for name, item in value.items()])
        return type(value).__name__, repr(value)

    cdef setting(self, value, str who):
        if isinstance(value, (tensor_type, NDARRAY)):
            return self.operand(value, who)
        if isinstance(value, (tuple, list)):
            return type(value)([self.setting(item, who) for item in value])
        return value

    cpdef tuple operands(self, inputs, str who):
        """(arrays and numbers, a key to compare them by)."""
        cdef list found = [self.operand(x, who) for x in inputs]
        return tuple(found), tuple([self.told(x) for x in found])

    def operation(self, operation, inputs, dict settings not None, output):
        """An operation on Tensors, arrays and numbers has made ``output``."""
        cdef str name = operation.name
        operands, told = self.operands(inputs, name)
        told_settings = ()
        if settings:
            settings = {key: self.setting(value, name) for key, value in settings.items()}
            told_settings = self.told(settings)
        made = output._data
        owner = owner_of(made)
        if id(owner) in self.roots:  # a view of what is known already
            return
        self.root(owner, ("line", len(self.lines), 0))
        self.lines.append(Line("operation", operation, operands, settings, (made,)))
        self.signature.append(("operation", name, told, told_settings, made.shape, made.dtype))

    def write(self, str what, operation, inputs, target, dict settings=None):
        """Something was added to an array, or copied over it."""
        operands, told = self.operands(inputs, what)
        cdef Root root = self.take(target, what)
        if root.key[0] == "argument":
            self.argument_written()
        self.lines.append(Line(what, operation, operands, settings, (target,)))
        self.signature.append((what, getattr(operation, "name", None), told, root.told(target),
                               self.told(settings or {})))

    def mark(self, str what, tensor):
        """"reached", "cleared" or "changed"."""
        self.settled.add(id(tensor))
        if isinstance(tensor, parameter_type) and id(tensor) not in self.parameters:
            self.add_parameter(tensor)
        self.lines.append(Line(what, tensor))
        self.signature.append((what, id(tensor)))

    def first_written(self):
        """The first array of ``whole`` that holds something else than the lines left in it, or None."""
        cdef tuple pair
        for pair in self.whole:
            if not (<Root?>pair[0]).same(pair[1]):
                return pair[1]
        return None

    def first_changed(self, bint gradients):
        """The first parameter whose value, or gradient, is not what the lines left in it, or None."""
        for parameter in self.parameters.values():
            array = parameter._grad if gradients else parameter._data
            if not (<Root?>self.roots[id(owner_of(array))]).same(array):
                return parameter
        return None

    def gradient_of(self, parameter):
        """The gradient's array of a parameter, which is known from now on."""
        if id(parameter) not in self.parameters:
            self.add_parameter(parameter)
        return parameter._grad
