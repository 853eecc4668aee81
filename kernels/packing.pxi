# Copies of matrices in the order in which a product reads them; and what is fetched into the cache before it is read.

cdef extern from * nogil:
    """
    #define AHEAD 16 /* rows to fetch in advance */
    #define LINE_ELEMENTS (64 / (int)sizeof(real)) /* of a cache line */
    """
    const int AHEAD, LINE_ELEMENTS


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
                store_in_row(out + k * os0 + j, load_strided(x + k * xs0 + j, 1, n), n)
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


cdef void fetch_columns(
    const real* x, Py_ssize_t xs1, Py_ssize_t depth, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """Fetch the columns from begin to end, depth elements that lie side by side, into the second-level cache."""
    cdef Py_ssize_t j, k
    for j in range(begin, end):
        k = 0
        while k < depth:
            fetch(x + j * xs1 + k)
            k += LINE_ELEMENTS
