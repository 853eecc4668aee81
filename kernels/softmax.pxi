# The functions of a whole row, x, g, y and d (N, M), of which those that are written have rows of stride one:
#
#     softmax         y = e / sum of e, e = e^(x - max)          d = y (g - sum of g y)
#     log softmax     y = (x - max) - log(sum of e)              d = g - e^y (sum of g)
#
# A sum along a row has one accumulator and runs in the order of the index, so LANES rows are summed up together, one
# in each lane. What is added is computed where it lies, and turned block by block. Short rows, which would leave lanes
# empty, are turned first, into a strip, and all is computed there: the bits are the same.

cdef extern from * nogil:
    """
    #define SHORT_ROW (2 * LANES)
    typedef struct { /* element j of all rows begins at p + j * s1, that of the next row is s0 further */
      real *p;
      ptrdiff_t s0, s1;
      real buffer[LANES * SHORT_ROW];
    } Strip;
    """
    const int SHORT_ROW
    ctypedef struct Strip:
        real* p
        Py_ssize_t s0, s1
        real* buffer

cdef enum Terms:  # what is summed up along a row
    OF_G
    OF_PRODUCTS      # g y
    OF_EXPONENTIALS  # e^g


# Rows where they lie

cdef inline vec term(const Terms terms, const real* g, Py_ssize_t gs1, const real* y, Py_ssize_t ys1, Py_ssize_t n
                     ) noexcept nogil:
    """n of the terms of a row; what is behind them does not matter."""
    cdef vec v = load_strided(g, gs1, n)
    if terms == OF_PRODUCTS:
        return v * load_strided(y, ys1, n)
    return vexp(v, v) if terms == OF_EXPONENTIALS else v


cdef inline vec row_sums(
    const Terms terms, const real* g, Py_ssize_t gs0, Py_ssize_t gs1, const real* y, Py_ssize_t ys0, Py_ssize_t ys1,
    Py_ssize_t n, Py_ssize_t cols
) noexcept nogil:
    """The sum of each of n <= LANES rows, in its lane. y: any address where there are no products."""
    cdef vec block[16]
    cdef real rest[16 * 16]
    cdef vec acc = broadcast(0)
    cdef Py_ssize_t j = 0, k
    cdef int i
    while j < cols:
        k = min(cols - j, LANES)
        if n == LANES and k == LANES and gs1 == 1 and (terms != OF_PRODUCTS or ys1 == 1):
            for i in range(LANES):
                block[i] = term(terms, g + i * gs0 + j, 1, y + i * ys0 + j, 1, LANES)
        else:
            for i in range(LANES):
                block[i] = broadcast(0)
                if i < n:
                    block[i] = term(terms, g + i * gs0 + j * gs1, gs1, y + i * ys0 + j * ys1, ys1, k)
        transpose(block)
        if k == LANES:
            for i in range(LANES):
                acc = acc + block[i]
        else:
            for i in range(LANES):
                store(rest + i * LANES, block[i])
            for i in range(k):
                acc = acc + load(rest + i * LANES)
        j += LANES
    return acc


cdef inline vec row_maxima(const real* x, Py_ssize_t xs0, Py_ssize_t xs1, Py_ssize_t n, Py_ssize_t cols) noexcept nogil:
    """The largest of each of n <= LANES rows of at least LANES columns. A NaN that it skips still reaches the sum."""
    cdef vec block[16]
    cdef real found[16 * 16]
    cdef vec largest
    cdef Py_ssize_t i, j, half = LANES // 2
    cdef int v
    for i in range(n):
        largest, j = load_strided(x + (cols - LANES) * xs1, xs1, LANES), 0
        while j + LANES < cols:
            largest = larger(load_strided(x + j * xs1, xs1, LANES), largest)
            j += LANES
        store(found + i * LANES, largest)
        x += xs0
    for v in range(LANES):
        block[v] = broadcast(0)
        if v < n:
            block[v] = load(found + v * LANES)
    transpose(block)
    while half:
        for i in range(half):
            block[i] = larger(block[i], block[i + half])
        half //= 2
    return block[0]


# Rows that are turned into a strip

cdef inline void transpose_in(
    Strip* strip, const real* x, Py_ssize_t xs0, Py_ssize_t xs1, Py_ssize_t n, Py_ssize_t cols
) noexcept nogil:
    """The strip of the n rows at x."""
    if xs1 != 1:
        strip.p, strip.s0, strip.s1 = <real*>x, xs0, xs1
    else:
        strip.p, strip.s0, strip.s1 = strip.buffer, 1, LANES
        pack(x, 1, xs0, cols, n, strip.buffer, LANES)


cdef inline void transpose_out(
        const Strip* strip, real* y, Py_ssize_t ys0, Py_ssize_t n, Py_ssize_t cols) noexcept nogil:
    """Copy the strip that put() filled to y."""
    pack(strip.buffer, 1, LANES, n, cols, y, ys0)


cdef inline vec at(const Strip* strip, Py_ssize_t j, Py_ssize_t n) noexcept nogil:
    """Element j of the n rows."""
    return load_strided(strip.p + j * strip.s1, strip.s0, n)


cdef inline void put(Strip* strip, Py_ssize_t j, vec v) noexcept nogil:
    store(strip.buffer + j * LANES, v)


cdef inline vec put_at(const Strip* strip, Py_ssize_t j) noexcept nogil:
    return load(strip.buffer + j * LANES)


cdef inline vec strip_max(const Strip* x, Py_ssize_t n, Py_ssize_t cols) noexcept nogil:
    cdef vec largest = at(x, 0, n)
    cdef Py_ssize_t j
    for j in range(1, cols):
        largest = larger(at(x, j, n), largest)
    return largest


# The functions

cdef inline void softmax_strip(
    const real* x, Py_ssize_t xs0, Py_ssize_t xs1, real* y, Py_ssize_t ys0, Py_ssize_t n, Py_ssize_t cols
) noexcept nogil:
    cdef Strip given, out
    cdef Py_ssize_t j
    cdef vec largest, acc = broadcast(0), v
    transpose_in(&given, x, xs0, xs1, n, cols)
    largest = strip_max(&given, n, cols)
    for j in range(cols):
        v = vexp(at(&given, j, n) - largest, acc)
        put(&out, j, v)
        acc = acc + v
    for j in range(cols):
        put(&out, j, put_at(&out, j) / acc)
    transpose_out(&out, y, ys0, n, cols)


cdef void softmax_rows(
    const real* x, Py_ssize_t xs0, Py_ssize_t xs1, real* y, Py_ssize_t ys0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """y[i, j] = e^(x[i, j] - max) / sum over j of e^(x[i, j] - max)."""
    cdef Py_ssize_t i = 0, j, k, n, row
    cdef real number[16]
    cdef vec v
    while i < rows:
        n = min(rows - i, LANES)
        if cols < SHORT_ROW:
            softmax_strip(x + i * xs0, xs0, xs1, y + i * ys0, ys0, n, cols)
        else:
            store(number, row_maxima(x + i * xs0, xs0, xs1, n, cols))
            for row in range(n):
                v, j = broadcast(number[row]), 0
                while j < cols:
                    k = min(cols - j, LANES)
                    store_first(y + (i + row) * ys0 + j,
                                vexp(load_strided(x + (i + row) * xs0 + j * xs1, xs1, k) - v, v), k)
                    j += LANES
            store(number, row_sums(OF_G, y + i * ys0, ys0, 1, y, 0, 1, n, cols))
            for row in range(n):
                v, j = broadcast(number[row]), 0
                while j < cols:
                    k = min(cols - j, LANES)
                    store_first(y + (i + row) * ys0 + j, load_strided(y + (i + row) * ys0 + j, 1, k) / v, k)
                    j += LANES
        i += LANES


cdef inline void dsoftmax_strip(
    const real* g, Py_ssize_t gs0, Py_ssize_t gs1, const real* y, Py_ssize_t ys0, Py_ssize_t ys1,
    real* d, Py_ssize_t ds0, Py_ssize_t n, Py_ssize_t cols
) noexcept nogil:
    cdef Strip gradient, given, out
    cdef Py_ssize_t j
    cdef vec acc = broadcast(0)
    transpose_in(&gradient, g, gs0, gs1, n, cols)
    transpose_in(&given, y, ys0, ys1, n, cols)
    for j in range(cols):
        acc = acc + at(&gradient, j, n) * at(&given, j, n)
    for j in range(cols):
        put(&out, j, at(&given, j, n) * (at(&gradient, j, n) - acc))
    transpose_out(&out, d, ds0, n, cols)


cdef void dsoftmax_rows(
    const real* g, Py_ssize_t gs0, Py_ssize_t gs1, const real* y, Py_ssize_t ys0, Py_ssize_t ys1,
    real* d, Py_ssize_t ds0, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """d[i, j] = y[i, j] (g[i, j] - sum over j of g[i, j] y[i, j])."""
    cdef Py_ssize_t i = 0, j, k, n, row
    cdef real number[16]
    cdef vec v
    while i < rows:
        n = min(rows - i, LANES)
        if cols < SHORT_ROW:
            dsoftmax_strip(g + i * gs0, gs0, gs1, y + i * ys0, ys0, ys1, d + i * ds0, ds0, n, cols)
        else:
            store(number, row_sums(OF_PRODUCTS, g + i * gs0, gs0, gs1, y + i * ys0, ys0, ys1, n, cols))
            for row in range(i, i + n):
                v, j = broadcast(number[row - i]), 0
                while j < cols:
                    k = min(cols - j, LANES)
                    store_first(d + row * ds0 + j, load_strided(y + row * ys0 + j * ys1, ys1, k) * (
                        load_strided(g + row * gs0 + j * gs1, gs1, k) - v), k)
                    j += LANES
        i += LANES


cdef void softmax(Call* call, Py_ssize_t rows) noexcept nogil:
    softmax_rows(call.a.at, call.a.s0, call.a.s1, call.out.at, call.out.s0, rows, call.cols)


cdef void softmax_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    dsoftmax_rows(call.a.at, call.a.s0, call.a.s1, call.b.at, call.b.s0, call.b.s1, call.out.at, call.out.s0,
                  rows, call.cols)


register(b"softmax", softmax, HAS_OUTPUT, b"y = e^(x - max) / sum of e^(x - max), row by row.")
register(b"softmax_backward", softmax_backward, HAS_B | HAS_OUTPUT, b"dx = y (dy - sum of dy y), row by row.")
