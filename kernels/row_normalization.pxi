# Normalisation of rows: see normalization.pxi for the formulas.
#
# A sum over a row has 16 accumulators in the element type, one for every 16th element, which are added up in pairs:
# 0 + 8, 1 + 9, ..., then 0 + 4, and so on. So it has one order whatever the width of the vectors. As many rows as a
# vector has lanes are done together, since one row alone waits for each of its sums, its root and its quotient.

cdef extern from * nogil:
    """
    #define PARTS 16
    #define PART_VECTORS (PARTS / LANES)
    #define ROOM_OF_ROWS 2048 /* elements of the rows that are normalised together */
    """
    const int PARTS, PART_VECTORS, ROOM_OF_ROWS


cdef inline void begin_sum(vec* acc) noexcept nogil:
    cdef int v
    for v in range(PART_VECTORS):
        acc[v] = broadcast(0)


cdef inline void fold(vec* acc, const int half) noexcept nogil:
    """Add the upper half of the accumulators to the lower."""
    cdef int i
    for i in range(half):
        acc[i] = acc[i] + acc[i + half]


cdef inline vec sums_of(vec* acc) noexcept nogil:
    """The sum of each of LANES rows, in its lane. acc: the first vector of each row's accumulators, then the second.

    Turned, they are PARTS vectors with a lane for each row, so that the additions of all rows are done together.
    """
    cdef int v
    for v in range(PART_VECTORS):
        transpose(acc + v * LANES)
    fold(acc, 8)
    fold(acc, 4)
    fold(acc, 2)
    fold(acc, 1)
    return acc[0]


cdef inline Py_ssize_t rows_together(Py_ssize_t rows, Py_ssize_t cols) noexcept nogil:
    """How many rows are done together: as many as a vector has lanes, and as stay in the first-level cache."""
    return min(rows, LANES, max(ROOM_OF_ROWS // max(cols, 1), 1))


cdef inline vec squared_distance(const real* x, vec mean, real* d, Py_ssize_t n) noexcept nogil:
    """d = x - mean, of n > 0 elements, at most LANES; their squares, and zeros behind them."""
    cdef vec e = first_of(x, n) - mean
    store_first(d, e, min(n, LANES))
    if n < LANES:
        e = load_part(d, n)
    return e * e


cdef inline vec centred(
    const real* x, Py_ssize_t xs0, real* d, Py_ssize_t ds0, Py_ssize_t rows, Py_ssize_t n, real eps
) noexcept nogil:
    """d = x - mean, for the rows of a block; the 1 / s of each in its lane."""
    cdef vec part[16]
    cdef vec acc[16]
    cdef vec e
    cdef real mean[16]
    cdef Py_ssize_t i, j, k
    cdef int v
    for v in range(PARTS):
        acc[v] = broadcast(0)
    for i in range(rows):
        begin_sum(part)
        j = 0
        while j < n:
            for v in range(PART_VECTORS):
                part[v] = part[v] + first_of(x + i * xs0 + j + v * LANES, n - j - v * LANES)
            j += PARTS
        for v in range(PART_VECTORS):
            acc[v * LANES + i] = part[v]
    store(mean, sums_of(acc) / broadcast(<real>n))
    for v in range(PARTS):
        acc[v] = broadcast(0)
    for i in range(rows):
        begin_sum(part)
        e = broadcast(mean[i])
        j = 0
        while j < n:
            for v in range(PART_VECTORS):
                k = j + v * LANES
                if k < n:
                    part[v] = part[v] + squared_distance(x + i * xs0 + k, e, d + i * ds0 + k, n - k)
            j += PARTS
        for v in range(PART_VECTORS):
            acc[v * LANES + i] = part[v]
    return broadcast(1) / root_of(sums_of(acc) / broadcast(<real>n) + broadcast(eps))


cdef void layer_norm(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i = 0, j, k, block, n = call.cols
    cdef real* y
    cdef real inverse[16]
    cdef vec r
    while i < rows:
        block, y = rows_together(rows - i, n), call.out.at + i * call.out.s0
        store(inverse, centred(call.a.at + i * call.a.s0, call.a.s0, y, call.out.s0, block, n,
                               <real>call.settings.value))
        for k in range(block):
            r, j = broadcast(inverse[k]), 0
            while j < n:
                store_first(y + j, scaled(first_of(y + j, n - j) * r, call, j, n - j), min(n - j, LANES))
                j += LANES
            y += call.out.s0
        i += block


cdef void layer_norm_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    """a: g; b: x; start: w."""
    cdef Py_ssize_t i = 0, j, k, row, block, n = call.cols
    cdef const real* g
    cdef real* d
    cdef real* dw = call.out.at + rows * call.out.s0
    cdef real* db = dw + call.out.s0
    cdef vec part[16]
    cdef vec product_part[16]
    cdef vec acc[16]
    cdef vec products[16]
    cdef real inverse[16]
    cdef real means[16]
    cdef real product_means[16]
    cdef vec r, e, u, mean, product
    cdef int v
    memset(dw, 0, n * sizeof(real))
    memset(db, 0, n * sizeof(real))
    while i < rows:
        block = rows_together(rows - i, n)
        store(inverse, centred(call.b.at + i * call.b.s0, call.b.s0, call.out.at + i * call.out.s0, call.out.s0, block,
                               n, <real>call.settings.value))
        for v in range(PARTS):
            acc[v] = products[v] = broadcast(0)
        for row in range(block):
            g, d = call.a.at + (i + row) * call.a.s0, call.out.at + (i + row) * call.out.s0
            begin_sum(part)
            begin_sum(product_part)
            r, j = broadcast(inverse[row]), 0
            while j < n:
                for v in range(PART_VECTORS):
                    k = j + v * LANES
                    if k < n:
                        e, u = first_of(g + k, n - k), first_of(d + k, n - k) * r
                        store_first(d + k, u, min(n - k, LANES))
                        store_first(dw + k, first_of(dw + k, n - k) + e * u, min(n - k, LANES))
                        store_first(db + k, first_of(db + k, n - k) + e, min(n - k, LANES))
                        e = weighted(e, call, k, n - k)
                        part[v] = part[v] + e
                        product_part[v] = product_part[v] + e * u
                j += PARTS
            for v in range(PART_VECTORS):
                acc[v * LANES + row], products[v * LANES + row] = part[v], product_part[v]
        store(means, sums_of(acc) / broadcast(<real>n))
        store(product_means, sums_of(products) / broadcast(<real>n))
        for row in range(block):
            g, d = call.a.at + (i + row) * call.a.s0, call.out.at + (i + row) * call.out.s0
            r, mean, product, j = broadcast(inverse[row]), broadcast(means[row]), broadcast(product_means[row]), 0
            while j < n:
                e, u = weighted(first_of(g + j, n - j), call, j, n - j), first_of(d + j, n - j)
                store_first(d + j, ((e - mean) - u * product) * r, min(n - j, LANES))
                j += LANES
        i += block


register(b"layer_norm", layer_norm, NORMALIZES | BY_NAME, b"y = (x - mean) / s w + b, row by row.")
register(b"layer_norm_backward", layer_norm_backward, NORMALIZES | BY_NAME, b"dx, dw and db: (N + 2, C).")
