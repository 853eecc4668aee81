"""What a parameter has beside its arrays: memory that cannot be resized, and the status of its value."""

import numpy

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.dict cimport PyDict_GetItemWithError, PyDict_Size
from cpython.list cimport PyList_GET_ITEM
from cpython.object cimport PyObject

cdef extern from "memory.h":
    bint array_is_writeable(PyObject* array) noexcept
    void* claim(size_t bytes, void** begin)
    const bint MEMORY_IS_EXACT

cdef extern from "stdlib.h":
    void* calloc(size_t count, size_t size)
    void free(void* memory)

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX
    ctypedef struct PyTypeObject:
        unsigned int tp_version_tag  # 0: not known

EXACT = bool(MEMORY_IS_EXACT)  # built to detect reads beyond an array: there is no padding between arrays


cdef class Memory:
    """``bytes`` zeroed bytes that begin on a cache line, for numpy.frombuffer.

    An array on it does not own its data and can't be resized in place, so that an address into it stays valid
    as long as the Memory lives. MemoryError if there is not enough memory.
    """

    cdef void* block
    cdef void* begin
    cdef readonly Py_ssize_t bytes

    def __cinit__(self, Py_ssize_t bytes):
        if bytes < 0 or bytes > PY_SSIZE_T_MAX - 128:
            raise MemoryError(f"cannot have {bytes} bytes")
        self.bytes = bytes
        self.block = claim(bytes, &self.begin)
        if self.block is NULL:
            raise MemoryError(f"cannot have {bytes} bytes")

    def __dealloc__(self):
        free(self.block)

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.begin, self.bytes, 0, flags)

    def __len__(self):
        return self.bytes


cdef struct Facts:  # as layer.pxi and program.pxi read and write them
    long long version
    int trained
    int has_grad


cdef class Status:
    """The status of a parameter.

    version : how often its value was changed in place. requires_grad : whether it is trained. has_grad :
    whether a backward has reached it since its gradient was last cleared.
    """

    cdef Facts facts

    def __cinit__(self):
        self.facts.version, self.facts.trained, self.facts.has_grad = 0, True, False

    @property
    def version(self):
        return self.facts.version

    @property
    def requires_grad(self):
        return self.facts.trained != 0

    @requires_grad.setter
    def requires_grad(self, bint value):
        self.facts.trained = value

    @property
    def has_grad(self):
        return self.facts.has_grad != 0

    @has_grad.setter
    def has_grad(self, bint value):
        self.facts.has_grad = value

    @property
    def address(self):
        """The address of its facts, for a program that reads and writes them."""
        return <size_t>&self.facts

    def advance(self):
        """Count a change of the value in place."""
        self.facts.version += 1


def advance(list statuses):
    """Count a change in place of the values of all of them."""
    for status in statuses:
        (<Status?>status).facts.version += 1


def forget(list statuses):
    """Note that none of them has a gradient."""
    for status in statuses:
        (<Status?>status).facts.has_grad = False


ABSENT = object()  # the value of a name that a dictionary does not have


def class_version(type kind not None):
    """A number that changes as soon as an attribute of the class, or of its bases, is replaced."""
    if (<PyTypeObject*>kind).tp_version_tag == 0:
        raise ValueError(f"expected a class whose attributes have been looked up, got {kind}")
    return (<PyTypeObject*>kind).tp_version_tag


cdef bint same(list items, tuple were):
    """Whether the list holds these objects and no others, compared by identity."""
    cdef Py_ssize_t i
    if len(items) != len(were):
        return False
    for i in range(len(were)):
        if PyList_GET_ITEM(items, i) != <PyObject*>(were[i]):
            return False
    return True


def followed(groups, tuple seen):
    """Whether a list of parameter groups is unchanged. seen : (group, its list, the parameters in it) for each."""
    cdef Py_ssize_t i
    cdef tuple one
    if type(groups) is not list or len(<list>groups) != len(seen):
        return False
    for i in range(len(seen)):
        one = <tuple>seen[i]
        group = (<list>groups)[i]
        if group is not one[0] or not isinstance(group, dict) or (<dict>group).get("params") is not one[1]:
            return False
        if not same(<list?>one[1], <tuple?>one[2]):
            return False
    return True


def same_items(list groups, tuple seen):
    """Whether the dictionaries hold the same objects as before. seen : ((name, value), ...) for each."""
    cdef Py_ssize_t i
    cdef tuple pair
    if len(groups) != len(seen):
        return False
    for i in range(len(seen)):
        group = groups[i]
        if not isinstance(group, dict) or PyDict_Size(group) != len(<tuple?>seen[i]):
            return False
        for pair in <tuple>seen[i]:
            if PyDict_GetItemWithError(group, pair[0]) != <PyObject*>pair[1]:
                return False
    return True


def writeable(array not None):
    """The writeable flag of a NumPy array, read as programs read it."""
    if not isinstance(array, numpy.ndarray):
        raise TypeError(f"expected an array, got {type(array).__name__}")
    return bool(array_is_writeable(<PyObject*>array))


cdef class Counts:
    """How many updates the optimizer's state has seen of each parameter; all zero at first."""

    cdef long long* numbers
    cdef readonly Py_ssize_t size

    def __cinit__(self, Py_ssize_t size):
        if size < 0 or size > PY_SSIZE_T_MAX // 16:
            raise MemoryError(f"cannot count {size} parameters")
        self.size = size
        self.numbers = <long long*>calloc(size + 1, sizeof(long long))  # the last: how often the state was replaced
        if self.numbers is NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.numbers)

    def __len__(self):
        return self.size

    def __getitem__(self, Py_ssize_t i):
        if not 0 <= i < self.size:
            raise IndexError(i)
        return self.numbers[i]

    def __setitem__(self, Py_ssize_t i, long long number):
        if not 0 <= i < self.size:
            raise IndexError(i)
        self.numbers[i] = number

    def renew(self):
        """Note that the arrays of the state have been replaced."""
        self.numbers[self.size] += 1

    def fill(self, long long number):
        """Set the number of each of them."""
        cdef Py_ssize_t i
        for i in range(self.size):
            self.numbers[i] = number

    @property
    def address(self):
        """The address of the numbers, for a program that counts updates."""
        return <size_t>self.numbers

    def common(self, list statuses):
        """The number that all parameters with these statuses have, if each has a gradient and is trained; else -1."""
        cdef Py_ssize_t i
        cdef Facts* facts
        if len(statuses) != self.size:
            raise ValueError(f"expected {self.size} statuses, got {len(statuses)}")
        for i in range(self.size):
            facts = &(<Status?>statuses[i]).facts
            if not (facts.trained and facts.has_grad) or self.numbers[i] != self.numbers[0]:
                return -1
        return self.numbers[0] if self.size else 0
