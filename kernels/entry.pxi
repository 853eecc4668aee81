# What Python calls. Inputs are const, of any strides; outputs are the caller's, their rows of stride
# one; all in the element type of the module. An array of the wrong type or rank is refused by its
# declaration, one of the wrong shape by matrix() and vector(): ValueError, before anything is written.
# Callers say the same in their own words.

from libc.stdint cimport int64_t

cdef extern from "Python.h":
    ctypedef struct PyThreadState
    PyThreadState* PyEval_SaveThread() noexcept
    void PyEval_RestoreThread(PyThreadState* state) noexcept


cdef inline const real* matrix(const real[:, :] x, Py_ssize_t rows, Py_ssize_t cols) except? NULL:
    """The address of x[0, 0], of exactly rows x cols."""
    if x.shape[0] != rows or x.shape[1] != cols:
        raise ValueError(f"expected an array of shape {(rows, cols)}, got {(x.shape[0], x.shape[1])}")
    if x.strides[0] % <Py_ssize_t>sizeof(real) or x.strides[1] % <Py_ssize_t>sizeof(real):
        raise ValueError("expected strides of whole elements, as of an array that is no field of a packed record")
    return &x[0, 0] if rows and cols else ZEROS


cdef inline const real* vector(const real[:] x, Py_ssize_t size) except? NULL:
    """The address of x[0], of exactly size elements."""
    if x.shape[0] != size:
        raise ValueError(f"expected an array of shape {(size,)}, got {(x.shape[0],)}")
    if x.strides[0] % <Py_ssize_t>sizeof(real):
        raise ValueError("expected strides of whole elements, as of an array that is no field of a packed record")
    return &x[0] if size else ZEROS


cdef inline Py_ssize_t row_step(const real[:, :] x) noexcept nogil:
    return x.strides[0] // <Py_ssize_t>sizeof(real)


cdef inline Py_ssize_t col_step(const real[:, :] x) noexcept nogil:
    return x.strides[1] // <Py_ssize_t>sizeof(real)


cdef inline PyThreadState* released(Py_ssize_t operations) noexcept:
    """Let other threads run, unless the work is over before they would."""
    return PyEval_SaveThread() if operations > 100_000 else NULL


cdef inline void regained(PyThreadState* state) noexcept:
    if state is not NULL:
        PyEval_RestoreThread(state)


# Products

cdef product(const real[:, :] a, const real[:, :] b, real[:, ::1] c):
    cdef Py_ssize_t m = a.shape[0], k = a.shape[1], n = b.shape[1]
    cdef const real* pa = matrix(a, m, k)
    cdef const real* pb = matrix(b, k, n)
    cdef real* pc = <real*>matrix(c, m, n)
    cdef PyThreadState* state = released(m * n * k)
    gemm(m, n, k, pa, row_step(a), col_step(a), pb, row_step(b), col_step(b), NULL, 0, pc, row_step(c))
    regained(state)


def matmul(const real[:, :] a not None, const real[:, :] b not None, real[:, ::1] c not None):
    """c = a b: (M, K) (K, N) -> (M, N)."""
    product(a, b, c)


def linear(const real[:, :] x not None, const real[:, :] weight not None, const real[:] bias, real[:, ::1] y not None):
    """y = x weight^T + bias: (N, I) (O, I) (O,) -> (N, O); the sums begin at the bias (None: at zero)."""
    cdef Py_ssize_t n = x.shape[0], i = x.shape[1], o = weight.shape[0]
    cdef const real* px = matrix(x, n, i)
    cdef const real* pw = matrix(weight, o, i)
    cdef real* py = <real*>matrix(y, n, o)
    cdef const real* pb = NULL
    cdef Py_ssize_t j, k, bs0 = 0
    if bias is not None:
        pb = vector(bias, o)
        if bias.strides[0] != sizeof(real):  # spread it over y, and begin there
            for j in range(n):
                for k in range(o):
                    py[j * row_step(y) + k] = bias[k]
            pb, bs0 = py, row_step(y)
    cdef PyThreadState* state = released(n * i * o)
    gemm(n, o, i, px, row_step(x), col_step(x), pw, col_step(weight), row_step(weight), pb, bs0, py, row_step(y))
    regained(state)


def linear_input_gradient(const real[:, :] dy not None, const real[:, :] weight not None, real[:, ::1] dx not None):
    """dx = dy weight: (N, O) (O, I) -> (N, I)."""
    product(dy, weight, dx)


cdef inline int weight_gradient(const real[:, :] x, const real[:, :] dy, real[:, :] dweight) except -1:
    cdef Py_ssize_t n = x.shape[0], i = x.shape[1], o = dy.shape[1]
    cdef const real* px = matrix(x, n, i)
    cdef const real* pg = matrix(dy, n, o)
    cdef real* pw = <real*>matrix(dweight, o, i)
    cdef Py_ssize_t ws0 = row_step(dweight), ws1 = col_step(dweight)
    cdef PyThreadState* state = released(n * i * o)
    if ws0 == 1:  # lies as (I, O): x^T dy
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


def linear_gradients(
    const real[:, :] x not None, const real[:, :] dy not None, real[:, :] dweight not None, real[:] db
):
    """dweight += dy^T x and db += sum over n of dy[n] (None: a layer without bias), in one call."""
    if db is not None:
        vector(db, dy.shape[1])
    weight_gradient(x, dy, dweight)
    if db is not None:
        bias_gradient(dy, db)


# Sums

def column_sum(const real[:, :] dy not None, real[:] db not None):
    """db += sum over n of dy[n]: (N, O) -> (O,)."""
    bias_gradient(dy, db)


def picked_total(const real[:, :] z not None, const int64_t[:] labels not None):
    """The sum over n of z[n, labels[n]], in double: (N, C) (N,) -> float. ValueError for a label outside 0..C-1."""
    cdef Py_ssize_t n = z.shape[0], c = z.shape[1], i
    cdef const real* pz = matrix(z, n, c)
    cdef double acc = 0
    check_labels(labels, n, c)
    for i in range(n):
        acc += pz[i * row_step(z) + labels[i] * col_step(z)]
    return acc


def add_at_labels(real[:, ::1] z not None, const int64_t[:] labels not None, double value):
    """z[n, labels[n]] += value, for every n: (N, C) (N,). ValueError for a label outside 0..C-1."""
    cdef Py_ssize_t n = z.shape[0], c = z.shape[1], i
    check_labels(labels, n, c)
    for i in range(n):
        z[i, labels[i]] += <real>value


cdef inline int check_labels(const int64_t[:] labels, Py_ssize_t n, Py_ssize_t classes) except -1:
    """That there are n labels, from 0 to classes - 1."""
    cdef Py_ssize_t i
    if labels.shape[0] != n:
        raise ValueError(f"expected labels of shape {(n,)}, got {(labels.shape[0],)}")
    for i in range(n):
        if labels[i] < 0 or labels[i] >= classes:
            raise ValueError(f"expected labels from 0 to {classes - 1}, got {labels[i]}")
    return 0


def total(const real[:, :] x not None):
    """The sum of all x, accumulated in double: (N, M) -> float."""
    cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
    return grand_total(matrix(x, n, m), row_step(x), col_step(x), n, m)


# Elementwise functions: y = f(x)

cdef inline unary_entry(unary function, const real[:, :] x, real[:, ::1] y, double setting):
    cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
    cdef const real* px = matrix(x, n, m)
    cdef real* py = <real*>matrix(y, n, m)
    cdef PyThreadState* state = released(8 * n * m)
    apply_unary(function, px, row_step(x), col_step(x), py, row_step(y), n, m, setting)
    regained(state)


def exp(const real[:, :] x not None, real[:, ::1] y not None):
    """y = e^x."""
    unary_entry(vexp, x, y, 0)


def log(const real[:, :] x not None, real[:, ::1] y not None):
    """y = log x."""
    unary_entry(vlog, x, y, 0)


def relu(const real[:, :] x not None, real[:, ::1] y not None):
    """y = max(0, x)."""
    unary_entry(vrelu, x, y, 0)


def leaky_relu(const real[:, :] x not None, real[:, ::1] y not None, double negative_slope):
    """y = x if x > 0 else negative_slope x."""
    unary_entry(vleaky_relu, x, y, negative_slope)


def elu(const real[:, :] x not None, real[:, ::1] y not None, double alpha):
    """y = x if x > 0 else alpha (e^x - 1)."""
    unary_entry(velu, x, y, alpha)


def selu(const real[:, :] x not None, real[:, ::1] y not None):
    """y = scale elu(x, alpha)."""
    unary_entry(vselu, x, y, 0)


def tanh(const real[:, :] x not None, real[:, ::1] y not None):
    """y = tanh x."""
    unary_entry(vtanh, x, y, 0)


def sigmoid(const real[:, :] x not None, real[:, ::1] y not None):
    """y = 1 / (1 + e^-x)."""
    unary_entry(vsigmoid, x, y, 0)


# Their derivatives: dx = dy f'(x), written in x or in y

cdef inline binary_entry(binary function, const real[:, :] dy, const real[:, :] x, real[:, ::1] dx, double setting):
    cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
    cdef const real* pg = matrix(dy, n, m)
    cdef const real* px = matrix(x, n, m)
    cdef real* pd = <real*>matrix(dx, n, m)
    cdef PyThreadState* state = released(8 * n * m)
    apply_binary(
        function, pg, row_step(dy), col_step(dy), px, row_step(x), col_step(x), pd, row_step(dx), n, m, setting)
    regained(state)


def relu_backward(const real[:, :] dy not None, const real[:, :] x not None, real[:, ::1] dx not None):
    """dx = dy if x > 0 else 0."""
    binary_entry(drelu, dy, x, dx, 0)


def leaky_relu_backward(
    const real[:, :] dy not None, const real[:, :] x not None, real[:, ::1] dx not None, double negative_slope
):
    """dx = dy if x > 0 else negative_slope dy."""
    binary_entry(dleaky_relu, dy, x, dx, negative_slope)


def elu_backward(const real[:, :] dy not None, const real[:, :] x not None, real[:, ::1] dx not None, double alpha):
    """dx = dy if x > 0 else dy alpha e^x."""
    binary_entry(delu, dy, x, dx, alpha)


def selu_backward(const real[:, :] dy not None, const real[:, :] x not None, real[:, ::1] dx not None):
    """dx = scale elu_backward(dy, x, alpha)."""
    binary_entry(dselu, dy, x, dx, 0)


def tanh_backward(const real[:, :] dy not None, const real[:, :] y not None, real[:, ::1] dx not None):
    """dx = dy (1 - y^2)."""
    binary_entry(dtanh, dy, y, dx, 0)


def sigmoid_backward(const real[:, :] dy not None, const real[:, :] y not None, real[:, ::1] dx not None):
    """dx = dy y (1 - y)."""
    binary_entry(dsigmoid, dy, y, dx, 0)


# Functions of a row

def softmax(const real[:, :] x not None, real[:, ::1] y not None):
    """y = e^(x - max) / sum of e^(x - max), row by row."""
    cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
    cdef const real* px = matrix(x, n, m)
    cdef real* py = <real*>matrix(y, n, m)
    cdef PyThreadState* state = released(8 * n * m)
    softmax_rows(px, row_step(x), col_step(x), py, row_step(y), n, m)
    regained(state)


def log_softmax(const real[:, :] x not None, real[:, ::1] y not None):
    """y = (x - max) - log(sum of e^(x - max)), row by row."""
    cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
    cdef const real* px = matrix(x, n, m)
    cdef real* py = <real*>matrix(y, n, m)
    cdef PyThreadState* state = released(8 * n * m)
    log_softmax_rows(px, row_step(x), col_step(x), py, row_step(y), n, m)
    regained(state)


def softmax_backward(const real[:, :] dy not None, const real[:, :] y not None, real[:, ::1] dx not None):
    """dx = y (dy - sum of dy y), row by row."""
    cdef Py_ssize_t n = y.shape[0], m = y.shape[1]
    cdef const real* pg = matrix(dy, n, m)
    cdef const real* py = matrix(y, n, m)
    cdef real* pd = <real*>matrix(dx, n, m)
    cdef PyThreadState* state = released(8 * n * m)
    dsoftmax_rows(pg, row_step(dy), col_step(dy), py, row_step(y), col_step(y), pd, row_step(dx), n, m)
    regained(state)


def log_softmax_backward(const real[:, :] dy not None, const real[:, :] y not None, real[:, ::1] dx not None):
    """dx = dy - e^y (sum of dy), row by row."""
    cdef Py_ssize_t n = y.shape[0], m = y.shape[1]
    cdef const real* pg = matrix(dy, n, m)
    cdef const real* py = matrix(y, n, m)
    cdef real* pd = <real*>matrix(dx, n, m)
    cdef PyThreadState* state = released(8 * n * m)
    dlog_softmax_rows(pg, row_step(dy), col_step(dy), py, row_step(y), col_step(y), pd, row_step(dx), n, m)
    regained(state)


cdef extern from * nogil:
    """
    #ifndef MINIDL_DEBUG
    #define MINIDL_DEBUG 0
    #endif
    """
    const bint MINIDL_DEBUG

DEBUG = bool(MINIDL_DEBUG)  # built with bounds checks
