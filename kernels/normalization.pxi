# Normalisation, x (N, C): of rows, and of columns, which are the channels of a batch. Of both:
#
#     y = (x - mean) / s w + b,  s = sqrt(mean of (x - mean)^2 + eps)      u = (x - mean) / s
#     dw = sum of g u,  db = sum of g;  of rows    dx = (e - mean of e - u (mean of e u)) / s,  e = g w
#                                       of columns dx = (g - db / N - u dw / N) w / s
#
# w and b may be missing: they are 1 and 0. A derivative's output is (N + 2, C): dx, then dw, then db; that of
# batch_norm itself is y, then the means, then the variances.
#
# A sum over a row has 16 accumulators in the element type, one for every 16th element, which are added up in pairs:
# 0 + 8, 1 + 9, ..., then 0 + 4, and so on. So it has one order whatever the width of the vectors. A sum over a column
# has one accumulator, and runs in the order of the index.

cdef extern from * nogil:
    """
    #define PARTS 16
    #define PART_VECTORS (PARTS / LANES)
    """
    const int PARTS, PART_VECTORS


cdef inline void begin_sum(vec* acc) noexcept nogil:
    cdef int v
    for v in range(PART_VECTORS):
        acc[v] = broadcast(0)


cdef inline real sum_of(const vec* acc) noexcept nogil:
    cdef real part[16]
    cdef int v, i, half = PARTS // 2
    for v in range(PART_VECTORS):
        store(part + v * LANES, acc[v])
    while half:
        for i in range(half):
            part[i] = part[i] + part[i + half]
        half //= 2
    return part[0]


cdef inline vec first_of(const real* p, Py_ssize_t n) noexcept nogil:
    """The first n elements at p, at most LANES and zero behind them; none if n is not above 0."""
    return load(p) if n >= LANES else load_part(p, n) if n > 0 else broadcast(0)


cdef inline vec centred(const real* x, real* d, Py_ssize_t n, real eps) noexcept nogil:
    """d = x - mean; 1 / s."""
    cdef vec acc[16]
    cdef vec mean, e
    cdef Py_ssize_t j = 0
    cdef int v
    begin_sum(acc)
    while j < n:
        for v in range(PART_VECTORS):
            acc[v] = acc[v] + first_of(x + j + v * LANES, n - j - v * LANES)
        j += PARTS
    mean = broadcast(sum_of(acc) / <real>n)
    j = 0
    while j < n:
        store_first(d + j, first_of(x + j, n - j) - mean, min(n - j, LANES))
        j += LANES
    begin_sum(acc)
    j = 0
    while j < n:
        for v in range(PART_VECTORS):
            e = first_of(d + j + v * LANES, n - j - v * LANES)
            acc[v] = acc[v] + e * e
        j += PARTS
    return broadcast(1) / root_of(broadcast(sum_of(acc) / <real>n + eps))


cdef inline vec scaled(vec u, const Call* call, Py_ssize_t j, Py_ssize_t n) noexcept nogil:
    """u w + b, of the columns from j."""
    if call.start.at is not NULL:
        u = u * first_of(call.start.at + j, n)
    if call.bias_gradient.at is not NULL:
        u = u + first_of(call.bias_gradient.at + j, n)
    return u


cdef inline vec weighted(vec g, const Call* call, Py_ssize_t j, Py_ssize_t n) noexcept nogil:
    """g w."""
    return g if call.start.at is NULL else g * first_of(call.start.at + j, n)


cdef void layer_norm(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i, j, n = call.cols
    cdef real* y
    cdef vec r
    for i in range(rows):
        y = call.out.at + i * call.out.s0
        r = centred(call.a.at + i * call.a.s0, y, n, <real>call.settings.value)
        j = 0
        while j < n:
            store_first(y + j, scaled(first_of(y + j, n - j) * r, call, j, n - j), min(n - j, LANES))
            j += LANES


cdef void layer_norm_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    """a: g; b: x; start: w."""
    cdef Py_ssize_t i, j, k, n = call.cols
    cdef const real* g
    cdef real* d
    cdef real* dw = call.out.at + rows * call.out.s0
    cdef real* db = dw + call.out.s0
    cdef vec acc[16]
    cdef vec products[16]
    cdef vec r, e, u, mean, product
    cdef int v
    memset(dw, 0, n * sizeof(real))
    memset(db, 0, n * sizeof(real))
    for i in range(rows):
        g, d = call.a.at + i * call.a.s0, call.out.at + i * call.out.s0
        r = centred(call.b.at + i * call.b.s0, d, n, <real>call.settings.value)
        begin_sum(acc)
        begin_sum(products)
        j = 0
        while j < n:
            for v in range(PART_VECTORS):
                k = j + v * LANES
                if k < n:
                    e, u = first_of(g + k, n - k), first_of(d + k, n - k) * r
                    store_first(d + k, u, min(n - k, LANES))
                    store_first(dw + k, first_of(dw + k, n - k) + e * u, min(n - k, LANES))
                    store_first(db + k, first_of(db + k, n - k) + e, min(n - k, LANES))
                    e = weighted(e, call, k, n - k)
                    acc[v] = acc[v] + e
                    products[v] = products[v] + e * u
            j += PARTS
        mean, product = broadcast(sum_of(acc) / <real>n), broadcast(sum_of(products) / <real>n)
        j = 0
        while j < n:
            e, u = weighted(first_of(g + j, n - j), call, j, n - j), first_of(d + j, n - j)
            store_first(d + j, ((e - mean) - u * product) * r, min(n - j, LANES))
            j += LANES


register(b"layer_norm", layer_norm, NORMALIZES | BY_NAME, b"y = (x - mean) / s w + b, row by row.")
register(b"layer_norm_backward", layer_norm_backward, NORMALIZES | BY_NAME, b"dx, dw and db: (N + 2, C).")


cdef inline void moments(
    const real* x, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t n, vec* mean, vec* variance
) noexcept nogil:
    """Those of the n columns at x, of two vectors at most."""
    cdef vec sums[2]
    cdef vec d
    cdef Py_ssize_t i
    cdef int v
    cdef vec count = broadcast(<real>rows)
    for v in range(2):
        sums[v] = broadcast(0)
    for i in range(rows):
        for v in range(2):
            sums[v] = sums[v] + first_of(x + i * step + v * LANES, n - v * LANES)
    for v in range(2):
        mean[v], sums[v] = sums[v] / count, broadcast(0)
    for i in range(rows):
        for v in range(2):
            d = first_of(x + i * step + v * LANES, n - v * LANES) - mean[v]
            sums[v] = sums[v] + d * d
    for v in range(2):
        variance[v] = sums[v] / count


cdef inline void store_some(real* p, vec v, Py_ssize_t n) noexcept nogil:
    if n > 0:
        store_first(p, v, min(n, LANES))


cdef void batch_norm(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i, j = 0, n
    cdef const real* x
    cdef real* y
    cdef vec mean[2]
    cdef vec variance[2]
    cdef vec r[2]
    cdef int v
    while j < call.cols:
        n, x, y = call.cols - j, call.a.at + j, call.out.at + j
        moments(x, call.a.s0, rows, n, mean, variance)
        for v in range(2):
            r[v] = broadcast(1) / root_of(variance[v] + broadcast(<real>call.settings.value))
        for i in range(rows):
            for v in range(2):
                store_some(y + v * LANES, scaled(
                    (first_of(x + v * LANES, n - v * LANES) - mean[v]) * r[v], call, j + v * LANES, n - v * LANES),
                    n - v * LANES)
            x, y = x + call.a.s0, y + call.out.s0
        for v in range(2):
            store_some(y + v * LANES, mean[v], n - v * LANES)
            store_some(y + call.out.s0 + v * LANES, variance[v], n - v * LANES)
        j += 2 * LANES


cdef void batch_norm_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    """a: g; b: x; start: w."""
    cdef Py_ssize_t i, j = 0, n
    cdef const real* x
    cdef const real* g
    cdef real* d
    cdef vec mean[2]
    cdef vec variance[2]
    cdef vec r[2]
    cdef vec dw[2]
    cdef vec db[2]
    cdef vec e, u, count = broadcast(<real>rows)
    cdef int v
    while j < call.cols:
        n, g, x, d = call.cols - j, call.a.at + j, call.b.at + j, call.out.at + j
        moments(x, call.b.s0, rows, n, mean, variance)
        for v in range(2):
            r[v] = broadcast(1) / root_of(variance[v] + broadcast(<real>call.settings.value))
            dw[v] = db[v] = broadcast(0)
        for i in range(rows):
            for v in range(2):
                e = first_of(g + i * call.a.s0 + v * LANES, n - v * LANES)
                u = (first_of(x + i * call.b.s0 + v * LANES, n - v * LANES) - mean[v]) * r[v]
                dw[v], db[v] = dw[v] + e * u, db[v] + e
        for i in range(rows):
            for v in range(2):
                e = first_of(g + i * call.a.s0 + v * LANES, n - v * LANES)
                u = (first_of(x + i * call.b.s0 + v * LANES, n - v * LANES) - mean[v]) * r[v]
                e = weighted((e - db[v] / count) - u * (dw[v] / count), call, j + v * LANES, n - v * LANES) * r[v]
                store_some(d + v * LANES, e, n - v * LANES)
            d = d + call.out.s0
        for v in range(2):
            store_some(d + v * LANES, dw[v], n - v * LANES)
            store_some(d + call.out.s0 + v * LANES, db[v], n - v * LANES)
        j += 2 * LANES


register(b"batch_norm", batch_norm, NORMALIZES | BY_NAME,
         b"y = (x - mean) / s w + b, column by column; the means; the variances: (N + 2, C).")
register(b"batch_norm_backward", batch_norm_backward, NORMALIZES | BY_NAME, b"dx, dw and db: (N + 2, C).")
