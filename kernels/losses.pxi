# The losses, from the outputs z (N, C) or log-probabilities log_p, and the labels (N,) or target rows t (N, C). A sum
# over the batch has one double accumulator and runs in the order of the index. factor: the gradient of the loss
# with respect to each row's or element's part, 1 over their number for a mean.
#
#     negative_log_likelihood = -sum over n of log_p[n, label n]            d = -factor at the labels
#     cross_entropy           = the same of log softmax z                   d = factor (e^log_p - 1 at the labels)
#     soft_cross_entropy      = -sum of t log_p                             d = factor (e^log_p (sum of t) - t)
#     squared_error           = sum of (z - t)^2                            d = 2 factor (z - t), with scale()

cdef inline double sum_at_labels(const Matrix* z, const int64_t* labels, Py_ssize_t rows) noexcept nogil:
    cdef double acc = 0
    cdef Py_ssize_t i
    for i in range(rows):
        acc += z.at[i * z.s0 + labels[i] * z.s1]
    return acc


cdef void gather_labels_total(Call* call, Py_ssize_t rows) noexcept nogil:
    call.number[0] = reduced(call, sum_at_labels(&call.a, call.labels, rows), rows)


cdef void negative_log_likelihood(Call* call, Py_ssize_t rows) noexcept nogil:
    call.number[0] = reduced(call, -sum_at_labels(&call.a, call.labels, rows), rows)


cdef void add_at_labels(Call* call, Py_ssize_t rows) noexcept nogil:
    # overwrite: the gradient begins at zero
    cdef real value = gradient_factor(call, rows)
    cdef Py_ssize_t i
    if call.overwrite:
        for i in range(rows):
            memset(call.out.at + i * call.out.s0, 0, call.cols * sizeof(real))
    for i in range(rows):
        call.out.at[i * call.out.s0 + call.labels[i]] += value


register(b"gather_labels_total", gather_labels_total, HAS_LABELS | GIVES_NUMBER,
         b"The sum over n of z[n, labels[n]], in double: (N, C) (N,) -> float. ValueError for a label outside 0..C-1.")
register(b"negative_log_likelihood", negative_log_likelihood, HAS_LABELS | GIVES_NUMBER,
         b"Minus the sum over n of log_p[n, labels[n]], in double: (N, C) (N,) -> float.")
register(b"add_at_labels", add_at_labels, HAS_LABELS | HAS_SETTING | BY_NAME,
         b"z[n, labels[n]] += value, for every n: (N, C) (N,). ValueError for a label outside 0..C-1.")


cdef void cross_entropy(Call* call, Py_ssize_t rows) noexcept nogil:
    log_softmax_rows(call.a.at, call.a.s0, call.a.s1, call.out.at, call.out.s0, rows, call.cols)
    call.number[0] = reduced(call, -sum_at_labels(&call.out, call.labels, rows), rows)


cdef void cross_entropy_gradient(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef real factor = gradient_factor(call, rows)
    cdef Py_ssize_t i
    unary_call(vexp, call, rows)
    for i in range(rows):
        call.out.at[i * call.out.s0 + call.labels[i]] -= 1
    scale_rows(&call.out, rows, call.cols, factor)


register(b"cross_entropy", cross_entropy, HAS_LABELS | HAS_OUTPUT | GIVES_NUMBER,
         b"log_p = log_softmax z; minus the sum over n of log_p[n, labels[n]], in double: (N, C) (N,) -> float.")
register(b"cross_entropy_gradient", cross_entropy_gradient, HAS_LABELS | HAS_OUTPUT | HAS_SETTING,
         b"dz = factor (e^log_p - 1 at the labels): (N, C) (N,) -> (N, C).")


cdef void soft_cross_entropy(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef double acc = 0
    cdef real product
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(call.cols):
            product = call.b.at[i * call.b.s0 + j * call.b.s1] * call.a.at[i * call.a.s0 + j * call.a.s1]
            acc += product
    call.number[0] = reduced(call, -acc, rows)


cdef void soft_cross_entropy_gradient(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef real factor = gradient_factor(call, rows), acc, v
    cdef Py_ssize_t i, j
    unary_call(vexp, call, rows)
    for i in range(rows):
        acc = 0
        for j in range(call.cols):
            acc += call.b.at[i * call.b.s0 + j * call.b.s1]
        for j in range(call.cols):
            v = call.out.at[i * call.out.s0 + j] * acc
            v = v - call.b.at[i * call.b.s0 + j * call.b.s1]
            call.out.at[i * call.out.s0 + j] = v * factor


register(b"soft_cross_entropy", soft_cross_entropy, HAS_B | GIVES_NUMBER,
         b"Minus the sum of t log_p, each product rounded, in double: (N, C) (N, C) -> float.")
register(b"soft_cross_entropy_gradient", soft_cross_entropy_gradient, HAS_B | HAS_OUTPUT | HAS_SETTING,
         b"dz = factor (e^log_p (sum of t) - t), row by row: (N, C) (N, C) -> (N, C).")


cdef void squared_error(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef double acc = 0
    cdef real d
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(call.cols):
            d = call.a.at[i * call.a.s0 + j * call.a.s1] - call.b.at[i * call.b.s0 + j * call.b.s1]
            call.out.at[i * call.out.s0 + j] = d
            acc += d * d
    call.number[0] = reduced(call, acc, rows)


register(b"squared_error", squared_error, HAS_B | HAS_OUTPUT | GIVES_NUMBER,
         b"d = z - t; the sum of d^2, each square rounded, in double: (N, C) (N, C) -> float.")


cdef void wrong(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i, j, best, count = 0
    cdef const real* row
    for i in range(rows):
        row, best = call.a.at + i * call.a.s0, 0
        for j in range(1, call.cols):
            if row[j * call.a.s1] > row[best * call.a.s1]:
                best = j
        count += best != call.labels[i]
    call.number[0] = count


register(b"wrong", wrong, HAS_LABELS | GIVES_NUMBER,
         b"The number of rows whose first largest element is not the label's: (N, C) (N,) -> float.")
