# The matrix product, once, for every form that a layer needs:
#
#     C[i, j] = S[i, j] + sum over k of A[i, k] B[k, j]       A (M, K), B (K, N), C (M, N)
#
# S, the start, is where the accumulators begin: zero, a bias row, or C itself. Each element has one
# accumulator, and k runs upward through fused multiply-adds, so that the bits do not depend on the
# tile, the batch or the width of the vectors. A and B have any strides; rows of C have stride one.
#
# A tile of TILE_ROWS x 2 vectors of C stays in registers while k runs. Columns of B that are strided,
# or that stand too far apart to stay in the cache, are packed into a panel on the stack.

cdef extern from * nogil:
    """
    #define PANEL_K 256                       /* rows of a packed panel of B */
    #define PANEL_N (2 * LANES)               /* its columns: two vectors */
    #define ROWS_BLOCK (16 * TILE_ROWS)       /* rows of A that pass over a panel before the next k */
    #define FAR 1024                          /* bytes between rows of B above which packing pays */
    static const real ZEROS[2 * 16] = {0};
    """
    const int PANEL_K, PANEL_N, ROWS_BLOCK, FAR
    const real ZEROS[]


cdef inline void tile(
    const int rows, const int cols, const bint partial, Py_ssize_t tail, Py_ssize_t depth,
    const real* a, Py_ssize_t as0, Py_ssize_t as1, const real* b, Py_ssize_t bs0,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """rows x (cols vectors) of C over depth terms; of the last vector only tail lanes if partial.

    rows, cols and partial are constants at every call: the loops over them unroll.
    """
    cdef vec acc[12][2]
    cdef vec row[2]
    cdef vec factor
    cdef Py_ssize_t k
    cdef int i, j
    for i in range(rows):
        for j in range(cols):
            if partial and j == cols - 1:
                acc[i][j] = load_part(start + i * ss0 + j * LANES, tail)
            else:
                acc[i][j] = load(start + i * ss0 + j * LANES)
    for k in range(depth):
        for j in range(cols):
            row[j] = load_part(b + j * LANES, tail) if partial and j == cols - 1 else load(b + j * LANES)
        for i in range(rows):
            factor = broadcast(a[i * as0])
            for j in range(cols):
                acc[i][j] = fma(factor, row[j], acc[i][j])
        a += as1
        b += bs0
    for i in range(rows):
        for j in range(cols):
            if partial and j == cols - 1:
                store_part(c + i * cs0 + j * LANES, acc[i][j], tail)
            else:
                store(c + i * cs0 + j * LANES, acc[i][j])


cdef inline void column(
    const int cols, const bint partial, Py_ssize_t tail, Py_ssize_t rows, Py_ssize_t depth,
    const real* a, Py_ssize_t as0, Py_ssize_t as1, const real* b, Py_ssize_t bs0,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """All rows of a column of tiles, the highest tiles first."""
    cdef Py_ssize_t i = 0
    while rows - i >= TILE_ROWS:
        tile(TILE_ROWS, cols, partial, tail, depth, a + i * as0, as0, as1, b, bs0,
             start + i * ss0, ss0, c + i * cs0, cs0)
        i += TILE_ROWS
    if TILE_ROWS > 8 and rows - i >= 8:
        tile(8, cols, partial, tail, depth, a + i * as0, as0, as1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        i += 8
    if rows - i >= 4:
        tile(4, cols, partial, tail, depth, a + i * as0, as0, as1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        i += 4
    if rows - i >= 2:
        tile(2, cols, partial, tail, depth, a + i * as0, as0, as1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        i += 2
    if rows - i >= 1:
        tile(1, cols, partial, tail, depth, a + i * as0, as0, as1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)


cdef void any_column(
    Py_ssize_t width, Py_ssize_t rows, Py_ssize_t depth,
    const real* a, Py_ssize_t as0, Py_ssize_t as1, const real* b, Py_ssize_t bs0,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """column() of the width at hand, 1 <= width <= PANEL_N, with its constants."""
    if width == PANEL_N:
        column(2, False, LANES, rows, depth, a, as0, as1, b, bs0, start, ss0, c, cs0)
    elif width > LANES:
        column(2, True, width - LANES, rows, depth, a, as0, as1, b, bs0, start, ss0, c, cs0)
    elif width == LANES:
        column(1, False, LANES, rows, depth, a, as0, as1, b, bs0, start, ss0, c, cs0)
    else:
        column(1, True, width, rows, depth, a, as0, as1, b, bs0, start, ss0, c, cs0)


cdef inline void pack(
    const real* b, Py_ssize_t bs0, Py_ssize_t bs1, Py_ssize_t depth, Py_ssize_t width, real* panel
) noexcept nogil:
    """panel[k, j] = b[k, j] for k < depth, j < width; rows of the panel are PANEL_N long."""
    cdef Py_ssize_t k, j
    if bs1 == 1:
        for k in range(depth):
            for j in range(width):
                panel[k * PANEL_N + j] = b[k * bs0 + j]
    else:
        for j in range(width):
            for k in range(depth):
                panel[k * PANEL_N + j] = b[k * bs0 + j * bs1]


cdef void gemm(
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth,
    const real* a, Py_ssize_t as0, Py_ssize_t as1, const real* b, Py_ssize_t bs0, Py_ssize_t bs1,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """C = S + A B. start is NULL for zeros; its stride ss0 is 0 for a row that serves all."""
    cdef real panel[256 * 2 * 16]
    cdef Py_ssize_t i, j, k, height, width, terms, from_step
    cdef const real* origin
    cdef bint packed = bs1 != 1 or (bs0 * <Py_ssize_t>sizeof(real) > FAR and m > 2 * TILE_ROWS and depth > LANES)
    i = 0
    while i < m:
        height = min(m - i, ROWS_BLOCK)
        j = 0
        while j < n:
            width = min(n - j, PANEL_N)
            k = 0
            while True:  # once even where depth is 0: C = S
                terms = min(depth - k, PANEL_K)
                if k > 0:
                    origin, from_step = c + i * cs0 + j, cs0
                elif start is NULL:
                    origin, from_step = ZEROS, 0
                else:
                    origin, from_step = start + i * ss0 + j, ss0
                if packed:
                    pack(b + k * bs0 + j * bs1, bs0, bs1, terms, width, panel)
                    any_column(width, height, terms, a + i * as0 + k * as1, as0, as1, panel, PANEL_N,
                               origin, from_step, c + i * cs0 + j, cs0)
                else:
                    any_column(width, height, terms, a + i * as0 + k * as1, as0, as1, b + k * bs0 + j, bs0,
                               origin, from_step, c + i * cs0 + j, cs0)
                k += PANEL_K
                if k >= depth:
                    break
            j += PANEL_N
        i += ROWS_BLOCK
