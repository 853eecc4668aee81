# The product over whole matrices: which of them is packed, and in which order its tiles follow.
#
# A or B is packed where it is strided, or where its rows would be mapped to the same cache sets: a strided B panel by
# panel, one whose rows lie far apart by the first tile that reads it.

# Where C is much larger than B, as the gradient of a weight is, its tiles follow row by row: a column of them would
# touch a page of memory for each row of C. The panels of B are packed once and stay in the second-level cache.

cdef inline bint in_rows_of_tiles(Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth, Py_ssize_t cs0) noexcept nogil:
    """Whether C lies so that its columns are far apart, and the sums are so short that B stays in the cache."""
    return m >= 8 * TILE_ROWS and n >= 4 * PANEL_N and 0 < depth <= PANEL_K and cs0 >= FAR // 2


cdef void rows_of_tiles(
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth,
    const real* a, Py_ssize_t as0, Py_ssize_t as1, const real* b, Py_ssize_t bs0, Py_ssize_t bs1,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """C = S + A B, a row of tiles at a time: for 0 < depth <= PANEL_K."""
    cdef const real* origin
    cdef Py_ssize_t i, j, first = 0, cols, height, from_step, block = A_ELEMENTS // depth // PANEL_N * PANEL_N
    while first < n:
        cols = min(n - first, block)
        j = 0
        while j < cols:
            pack(b + (first + j) * bs1, bs0, bs1, depth, min(cols - j, PANEL_N), A_BLOCK + j * depth, PANEL_N)
            j += PANEL_N
        i = 0
        while i < m:
            height = height_at(m - i)
            pack(a + i * as0, as1, as0, depth, height, B_PANEL, height)
            j = 0
            while j < cols:
                if start is NULL:
                    origin, from_step = ZEROS, 0
                else:
                    origin, from_step = start + i * ss0 + first + j, ss0
                any_column(min(cols - j, PANEL_N), height, depth, B_PANEL, 1, height, A_BLOCK + j * depth, PANEL_N,
                           origin, from_step, c + i * cs0 + first + j, cs0)
                j += PANEL_N
            i += height
        first += cols


cdef void gemm_and_finish(
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth,
    const real* a, Py_ssize_t as0, Py_ssize_t as1, const real* b, Py_ssize_t bs0, Py_ssize_t bs1,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0, finishing finish, void* what
) noexcept nogil:
    """C = S + A B. start is NULL for zeros; its stride ss0 is 0 for one row that all rows begin at.

    finish, unless it is NULL, is called with ``what`` for each panel of C: rows from i, cols from j.
    """
    cdef Py_ssize_t i = 0, j, k, r, first = 0, rows, width, terms, height, block = m, ps0, ps1, qs0, from_step, behind
    cdef Py_ssize_t together, fetched, part, most = A_ELEMENTS // 4 if TILE_ROWS == 6 and as0 == 1 else A_ELEMENTS
    cdef const real* origin
    cdef const real* p
    cdef const real* q
    if m <= FEW_ROWS and bs1 == 1:
        first = few_rows(m, n, depth, a, as0, as1, b, bs0, start, ss0, c, cs0, finish, what)
        if first == n:
            return
    cdef Py_ssize_t narrow = narrow_columns(m, n - first, depth, as0, as1)
    if narrow:
        n -= narrow
        along_rows(m, narrow, depth, a, as0, as1, b + n * bs1, bs0, bs1, NULL if start is NULL else start + n, ss0,
                   c + n, cs0)
        if finish is not NULL:
            finish(what, 0, m, n, narrow)
        if first == n:
            return
    if finish is NULL and in_rows_of_tiles(m, n, depth, cs0):
        rows_of_tiles(m, n, depth, a, as0, as1, b, bs0, bs1, start, ss0, c, cs0)
        return
    cdef bint across = m > 2 * TILE_ROWS and <size_t>b % (LANES * sizeof(real)) != 0  # lines, where B is read
    cdef bint far_b = bs1 == 1 and (bs0 >= FAR // 2 or across) and depth > LANES and m > FEW_ROWS
    cdef bint only = far_b and lone(m, n)
    cdef bint fetch_b = bs0 == 1 and bs1 != 1 and depth * n >= LARGE
    cdef bint pack_a = n > 2 * PANEL_N and m >= TILE_ROWS and (
        as1 >= (FAR // 8 if TILE_ROWS == 6 and depth >= 64 else FAR) if as0 == 1 else as0 >= FAR and as0 % FAR == 0)
    cdef bint once = n - first <= PANEL_N and depth <= PANEL_K  # one panel of B, that is packed for all blocks of rows
    if finish is not NULL and once:
        block = max(FINISHED // (n - first), 1) // TILE_ROWS * TILE_ROWS
    elif m * min(depth, PANEL_K) > most:
        block = most // min(depth, PANEL_K) // TILE_ROWS * TILE_ROWS
        block = ((m - 1) // ((m - 1) // block + 1) // TILE_ROWS + 1) * TILE_ROWS  # all as high as each other
    while i < m:
        rows = min(m - i, block)
        k = 0
        while True:  # at least once: where depth is 0, C = S
            terms = min(depth - k, PANEL_K)
            p, ps0, ps1 = a + i * as0 + k * as1, as0, as1
            if pack_a:
                r = 0
                while r < rows:
                    height = rows if only else height_at(rows - r)
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
                q, qs0, r = b + k * bs0 + j * bs1, bs0, 0
                if far_b and width == PANEL_N:
                    behind = PANEL_N if j + 2 * PANEL_N <= n else PANEL_K * bs0 - j if k + PANEL_K < depth else 0
                    r = first_tile(rows, only, terms, p, ps0, ps1, q, qs0, origin, from_step, c + i * cs0 + j, cs0,
                                   B_PANEL, behind)
                    q, qs0 = B_PANEL, PANEL_N
                elif bs1 != 1 or (far_b and m > 2 * TILE_ROWS):
                    if i == 0 or not once:
                        pack(q, bs0, bs1, terms, width, B_PANEL, PANEL_N)
                    q, qs0 = B_PANEL, PANEL_N
                fetched = 0
                while r < rows:
                    together = rows - r
                    if fetch_b and j + 2 * PANEL_N <= n:  # the next panel: at each tile a part of it
                        together = height_at(together)
                        part = (PANEL_N * (r + together) + rows - 1) // rows
                        fetch_columns(b + k + (j + PANEL_N) * bs1, bs1, terms, fetched, part)
                        fetched = part
                    any_column(width, together, terms, p + r * (terms if ps0 == PACKED else ps0), ps0, ps1,
                               q, qs0, origin + r * from_step, from_step, c + (i + r) * cs0 + j, cs0)
                    r += together
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
