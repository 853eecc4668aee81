# Sums over rows and columns. Every sum has one accumulator and runs in the order of the index. x and g are (N, M).

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
