# Sums over rows and columns, and the functions of a whole row. Every sum has one accumulator and runs
# in the order of the index. x, g, y and d are (N, M); those that are written have rows of stride one.

cdef void column_sums(
    const real* g, Py_ssize_t gs0, Py_ssize_t gs1, real* out, Py_ssize_t os0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """out[j] += sum over i of g[i, j]."""
    # Four vectors at a time, since additions are pipelined: several independent sums hide their latency.
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


cdef void total(Call* call, Py_ssize_t rows) noexcept nogil:
    call.number[0] = reduced(call, grand_total(call.a.at, call.a.s0, call.a.s1, rows, call.cols), rows)


cdef inline double eightfold_sum(const real* x, Py_ssize_t step, Py_ssize_t n) noexcept nogil:
    """The sum of n elements in double: eight partial sums, of the elements whose index is k modulo 8.

    They are added up as ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)).
    """
    cdef double acc[8]
    cdef Py_ssize_t j = 0
    cdef int k
    for k in range(8):
        acc[k] = 0
    while j + 8 <= n:
        for k in range(8):
            acc[k] += x[(j + k) * step]
        j += 8
    for k in range(n - j):
        acc[k] += x[(j + k) * step]
    return ((acc[0] + acc[1]) + (acc[2] + acc[3])) + ((acc[4] + acc[5]) + (acc[6] + acc[7]))


cdef void row_sum(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(rows):
        call.out.at[i * call.out.s1] = <real>eightfold_sum(call.a.at + i * call.a.s0, call.a.s1, call.cols)


register(b"row_sum", row_sum, BY_NAME,
         b"y[i] = the sum of row i, of eight partial sums in double, over every eighth element: (N, M) -> (N,).")
register(b"total", total, GIVES_NUMBER, b"The sum of all x, accumulated in double: (N, M) -> float.")


# A function of a row takes LANES rows at a time, one row in each lane: the sum along a row stays in order, and
# the vectors are full however short the row is. Such a strip of short rows is first transposed into a buffer;
# rows longer than that are read in place, at a third
# of the speed.

cdef extern from * nogil:
    """
    #define STRIP_COLS 512
    typedef struct { /* element j of all rows begins at p + j * s1, that of the next row is s0 further */
      real *p;
      ptrdiff_t s0, s1;
      real buffer[LANES * STRIP_COLS];
    } Strip;
    """
    const int STRIP_COLS
    ctypedef struct Strip:
        real* p
        Py_ssize_t s0, s1
        real* buffer


cdef void transpose_strip(const real* x, Py_ssize_t xs0, Py_ssize_t n, Py_ssize_t cols, real* out) noexcept nogil:
    """out[j, i] = x[i, j], a vector for each j."""
    copy_packed(x, 1, xs0, cols, n, out, LANES)


cdef void transpose_back(const real* x, Py_ssize_t n, Py_ssize_t cols, real* out, Py_ssize_t os0) noexcept nogil:
    copy_packed(x, 1, LANES, n, cols, out, os0)


cdef inline void transpose_in(
    Strip* strip, const real* x, Py_ssize_t xs0, Py_ssize_t xs1, Py_ssize_t n, Py_ssize_t cols
) noexcept nogil:
    """The strip of the n rows at x."""
    if xs1 != 1 or cols > STRIP_COLS:
        strip.p, strip.s0, strip.s1 = <real*>x, xs0, xs1
    else:
        strip.p, strip.s0, strip.s1 = strip.buffer, 1, LANES
        transpose_strip(x, xs0, n, cols, strip.buffer)


cdef inline void place(Strip* strip, real* y, Py_ssize_t ys0, Py_ssize_t cols) noexcept nogil:
    """The strip to which the output for the rows at y is written first."""
    if cols > STRIP_COLS:
        strip.p, strip.s0, strip.s1 = y, ys0, 1
    else:
        strip.p, strip.s0, strip.s1 = strip.buffer, 1, LANES


cdef inline void transpose_out(
        const Strip* strip, real* y, Py_ssize_t ys0, Py_ssize_t n, Py_ssize_t cols) noexcept nogil:
    """Copy the strip to y."""
    if cols <= STRIP_COLS:
        transpose_back(strip.buffer, n, cols, y, ys0)


cdef inline vec at(const Strip* strip, Py_ssize_t j, Py_ssize_t n) noexcept nogil:
    """Element j of the n rows."""
    return load_strided(strip.p + j * strip.s1, strip.s0, n)


cdef inline void put(const Strip* strip, Py_ssize_t j, vec v, Py_ssize_t n) noexcept nogil:
    store_strided(strip.p + j * strip.s1, strip.s0, v, n)


cdef inline vec strip_max(const Strip* x, Py_ssize_t n, Py_ssize_t cols) noexcept nogil:
    """The largest of each row. A NaN that the maximum skips still reaches the sum."""
    cdef vec largest = at(x, 0, n), v
    cdef Py_ssize_t j
    for j in range(1, cols):
        v = at(x, j, n)
        largest = larger(v, largest)
    return largest


cdef void softmax_rows(
    const real* x, Py_ssize_t xs0, Py_ssize_t xs1, real* y, Py_ssize_t ys0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """y[i, j] = e^(x[i, j] - max) / sum over j of e^(x[i, j] - max)."""
    cdef Py_ssize_t i = 0, j, n
    cdef vec largest, acc, v
    cdef Strip given, out
    while i < rows:
        n = min(rows - i, LANES)
        transpose_in(&given, x + i * xs0, xs0, xs1, n, cols)
        place(&out, y + i * ys0, ys0, cols)
        largest, acc = strip_max(&given, n, cols), broadcast(0)
        for j in range(cols):
            v = vexp(at(&given, j, n) - largest, acc)
            put(&out, j, v, n)
            acc = acc + v
        for j in range(cols):
            put(&out, j, at(&out, j, n) / acc, n)
        transpose_out(&out, y + i * ys0, ys0, n, cols)
        i += LANES


cdef void dsoftmax_rows(
    const real* g, Py_ssize_t gs0, Py_ssize_t gs1, const real* y, Py_ssize_t ys0, Py_ssize_t ys1,
    real* d, Py_ssize_t ds0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """d[i, j] = y[i, j] (g[i, j] - sum over j of g[i, j] y[i, j])."""
    cdef Py_ssize_t i = 0, j, n
    cdef vec acc
    cdef Strip gradient, given, out
    while i < rows:
        n = min(rows - i, LANES)
        transpose_in(&gradient, g + i * gs0, gs0, gs1, n, cols)
        transpose_in(&given, y + i * ys0, ys0, ys1, n, cols)
        place(&out, d + i * ds0, ds0, cols)
        acc = broadcast(0)
        for j in range(cols):
            acc = acc + at(&gradient, j, n) * at(&given, j, n)
        for j in range(cols):
            put(&out, j, at(&given, j, n) * (at(&gradient, j, n) - acc), n)
        transpose_out(&out, d + i * ds0, ds0, n, cols)
        i += LANES


cdef void softmax(Call* call, Py_ssize_t rows) noexcept nogil:
    softmax_rows(call.a.at, call.a.s0, call.a.s1, call.out.at, call.out.s0, rows, call.cols)


cdef void softmax_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    dsoftmax_rows(call.a.at, call.a.s0, call.a.s1, call.b.at, call.b.s0, call.b.s1, call.out.at, call.out.s0,
                  rows, call.cols)


register(b"softmax", softmax, HAS_OUTPUT, b"y = e^(x - max) / sum of e^(x - max), row by row.")
register(b"softmax_backward", softmax_backward, HAS_B | HAS_OUTPUT, b"dx = y (dy - sum of dy y), row by row.")


cdef void log_softmax_rows(
    const real* x, Py_ssize_t xs0, Py_ssize_t xs1, real* y, Py_ssize_t ys0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """y[i, j] = (x[i, j] - max) - log(sum over j of e^(x[i, j] - max))."""
    cdef Py_ssize_t i = 0, j, n
    cdef vec largest, acc
    cdef Strip given, out
    while i < rows:
        n = min(rows - i, LANES)
        transpose_in(&given, x + i * xs0, xs0, xs1, n, cols)
        place(&out, y + i * ys0, ys0, cols)
        largest, acc = strip_max(&given, n, cols), broadcast(0)
        for j in range(cols):
            acc = acc + vexp(at(&given, j, n) - largest, acc)
        acc = vlog(acc, acc)
        for j in range(cols):
            put(&out, j, (at(&given, j, n) - largest) - acc, n)
        transpose_out(&out, y + i * ys0, ys0, n, cols)
        i += LANES


cdef void dlog_softmax_rows(
    const real* g, Py_ssize_t gs0, Py_ssize_t gs1, const real* y, Py_ssize_t ys0, Py_ssize_t ys1,
    real* d, Py_ssize_t ds0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """d[i, j] = g[i, j] - e^y[i, j] sum over j of g[i, j]."""
    cdef Py_ssize_t i = 0, j, n
    cdef vec acc
    cdef Strip gradient, given, out
    while i < rows:
        n = min(rows - i, LANES)
        transpose_in(&gradient, g + i * gs0, gs0, gs1, n, cols)
        transpose_in(&given, y + i * ys0, ys0, ys1, n, cols)
        place(&out, d + i * ds0, ds0, cols)
        acc = broadcast(0)
        for j in range(cols):
            acc = acc + at(&gradient, j, n)
        for j in range(cols):
            put(&out, j, at(&gradient, j, n) - vexp(at(&given, j, n), acc) * acc, n)
        transpose_out(&out, d + i * ds0, ds0, n, cols)
        i += LANES


cdef void log_softmax(Call* call, Py_ssize_t rows) noexcept nogil:
    log_softmax_rows(call.a.at, call.a.s0, call.a.s1, call.out.at, call.out.s0, rows, call.cols)


cdef void log_softmax_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    dlog_softmax_rows(call.a.at, call.a.s0, call.a.s1, call.b.at, call.b.s0, call.b.s1, call.out.at, call.out.s0,
                      rows, call.cols)


register(b"log_softmax", log_softmax, HAS_OUTPUT, b"y = (x - max) - log(sum of e^(x - max)), row by row.")
register(b"log_softmax_backward", log_softmax_backward, HAS_B | HAS_OUTPUT, b"dx = dy - e^y (sum of dy), row by row.")
