# The normalisation of rows, and its derivative:
#
#     y = (x - mean) / s,  s = sqrt(mean of (x - mean)^2 + eps)      dx = (g - mean of g - y (mean of g y)) / s
#
# A sum over a row has 16 accumulators in the element type, one for every 16th element, which are added up in pairs:
# 0 + 8, 1 + 9, ..., then 0 + 4, and so on. So it has one order whatever the width of the vectors.

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


cdef inline real centred(const real* x, real* d, Py_ssize_t n, real eps) noexcept nogil:
    """d = x - mean; s."""
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
    store_part(&eps, root_of(broadcast(sum_of(acc) / <real>n + eps)), 1)
    return eps


cdef inline const real* in_a_row(const real* x, Py_ssize_t step, Py_ssize_t n, real* room) noexcept nogil:
    """The n elements of a row side by side: where they lie, or gathered in the room for them."""
    cdef Py_ssize_t j
    if step == 1:
        return x
    for j in range(n):
        room[j] = x[j * step]
    return room


cdef inline vec first_lanes(const real* p, Py_ssize_t step, Py_ssize_t n) noexcept nogil:
    """The first n elements at p, p + step, ..., zero behind them, also where the step is 0."""
    cdef real lanes[16]
    cdef Py_ssize_t i
    if step == 1:
        return first_of(p, n)
    for i in range(LANES):
        lanes[i] = p[i * step] if i < n else 0
    return load(lanes)


cdef void normalize_rows(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i, j, n = call.cols
    cdef real* y
    cdef vec s
    for i in range(rows):
        y = call.out.at + i * call.out.s0
        s = broadcast(centred(in_a_row(call.a.at + i * call.a.s0, call.a.s1, n, y), y, n,
                              <real>call.settings.value))
        j = 0
        while j < n:
            store_first(y + j, first_of(y + j, n - j) / s, min(n - j, LANES))
            j += LANES


cdef void normalize_rows_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i, j, n = call.cols
    cdef const real* g
    cdef real* d
    cdef vec acc[16]
    cdef vec products[16]
    cdef vec s, e, y, mean, product
    cdef int v
    for i in range(rows):
        g, d = call.a.at + i * call.a.s0, call.out.at + i * call.out.s0
        s = broadcast(centred(in_a_row(call.b.at + i * call.b.s0, call.b.s1, n, d), d, n, <real>call.settings.value))
        begin_sum(acc)
        begin_sum(products)
        j = 0
        while j < n:
            for v in range(PART_VECTORS):
                if j + v * LANES < n:
                    e = first_lanes(g + (j + v * LANES) * call.a.s1, call.a.s1, n - j - v * LANES)
                    y = first_of(d + j + v * LANES, n - j - v * LANES) / s
                    acc[v] = acc[v] + e
                    products[v] = products[v] + e * y
            j += PARTS
        mean, product = broadcast(sum_of(acc) / <real>n), broadcast(sum_of(products) / <real>n)
        j = 0
        while j < n:
            e = first_lanes(g + j * call.a.s1, call.a.s1, n - j)
            y = first_of(d + j, n - j) / s
            store_first(d + j, ((e - mean) - y * product) / s, min(n - j, LANES))
            j += LANES


register(b"normalize_rows", normalize_rows, HAS_OUTPUT | HAS_SETTING,
         b"y = (x - mean) / sqrt(mean of (x - mean)^2 + setting), row by row.")
register(b"normalize_rows_backward", normalize_rows_backward, HAS_B | HAS_OUTPUT | HAS_SETTING,
         b"dx = (dy - mean of dy - y (mean of dy y)) / s, row by row; y and s are those of x.")
