# Sums over rows and columns, and the functions of a whole row. Every sum has one accumulator and runs
# in the order of the index. x (N, M); g, y and d (N, M) with rows of stride one where they are written.

cdef void column_sums(
    const real* g, Py_ssize_t gs0, Py_ssize_t gs1, real* out, Py_ssize_t os0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """out[j] += sum over i of g[i, j]."""
    # Four vectors at a time: an addition takes longer than the next one waits to begin.
    cdef Py_ssize_t i, j = 0, n
    cdef int v
    cdef vec acc[4]
    while os0 == 1 and gs1 == 1 and cols - j >= 4 * LANES:
        for v in range(4):
            acc[v] = load(out + j + v * LANES)
        for i in range(rows):
            for v in range(4):
                acc[v] = acc[v] + load(g + i * gs0 + j + v * LANES)
        for v in range(4):
            store(out + j + v * LANES, acc[v])
        j += 4 * LANES
    while j < cols:
        n = min(cols - j, LANES)
        acc[0] = load_strided(out + j * os0, os0, n)
        for i in range(rows):
            acc[0] = acc[0] + load_strided(g + i * gs0 + j * gs1, gs1, n)
        store_strided(out + j * os0, os0, acc[0], n)
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


# A function of a row takes LANES rows at a time, a row a lane: the sum along a row stays in order, and
# the vectors are full however short the row. In the pointers below, i is the first row of the strip.
# What lies strided takes long to load: the first columns of a strip are kept from one pass to the next.

cdef enum:
    KEPT = 16


cdef inline vec strip_column(
    const vec* kept, const real* x, Py_ssize_t xs0, Py_ssize_t xs1, Py_ssize_t j, Py_ssize_t n
) noexcept nogil:
    """Column j of a strip of n rows."""
    return kept[j] if j < KEPT else load_strided(x + j * xs1, xs0, n)


cdef inline vec strip_max(
    const real* x, Py_ssize_t xs0, Py_ssize_t xs1, Py_ssize_t n, Py_ssize_t cols, vec* kept
) noexcept nogil:
    """The largest of each row, and the columns to keep. A NaN that it passes over still reaches the sum."""
    cdef vec largest = load_strided(x, xs0, n), v
    cdef Py_ssize_t j
    kept[0] = largest
    for j in range(1, cols):
        v = load_strided(x + j * xs1, xs0, n)
        if j < KEPT:
            kept[j] = v
        largest = choose(greater(v, largest), v, largest)
    return largest


cdef void softmax_rows(
    const real* x, Py_ssize_t xs0, Py_ssize_t xs1, real* y, Py_ssize_t ys0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """y[i, j] = e^(x[i, j] - max) / sum over j of e^(x[i, j] - max)."""
    cdef Py_ssize_t i = 0, j, n
    cdef vec largest, acc, v
    cdef vec kept[KEPT]
    while i < rows:
        n = min(rows - i, LANES)
        largest = strip_max(x + i * xs0, xs0, xs1, n, cols, kept)
        acc = broadcast(0)
        for j in range(cols):
            v = vexp(strip_column(kept, x + i * xs0, xs0, xs1, j, n) - largest, acc)
            if j < KEPT:
                kept[j] = v
            else:
                store_strided(y + i * ys0 + j, ys0, v, n)
            acc = acc + v
        for j in range(cols):
            store_strided(y + i * ys0 + j, ys0, strip_column(kept, y + i * ys0, ys0, 1, j, n) / acc, n)
        i += LANES


cdef void dsoftmax_rows(
    const real* g, Py_ssize_t gs0, Py_ssize_t gs1, const real* y, Py_ssize_t ys0, Py_ssize_t ys1,
    real* d, Py_ssize_t ds0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """d[i, j] = y[i, j] (g[i, j] - sum over j of g[i, j] y[i, j])."""
    cdef Py_ssize_t i = 0, j, n
    cdef vec acc
    while i < rows:
        n = min(rows - i, LANES)
        acc = broadcast(0)
        for j in range(cols):
            acc = acc + (load_strided(g + i * gs0 + j * gs1, gs0, n)
                         * load_strided(y + i * ys0 + j * ys1, ys0, n))
        for j in range(cols):
            store_strided(
                d + i * ds0 + j, ds0,
                load_strided(y + i * ys0 + j * ys1, ys0, n) * (load_strided(g + i * gs0 + j * gs1, gs0, n) - acc), n)
        i += LANES


cdef void log_softmax_rows(
    const real* x, Py_ssize_t xs0, Py_ssize_t xs1, real* y, Py_ssize_t ys0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """y[i, j] = (x[i, j] - max) - log(sum over j of e^(x[i, j] - max))."""
    cdef Py_ssize_t i = 0, j, n
    cdef vec largest, acc
    cdef vec kept[KEPT]
    while i < rows:
        n = min(rows - i, LANES)
        largest = strip_max(x + i * xs0, xs0, xs1, n, cols, kept)
        acc = broadcast(0)
        for j in range(cols):
            acc = acc + vexp(strip_column(kept, x + i * xs0, xs0, xs1, j, n) - largest, acc)
        acc = vlog(acc, acc)
        for j in range(cols):
            store_strided(y + i * ys0 + j, ys0, (strip_column(kept, x + i * xs0, xs0, xs1, j, n) - largest) - acc, n)
        i += LANES


cdef void dlog_softmax_rows(
    const real* g, Py_ssize_t gs0, Py_ssize_t gs1, const real* y, Py_ssize_t ys0, Py_ssize_t ys1,
    real* d, Py_ssize_t ds0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """d[i, j] = g[i, j] - e^y[i, j] sum over j of g[i, j]."""
    cdef Py_ssize_t i = 0, j, n
    cdef vec acc
    while i < rows:
        n = min(rows - i, LANES)
        acc = broadcast(0)
        for j in range(cols):
            acc = acc + load_strided(g + i * gs0 + j * gs1, gs0, n)
        for j in range(cols):
            store_strided(
                d + i * ds0 + j, ds0,
                load_strided(g + i * gs0 + j * gs1, gs0, n)
                - vexp(load_strided(y + i * ys0 + j * ys1, ys0, n), acc) * acc, n)
        i += LANES
