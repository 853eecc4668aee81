# The matrix product, once, for every form that a layer needs:
#
#     C[i, j] = S[i, j] + sum over k of A[i, k] B[k, j]       A (M, K), B (K, N), C (M, N)
#
# S, the start, is where the accumulators begin: zero, a bias row, or C itself. Each element has one
# accumulator, and k runs upward through fused multiply-adds, so that the bits do not depend on the
# tile, the batch or the width of the vectors. A and B have any strides; rows of C have stride one.
#
# A tile of TILE_ROWS x 2 vectors of C stays in registers while k runs over PANEL_K rows of B at most. A or B
# is packed first where it is strided, or where its rows would be mapped to the same cache sets.

cdef extern from * nogil:
    """
    #define PANEL_K 256                  /* terms of a sum before its tiles are written back to C */
    #define PANEL_N (2 * LANES)          /* columns of a panel of B: two vectors */
    #define A_ELEMENTS (1 << 17)         /* of the rows of A that pass over a panel before the next k */
    #define FAR (4096 / (Py_ssize_t)sizeof(real)) /* a stride at which rows share cache sets */
    #define ROW_COLS 8                   /* vectors of a tile of a single row */
    #define PACKED PTRDIFF_MIN           /* not a stride that an array can have */
    #define AHEAD 16                     /* rows to fetch in advance */
    static const real ZEROS[8 * 16] = {0};
    static OF_A_THREAD real B_PANEL[PANEL_K * 2 * 16], A_BLOCK[A_ELEMENTS];
    """
    const int PANEL_K, PANEL_N, A_ELEMENTS, ROW_COLS, AHEAD
    const Py_ssize_t FAR, PACKED
    const real ZEROS[]
    real B_PANEL[]
    real A_BLOCK[]


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
    cdef const real* third[4]  # every third row of A: the next two are addressed from it
    cdef Py_ssize_t k
    cdef int i, j
    for i in range((rows + 2) // 3):
        third[i] = a + 3 * i * as0
    for i in range(rows):
        for j in range(cols):
            if start == ZEROS:  # zeros need not be read
                acc[i][j] = broadcast(0)
            elif partial and j == cols - 1:
                acc[i][j] = load_part(start + i * ss0 + j * LANES, tail)
            else:
                acc[i][j] = load(start + i * ss0 + j * LANES)
    for k in range(depth):
        for j in range(cols):
            row[j] = load_part(b + j * LANES, tail) if partial and j == cols - 1 else load(b + j * LANES)
        for i in range(rows):
            factor = broadcast(third[i // 3][(i % 3) * as0])
            for j in range(cols):
                acc[i][j] = fma(factor, row[j], acc[i][j])
        for i in range((rows + 2) // 3):
            third[i] += as1
        b += bs0
    for i in range(rows):
        for j in range(cols):
            if partial and j == cols - 1:
                store_part(c + i * cs0 + j * LANES, acc[i][j], tail)
            else:
                store(c + i * cs0 + j * LANES, acc[i][j])


cdef inline void row_tile(
    Py_ssize_t depth, const real* a, Py_ssize_t as1, const real* b, Py_ssize_t bs0, const real* start, real* c
) noexcept nogil:
    """One row of C, ROW_COLS vectors wide: enough independent sums to hide the latency of an addition."""
    cdef vec acc[8]
    cdef vec factor
    cdef Py_ssize_t k
    cdef int j
    for j in range(ROW_COLS):
        acc[j] = load(start + j * LANES)
    for k in range(depth):
        factor = broadcast(a[k * as1])
        for j in range(ROW_COLS):
            prefetch(b + AHEAD * bs0 + j * LANES)
            acc[j] = fma(factor, load(b + j * LANES), acc[j])
        b += bs0
    for j in range(ROW_COLS):
        store(c + j * LANES, acc[j])


cdef inline Py_ssize_t height_at(Py_ssize_t rows_left) noexcept nogil:
    """The rows of the next tile: the highest of TILE_ROWS, 8, 4, 2, 1 that fits."""
    if rows_left >= TILE_ROWS:
        return TILE_ROWS
    return 8 if TILE_ROWS > 8 and rows_left >= 8 else 4 if rows_left >= 4 else 2 if rows_left >= 2 else 1


cdef inline void column(
    const int cols, const bint partial, Py_ssize_t tail, Py_ssize_t rows, Py_ssize_t depth,
    const real* a, Py_ssize_t as0, Py_ssize_t as1, const real* b, Py_ssize_t bs0,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """A column of tiles. as0 = PACKED: A is packed tile by tile, the rows of a tile interleaved."""
    cdef Py_ssize_t i = 0, height, at0, at1
    cdef const real* at
    while i < rows:
        height = height_at(rows - i)
        if as0 != PACKED:
            at, at0, at1 = a + i * as0, as0, as1
        else:
            at, at0, at1 = a + i * depth, 1, height
        if height == TILE_ROWS:
            tile(TILE_ROWS, cols, partial, tail, depth, at, at0, at1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        elif TILE_ROWS > 8 and height == 8:
            tile(8, cols, partial, tail, depth, at, at0, at1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        elif height == 4:
            tile(4, cols, partial, tail, depth, at, at0, at1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        elif height == 2:
            tile(2, cols, partial, tail, depth, at, at0, at1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        else:
            tile(1, cols, partial, tail, depth, at, at0, at1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        i += height


cdef void any_column(
    Py_ssize_t width, Py_ssize_t rows, Py_ssize_t depth,
    const real* a, Py_ssize_t as0, Py_ssize_t as1, const real* b, Py_ssize_t bs0,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """column() for this width, 1 <= width <= PANEL_N, with constants for its branches."""
    if width == PANEL_N:
        column(2, False, LANES, rows, depth, a, as0, as1, b, bs0, start, ss0, c, cs0)
    elif width > LANES:
        column(2, True, width - LANES, rows, depth, a, as0, as1, b, bs0, start, ss0, c, cs0)
    elif width == LANES:
        column(1, False, LANES, rows, depth, a, as0, as1, b, bs0, start, ss0, c, cs0)
    else:
        column(1, True, width, rows, depth, a, as0, as1, b, bs0, start, ss0, c, cs0)


cdef inline void copy_packed(
    const real* x, Py_ssize_t xs0, Py_ssize_t xs1, Py_ssize_t depth, Py_ssize_t width, real* out, Py_ssize_t os0
) noexcept nogil:
    """out[k, j] = x[k, j] for k < depth, j < width; rows of out are os0 apart, x has any strides."""
    cdef Py_ssize_t k = 0, j, n, terms
    cdef vec block[16]
    cdef int i
    if xs1 == 1:
        for k in range(depth):
            prefetch(x + (k + AHEAD) * xs0)
            prefetch(x + (k + AHEAD) * xs0 + width - 1)
            j = 0
            while j < width:
                n = min(width - j, LANES)
                store_first(out + k * os0 + j, load_strided(x + k * xs0 + j, 1, n), n)
                j += LANES
        return
    while xs0 == 1 and depth - k > 4:  # the transpose, block by block
        terms = min(depth - k, LANES)
        j = 0
        while j < width:
            n = min(width - j, LANES)
            if n == LANES and terms == LANES:
                for i in range(LANES):
                    block[i] = load(x + k + (j + i) * xs1)
            else:
                for i in range(LANES):
                    block[i] = load_strided(x + k + (j + i) * xs1, 1, terms) if i < n else broadcast(0)
            transpose(block)
            for i in range(terms):
                store_first(out + (k + i) * os0 + j, block[i], n)
            j += LANES
        k += LANES
    while k < depth:
        for j in range(width):
            out[k * os0 + j] = x[k * xs0 + j * xs1]
        k += 1


cdef void pack(
    const real* x, Py_ssize_t xs0, Py_ssize_t xs1, Py_ssize_t depth, Py_ssize_t width, real* out, Py_ssize_t os0
) noexcept nogil:
    """copy_packed(), once for all strides."""
    copy_packed(x, xs0, xs1, depth, width, out, os0)


# What is done to each panel of C once its sums are complete, while it is in the first-level cache.
ctypedef void (*finishing)(void* what, Py_ssize_t i, Py_ssize_t rows, Py_ssize_t j, Py_ssize_t cols) noexcept nogil


cdef void gemm_and_finish(
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth,
    const real* a, Py_ssize_t as0, Py_ssize_t as1, const real* b, Py_ssize_t bs0, Py_ssize_t bs1,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0, finishing finish, void* what
) noexcept nogil:
    """C = S + A B. start is NULL for zeros; its stride ss0 is 0 for one row that all rows begin at.

    finish, unless it is NULL, is called with ``what`` for each panel of C: rows from i, cols from j.
    """
    cdef Py_ssize_t i = 0, j, k, r, first = 0, rows, width, terms, height, block = m, ps0, ps1, qs0, from_step
    cdef const real* origin
    cdef const real* p
    cdef const real* q
    cdef bint pack_b = bs1 != 1 or (bs0 >= FAR and m > 2 * TILE_ROWS and depth > LANES)
    cdef bint pack_a = n > 2 * PANEL_N and m >= TILE_ROWS and (
        as1 >= FAR if as0 == 1 else as0 >= FAR and as0 % FAR == 0)
    if m == 1 and bs1 == 1:
        while n - first >= ROW_COLS * LANES:
            origin = ZEROS
            if start is not NULL:
                origin = start + first
            row_tile(depth, a, as1, b + first, bs0, origin, c + first)
            if finish is not NULL:
                finish(what, 0, 1, first, ROW_COLS * LANES)
            first += ROW_COLS * LANES
        if first == n:
            return
    if m * min(depth, PANEL_K) > A_ELEMENTS:
        block = A_ELEMENTS // min(depth, PANEL_K) // TILE_ROWS * TILE_ROWS
    while i < m:
        rows = min(m - i, block)
        k = 0
        while True:  # at least once: where depth is 0, C = S
            terms = min(depth - k, PANEL_K)
            p, ps0, ps1 = a + i * as0 + k * as1, as0, as1
            if pack_a:
                r = 0
                while r < rows:
                    height = height_at(rows - r)
                    pack(p + r * as0, as1, as0, terms, height, A_BLOCK + r * terms, height)
                    r += height
                p, ps0, ps1 = A_BLOCK, PACKED, 0
            j = first
            while j < n:
                width = min(n - j, PANEL_N)
                if k > 0:
                    origin, from_step = c + i * cs0 + j, cs0
                elif start is NULL:
                    origin, from_step = ZEROS, 0
                else:
                    origin, from_step = start + i * ss0 + j, ss0
                q, qs0 = b + k * bs0 + j * bs1, bs0
                if pack_b:
                    pack(q, bs0, bs1, terms, width, B_PANEL, PANEL_N)
                    q, qs0 = B_PANEL, PANEL_N
                any_column(width, rows, terms, p, ps0, ps1, q, qs0, origin, from_step, c + i * cs0 + j, cs0)
                if finish is not NULL and k + PANEL_K >= depth:
                    finish(what, i, rows, j, width)
                j += PANEL_N
            k += PANEL_K
            if k >= depth:
                break
        i += block


cdef void gemm(
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth,
    const real* a, Py_ssize_t as0, Py_ssize_t as1, const real* b, Py_ssize_t bs0, Py_ssize_t bs1,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """C = S + A B."""
    gemm_and_finish(m, n, depth, a, as0, as1, b, bs0, bs1, start, ss0, c, cs0, NULL, NULL)
