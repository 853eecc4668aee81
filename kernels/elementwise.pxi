# The elementwise loops: a function of one vector, or of two, over rows and columns. Inputs may have any strides; rows
# of the output have stride one.

ctypedef vec (*unary)(vec x, vec setting) noexcept nogil
ctypedef vec (*binary)(vec g, vec x, vec setting) noexcept nogil


# Where all arrays are contiguous, their rows are treated as one long row.

cdef inline void apply_unary(
    unary function, const real* x, Py_ssize_t xs0, Py_ssize_t xs1, real* y, Py_ssize_t ys0,
    Py_ssize_t rows, Py_ssize_t cols, real setting
) noexcept nogil:
    """y[i, j] = function(x[i, j])."""
    cdef Py_ssize_t i, j, n
    cdef vec s = broadcast(setting)
    if xs0 == cols and xs1 == 1 and ys0 == cols:
        rows, cols = 1, rows * cols
    for i in range(rows):
        j = 0
        while xs1 == 1 and j + LANES <= cols:
            store(y + i * ys0 + j, function(load(x + i * xs0 + j), s))
            j += LANES
        while j < cols:
            n = min(cols - j, LANES)
            store_in_row(y + i * ys0 + j, function(load_strided(x + i * xs0 + j * xs1, xs1, n), s), n)
            j += LANES


cdef inline void apply_binary(
    binary function, const real* g, Py_ssize_t gs0, Py_ssize_t gs1, const real* x, Py_ssize_t xs0,
    Py_ssize_t xs1, real* y, Py_ssize_t ys0, Py_ssize_t rows, Py_ssize_t cols, real setting
) noexcept nogil:
    """y[i, j] = function(g[i, j], x[i, j])."""
    cdef Py_ssize_t i, j, n
    cdef vec s = broadcast(setting)
    if gs0 == cols and gs1 == 1 and xs0 == cols and xs1 == 1 and ys0 == cols:
        rows, cols = 1, rows * cols
    for i in range(rows):
        j = 0
        while gs1 == 1 and xs1 == 1 and j + LANES <= cols:
            store(y + i * ys0 + j, function(load(g + i * gs0 + j), load(x + i * xs0 + j), s))
            j += LANES
        while j < cols:
            n = min(cols - j, LANES)
            store_in_row(
                y + i * ys0 + j,
                function(load_strided(g + i * gs0 + j * gs1, gs1, n), load_strided(x + i * xs0 + j * xs1, xs1, n), s),
                n)
            j += LANES


# The same for a call: the constants let the loops inline the function

cdef inline void unary_call(unary function, Call* call, Py_ssize_t rows) noexcept nogil:
    apply_unary(function, call.a.at, call.a.s0, call.a.s1, call.out.at, call.out.s0, rows, call.cols,
                <real>call.settings.value)


cdef inline void binary_call(binary function, Call* call, Py_ssize_t rows) noexcept nogil:
    apply_binary(function, call.a.at, call.a.s0, call.a.s1, call.b.at, call.b.s0, call.b.s1, call.out.at, call.out.s0,
                 rows, call.cols, <real>call.settings.value)
