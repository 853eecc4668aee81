# The elementwise functions, each beside its derivative. A derivative takes the gradient g of the
# output, then what it is written in: the input x, or the output y.

cdef extern from * nogil:
    """
    #define SELU_SCALE ((real)1.0507009873554804934)
    #define SELU_ALPHA ((real)1.6732632423543772848)
    """
    const real SELU_SCALE, SELU_ALPHA  # Klambauer et al. 2017: the fixed point of mean 0, variance 1

ctypedef vec (*unary)(vec x, vec setting) noexcept nogil
ctypedef vec (*binary)(vec g, vec x, vec setting) noexcept nogil


cdef inline mask positive(vec x) noexcept nogil:
    return greater(x, broadcast(0))


# max(0, x), NaN kept;                       0 where x <= 0, g elsewhere, NaN included
cdef inline vec vrelu(vec x, vec unused) noexcept nogil:
    return choose(greater(broadcast(0), x), broadcast(0), x)

cdef inline vec drelu(vec g, vec x, vec unused) noexcept nogil:
    return choose(not_less(broadcast(0), x), broadcast(0), g)


# x, or slope x where x <= 0;                g, or slope g
cdef inline vec vleaky_relu(vec x, vec slope) noexcept nogil:
    return choose(positive(x), x, slope * x)

cdef inline vec dleaky_relu(vec g, vec x, vec slope) noexcept nogil:
    return choose(positive(x), g, slope * g)


# x, or alpha (e^x - 1) where x <= 0;        g, or g alpha e^x
cdef inline vec velu(vec x, vec alpha) noexcept nogil:
    return choose(positive(x), x, alpha * expm1_negative(at_most(x, 0)))

cdef inline vec delu(vec g, vec x, vec alpha) noexcept nogil:
    return choose(positive(x), g, g * (alpha * vexp(at_most(x, 0), alpha)))


# scale elu(x, alpha) with the two constants of self-normalising networks
cdef inline vec vselu(vec x, vec unused) noexcept nogil:
    return broadcast(SELU_SCALE) * velu(x, broadcast(SELU_ALPHA))

cdef inline vec dselu(vec g, vec x, vec unused) noexcept nogil:
    return broadcast(SELU_SCALE) * delu(g, x, broadcast(SELU_ALPHA))


# y = tanh x;                                g (1 - y^2)
cdef inline vec dtanh(vec g, vec y, vec unused) noexcept nogil:
    return g * (broadcast(1) - y * y)


# y = 1 / (1 + e^-x);                        g y (1 - y)
cdef inline vec dsigmoid(vec g, vec y, vec unused) noexcept nogil:
    return g * (y * (broadcast(1) - y))


# The loops. Where the rows of all arrays lie end to end, they are one long row.

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
            store_first(y + i * ys0 + j, function(load_strided(x + i * xs0 + j * xs1, xs1, n), s), n)
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
            store_first(
                y + i * ys0 + j,
                function(load_strided(g + i * gs0 + j * gs1, gs1, n), load_strided(x + i * xs0 + j * xs1, xs1, n), s),
                n)
            j += LANES
