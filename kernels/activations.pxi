# The activations, each beside its derivative. A derivative takes the gradient g of the output, then the
# value that it is written in: the input x, or the output y.

cdef extern from * nogil:
    """
    #define SELU_SCALE ((real)1.0507009873554804934)
    #define SELU_ALPHA ((real)1.6732632423543772848)
    """
    const real SELU_SCALE, SELU_ALPHA  # Klambauer et al. 2017: the fixed point of mean 0, variance 1


cdef inline mask positive(vec x) noexcept nogil:
    return greater(x, broadcast(0))


# max(0, x), NaN for NaN;                    0 where x <= 0, g elsewhere, also for NaN
cdef inline vec vrelu(vec x, vec unused) noexcept nogil:
    return larger(broadcast(0), x)

cdef inline vec drelu(vec g, vec x, vec unused) noexcept nogil:
    return choose(not_less(broadcast(0), x), broadcast(0), g)

cdef void relu(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vrelu, call, rows)

cdef void relu_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(drelu, call, rows)

register(b"relu", relu, HAS_OUTPUT | ELEMENTWISE, b"y = max(0, x).")
register(b"relu_backward", relu_backward, HAS_B | HAS_OUTPUT | ELEMENTWISE, b"dx = dy if x > 0 else 0.")


# x, or slope x where x <= 0;                g, or slope g
cdef inline vec vleaky_relu(vec x, vec slope) noexcept nogil:
    return choose(positive(x), x, slope * x)

cdef inline vec dleaky_relu(vec g, vec x, vec slope) noexcept nogil:
    return choose(positive(x), g, slope * g)

cdef void leaky_relu(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vleaky_relu, call, rows)

cdef void leaky_relu_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(dleaky_relu, call, rows)

register(b"leaky_relu", leaky_relu, HAS_OUTPUT | ELEMENTWISE | HAS_SETTING, b"y = x if x > 0 else setting x.")
register(b"leaky_relu_backward", leaky_relu_backward, HAS_B | HAS_OUTPUT | ELEMENTWISE | HAS_SETTING,
         b"dx = dy if x > 0 else setting dy.")


# x, or alpha (e^x - 1) where x <= 0;        g, or g alpha e^x
cdef inline vec velu(vec x, vec alpha) noexcept nogil:
    return choose(positive(x), x, alpha * expm1_negative(at_most(x, 0)))

cdef inline vec delu(vec g, vec x, vec alpha) noexcept nogil:
    return choose(positive(x), g, g * (alpha * vexp(at_most(x, 0), alpha)))

cdef void elu(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(velu, call, rows)

cdef void elu_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(delu, call, rows)

register(b"elu", elu, HAS_OUTPUT | ELEMENTWISE | HAS_SETTING, b"y = x if x > 0 else setting (e^x - 1).")
register(b"elu_backward", elu_backward, HAS_B | HAS_OUTPUT | ELEMENTWISE | HAS_SETTING,
         b"dx = dy if x > 0 else dy setting e^x.")


# scale elu(x, alpha) with the two constants of self-normalising networks
cdef inline vec vselu(vec x, vec unused) noexcept nogil:
    return broadcast(SELU_SCALE) * velu(x, broadcast(SELU_ALPHA))

cdef inline vec dselu(vec g, vec x, vec unused) noexcept nogil:
    return broadcast(SELU_SCALE) * delu(g, x, broadcast(SELU_ALPHA))

cdef void selu(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vselu, call, rows)

cdef void selu_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(dselu, call, rows)

register(b"selu", selu, HAS_OUTPUT | ELEMENTWISE, b"y = scale elu(x, alpha).")
register(b"selu_backward", selu_backward, HAS_B | HAS_OUTPUT | ELEMENTWISE, b"dx = scale elu_backward(dy, x, alpha).")


# y = tanh x;                                g (1 - y^2)
cdef inline vec dtanh(vec g, vec y, vec unused) noexcept nogil:
    return g * (broadcast(1) - y * y)

cdef void tanh(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vtanh, call, rows)

cdef void tanh_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(dtanh, call, rows)

register(b"tanh", tanh, HAS_OUTPUT | ELEMENTWISE, b"y = tanh x.")
register(b"tanh_backward", tanh_backward, HAS_B | HAS_OUTPUT | ELEMENTWISE, b"dx = dy (1 - y^2).")


# y = 1 / (1 + e^-x);                        g y (1 - y)
cdef inline vec dsigmoid(vec g, vec y, vec unused) noexcept nogil:
    return g * (y * (broadcast(1) - y))

cdef void sigmoid(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vsigmoid, call, rows)

cdef void sigmoid_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(dsigmoid, call, rows)

register(b"sigmoid", sigmoid, HAS_OUTPUT | ELEMENTWISE, b"y = 1 / (1 + e^-x).")
register(b"sigmoid_backward", sigmoid_backward, HAS_B | HAS_OUTPUT | ELEMENTWISE, b"dx = dy y (1 - y).")


# y = log(1 + e^x), x above the threshold;   g / (1 + e^-x), g above the threshold
# log(1 + e^x) = max(0, x) + log(1 + u), u = e^-|x|; the rounding error of 1 + u is added to its logarithm
cdef inline vec vsoftplus(vec x, vec threshold) noexcept nogil:
    cdef vec u = vexp(-absolute(x), threshold), one = broadcast(1), w = one + u
    cdef vec y = vrelu(x, threshold) + (vlog(w, threshold) + (u - (w - one)) / w)
    return choose(greater(x, threshold), x, y)

cdef inline vec dsoftplus(vec g, vec x, vec threshold) noexcept nogil:
    return choose(greater(x, threshold), g, g * vsigmoid(x, threshold))

cdef void softplus(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vsoftplus, call, rows)

cdef void softplus_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(dsoftplus, call, rows)

register(b"softplus", softplus, HAS_OUTPUT | ELEMENTWISE | HAS_SETTING, b"y = x if x > setting else log(1 + e^x).")
register(b"softplus_backward", softplus_backward, HAS_B | HAS_OUTPUT | ELEMENTWISE | HAS_SETTING,
         b"dx = dy if x > setting else dy / (1 + e^-x).")
