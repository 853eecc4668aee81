# The matrix product, once, for every form that a layer needs:
#
#     C[i, j] = S[i, j] + sum over k of A[i, k] B[k, j]       A (M, K), B (K, N), C (M, N)
#
# S, the start, is where the accumulators begin: zero, a bias row, or C itself. Each element has one
# accumulator, and k runs upward through fused multiply-adds, so that the bits do not depend on the
# tile, the batch or the width of the vectors. A and B have any strides; rows of C have stride one.
#
# A tile of TILE_ROWS x 2 vectors of C stays in registers while k runs over PANEL_K rows of B at most. This file has
# the tiles, and columns of them; few_rows.pxi wide tiles for a few rows; gemm.pxi the order in which tiles follow.

cdef extern from * nogil:
    """
    #define PANEL_K 256                  /* terms of a sum before its tiles are written back to C */
    #define PANEL_N (2 * LANES)          /* columns of a panel of B: two vectors */
    #define A_ELEMENTS (1 << 17)         /* of the rows of A that pass over a panel before the next k */
    #define SOON 24                      /* rows in advance: what the third cache takes, at six rows of A */
    #define FINISHED (1 << 12)           /* of C, that are finished in the first-level cache where B is one panel */
    #define FAR (4096 / (Py_ssize_t)sizeof(real)) /* a stride at which rows share cache sets */
    #define LARGE (1 << 19)              /* elements of B from which a panel is fetched before it is packed */
    #define PACKED PTRDIFF_MIN           /* not a stride that an array can have */
    static const real ZEROS[8 * 16] = {0};
    static OF_A_THREAD real B_PANEL[PANEL_K * 2 * 16], A_BLOCK[A_ELEMENTS];
    """
    const int PANEL_K, PANEL_N, A_ELEMENTS, SOON, FINISHED, LARGE
    const Py_ssize_t FAR, PACKED
    const real ZEROS[]
    real B_PANEL[]
    real A_BLOCK[]

cdef enum Ahead:  # what a tile does for those that follow
    NOTHING_AHEAD
    FETCHED
    KEPT


cdef inline void any_tile(
    const int rows, const int cols, const bint partial, Py_ssize_t tail, Py_ssize_t depth,
    const real* a, Py_ssize_t as0, Py_ssize_t as1, const real* b, Py_ssize_t bs0,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0, const int ahead, real* kept, Py_ssize_t behind
) noexcept nogil:
    """rows x (cols vectors) of C over depth terms; of the last vector only tail lanes if partial.

    rows, cols, partial and ahead are constants at every call: the loops over them unroll. ahead: FETCHED, the panel
    of B that is ``behind`` elements behind this one is fetched, or, where its rows do not share cache sets, this one
    some rows in advance and the first of that; KEPT, and this one is packed on the way, into ``kept``.
    """
    cdef vec acc[16][2]
    cdef vec row[2]
    cdef vec factor
    cdef const real* third[6]  # every third row of A: the next two are addressed from it
    cdef Py_ssize_t k, soon = 0  # rows of this panel that are fetched here
    cdef const real* fetched = b + behind
    cdef int i, j
    if ahead != NOTHING_AHEAD and TILE_ROWS == 6 and depth > SOON and bs0 % (FAR // 4) != 0:
        soon, fetched = depth - SOON, b + SOON * bs0
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
            if ahead == KEPT:
                store(kept + j * LANES, row[j])
            if ahead != NOTHING_AHEAD and (j == cols - 1 or (j + 1) * LANES % LINE_ELEMENTS == 0):
                fetch(fetched + (j + 1) * LANES - 1)  # by its last element: the line of its first is that before it
        if ahead == KEPT:
            kept += cols * LANES
        for i in range(rows):
            factor = broadcast(third[i // 3][(i % 3) * as0])
            for j in range(cols):
                acc[i][j] = fma(factor, row[j], acc[i][j])
        for i in range((rows + 2) // 3):
            third[i] += as1
        b += bs0
        if ahead != NOTHING_AHEAD:
            fetched += bs0
            if k + 1 == soon:
                fetched += behind - depth * bs0
    for i in range(rows):
        for j in range(cols):
            if partial and j == cols - 1:
                store_part(c + i * cs0 + j * LANES, acc[i][j], tail)
            else:
                store(c + i * cs0 + j * LANES, acc[i][j])


cdef inline void tile(
    const int rows, const int cols, const bint partial, Py_ssize_t tail, Py_ssize_t depth,
    const real* a, Py_ssize_t as0, Py_ssize_t as1, const real* b, Py_ssize_t bs0,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """any_tile() with nothing ahead."""
    any_tile(rows, cols, partial, tail, depth, a, as0, as1, b, bs0, start, ss0, c, cs0, NOTHING_AHEAD, NULL, 0)


cdef inline Py_ssize_t height_at(Py_ssize_t rows_left) noexcept nogil:
    """The rows of the next tile, of which a tile of as many rows may be made.

    Of twelve: the highest of 12, 8, 4, 2, 1 that fits. Of six: six, but the last two are as high as each other, since
    the few chains of a lower one wait for each other.
    """
    if TILE_ROWS > 8:
        return (12 if rows_left >= 12 else 8 if rows_left >= 8 else 4 if rows_left >= 4 else 2 if rows_left >= 2
                else 1)
    return 6 if rows_left > 10 or rows_left == 6 else rows_left if rows_left < 6 else (rows_left + 1) // 2


cdef inline void column(
    const int cols, const bint partial, Py_ssize_t tail, Py_ssize_t rows, Py_ssize_t depth,
    const real* a, Py_ssize_t as0, Py_ssize_t as1, const real* b, Py_ssize_t bs0,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """A column of tiles. as0 = PACKED: A is packed tile by tile, the rows of a tile interleaved.

    A row that would be left behind whole tiles is joined to the last one: alone its few chains wait for each other.
    """
    cdef Py_ssize_t i = 0, height, at0, at1
    cdef const real* at
    while i < rows:
        height = height_at(rows - i)
        if as0 != PACKED:
            at, at0, at1 = a + i * as0, as0, as1
        else:
            at, at0, at1 = a + i * depth, 1, height
        if LANES == 16 and rows - i == 13 and as0 != PACKED:
            height = 13
            tile(13, cols, partial, tail, depth, at, at0, at1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        elif LANES == 16 and rows - i == 9 and as0 != PACKED:
            height = 9
            tile(9, cols, partial, tail, depth, at, at0, at1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        elif height == TILE_ROWS:
            tile(TILE_ROWS, cols, partial, tail, depth, at, at0, at1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        elif TILE_ROWS > 8 and height == 8:
            tile(8, cols, partial, tail, depth, at, at0, at1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        elif TILE_ROWS == 6 and height == 5:
            tile(5, cols, partial, tail, depth, at, at0, at1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        elif height == 4:
            tile(4, cols, partial, tail, depth, at, at0, at1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        elif TILE_ROWS == 6 and height == 3:
            tile(3, cols, partial, tail, depth, at, at0, at1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        elif height == 2:
            tile(2, cols, partial, tail, depth, at, at0, at1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        else:
            tile(1, cols, partial, tail, depth, at, at0, at1, b, bs0, start + i * ss0, ss0, c + i * cs0, cs0)
        i += height


cdef inline bint lone(Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    """Whether one tile has all rows of C: of 16 one vector each, where there are so many registers."""
    return m == height_at(m) or (m == 16 and TILE_ROWS == 12 and n % PANEL_N == 0)


cdef Py_ssize_t first_tile(
    Py_ssize_t rows, bint only, Py_ssize_t depth, const real* a, Py_ssize_t as0, Py_ssize_t as1,
    const real* b, Py_ssize_t bs0, const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0,
    real* kept, Py_ssize_t behind
) noexcept nogil:
    """The first tile of a whole column, which packs its panel of B for those below it, if there are any; its rows."""
    cdef Py_ssize_t height = rows if only else height_at(rows), j = 0
    if as0 == PACKED:
        as0, as1 = 1, height
    if TILE_ROWS == 12 and only and height == 16:
        while j < PANEL_N:
            any_tile(16, 1, False, LANES, depth, a, as0, as1, b + j, bs0, start + j, ss0, c + j, cs0,
                     FETCHED, kept, behind)
            j += LANES
    elif only and height == TILE_ROWS:
        any_tile(TILE_ROWS, 2, False, LANES, depth, a, as0, as1, b, bs0, start, ss0, c, cs0, FETCHED, kept, behind)
    elif only and TILE_ROWS > 8 and height == 8:
        any_tile(8, 2, False, LANES, depth, a, as0, as1, b, bs0, start, ss0, c, cs0, FETCHED, kept, behind)
    elif height == TILE_ROWS:
        any_tile(TILE_ROWS, 2, False, LANES, depth, a, as0, as1, b, bs0, start, ss0, c, cs0, KEPT, kept, behind)
    elif TILE_ROWS > 8 and height == 8:
        any_tile(8, 2, False, LANES, depth, a, as0, as1, b, bs0, start, ss0, c, cs0, KEPT, kept, behind)
    elif TILE_ROWS == 6 and height == 5:
        any_tile(5, 2, False, LANES, depth, a, as0, as1, b, bs0, start, ss0, c, cs0, KEPT, kept, behind)
    elif height == 4:
        any_tile(4, 2, False, LANES, depth, a, as0, as1, b, bs0, start, ss0, c, cs0, KEPT, kept, behind)
    elif TILE_ROWS == 6 and height == 3:
        any_tile(3, 2, False, LANES, depth, a, as0, as1, b, bs0, start, ss0, c, cs0, KEPT, kept, behind)
    elif height == 2:
        any_tile(2, 2, False, LANES, depth, a, as0, as1, b, bs0, start, ss0, c, cs0, KEPT, kept, behind)
    else:
        any_tile(1, 2, False, LANES, depth, a, as0, as1, b, bs0, start, ss0, c, cs0, KEPT, kept, behind)
    return height


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
