# Columns of C that fill less than a vector: vectors lie along the rows of C instead, and each element stays the same
# chain. A has to be transposed for that. As the input of a layer in the gradient of its weight it is already; else a
# block of LANES x LANES at a time is transposed in registers, for few columns.

cdef extern from * nogil:
    """
    #define MOST_NARROW 4
    #define TRANSPOSING (LANES == 16 ? 8 : 4) /* the columns that are computed while a block is transposed */
    #define COPYING 64 /* multiply-adds of vectors in the time for what is done once */
    static OF_A_THREAD real SUMS[16 * 32]; /* of a panel of rows, transposed */
    """
    const int MOST_NARROW, TRANSPOSING, COPYING
    real SUMS[]


cdef inline Py_ssize_t narrow_columns(
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth, Py_ssize_t as0, Py_ssize_t as1
) noexcept nogil:
    """How many of the last columns of C are computed so: those behind whole vectors, or none of them."""
    cdef Py_ssize_t rest = n % LANES, vectors = (m + LANES - 1) // LANES
    if as0 != 1:
        return rest if as1 == 1 and rest <= MOST_NARROW and (rest + TRANSPOSING) * vectors < m else 0
    return rest if depth * (m - rest * vectors) > rest * m + COPYING else 0  # they are copied, one by one


cdef inline void put_columns(const int n, vec* columns, Py_ssize_t rows, real* c, Py_ssize_t cs0) noexcept nogil:
    """c[i, j] = columns[j][i], for a constant n."""
    cdef real lanes[16]
    cdef Py_ssize_t i
    cdef int j
    if n != 3 and cs0 == n and rows == LANES:
        columns_to_rows(columns, n)
        for j in range(n):
            store(c + j * LANES, columns[j])
        return
    for j in range(n):
        store(lanes, columns[j])
        for i in range(rows):
            c[i * cs0 + j] = lanes[i]


cdef inline void strip_of_rows(
    const int n, Py_ssize_t rows, Py_ssize_t depth, const real* a, Py_ssize_t as0,
    const real* b, Py_ssize_t bs0, Py_ssize_t bs1, const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """rows <= LANES rows of C. n, its columns, is a constant; the columns of A have stride one."""
    cdef vec acc[4]
    cdef vec block[16]
    cdef Py_ssize_t k = 0, terms
    cdef int i, j
    for j in range(n):
        acc[j] = broadcast(0) if start is NULL else load_strided(start + j, ss0, rows)
    while k < depth:
        terms = min(depth - k, LANES)
        if rows == LANES and terms == LANES:
            for i in range(LANES):
                block[i] = load(a + i * as0)
        else:
            for i in range(LANES):
                block[i] = load_part(a + i * as0, terms) if i < rows else broadcast(0)
        transpose(block)
        for i in range(LANES):
            if i < terms:
                for j in range(n):
                    acc[j] = fma(block[i], broadcast(b[j * bs1]), acc[j])
                b += bs0
        a += LANES
        k += LANES
    put_columns(n, acc, rows, c, cs0)


cdef inline void strips(
    const int n, Py_ssize_t m, Py_ssize_t depth, const real* a, Py_ssize_t as0,
    const real* b, Py_ssize_t bs0, Py_ssize_t bs1, const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i < m:
        strip_of_rows(n, min(m - i, LANES), depth, a + i * as0, as0, b, bs0, bs1,
                      NULL if start is NULL else start + i * ss0, ss0, c + i * cs0, cs0)
        i += LANES


cdef void along_rows(
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth,
    const real* a, Py_ssize_t as0, Py_ssize_t as1, const real* b, Py_ssize_t bs0, Py_ssize_t bs1,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """C = S + A B for the columns that narrow_columns() names."""
    cdef const real* origin = ZEROS
    cdef Py_ssize_t i = 0, j, r, width, from_step = 0
    if as0 != 1:
        if n == 1:
            strips(1, m, depth, a, as0, b, bs0, bs1, start, ss0, c, cs0)
        elif n == 2:
            strips(2, m, depth, a, as0, b, bs0, bs1, start, ss0, c, cs0)
        elif n == 3:
            strips(3, m, depth, a, as0, b, bs0, bs1, start, ss0, c, cs0)
        else:
            strips(4, m, depth, a, as0, b, bs0, bs1, start, ss0, c, cs0)
        return
    while i < m:  # C^T = S^T + B^T A^T
        width = min(m - i, PANEL_N)
        if start is not NULL:
            for j in range(n):
                for r in range(width):
                    SUMS[j * PANEL_N + r] = start[(i + r) * ss0 + j]
            origin, from_step = SUMS, PANEL_N
        any_column(width, n, depth, b, bs1, bs0, a + i, as1, origin, from_step, SUMS, PANEL_N)
        for r in range(width):
            for j in range(n):
                c[(i + r) * cs0 + j] = SUMS[j * PANEL_N + r]
        i += width
