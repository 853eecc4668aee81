# How arrays of Python become matrices of a call. Inputs are const, of any strides; outputs are the caller's, their
# rows of stride one; all in the element type of the module. An array of the wrong type or rank is refused by its
# declaration, one of the wrong shape by matrix() and vector(): ValueError, before anything is written. Callers say
# the same in their own words.

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
    static real NOTHING[1]; /* where an array without elements begins */
    """
    const bint MINIDL_DEBUG
    real NOTHING[]

DEBUG = bool(MINIDL_DEBUG)  # built with bounds checks

cdef str MISALIGNED = "expected strides of whole elements, and these aligned: no field of a packed record"

cdef enum:
    WORK_TO_RELEASE = 100_000  # multiply-adds from which other Python threads may run meanwhile


cdef inline const real* matrix(const real[:, :] x, Py_ssize_t rows, Py_ssize_t cols) except? NULL:
    """The address of x[0, 0], of exactly rows x cols."""
    if x.shape[0] != rows or x.shape[1] != cols:
        raise ValueError(f"expected an array of shape {(rows, cols)}, got {(x.shape[0], x.shape[1])}")
    if not rows or not cols:
        return NOTHING
    if (<size_t>&x[0, 0] | <size_t>x.strides[0] | <size_t>x.strides[1]) % sizeof(real):
        raise ValueError(MISALIGNED)
    return &x[0, 0]


cdef inline const real* vector(const real[:] x, Py_ssize_t size) except? NULL:
    """The address of x[0], of exactly size elements."""
    if x.shape[0] != size:
        raise ValueError(f"expected an array of shape {(size,)}, got {(x.shape[0],)}")
    if not size:
        return NOTHING
    if (<size_t>&x[0] | <size_t>x.strides[0]) % sizeof(real):
        raise ValueError(MISALIGNED)
    return &x[0]


cdef inline Py_ssize_t row_step(const real[:, :] x) noexcept nogil:
    return x.strides[0] // <Py_ssize_t>sizeof(real)


cdef inline Py_ssize_t col_step(const real[:, :] x) noexcept nogil:
    return x.strides[1] // <Py_ssize_t>sizeof(real)


cdef inline int fill(Matrix* m, const real[:, :] x, Py_ssize_t rows, Py_ssize_t cols) except -1:
    """m = x, of exactly rows x cols."""
    m.at, m.s0, m.s1 = <real*>matrix(x, rows, cols), row_step(x), col_step(x)
    return 0


cdef inline int fill_row(Matrix* m, const real[:] x, Py_ssize_t size) except -1:
    """m = x, of exactly size elements: a matrix of one row, which may stand for many."""
    m.at, m.s0, m.s1 = <real*>vector(x, size), 0, x.strides[0] // <Py_ssize_t>sizeof(real)
    return 0


cdef tuple lock(array):
    """References that keep an array, and the one whose memory it views, from being resized in place."""
    owner = array
    while isinstance(owner.base, numpy.ndarray):
        owner = owner.base
    return array, PyWeakref_NewRef(owner, None)


cdef object EMPTY = numpy.empty
cdef object REAL = numpy.dtype(numpy.float32 if sizeof(real) == 4 else numpy.float64)


cdef inline object output(real[:, ::1] y, Py_ssize_t rows, Py_ssize_t cols, Matrix* out):
    """Where to write (rows, cols): y; or if that is None a new array, which is returned."""
    cdef Py_buffer buffer
    if y is not None:
        fill(out, y, rows, cols)
        return None
    made = EMPTY((rows, cols), REAL)
    PyObject_GetBuffer(made, &buffer, PyBUF_SIMPLE)
    out.at, out.s0, out.s1 = <real*>buffer.buf, cols, 1
    PyBuffer_Release(&buffer)  # the array is the caller's, who keeps it
    return made


cdef inline PyThreadState* released(Py_ssize_t operations) noexcept:
    """Let other threads run, unless the work is over before they would."""
    return PyEval_SaveThread() if operations > WORK_TO_RELEASE else NULL


cdef inline void regained(PyThreadState* state) noexcept:
    if state is not NULL:
        PyEval_RestoreThread(state)
