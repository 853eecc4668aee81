# The updates of the optimizers, operation for operation as minidl/optim writes them: every product,
# sum, quotient and root is rounded by itself, and the settings are rounded to the element first. w, g
# and the state are flat, of n elements. Below each stands how a step's settings are computed, in double, from those of
# the parameter group, and the lines that register both.

cdef extern from "math.h" nogil:
    double power "pow"(double base, double exponent)
    double square_root "sqrt"(double x)


cdef inline vec decayed(vec g, vec w, real decay) noexcept nogil:
    """g + decay w, or g where decay is 0."""
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
    while momentum == 0 and decay == 0 and not maximize and i + LANES <= n:  # plain SGD, a loop of its own
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


cdef void sgd(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef const SgdStep* s = &call.settings.sgd
    sgd_update(call.cols, call.out.at, call.a.at, call.state[0], <real>s.lr, <real>s.momentum, <real>s.gain,
               <real>s.decay, s.nesterov != 0, s.maximize != 0)


cdef void prepare_sgd(const double* group, double step, Settings* settings) noexcept nogil:
    cdef double lr = group[0], momentum = group[1], dampening = group[2], decay = group[3]
    settings.sgd = SgdStep(lr, momentum, 1 if step == 1 else 1 - dampening, decay, group[4], group[5])


register(b"sgd", sgd, HAS_STATE, b"v = momentum v + gain d, w -= lr d; see minidl.optim.SGD.",
         b"lr momentum gain decay nesterov maximize")
register_rule(b"SGD", b"sgd", prepare_sgd, b"lr momentum dampening weight_decay nesterov maximize")


cdef void adam_update(
    Py_ssize_t n, real* w, const real* g, real* mean, real* square, real rate, real root, real eps,
    real beta1, real rest1, real beta2, real rest2, real decay, real shrink
) noexcept nogil:
    """m and v are running means of g and g^2, w -= rate m / (sqrt(v) / root + eps); see minidl.optim.Adam.

    AdamW first multiplies w by shrink (1 for Adam, whose decay is added to g).
    """
    cdef Py_ssize_t i = 0, k
    cdef vec d, x, m, v, scaled, divisor = broadcast(root), inverse = broadcast(1 / root)
    cdef bint exact = 1e-9 < root < 1e6  # of a step it lies between 1e-8 and 1; else the quotient might leave the range
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
        scaled = quotient(root_of(v), divisor, inverse) if exact else root_of(v) / divisor
        store_first(w + i, x - m / (scaled + broadcast(eps)) * broadcast(rate), k)
        i += LANES


cdef void adam(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef const AdamStep* s = &call.settings.adam
    adam_update(call.cols, call.out.at, call.a.at, call.state[0], call.state[1], <real>s.rate, <real>s.root,
                <real>s.eps, <real>s.beta1, <real>s.rest1, <real>s.beta2, <real>s.rest2, <real>s.decay, <real>s.shrink)


cdef inline void corrected(
    double lr, double beta1, double beta2, double eps, double step, AdamStep* settings
) noexcept nogil:
    """The settings with the bias corrections of Adam's two means."""
    settings.rate, settings.root = lr / (1 - power(beta1, step)), square_root(1 - power(beta2, step))
    settings.eps, settings.beta1, settings.rest1, settings.beta2, settings.rest2 = (
        eps, beta1, 1 - beta1, beta2, 1 - beta2)


cdef void prepare_adam(const double* group, double step, Settings* settings) noexcept nogil:
    cdef double lr = group[0], beta1 = group[1], beta2 = group[2], eps = group[3], decay = group[4]
    corrected(lr, beta1, beta2, eps, step, &settings.adam)
    settings.adam.decay, settings.adam.shrink = decay, 1


cdef void prepare_adamw(const double* group, double step, Settings* settings) noexcept nogil:
    cdef double lr = group[0], beta1 = group[1], beta2 = group[2], eps = group[3], decay = group[4]
    corrected(lr, beta1, beta2, eps, step, &settings.adam)
    settings.adam.decay, settings.adam.shrink = 0, 1 - lr * decay


register(b"adam", adam, HAS_STATES,
         b"m and v are running means of g and g^2, w -= rate m / (sqrt(v) / root + eps); see minidl.optim.Adam.",
         b"rate root eps beta1 rest1 beta2 rest2 decay shrink")
register_rule(b"Adam", b"adam", prepare_adam, b"lr betas eps weight_decay")
register_rule(b"AdamW", b"adam", prepare_adamw, b"lr betas eps weight_decay")


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


cdef void adadelta(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef const AdadeltaStep* s = &call.settings.adadelta
    adadelta_update(call.cols, call.out.at, call.a.at, call.state[0], call.state[1], <real>s.lr, <real>s.rho,
                    <real>s.rest, <real>s.eps, <real>s.decay)


cdef void prepare_adadelta(const double* group, double step, Settings* settings) noexcept nogil:
    cdef double lr = group[0], rho = group[1], eps = group[2], decay = group[3]
    settings.adadelta = AdadeltaStep(lr, rho, 1 - rho, eps, decay)


register(b"adadelta", adadelta, HAS_STATES,
         b"D = sqrt(u + eps) / sqrt(v + eps) g, w -= lr D; see minidl.optim.Adadelta.", b"lr rho rest eps decay")
register_rule(b"Adadelta", b"adadelta", prepare_adadelta, b"lr rho eps weight_decay")
