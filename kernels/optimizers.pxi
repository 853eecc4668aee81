# The updates of the optimizers, operation for operation as minidl/optim writes them: every product,
# sum, quotient and root is rounded by itself, and the settings are rounded to the element first. w, g
# and the state are flat, of n elements.

cdef inline vec decayed(vec g, vec w, real decay) noexcept nogil:
    """g + decay w; g itself where decay is 0."""
    return g if decay == 0 else g + w * broadcast(decay)


cdef inline vec running_mean(vec mean, real rho, real rest, vec new) noexcept nogil:
    """rho mean + rest new."""
    return mean * broadcast(rho) + new * broadcast(rest)


cdef void sgd_update(
    Py_ssize_t n, real* w, const real* g, real* v, real lr, real momentum, real gain, real decay,
    bint nesterov, bint maximize
) noexcept nogil:
    """v = momentum v + gain d, w -= lr d; see minidl.optim.SGD."""
    cdef Py_ssize_t i = 0, m
    cdef vec d, x, buffer
    while momentum == 0 and decay == 0 and not maximize and i + LANES <= n:  # the plainest rule, at its shortest
        store(w + i, load(w + i) - load(g + i) * broadcast(lr))
        i += LANES
    while i < n:
        m = min(n - i, LANES)
        x = load_strided(w + i, 1, m)
        d = decayed(load_strided(g + i, 1, m), x, -decay if maximize else decay)
        if maximize:
            d = -d
        if momentum != 0:
            buffer = load_strided(v + i, 1, m) * broadcast(momentum)
            buffer = buffer + (d if gain == 1 else d * broadcast(gain))
            store_first(v + i, buffer, m)
            d = d + buffer * broadcast(momentum) if nesterov else buffer
        store_first(w + i, x - d * broadcast(lr), m)
        i += LANES


cdef void adam_update(
    Py_ssize_t n, real* w, const real* g, real* mean, real* square, real rate, real root, real eps,
    real beta1, real rest1, real beta2, real rest2, real decay, real shrink
) noexcept nogil:
    """m and v are running means of g and g^2, w -= rate m / (sqrt(v) / root + eps); see minidl.optim.Adam.

    AdamW first multiplies w by shrink (1 for Adam, whose decay is added to g).
    """
    cdef Py_ssize_t i = 0, k
    cdef vec d, x, m, v
    while i < n:
        k = min(n - i, LANES)
        x = load_strided(w + i, 1, k)
        if shrink != 1:
            x = x * broadcast(shrink)
        d = decayed(load_strided(g + i, 1, k), x, decay)
        m = running_mean(load_strided(mean + i, 1, k), beta1, rest1, d)
        v = running_mean(load_strided(square + i, 1, k), beta2, rest2, d * d)
        store_first(mean + i, m, k)
        store_first(square + i, v, k)
        store_first(w + i, x - m / (root_of(v) / broadcast(root) + broadcast(eps)) * broadcast(rate), k)
        i += LANES


cdef void adadelta_update(
    Py_ssize_t n, real* w, const real* g, real* square, real* delta, real lr, real rho, real rest,
    real eps, real decay
) noexcept nogil:
    """D = sqrt(u + eps) / sqrt(v + eps) g, w -= lr D; see minidl.optim.Adadelta."""
    cdef Py_ssize_t i = 0, k
    cdef vec d, x, v, u, step
    while i < n:
        k = min(n - i, LANES)
        x = load_strided(w + i, 1, k)
        d = decayed(load_strided(g + i, 1, k), x, decay)
        v = running_mean(load_strided(square + i, 1, k), rho, rest, d * d)
        u = load_strided(delta + i, 1, k)
        step = d / root_of(v + broadcast(eps)) * root_of(u + broadcast(eps))
        store_first(square + i, v, k)
        store_first(delta + i, running_mean(u, rho, rest, step * step), k)
        store_first(w + i, x - step * broadcast(lr), k)
        i += LANES
