# Normalisation, x (N, C): of rows, and of columns, which are the channels of a batch. Of both:
#
#     y = (x - mean) / s w + b,  s = sqrt(mean of (x - mean)^2 + eps)      u = (x - mean) / s
#     dw = sum of g u,  db = sum of g;  of rows    dx = (e - mean of e - u (mean of e u)) / s,  e = g w
#                                       of columns dx = (g - db / N - u dw / N) w / s
#
# w and b may be missing: they are 1 and 0. A derivative's output is (N + 2, C): dx, then dw, then db; that of
# batch_norm itself is y, then the means, then the variances.
#
# A sum over a column has one accumulator, and runs in the order of the index.

cdef inline vec first_of(const real* p, Py_ssize_t n) noexcept nogil:
    """The first n elements at p, at most LANES and zero behind them; none if n is not above 0."""
    return load(p) if n >= LANES else load_part(p, n) if n > 0 else broadcast(0)


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
