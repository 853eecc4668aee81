# A single loop for each of some chains (see fusion.pxi), where a measurement showed that it pays: values stay in
# registers from the first operation to the last. p: w, g and the state; s: the numbers in the order of the text.

cdef enum Decay:
    NO_DECAY
    OF_GRADIENT  # g + n0 w
    OF_VALUES    # n0 w


cdef inline void adam_vectors(Py_ssize_t n, real** p, const real* s, const Decay decay) noexcept nogil:
    cdef Py_ssize_t i = 0, k
    cdef vec x, d, m, v, scaled, divisor, inverse
    cdef real factor = s[0]
    if decay != NO_DECAY:
        s += 1
    cdef bint exact = 1e-9 < s[4] < 1e6  # as in adam_update()
    divisor, inverse = broadcast(s[4]), broadcast(1 / s[4])
    while i < n:
        k = min(n - i, LANES)
        x, d = load_strided(p[0] + i, 1, k), load_strided(p[1] + i, 1, k)
        if decay == OF_GRADIENT:
            d = d + x * broadcast(factor)
        elif decay == OF_VALUES:
            x = x * broadcast(factor)
        m = load_strided(p[2] + i, 1, k) * broadcast(s[0]) + d * broadcast(s[1])
        v = load_strided(p[3] + i, 1, k) * broadcast(s[2]) + d * d * broadcast(s[3])
        store_first(p[2] + i, m, k)
        store_first(p[3] + i, v, k)
        scaled = quotient(root_of(v), divisor, inverse) if exact else root_of(v) / divisor
        store_first(p[0] + i, x - m / (scaled + broadcast(s[5])) * broadcast(s[6]), k)
        i += LANES


cdef inline void adadelta_vectors(Py_ssize_t n, real** p, const real* s, const Decay decay) noexcept nogil:
    cdef Py_ssize_t i = 0, k
    cdef vec x, d, v, u
    cdef real factor = s[0]
    if decay != NO_DECAY:
        s += 1
    while i < n:
        k = min(n - i, LANES)
        x, d = load_strided(p[0] + i, 1, k), load_strided(p[1] + i, 1, k)
        if decay == OF_GRADIENT:
            d = d + x * broadcast(factor)
        v = load_strided(p[2] + i, 1, k) * broadcast(s[0]) + d * d * broadcast(s[1])
        u = load_strided(p[3] + i, 1, k)
        d = d / root_of(v + broadcast(s[2])) * root_of(u + broadcast(s[2]))
        store_first(p[2] + i, v, k)
        store_first(p[3] + i, u * broadcast(s[0]) + d * d * broadcast(s[1]), k)
        store_first(p[0] + i, x - d * broadcast(s[3]), k)
        i += LANES


cdef void loop_adam(Py_ssize_t n, real** p, const real* s) noexcept nogil:
    adam_vectors(n, p, s, NO_DECAY)

register_loop(
    b"adam", loop_adam,
    b"t0 = multiply n0 s0; t1 = multiply n1 g; t2 = add t0 t1; t3 = multiply n2 s1; t4 = multiply g g; "
    b"t5 = multiply n3 t4; t6 = add t3 t5; t7 = sqrt t6; t8 = divide t7 n4; t9 = add n5 t8; t10 = divide t2 t9; "
    b"t11 = multiply n6 t10; t12 = subtract w t11; w = t12; s0 = t2; s1 = t6")


cdef void loop_adam_decay(Py_ssize_t n, real** p, const real* s) noexcept nogil:
    adam_vectors(n, p, s, OF_GRADIENT)

register_loop(
    b"adam_decay", loop_adam_decay,
    b"t0 = multiply n0 w; t1 = add g t0; t2 = multiply n1 s0; t3 = multiply n2 t1; t4 = add t2 t3; "
    b"t5 = multiply n3 s1; t6 = multiply t1 t1; t7 = multiply n4 t6; t8 = add t5 t7; t9 = sqrt t8; "
    b"t10 = divide t9 n5; t11 = add n6 t10; t12 = divide t4 t11; t13 = multiply n7 t12; t14 = subtract w t13; "
    b"w = t14; s0 = t4; s1 = t8")


cdef void loop_adamw(Py_ssize_t n, real** p, const real* s) noexcept nogil:
    adam_vectors(n, p, s, OF_VALUES)

register_loop(
    b"adamw", loop_adamw,
    b"t0 = multiply n0 w; t1 = multiply n1 s0; t2 = multiply n2 g; t3 = add t1 t2; t4 = multiply n3 s1; "
    b"t5 = multiply g g; t6 = multiply n4 t5; t7 = add t4 t6; t8 = sqrt t7; t9 = divide t8 n5; t10 = add n6 t9; "
    b"t11 = divide t3 t10; t12 = multiply n7 t11; t13 = subtract t0 t12; w = t13; s0 = t3; s1 = t7")


cdef void loop_adadelta(Py_ssize_t n, real** p, const real* s) noexcept nogil:
    adadelta_vectors(n, p, s, NO_DECAY)

register_loop(
    b"adadelta", loop_adadelta,
    b"t0 = multiply n0 s0; t1 = multiply g g; t2 = multiply n1 t1; t3 = add t0 t2; t4 = add n2 t3; t5 = sqrt t4; "
    b"t6 = divide g t5; t7 = add n2 s1; t8 = sqrt t7; t9 = multiply t6 t8; t10 = multiply n0 s1; "
    b"t11 = multiply t9 t9; t12 = multiply n1 t11; t13 = add t10 t12; t14 = multiply n3 t9; t15 = subtract w t14; "
    b"w = t15; s0 = t3; s1 = t13")


cdef void loop_adadelta_decay(Py_ssize_t n, real** p, const real* s) noexcept nogil:
    adadelta_vectors(n, p, s, OF_GRADIENT)

register_loop(
    b"adadelta_decay", loop_adadelta_decay,
    b"t0 = multiply n0 w; t1 = add g t0; t2 = multiply n1 s0; t3 = multiply t1 t1; t4 = multiply n2 t3; "
    b"t5 = add t2 t4; t6 = add n3 t5; t7 = sqrt t6; t8 = divide t1 t7; t9 = add n3 s1; t10 = sqrt t9; "
    b"t11 = multiply t8 t10; t12 = multiply n1 s1; t13 = multiply t11 t11; t14 = multiply n2 t13; "
    b"t15 = add t12 t14; t16 = multiply n4 t11; t17 = subtract w t16; w = t17; s0 = t5; s1 = t15")
