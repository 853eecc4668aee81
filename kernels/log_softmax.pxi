# Log softmax and its derivative: see softmax.pxi, whose rows and strips these are.

cdef inline void log_softmax_strip(
    const real* x, Py_ssize_t xs0, Py_ssize_t xs1, real* y, Py_ssize_t ys0, Py_ssize_t n, Py_ssize_t cols
) noexcept nogil:
    cdef Strip given, out
    cdef Py_ssize_t j
    cdef vec largest, acc = broadcast(0)
    transpose_in(&given, x, xs0, xs1, n, cols)
    largest = strip_max(&given, n, cols)
    for j in range(cols):
        acc = acc + vexp(at(&given, j, n) - largest, acc)
    acc = vlog(acc, acc)
    for j in range(cols):
        put(&out, j, (at(&given, j, n) - largest) - acc)
    transpose_out(&out, y, ys0, n, cols)


cdef void log_softmax_rows(
    const real* x, Py_ssize_t xs0, Py_ssize_t xs1, real* y, Py_ssize_t ys0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """y[i, j] = (x[i, j] - max) - log(sum over j of e^(x[i, j] - max))."""
    cdef Py_ssize_t i = 0, j, k, n, row
    cdef real number[16]
    cdef vec v
    while i < rows:
        n = min(rows - i, LANES)
        if cols < SHORT_ROW:
            log_softmax_strip(x + i * xs0, xs0, xs1, y + i * ys0, ys0, n, cols)
        else:
            store(number, row_maxima(x + i * xs0, xs0, xs1, n, cols))
            for row in range(i, i + n):
                v, j = broadcast(number[row - i]), 0
                while j < cols:
                    k = min(cols - j, LANES)
                    store_first(y + row * ys0 + j, load_strided(x + row * xs0 + j * xs1, xs1, k) - v, k)
                    j += LANES
            v = row_sums(OF_EXPONENTIALS, y + i * ys0, ys0, 1, y, 0, 1, n, cols)
            store(number, vlog(v, v))
            for row in range(i, i + n):
                v, j = broadcast(number[row - i]), 0
                while j < cols:
                    k = min(cols - j, LANES)
                    store_first(y + row * ys0 + j, load_strided(y + row * ys0 + j, 1, k) - v, k)
                    j += LANES
        i += LANES


cdef inline void dlog_softmax_strip(
    const real* g, Py_ssize_t gs0, Py_ssize_t gs1, const real* y, Py_ssize_t ys0, Py_ssize_t ys1,
    real* d, Py_ssize_t ds0, Py_ssize_t n, Py_ssize_t cols
) noexcept nogil:
    cdef Strip gradient, given, out
    cdef Py_ssize_t j
    cdef vec acc = broadcast(0)
    transpose_in(&gradient, g, gs0, gs1, n, cols)
    transpose_in(&given, y, ys0, ys1, n, cols)
    for j in range(cols):
        acc = acc + at(&gradient, j, n)
    for j in range(cols):
        put(&out, j, at(&gradient, j, n) - vexp(at(&given, j, n), acc) * acc)
    transpose_out(&out, d, ds0, n, cols)


cdef void dlog_softmax_rows(
    const real* g, Py_ssize_t gs0, Py_ssize_t gs1, const real* y, Py_ssize_t ys0, Py_ssize_t ys1,
    real* d, Py_ssize_t ds0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """d[i, j] = g[i, j] - e^y[i, j] sum over j of g[i, j]."""
    cdef Py_ssize_t i = 0, j, k, n, row
    cdef real number[16]
    cdef vec v
    while i < rows:
        n = min(rows - i, LANES)
        if cols < SHORT_ROW:
            dlog_softmax_strip(g + i * gs0, gs0, gs1, y + i * ys0, ys0, ys1, d + i * ds0, ds0, n, cols)
        else:
            store(number, row_sums(OF_G, g + i * gs0, gs0, gs1, g, 0, gs1, n, cols))
            for row in range(i, i + n):
                v, j = broadcast(number[row - i]), 0
                while j < cols:
                    k = min(cols - j, LANES)
                    store_first(d + row * ds0 + j, load_strided(g + row * gs0 + j * gs1, gs1, k) - vexp(
                        load_strided(y + row * ys0 + j * ys1, ys1, k), v) * v, k)
                    j += LANES
        i += LANES


cdef void log_softmax(Call* call, Py_ssize_t rows) noexcept nogil:
    log_softmax_rows(call.a.at, call.a.s0, call.a.s1, call.out.at, call.out.s0, rows, call.cols)


cdef void log_softmax_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    dlog_softmax_rows(call.a.at, call.a.s0, call.a.s1, call.b.at, call.b.s0, call.b.s1, call.out.at, call.out.s0,
                      rows, call.cols)


register(b"log_softmax", log_softmax, HAS_OUTPUT, b"y = (x - max) - log(sum of e^(x - max)), row by row.")
register(b"log_softmax_backward", log_softmax_backward, HAS_B | HAS_OUTPUT, b"dx = dy - e^y (sum of dy), row by row.")
