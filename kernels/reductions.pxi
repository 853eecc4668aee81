# Sums over rows and columns, and the functions of a whole row. Every sum has one accumulator and runs
# in the order of the index. x (N, M); g, y and d (N, M) with rows of stride one where they are written.

cdef void column_sums(
    const real* g, Py_ssize_t gs0, Py_ssize_t gs1, real* out, Py_ssize_t os0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """out[j] += sum over i of g[i, j]."""
    cdef Py_ssize_t i, j, n
    cdef vec acc
    j = 0
    while j < cols:
        n = min(cols - j, LANES)
        acc = load_strided(out + j * os0, os0, n)
        for i in range(rows):
            acc = acc + load_strided(g + i * gs0 + j * gs1, gs1, n)
        if os0 == 1:
            store_first(out + j, acc, n)
        else:
            store_strided(out + j * os0, os0, acc, n)
        j += LANES


cdef double grand_total(
    const real* x, Py_ssize_t xs0, Py_ssize_t xs1, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """Sum of all x, in double."""
    cdef double acc = 0
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(cols):
            acc += x[i * xs0 + j * xs1]
    return acc


cdef inline real row_max(const real* x, Py_ssize_t xs1, Py_ssize_t cols) noexcept nogil:
    """The largest of a row; NaN if one is NaN."""
    cdef real largest = x[0], value
    cdef Py_ssize_t j
    for j in range(1, cols):
        value = x[j * xs1]
        if value > largest or value != value:
            largest = value
        if largest != largest:
            break
    return largest


cdef inline real exp_row(
    const real* x, Py_ssize_t xs1, Py_ssize_t cols, real shift, real* e, const bint keep
) noexcept nogil:
    """Sum over j of e^(x[j] - shift); the terms are kept in e if keep."""
    cdef real lanes[16]
    cdef real acc = 0
    cdef vec v
    cdef Py_ssize_t j = 0, n, i
    while j < cols:
        n = min(cols - j, LANES)
        v = vexp(load_strided(x + j * xs1, xs1, n) - broadcast(shift), broadcast(0))
        if keep:
            store_first(e + j, v, n)
        store(lanes, v)
        for i in range(n):
            acc += lanes[i]
        j += LANES
    return acc


cdef void softmax_rows(
    const real* x, Py_ssize_t xs0, Py_ssize_t xs1, real* y, Py_ssize_t ys0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """y[i, j] = e^(x[i, j] - max) / sum over j of e^(x[i, j] - max)."""
    cdef Py_ssize_t i, j
    cdef real acc
    for i in range(rows):
        acc = exp_row(x + i * xs0, xs1, cols, row_max(x + i * xs0, xs1, cols), y + i * ys0, True)
        for j in range(cols):
            y[i * ys0 + j] /= acc


cdef void dsoftmax_rows(
    const real* g, Py_ssize_t gs0, Py_ssize_t gs1, const real* y, Py_ssize_t ys0, Py_ssize_t ys1,
    real* d, Py_ssize_t ds0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """d[i, j] = y[i, j] (g[i, j] - sum over j of g[i, j] y[i, j])."""
    cdef Py_ssize_t i, j
    cdef real acc
    for i in range(rows):
        acc = 0
        for j in range(cols):
            acc += g[i * gs0 + j * gs1] * y[i * ys0 + j * ys1]
        for j in range(cols):
            d[i * ds0 + j] = y[i * ys0 + j * ys1] * (g[i * gs0 + j * gs1] - acc)


cdef void log_softmax_rows(
    const real* x, Py_ssize_t xs0, Py_ssize_t xs1, real* y, Py_ssize_t ys0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """y[i, j] = (x[i, j] - max) - log(sum over j of e^(x[i, j] - max))."""
    cdef Py_ssize_t i, j
    cdef real lanes[16]
    cdef real largest
    for i in range(rows):
        largest = row_max(x + i * xs0, xs1, cols)
        lanes[0] = exp_row(x + i * xs0, xs1, cols, largest, NULL, False)
        store(lanes, vlog(broadcast(lanes[0]), broadcast(0)))
        for j in range(cols):
            y[i * ys0 + j] = (x[i * xs0 + j * xs1] - largest) - lanes[0]


cdef void dlog_softmax_rows(
    const real* g, Py_ssize_t gs0, Py_ssize_t gs1, const real* y, Py_ssize_t ys0, Py_ssize_t ys1,
    real* d, Py_ssize_t ds0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """d[i, j] = g[i, j] - e^y[i, j] sum over j of g[i, j]."""
    cdef Py_ssize_t i, j, n
    cdef vec acc
    cdef real sum_
    for i in range(rows):
        sum_ = 0
        for j in range(cols):
            sum_ += g[i * gs0 + j * gs1]
        acc = broadcast(sum_)
        j = 0
        while j < cols:
            n = min(cols - j, LANES)
            store_first(
                d + i * ds0 + j,
                load_strided(g + i * gs0 + j * gs1, gs1, n)
                - vexp(load_strided(y + i * ys0 + j * ys1, ys1, n), acc) * acc,
                n)
            j += LANES
