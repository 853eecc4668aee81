# Recurrent layers: all steps of a sequence in one call. Each step is one product, whose sums begin at the input's part
# a[t] or at the bias, and one pass over its gates.
#
#     rnn    h' = tanh z or relu z,                                              z = a + h W^T
#     lstm   i, f, o = sigmoid, u = tanh of the quarters of z = a + h W^T;      c' = f c + i u;  h' = o tanh c'
#     gru    q = b + h W^T;  r, z = sigmoid(a + q);  n = tanh(a_n + r q_n);      h' = n + z (h - n)
#
# N sequences (rows), T steps (settings.all[0]), which run backwards if settings.all[1]; W (gates H, H), a (T N, gates
# H).
# The work, which is the output, lies flat: h in T + 1 places (N, H), of which the first (the last, if the steps run
# backwards) is h0; of lstm c in as many; then for each step the gates (N, gates H) and what else is kept. The
# derivative runs the other way; it writes T + 1 places: the gradients of the initial states, then those of a for each
# step (of gru those of a and of q side by side).

from libc.string cimport memcpy

cdef struct Steps:
    Py_ssize_t count, n, h, size  # size: of a place (N, H)
    bint reverse


cdef inline Steps steps_of(const Call* call, Py_ssize_t n) noexcept nogil:
    cdef Steps steps
    steps.count, steps.reverse = <Py_ssize_t>call.settings.all[0], call.settings.all[1] != 0
    steps.n, steps.h = n, call.depth
    steps.size = n * call.depth
    return steps


cdef inline Py_ssize_t time_at(const Steps* steps, Py_ssize_t i, bint back) noexcept nogil:
    """The time of the i-th step, or of the i-th of the derivative."""
    return steps.count - 1 - i if steps.reverse != back else i


cdef inline Py_ssize_t before(const Steps* steps, Py_ssize_t t) noexcept nogil:
    """Where the state before the step at time t lies."""
    return (t + steps.reverse) * steps.size


cdef inline Py_ssize_t after(const Steps* steps, Py_ssize_t t) noexcept nogil:
    return (t + 1 - steps.reverse) * steps.size


cdef inline vec given(const real* p, Py_ssize_t n) noexcept nogil:
    """The n elements at p, n <= LANES."""
    return load(p) if n == LANES else load_part(p, n)


cdef void rnn(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Steps steps = steps_of(call, rows)
    cdef real* h = call.out.at
    cdef Py_ssize_t i, t, j, n
    cdef real* new
    cdef vec z
    for i in range(steps.count):
        t = time_at(&steps, i, False)
        new = h + after(&steps, t)
        gemm(rows, steps.h, steps.h, h + before(&steps, t), steps.h, 1, call.b.at, call.b.s0, call.b.s1,
             call.a.at + t * rows * call.a.s0, call.a.s0, new, steps.h)
        j = 0
        while j < steps.size:
            n = min(steps.size - j, LANES)
            z = given(new + j, n)
            store_first(new + j, vrelu(z, z) if call.settings.all[2] != 0 else vtanh(z, z), n)
            j += LANES


cdef void rnn_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    """a: g (T N, H); b: W (H, H); start: the work."""
    cdef Steps steps = steps_of(call, rows)
    cdef const real* h = call.start.at
    cdef const real* y
    cdef real* dh = call.out.at  # the first place
    cdef real* dz
    cdef Py_ssize_t i, t, j, n
    cdef vec d
    for i in range(steps.count):
        t = time_at(&steps, i, True)
        dz, y = dh + (t + 1) * steps.size, h + after(&steps, t)
        if i == 0:
            memcpy(dh, call.a.at + t * steps.size, steps.size * sizeof(real))
        j = 0
        while j < steps.size:
            n = min(steps.size - j, LANES)
            d = given(dh + j, n)
            if call.settings.all[2] != 0:
                d = drelu(d, given(y + j, n), d)
            else:
                d = dtanh(d, given(y + j, n), d)
            store_first(dz + j, d, n)
            j += LANES
        t = time_at(&steps, i + 1, True)
        gemm(rows, steps.h, steps.h, dz, steps.h, 1, call.b.at, call.b.s0, call.b.s1,
             NULL if i + 1 == steps.count else call.a.at + t * steps.size, steps.h, dh, steps.h)


cdef void lstm(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Steps steps = steps_of(call, rows)
    cdef Py_ssize_t i, t, j, k, n, width = 4 * steps.h
    cdef real* h = call.out.at
    cdef real* c = h + (steps.count + 1) * steps.size
    cdef real* gates = c + (steps.count + 1) * steps.size
    cdef real* tanh_c = gates + 4 * steps.count * steps.size
    cdef real* z
    cdef vec input_gate, forget, cell, output, new
    for i in range(steps.count):
        t = time_at(&steps, i, False)
        z = gates + 4 * t * steps.size
        gemm(rows, width, steps.h, h + before(&steps, t), steps.h, 1, call.b.at, call.b.s0, call.b.s1,
             call.a.at + t * rows * call.a.s0, call.a.s0, z, width)
        for k in range(rows):
            j = 0
            while j < steps.h:
                n = min(steps.h - j, LANES)
                input_gate = vsigmoid(given(z + j, n), broadcast(0))
                forget = vsigmoid(given(z + steps.h + j, n), broadcast(0))
                cell = vtanh(given(z + 2 * steps.h + j, n), broadcast(0))
                output = vsigmoid(given(z + 3 * steps.h + j, n), broadcast(0))
                new = forget * given(c + before(&steps, t) + k * steps.h + j, n) + input_gate * cell
                store_first(z + j, input_gate, n)
                store_first(z + steps.h + j, forget, n)
                store_first(z + 2 * steps.h + j, cell, n)
                store_first(z + 3 * steps.h + j, output, n)
                store_first(c + after(&steps, t) + k * steps.h + j, new, n)
                new = vtanh(new, new)
                store_first(tanh_c + t * steps.size + k * steps.h + j, new, n)
                store_first(h + after(&steps, t) + k * steps.h + j, output * new, n)
                j += LANES
            z += width


cdef void lstm_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    """a: g of h, then of c (2 T N, H); b: W (4 H, H); start: the work. Of the first place of the output the first H
    columns are the gradient of c, the next those of h."""
    cdef Steps steps = steps_of(call, rows)
    cdef Py_ssize_t i, t, j, k, n, place, width = 4 * steps.h
    cdef const real* c = call.start.at + (steps.count + 1) * steps.size
    cdef const real* gates = c + (steps.count + 1) * steps.size
    cdef const real* tanh_c = gates + 4 * steps.count * steps.size
    cdef const real* of_c = call.a.at + steps.count * steps.size
    cdef const real* z
    cdef real* dc = call.out.at
    cdef real* dh = dc + steps.h
    cdef real* dz
    cdef vec one = broadcast(1), input_gate, forget, cell, output, squashed, d, e
    for k in range(rows):
        memset(dc + k * width, 0, width * sizeof(real))
        memcpy(dh + k * width, call.a.at + time_at(&steps, 0, True) * steps.size + k * steps.h,
               steps.h * sizeof(real))
    for i in range(steps.count):
        t = time_at(&steps, i, True)
        for k in range(rows):
            z, dz = gates + (t * rows + k) * width, call.out.at + ((t + 1) * rows + k) * width
            j = 0
            while j < steps.h:
                n = min(steps.h - j, LANES)
                place = k * steps.h + j
                input_gate, forget = given(z + j, n), given(z + steps.h + j, n)
                cell, output = given(z + 2 * steps.h + j, n), given(z + 3 * steps.h + j, n)
                squashed, d = given(tanh_c + t * steps.size + place, n), given(dh + k * width + j, n)
                e = (given(dc + k * width + j, n) + given(of_c + t * steps.size + place, n)) + dtanh(
                    d * output, squashed, one)
                store_first(dz + 3 * steps.h + j, dsigmoid(d * squashed, output, one), n)
                store_first(dz + j, dsigmoid(e * cell, input_gate, one), n)
                store_first(dz + steps.h + j, dsigmoid(
                    e * given(c + before(&steps, t) + place, n), forget, one), n)
                store_first(dz + 2 * steps.h + j, dtanh(e * input_gate, cell, one), n)
                store_first(dc + k * width + j, e * forget, n)
                j += LANES
        dz = call.out.at + (t + 1) * rows * width
        t = time_at(&steps, i + 1, True)
        gemm(rows, steps.h, width, dz, width, 1, call.b.at, call.b.s0, call.b.s1,
             NULL if i + 1 == steps.count else call.a.at + t * steps.size, steps.h, dh, width)


cdef void gru(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Steps steps = steps_of(call, rows)
    cdef Py_ssize_t i, t, j, k, n, width = 3 * steps.h
    cdef real* h = call.out.at
    cdef real* gates = h + (steps.count + 1) * steps.size
    cdef real* kept = gates + 3 * steps.count * steps.size
    cdef real* q
    cdef const real* a
    cdef vec reset, update, new
    for i in range(steps.count):
        t = time_at(&steps, i, False)
        q, a = gates + 3 * t * steps.size, call.a.at + t * rows * call.a.s0
        gemm(rows, width, steps.h, h + before(&steps, t), steps.h, 1, call.b.at, call.b.s0, call.b.s1,
             call.start.at, call.start.s0, q, width)
        for k in range(rows):
            j = 0
            while j < steps.h:
                n = min(steps.h - j, LANES)
                reset = vsigmoid(given(a + j, n) + given(q + j, n), broadcast(0))
                update = vsigmoid(given(a + steps.h + j, n) + given(q + steps.h + j, n), broadcast(0))
                new = vtanh(given(a + 2 * steps.h + j, n) + reset * given(q + 2 * steps.h + j, n), broadcast(0))
                store_first(q + j, reset, n)
                store_first(q + steps.h + j, update, n)
                store_first(kept + t * steps.size + k * steps.h + j, new, n)
                new = new + update * (given(h + before(&steps, t) + k * steps.h + j, n) - new)
                store_first(h + after(&steps, t) + k * steps.h + j, new, n)
                j += LANES
            q, a = q + width, a + call.a.s0


cdef void gru_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    """a: g (T N, H); b: W (3 H, H); start: the work. The gradient of h0 are the first H columns of the first place."""
    cdef Steps steps = steps_of(call, rows)
    cdef Py_ssize_t i, t, j, k, n, place, width = 6 * steps.h
    cdef const real* h = call.start.at
    cdef const real* gates = h + (steps.count + 1) * steps.size
    cdef const real* kept = gates + 3 * steps.count * steps.size
    cdef const real* g
    cdef const real* q
    cdef real* dh = call.out.at
    cdef real* d
    cdef vec one = broadcast(1), reset, update, new, e, of_new, of_update, of_reset
    for k in range(rows):
        memset(dh + k * width, 0, width * sizeof(real))
        memcpy(dh + k * width, call.a.at + time_at(&steps, 0, True) * steps.size + k * steps.h,
               steps.h * sizeof(real))
    for i in range(steps.count):
        t = time_at(&steps, i, True)
        g = NULL
        if i + 1 < steps.count:
            g = call.a.at + time_at(&steps, i + 1, True) * steps.size
        for k in range(rows):
            q, d = gates + (t * rows + k) * 3 * steps.h, call.out.at + ((t + 1) * rows + k) * width
            j = 0
            while j < steps.h:
                n = min(steps.h - j, LANES)
                place = k * steps.h + j
                reset, update = given(q + j, n), given(q + steps.h + j, n)
                new, e = given(kept + t * steps.size + place, n), given(dh + k * width + j, n)
                of_new = dtanh(e * (one - update), new, one)
                of_update = dsigmoid(e * (given(h + before(&steps, t) + place, n) - new), update, one)
                of_reset = dsigmoid(of_new * given(q + 2 * steps.h + j, n), reset, one)
                store_first(d + j, of_reset, n)
                store_first(d + steps.h + j, of_update, n)
                store_first(d + 2 * steps.h + j, of_new, n)
                store_first(d + 3 * steps.h + j, of_reset, n)
                store_first(d + 4 * steps.h + j, of_update, n)
                store_first(d + 5 * steps.h + j, of_new * reset, n)
                e = e * update
                store_first(dh + k * width + j, e if g is NULL else given(g + place, n) + e, n)
                j += LANES
        d = call.out.at + (t + 1) * rows * width + 3 * steps.h
        gemm(rows, steps.h, 3 * steps.h, d, width, 1, call.b.at, call.b.s0, call.b.s1, dh, width, dh, width)


register(b"rnn", rnn, RECURRENT | BY_NAME, b"h[t] = tanh(a[t] + h[t - 1] W^T), or relu, for all t.")
register(b"rnn_backward", rnn_backward, RECURRENT | BY_NAME, b"The gradients of h0 and a.")
register(b"lstm", lstm, RECURRENT | BY_NAME, b"c[t] = f c[t - 1] + i u; h[t] = o tanh c[t], for all t.")
register(b"lstm_backward", lstm_backward, RECURRENT | BY_NAME, b"The gradients of c0, h0 and a.")
register(b"gru", gru, RECURRENT | BY_NAME, b"h[t] = n + z (h[t - 1] - n), for all t.")
register(b"gru_backward", gru_backward, RECURRENT | BY_NAME, b"The gradients of h0, a and q.")
