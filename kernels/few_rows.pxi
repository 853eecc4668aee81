# Products of few rows, as a prediction for one sample is: reading B takes longest, since each element of it is used
# once a row. So B is read row by row, as it lies in memory, where the processor fetches in advance by itself, and
# C waits in the first-level cache: each pass over it adds as many terms as factors fit in the registers.

cdef enum:
    FEW_ROWS = 4
    CACHED_COLS = 1024  # of C at a time

# What is done to each panel of C once its sums are complete, while it is in the first-level cache.
ctypedef void (*finishing)(void* what, Py_ssize_t i, Py_ssize_t rows, Py_ssize_t j, Py_ssize_t cols) noexcept nogil


cdef inline void some_terms(
    const int rows, const int terms, Py_ssize_t n, const real* a, Py_ssize_t as0, Py_ssize_t as1,
    const real* b, Py_ssize_t bs0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """C += A B: rows x n, n a multiple of LANES. rows and terms, those of each sum, are constants at every call."""
    cdef vec factor[4][8]
    cdef vec acc[4]
    cdef vec row
    cdef Py_ssize_t j = 0
    cdef int i, k
    for i in range(rows):
        for k in range(terms):
            factor[i][k] = broadcast(a[i * as0 + k * as1])
    while j < n:
        for i in range(rows):
            acc[i] = load(c + i * cs0 + j)
        for k in range(terms):
            row = load(b + k * bs0 + j)
            for i in range(rows):
                acc[i] = fma(factor[i][k], row, acc[i])
        for i in range(rows):
            store(c + i * cs0 + j, acc[i])
        j += LANES


cdef inline Py_ssize_t term_by_term(
    const int rows, const int terms, Py_ssize_t n, Py_ssize_t depth, const real* a, Py_ssize_t as0, Py_ssize_t as1,
    const real* b, Py_ssize_t bs0, const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """C = S + A B, the terms one after the other; how many columns, all whole vectors."""
    cdef Py_ssize_t first = 0, cols, j, k, whole = n // LANES * LANES
    cdef int i
    while first < whole:
        cols = min(whole - first, CACHED_COLS)
        for i in range(rows):
            j = first
            while j < first + cols:
                store(c + i * cs0 + j, broadcast(0) if start is NULL else load(start + i * ss0 + j))
                j += LANES
        k = 0
        while k + terms <= depth:
            some_terms(rows, terms, cols, a + k * as1, as0, as1, b + k * bs0 + first, bs0, c + first, cs0)
            k += terms
        while k < depth:
            some_terms(rows, 1, cols, a + k * as1, as0, as1, b + k * bs0 + first, bs0, c + first, cs0)
            k += 1
        first += cols
    return whole


cdef Py_ssize_t few_rows(
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth, const real* a, Py_ssize_t as0, Py_ssize_t as1,
    const real* b, Py_ssize_t bs0, const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0,
    finishing finish, void* what
) noexcept nogil:
    """C = S + A B for m <= FEW_ROWS, as many columns as whole vectors have; these columns."""
    cdef Py_ssize_t cols = 0
    if m == 1:
        cols = term_by_term(1, 8, n, depth, a, as0, as1, b, bs0, start, ss0, c, cs0)
    elif m == 2:
        cols = term_by_term(2, 8 if TILE_ROWS > 8 else 5, n, depth, a, as0, as1, b, bs0, start, ss0, c, cs0)
    elif m == 3:
        cols = term_by_term(3, 6 if TILE_ROWS > 8 else 3, n, depth, a, as0, as1, b, bs0, start, ss0, c, cs0)
    elif m == 4:
        cols = term_by_term(4, 5 if TILE_ROWS > 8 else 2, n, depth, a, as0, as1, b, bs0, start, ss0, c, cs0)
    if cols and finish is not NULL:
        finish(what, 0, m, 0, cols)
    return cols
