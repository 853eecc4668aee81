# The functions of the products and of their sums, whose arrays differ in shape.

cdef inline Matrix transposed(Matrix m) noexcept nogil:
    m.s0, m.s1 = m.s1, m.s0
    return m


cdef int run_weight_gradient(Call* call, Py_ssize_t rows) except -1:
    """out += b^T a, for out (o, i) in either memory order. depth: i, cols: o."""
    cdef Py_ssize_t i = call.depth, o = call.cols
    if call.out.s0 == 1 or o == 1:  # lies as (i, o): a^T b
        call.out = transposed(call.out)
    elif call.out.s1 == 1 or i == 1:
        call.a, call.b, call.depth, call.cols = call.b, call.a, o, i
    else:
        raise ValueError("expected a gradient of the weight with a stride of one element")
    run_rows(call, rows if i else 0, rows * i * o)
    return 0


cdef void spread_start(Call* call, Py_ssize_t rows) noexcept nogil:
    """Copy a strided start row into each row of the output, and let the sums begin there."""
    cdef Py_ssize_t i, j
    for i in range(rows if call.cols else 0):
        for j in range(call.cols):
            call.out.at[i * call.out.s0 + j] = call.start.at[j * call.start.s1]
    call.start = call.out


def product(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] a not None, const real[:, :] b not None, real[:, ::1] c not None):
        cdef Py_ssize_t m = a.shape[0], k = a.shape[1], n = b.shape[1]
        cdef Call call
        begin(&call, run)
        call.depth, call.cols = k, n
        fill(&call.a, a, m, k)
        fill(&call.b, b, k, n)
        fill(&call.out, c, m, n)
        run_rows(&call, m, m * n * k)

    return function


def linear(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] x not None, const real[:, :] weight not None, const real[:] bias,
                 real[:, ::1] y not None):
        cdef Py_ssize_t n = x.shape[0], i = x.shape[1], o = weight.shape[0]
        cdef Call call
        begin(&call, run)
        call.depth, call.cols = i, o
        fill(&call.a, x, n, i)
        fill(&call.b, weight, o, i)
        call.b = transposed(call.b)
        fill(&call.out, y, n, o)
        if bias is not None:
            fill_row(&call.start, bias, o)
            if call.start.s1 != 1:
                spread_start(&call, n)
        run_rows(&call, n, n * i * o)

    return function


def weight_gradient(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] x not None, const real[:, :] dy not None, real[:, :] dweight not None):
        cdef Py_ssize_t n = x.shape[0], i = x.shape[1], o = dy.shape[1]
        cdef Call call
        begin(&call, run)
        call.depth, call.cols = i, o
        fill(&call.a, x, n, i)
        fill(&call.b, dy, n, o)
        fill(&call.out, dweight, o, i)
        run_weight_gradient(&call, n)

    return function


def linear_gradients(Operations operations, str name):
    cdef action run = operations.find(name).run, sum_columns = operations.find("column_sum").run

    def function(const real[:, :] x not None, const real[:, :] dy not None, real[:, :] dweight not None, real[:] db):
        cdef Py_ssize_t n = x.shape[0], i = x.shape[1], o = dy.shape[1]
        cdef Call call, sums
        begin(&call, run)
        begin(&sums, sum_columns)
        call.depth, call.cols = i, o
        fill(&call.a, x, n, i)
        fill(&call.b, dy, n, o)
        fill(&call.out, dweight, o, i)
        sums.a, sums.cols = call.b, o
        if db is not None:
            fill_row(&sums.out, db, o)
        run_weight_gradient(&call, n)
        if db is not None:
            run_rows(&sums, n, n * o)

    return function


def column_sum(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] dy not None, real[:] db not None):
        cdef Py_ssize_t n = dy.shape[0], o = dy.shape[1]
        cdef Call call
        begin(&call, run)
        call.cols = o
        fill(&call.a, dy, n, o)
        fill_row(&call.out, db, o)
        run_rows(&call, n, n * o)

    return function
