# Products of few rows, as a prediction for one sample is: reading B takes longest, since each element of it is used
# once a row. So a tile is as wide as the registers allow, and B is read once, where it lies. Its lines are fetched into
# the second-level cache in advance; the first has no place for rows that are mapped to the same sets.

cdef enum:
    FEW_ROWS = 4

# What is done to each panel of C once its sums are complete, while it is in the first-level cache.
ctypedef void (*finishing)(void* what, Py_ssize_t i, Py_ssize_t rows, Py_ssize_t j, Py_ssize_t cols) noexcept nogil


cdef inline void wide_tile(
    const int rows, const int cols, Py_ssize_t depth, const real* a, Py_ssize_t as0, Py_ssize_t as1,
    const real* b, Py_ssize_t bs0, const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """rows x (cols vectors) of C. Both are constants at every call."""
    cdef vec acc[4][8]
    cdef vec factor[4]
    cdef vec row
    cdef Py_ssize_t k
    cdef int i, j
    for i in range(rows):
        for j in range(cols):
            acc[i][j] = load(start + i * ss0 + j * LANES)
    for k in range(depth):
        for i in range(rows):
            factor[i] = broadcast(a[i * as0 + k * as1])
        for j in range(cols):
            fetch(b + AHEAD * bs0 + (j + 1) * LANES - 1)  # see any_tile()
            row = load(b + j * LANES)
            for i in range(rows):
                acc[i][j] = fma(factor[i], row, acc[i][j])
        b += bs0
    for i in range(rows):
        for j in range(cols):
            store(c + i * cs0 + j * LANES, acc[i][j])


cdef inline Py_ssize_t wide_tiles(
    const int rows, const int cols, Py_ssize_t n, Py_ssize_t depth, const real* a, Py_ssize_t as0, Py_ssize_t as1,
    const real* b, Py_ssize_t bs0, const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """A row of tiles; how many columns they have."""
    cdef Py_ssize_t j = 0
    while n - j >= cols * LANES:
        if start is NULL:
            wide_tile(rows, cols, depth, a, as0, as1, b + j, bs0, ZEROS, 0, c + j, cs0)
        else:
            wide_tile(rows, cols, depth, a, as0, as1, b + j, bs0, start + j, ss0, c + j, cs0)
        j += cols * LANES
    return j


cdef Py_ssize_t few_rows(
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth, const real* a, Py_ssize_t as0, Py_ssize_t as1,
    const real* b, Py_ssize_t bs0, const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0,
    finishing finish, void* what
) noexcept nogil:
    """C = S + A B for 1 <= m <= FEW_ROWS, as many columns as whole tiles have; these columns."""
    cdef Py_ssize_t j = 0
    if m == 1:
        j = wide_tiles(1, 8, n, depth, a, as0, as1, b, bs0, start, ss0, c, cs0)
    elif m == 2:
        j = wide_tiles(2, 8 if TILE_ROWS > 8 else 6, n, depth, a, as0, as1, b, bs0, start, ss0, c, cs0)
    elif m == 3:
        j = wide_tiles(3, 8 if TILE_ROWS > 8 else 4, n, depth, a, as0, as1, b, bs0, start, ss0, c, cs0)
    elif m == 4:
        j = wide_tiles(4, 6 if TILE_ROWS > 8 else 3, n, depth, a, as0, as1, b, bs0, start, ss0, c, cs0)
    if j and finish is not NULL:
        finish(what, 0, m, 0, j)
    return j
