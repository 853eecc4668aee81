# What Python calls of the functions of an element and of a row. Given None as its output, each makes an
# array and returns it: that is cheaper than to take in one that was made for it.

# Elementwise functions: y = f(x)

cdef inline unary_entry(unary function, const real[:, :] x, real[:, ::1] y, double setting):
    cdef Py_ssize_t n = x.shape[0], m = x.shape[1], ys0
    cdef const real* px = matrix(x, n, m)
    cdef real* py
    made = output(y, n, m, &py, &ys0)
    cdef PyThreadState* state = released(8 * n * m)
    apply_unary(function, px, row_step(x), col_step(x), py, ys0, n, m, setting)
    regained(state)
    return made


def exp(const real[:, :] x not None, real[:, ::1] y):
    """y = e^x."""
    return unary_entry(vexp, x, y, 0)


def log(const real[:, :] x not None, real[:, ::1] y):
    """y = log x."""
    return unary_entry(vlog, x, y, 0)


def relu(const real[:, :] x not None, real[:, ::1] y):
    """y = max(0, x)."""
    return unary_entry(vrelu, x, y, 0)


def leaky_relu(const real[:, :] x not None, real[:, ::1] y, double negative_slope):
    """y = x if x > 0 else negative_slope x."""
    return unary_entry(vleaky_relu, x, y, negative_slope)


def elu(const real[:, :] x not None, real[:, ::1] y, double alpha):
    """y = x if x > 0 else alpha (e^x - 1)."""
    return unary_entry(velu, x, y, alpha)


def selu(const real[:, :] x not None, real[:, ::1] y):
    """y = scale elu(x, alpha)."""
    return unary_entry(vselu, x, y, 0)


def tanh(const real[:, :] x not None, real[:, ::1] y):
    """y = tanh x."""
    return unary_entry(vtanh, x, y, 0)


def sigmoid(const real[:, :] x not None, real[:, ::1] y):
    """y = 1 / (1 + e^-x)."""
    return unary_entry(vsigmoid, x, y, 0)


# Their derivatives: dx = dy f'(x), written in x or in y

cdef inline binary_entry(binary function, const real[:, :] dy, const real[:, :] x, real[:, ::1] dx, double setting):
    cdef Py_ssize_t n = x.shape[0], m = x.shape[1], ds0
    cdef const real* pg = matrix(dy, n, m)
    cdef const real* px = matrix(x, n, m)
    cdef real* pd
    made = output(dx, n, m, &pd, &ds0)
    cdef PyThreadState* state = released(8 * n * m)
    apply_binary(function, pg, row_step(dy), col_step(dy), px, row_step(x), col_step(x), pd, ds0, n, m, setting)
    regained(state)
    return made


def relu_backward(const real[:, :] dy not None, const real[:, :] x not None, real[:, ::1] dx):
    """dx = dy if x > 0 else 0."""
    return binary_entry(drelu, dy, x, dx, 0)


def leaky_relu_backward(
    const real[:, :] dy not None, const real[:, :] x not None, real[:, ::1] dx, double negative_slope
):
    """dx = dy if x > 0 else negative_slope dy."""
    return binary_entry(dleaky_relu, dy, x, dx, negative_slope)


def elu_backward(const real[:, :] dy not None, const real[:, :] x not None, real[:, ::1] dx, double alpha):
    """dx = dy if x > 0 else dy alpha e^x."""
    return binary_entry(delu, dy, x, dx, alpha)


def selu_backward(const real[:, :] dy not None, const real[:, :] x not None, real[:, ::1] dx):
    """dx = scale elu_backward(dy, x, alpha)."""
    return binary_entry(dselu, dy, x, dx, 0)


def tanh_backward(const real[:, :] dy not None, const real[:, :] y not None, real[:, ::1] dx):
    """dx = dy (1 - y^2)."""
    return binary_entry(dtanh, dy, y, dx, 0)


def sigmoid_backward(const real[:, :] dy not None, const real[:, :] y not None, real[:, ::1] dx):
    """dx = dy y (1 - y)."""
    return binary_entry(dsigmoid, dy, y, dx, 0)


# Functions of a row

ctypedef void (*row_function)(
    const real* x, Py_ssize_t xs0, Py_ssize_t xs1, real* y, Py_ssize_t ys0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil
ctypedef void (*row_derivative)(
    const real* g, Py_ssize_t gs0, Py_ssize_t gs1, const real* y, Py_ssize_t ys0, Py_ssize_t ys1,
    real* d, Py_ssize_t ds0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil


cdef inline row_entry(row_function function, const real[:, :] x, real[:, ::1] y):
    cdef Py_ssize_t n = x.shape[0], m = x.shape[1], ys0
    cdef const real* px = matrix(x, n, m)
    cdef real* py
    made = output(y, n, m, &py, &ys0)
    cdef PyThreadState* state = released(8 * n * m)
    if m:  # rows without columns have no largest element
        function(px, row_step(x), col_step(x), py, ys0, n, m)
    regained(state)
    return made


cdef inline row_derivative_entry(
    row_derivative function, const real[:, :] dy, const real[:, :] y, real[:, ::1] dx
):
    cdef Py_ssize_t n = y.shape[0], m = y.shape[1], ds0
    cdef const real* pg = matrix(dy, n, m)
    cdef const real* py = matrix(y, n, m)
    cdef real* pd
    made = output(dx, n, m, &pd, &ds0)
    cdef PyThreadState* state = released(8 * n * m)
    if m:
        function(pg, row_step(dy), col_step(dy), py, row_step(y), col_step(y), pd, ds0, n, m)
    regained(state)
    return made


def softmax(const real[:, :] x not None, real[:, ::1] y):
    """y = e^(x - max) / sum of e^(x - max), row by row."""
    return row_entry(softmax_rows, x, y)


def log_softmax(const real[:, :] x not None, real[:, ::1] y):
    """y = (x - max) - log(sum of e^(x - max)), row by row."""
    return row_entry(log_softmax_rows, x, y)


def softmax_backward(const real[:, :] dy not None, const real[:, :] y not None, real[:, ::1] dx):
    """dx = y (dy - sum of dy y), row by row."""
    return row_derivative_entry(dsoftmax_rows, dy, y, dx)


def log_softmax_backward(const real[:, :] dy not None, const real[:, :] y not None, real[:, ::1] dx):
    """dx = dy - e^y (sum of dy), row by row."""
    return row_derivative_entry(dlog_softmax_rows, dy, y, dx)
