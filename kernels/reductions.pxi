# Sums over rows and columns. Every sum has one accumulator and runs in the order of the index. x and g are (N, M).

cdef inline void sums_side_by_side(
    const int vectors, Py_ssize_t tail, const real* g, Py_ssize_t gs0, real* out, Py_ssize_t rows
) noexcept nogil:
    """out[j] += sum over i of g[i, j], for the columns of these vectors, the last one of tail lanes."""
    cdef vec acc[4]
    cdef Py_ssize_t i
    cdef int v, last = vectors - 1
    for v in range(last):
        acc[v] = load(out + v * LANES)
    acc[last] = load_part(out + last * LANES, tail)
    for i in range(rows):
        for v in range(last):
            acc[v] = acc[v] + load(g + v * LANES)
        acc[last] = acc[last] + load_part(g + last * LANES, tail)
        g += gs0
    for v in range(last):
        store(out + v * LANES, acc[v])
    store_part(out + last * LANES, acc[last], tail)


cdef void column_sums(
    const real* g, Py_ssize_t gs0, Py_ssize_t gs1, real* out, Py_ssize_t os0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """out[j] += sum over i of g[i, j]."""
    # Up to four vectors at a time, since additions are pipelined: several independent sums hide their latency.
    cdef Py_ssize_t i, j = 0, n
    cdef vec acc
    while os0 == 1 and gs1 == 1 and j < cols:
        n = (cols - j + LANES - 1) // LANES
        if n >= 4:
            sums_side_by_side(4, min(cols - j - 3 * LANES, LANES), g + j, gs0, out + j, rows)
        elif n == 3:
            sums_side_by_side(3, cols - j - 2 * LANES, g + j, gs0, out + j, rows)
        elif n == 2:
            sums_side_by_side(2, cols - j - LANES, g + j, gs0, out + j, rows)
        else:
            sums_side_by_side(1, cols - j, g + j, gs0, out + j, rows)
        j += 4 * LANES
    while j < cols:
        n = min(cols - j, LANES)
        acc = load_strided(out + j * os0, os0, n)
        for i in range(rows):
            acc = acc + load_strided(g + i * gs0 + j * gs1, gs1, n)
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
