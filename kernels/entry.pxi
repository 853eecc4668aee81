# What Python calls. Inputs are const, of any strides; outputs are the caller's, their rows of stride
# one; all in the element type of the module. An array of the wrong type or rank is refused by its
# declaration, one of the wrong shape by matrix() and vector(): ValueError, before anything is written.
# Callers say the same in their own words. Below come the products and sums; entry_functions.pxi has the
# functions of an element and of a row, entry_labels.pxi what the losses of labels need, layer.pxi a layer.

import numpy

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint64_t

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX
    object PyWeakref_NewRef(object referent, object callback)
    ctypedef struct PyThreadState
    PyThreadState* PyEval_SaveThread() noexcept
    void PyEval_RestoreThread(PyThreadState* state) noexcept


cdef str MISALIGNED = "expected strides of whole elements, and these aligned: no field of a packed record"

cdef enum:
    WORK_TO_RELEASE = 100_000  # multiply-adds from which other Python threads may run meanwhile


cdef inline const real* matrix(const real[:, :] x, Py_ssize_t rows, Py_ssize_t cols) except? NULL:
    """The address of x[0, 0], of exactly rows x cols."""
    if x.shape[0] != rows or x.shape[1] != cols:
        raise ValueError(f"expected an array of shape {(rows, cols)}, got {(x.shape[0], x.shape[1])}")
    if not rows or not cols:
        return ZEROS
    if (<size_t>&x[0, 0] | <size_t>x.strides[0] | <size_t>x.strides[1]) % sizeof(real):
        raise ValueError(MISALIGNED)
    return &x[0, 0]


cdef inline const real* vector(const real[:] x, Py_ssize_t size) except? NULL:
    """The address of x[0], of exactly size elements."""
    if x.shape[0] != size:
        raise ValueError(f"expected an array of shape {(size,)}, got {(x.shape[0],)}")
    if not size:
        return ZEROS
    if (<size_t>&x[0] | <size_t>x.strides[0]) % sizeof(real):
        raise ValueError(MISALIGNED)
    return &x[0]


cdef inline Py_ssize_t row_step(const real[:, :] x) noexcept nogil:
    return x.strides[0] // <Py_ssize_t>sizeof(real)


cdef inline Py_ssize_t col_step(const real[:, :] x) noexcept nogil:
    return x.strides[1] // <Py_ssize_t>sizeof(real)


cdef tuple lock(array):
    """References that keep an array, and the one whose memory it views, from being resized in place."""
    owner = array
    while isinstance(owner.base, numpy.ndarray):
        owner = owner.base
    return array, PyWeakref_NewRef(owner, None)


cdef object EMPTY = numpy.empty
cdef object REAL = numpy.dtype(numpy.float32 if sizeof(real) == 4 else numpy.float64)


cdef inline object output(real[:, ::1] y, Py_ssize_t rows, Py_ssize_t cols, real** p, Py_ssize_t* step):
    """Where to write (rows, cols): y; or if that is None a new array, which is returned."""
    cdef Py_buffer buffer
    if y is not None:
        p[0], step[0] = <real*>matrix(y, rows, cols), row_step(y)
        return None
    made = EMPTY((rows, cols), REAL)
    PyObject_GetBuffer(made, &buffer, PyBUF_SIMPLE)
    p[0], step[0] = <real*>buffer.buf, cols
    PyBuffer_Release(&buffer)  # the array is the caller's, who keeps it
    return made


cdef inline PyThreadState* released(Py_ssize_t operations) noexcept:
    """Let other threads run, unless the work is over before they would."""
    return PyEval_SaveThread() if operations > WORK_TO_RELEASE else NULL


cdef inline void regained(PyThreadState* state) noexcept:
    if state is not NULL:
        PyEval_RestoreThread(state)


# Products

cdef inline object product(const real[:, :] a, const real[:, :] b, real[:, ::1] c):
    cdef Py_ssize_t m = a.shape[0], k = a.shape[1], n = b.shape[1], cs0
    cdef const real* pa = matrix(a, m, k)
    cdef const real* pb = matrix(b, k, n)
    cdef real* pc
    made = output(c, m, n, &pc, &cs0)
    cdef PyThreadState* state = released(m * n * k)
    gemm(m, n, k, pa, row_step(a), col_step(a), pb, row_step(b), col_step(b), NULL, 0, pc, cs0)
    regained(state)
    return made


def matmul(const real[:, :] a not None, const real[:, :] b not None, real[:, ::1] c not None):
    """c = a b: (M, K) (K, N) -> (M, N)."""
    product(a, b, c)


cdef inline object affine(const real[:, :] x, const real[:, :] weight, const real[:] bias, real[:, ::1] y):
    cdef Py_ssize_t n = x.shape[0], i = x.shape[1], o = weight.shape[0], ys0
    cdef const real* px = matrix(x, n, i)
    cdef const real* pw = matrix(weight, o, i)
    cdef real* py
    made = output(y, n, o, &py, &ys0)
    cdef const real* pb = NULL
    cdef Py_ssize_t j, k, bs0 = 0
    if bias is not None:
        pb = vector(bias, o)
        if bias.strides[0] != sizeof(real):  # spread it over y, and begin there
            for j in range(n):
                for k in range(o):
                    py[j * ys0 + k] = bias[k]
            pb, bs0 = py, ys0
    cdef PyThreadState* state = released(n * i * o)
    gemm(n, o, i, px, row_step(x), col_step(x), pw, col_step(weight), row_step(weight), pb, bs0, py, ys0)
    regained(state)
    return made


def linear(const real[:, :] x not None, const real[:, :] weight not None, const real[:] bias, real[:, ::1] y not None):
    """y = x weight^T + bias: (N, I) (O, I) (O,) -> (N, O); the sums begin at the bias (None: at zero)."""
    affine(x, weight, bias, y)


def linear_input_gradient(const real[:, :] dy not None, const real[:, :] weight not None, real[:, ::1] dx not None):
    """dx = dy weight: (N, O) (O, I) -> (N, I)."""
    product(dy, weight, dx)


cdef inline int weight_gradient(const real[:, :] x, const real[:, :] dy, real[:, :] dweight) except -1:
    cdef Py_ssize_t n = x.shape[0], i = x.shape[1], o = dy.shape[1]
    cdef const real* px = matrix(x, n, i)
    cdef const real* pg = matrix(dy, n, o)
    cdef real* pw = <real*>matrix(dweight, o, i)
    cdef Py_ssize_t ws0 = row_step(dweight), ws1 = col_step(dweight)
    cdef bint by_inputs = ws0 == 1 or o == 1
    if not (by_inputs or ws1 == 1 or i == 1):
        raise ValueError("expected a gradient of the weight with a stride of one element")
    cdef PyThreadState* state = released(n * i * o)
    if by_inputs:  # lies as (I, O): x^T dy
        gemm(i, o, n, px, col_step(x), row_step(x), pg, row_step(dy), col_step(dy), pw, ws1, pw, ws1)
    else:
        gemm(o, i, n, pg, col_step(dy), row_step(dy), px, row_step(x), col_step(x), pw, ws0, pw, ws0)
    regained(state)
    return 0


cdef inline int bias_gradient(const real[:, :] dy, real[:] db) except -1:
    cdef Py_ssize_t n = dy.shape[0], o = dy.shape[1]
    cdef const real* pg = matrix(dy, n, o)
    cdef real* pb = <real*>vector(db, o)
    cdef PyThreadState* state = released(n * o)
    column_sums(pg, row_step(dy), col_step(dy), pb, db.strides[0] // <Py_ssize_t>sizeof(real), n, o)
    regained(state)
    return 0


def linear_weight_gradient(const real[:, :] x not None, const real[:, :] dy not None, real[:, :] dweight not None):
    """dweight += dy^T x: (N, I) (N, O) -> (O, I), one of whose strides is one."""
    weight_gradient(x, dy, dweight)


cdef inline int parameter_gradients(
    const real[:, :] x, const real[:, :] dy, real[:, :] dweight, real[:] db
) except -1:
    if db is not None:
        vector(db, dy.shape[1])
    weight_gradient(x, dy, dweight)
    if db is not None:
        bias_gradient(dy, db)
    return 0


def linear_gradients(
    const real[:, :] x not None, const real[:, :] dy not None, real[:, :] dweight not None, real[:] db
):
    """dweight += dy^T x and db += sum over n of dy[n] (None: a layer without bias), in one call."""
    parameter_gradients(x, dy, dweight, db)


# Sums

def column_sum(const real[:, :] dy not None, real[:] db not None):
    """db += sum over n of dy[n]: (N, O) -> (O,)."""
    bias_gradient(dy, db)


def total(const real[:, :] x not None):
    """The sum of all x, accumulated in double: (N, M) -> float."""
    cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
    cdef const real* p = matrix(x, n, m)
    return grand_total(p, row_step(x), col_step(x), n if m else 0, m)  # no walk over 2^60 rows of nothing


cdef extern from * nogil:
    """
    #ifndef MINIDL_DEBUG
    #define MINIDL_DEBUG 0
    #endif
    """
    const bint MINIDL_DEBUG

DEBUG = bool(MINIDL_DEBUG)  # built with bounds checks
