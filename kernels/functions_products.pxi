# The functions of the products and of their sums, whose arrays have shapes of their own.

cdef inline object run_product(action run, const real[:, :] a, const real[:, :] b, real[:, ::1] c):
    cdef Py_ssize_t m = a.shape[0], k = a.shape[1], n = b.shape[1]
    cdef Call call = call_of(run)
    fill(&call.a, a, m, k)
    fill(&call.b, b, k, n)
    call.depth, call.cols = k, n
    made = output(c, m, n, &call.out)
    run_rows(&call, m, m * n * k)
    return made


cdef inline object run_linear(
    action run, const real[:, :] x, const real[:, :] weight, const real[:] bias, real[:, ::1] y
):
    cdef Py_ssize_t n = x.shape[0], i = x.shape[1], o = weight.shape[0], j, k
    cdef Call call = call_of(run)
    fill(&call.a, x, n, i)
    call.depth, call.cols = i, o
    fill(&call.b, weight, o, i)
    call.b = transposed(call.b)
    made = output(y, n, o, &call.out)
    if bias is not None:
        fill_row(&call.start, bias, o)
        if call.start.s1 != 1:  # spread it over y, and begin there
            for j in range(n if o else 0):
                for k in range(o):
                    call.out.at[j * call.out.s0 + k] = bias[k]
            call.start = call.out
    run_rows(&call, n, n * i * o)
    return made


cdef inline Matrix transposed(Matrix m) noexcept nogil:
    m.s0, m.s1 = m.s1, m.s0
    return m


cdef inline int run_weight_gradient(
    action run, const real[:, :] x, const real[:, :] dy, real[:, :] dweight
) except -1:
    cdef Py_ssize_t n = x.shape[0], i = x.shape[1], o = dy.shape[1]
    cdef Call call = call_of(run)
    fill(&call.a, x, n, i)
    fill(&call.b, dy, n, o)
    fill(&call.out, dweight, o, i)
    call.depth, call.cols = i, o
    if call.out.s0 == 1 or o == 1:  # lies as (I, O): x^T dy
        call.out = transposed(call.out)
    elif call.out.s1 == 1 or i == 1:
        call.a, call.b, call.depth, call.cols = call.b, call.a, o, i
    else:
        raise ValueError("expected a gradient of the weight with a stride of one element")
    run_rows(&call, n if call.depth else 0, n * i * o)
    return 0


cdef inline int run_column_sum(action run, const real[:, :] dy, real[:] db) except -1:
    cdef Py_ssize_t n = dy.shape[0], o = dy.shape[1]
    cdef Call call = call_of(run)
    fill(&call.a, dy, n, o)
    fill_row(&call.out, db, o)
    call.cols = o
    run_rows(&call, n, n * o)
    return 0


def product(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] a not None, const real[:, :] b not None, real[:, ::1] c not None):
        run_product(run, a, b, c)

    return function


def linear(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] x not None, const real[:, :] weight not None, const real[:] bias,
                 real[:, ::1] y not None):
        run_linear(run, x, weight, bias, y)

    return function


def weight_gradient(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] x not None, const real[:, :] dy not None, real[:, :] dweight not None):
        run_weight_gradient(run, x, dy, dweight)

    return function


def linear_gradients(Operations operations, str name):
    cdef action run = operations.find(name).run
    cdef action sum_columns = operations.find("column_sum").run

    def function(const real[:, :] x not None, const real[:, :] dy not None, real[:, :] dweight not None, real[:] db):
        if db is not None:
            vector(db, dy.shape[1])
        run_weight_gradient(run, x, dy, dweight)
        if db is not None:
            run_column_sum(sum_columns, dy, db)

    return function


def column_sum(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] dy not None, real[:] db not None):
        run_column_sum(run, dy, db)

    return function
