# How NumPy arrays become matrices of a call. Inputs are const and may have any strides; outputs are made by the caller
# and have rows of stride one; all have the element type of the module. The memoryview's declaration refuses an array of
# the wrong type or rank, fill() and fill_row() refuse one of the wrong shape with a ValueError, before anything is
# written. Callers raise it again in their own words.

import numpy

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint64_t

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX
    object PyWeakref_NewRef(object referent, object callback)
    ctypedef struct PyThreadState
    PyThreadState* PyEval_SaveThread() noexcept
    void PyEval_RestoreThread(PyThreadState* state) noexcept


cdef extern from "string.h" nogil:
    void* memset(void* memory, int value, size_t size)
    void* memcpy(void* to, const void* source, size_t size)

cdef extern from "stdlib.h" nogil:
    void* malloc(size_t size)
    void* calloc(size_t count, size_t size)
    void* realloc(void* memory, size_t size)
    void free(void* memory)

cdef extern from * nogil:
    """
    #ifndef MINIDL_DEBUG
    #define MINIDL_DEBUG 0
    #endif
    static real NOTHING[1]; /* the address of an array without elements */
    """
    const bint MINIDL_DEBUG
    real NOTHING[]

DEBUG = bool(MINIDL_DEBUG)  # built with bounds checks

cdef str MISALIGNED = "expected strides of whole elements, and these aligned: no field of a packed record"

cdef enum:
    WORK_TO_RELEASE = 100_000  # multiply-adds from which other Python threads may run meanwhile


cdef int set_matrix "set_matrix"(
    Matrix* m, const void* at, const Py_ssize_t* shape, const Py_ssize_t* strides, Py_ssize_t rows, Py_ssize_t cols
) except -1:
    if shape[0] != rows or shape[1] != cols:
        raise ValueError(f"expected an array of shape {(rows, cols)}, got {(shape[0], shape[1])}")
    m.at, m.s0, m.s1 = NOTHING, strides[0] // <Py_ssize_t>sizeof(real), strides[1] // <Py_ssize_t>sizeof(real)
    if rows and cols:
        if (<size_t>at | <size_t>strides[0] | <size_t>strides[1]) % sizeof(real):
            raise ValueError(MISALIGNED)
        m.at = <real*>at
    return 0


cdef int set_row "set_row"(
    Matrix* m, const void* at, const Py_ssize_t* shape, const Py_ssize_t* strides, Py_ssize_t size
) except -1:
    if shape[0] != size:
        raise ValueError(f"expected an array of shape {(size,)}, got {(shape[0],)}")
    m.at, m.s0, m.s1 = NOTHING, 0, strides[0] // <Py_ssize_t>sizeof(real)
    if size:
        if (<size_t>at | <size_t>strides[0]) % sizeof(real):
            raise ValueError(MISALIGNED)
        m.at = <real*>at
    return 0


# A view is 208 bytes: macros, since a function would copy it at each call.
cdef extern from *:
    """
    #define FILL(m, x, rows, cols) set_matrix(m, (x).data, (x).shape, (x).strides, rows, cols)
    #define FILL_ROW(m, x, size) set_row(m, (x).data, (x).shape, (x).strides, size)
    """
    int fill "FILL"(Matrix* m, const real[:, :] x, Py_ssize_t rows, Py_ssize_t cols) except -1  # exactly rows x cols
    int fill_row "FILL_ROW"(Matrix* m, const real[:] x, Py_ssize_t size) except -1  # a row that may stand for many


cdef tuple lock(array):
    """References to an array and to the owner of its memory, which then cannot be resized in place."""
    owner = array
    while isinstance(owner.base, numpy.ndarray):
        owner = owner.base
    return array, PyWeakref_NewRef(owner, None)


cdef object EMPTY = numpy.empty
cdef object REAL = numpy.dtype(numpy.float32 if sizeof(real) == 4 else numpy.float64)


cdef object new_matrix(Matrix* m, Py_ssize_t rows, Py_ssize_t cols):
    """A new array, and where it begins."""
    cdef Py_buffer buffer
    made = EMPTY((rows, cols), REAL)
    PyObject_GetBuffer(made, &buffer, PyBUF_SIMPLE)
    m.at, m.s0, m.s1 = <real*>buffer.buf, cols, 1
    PyBuffer_Release(&buffer)  # the caller holds the array
    return made


cdef inline PyThreadState* released(Py_ssize_t operations) noexcept:
    """Let other threads run, unless the work is over before they would."""
    return PyEval_SaveThread() if operations > WORK_TO_RELEASE else NULL


cdef inline void regained(PyThreadState* state) noexcept:
    if state is not NULL:
        PyEval_RestoreThread(state)
