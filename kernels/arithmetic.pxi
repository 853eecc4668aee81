# Elementwise arithmetic.

cdef inline vec vmultiply(vec a, vec b, vec unused) noexcept nogil:
    return a * b

cdef inline vec vscale(vec x, vec factor) noexcept nogil:
    return x * factor


cdef void exp(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vexp, call, rows)

cdef void log(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vlog, call, rows)

cdef void multiply(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(vmultiply, call, rows)

register(b"exp", exp, HAS_OUTPUT | ELEMENTWISE, b"y = e^x.")
register(b"log", log, HAS_OUTPUT | ELEMENTWISE, b"y = log x.")
register(b"multiply", multiply, HAS_B | HAS_OUTPUT | ELEMENTWISE, b"c = a b, element by element.")


cdef inline void scale_rows(Matrix* x, Py_ssize_t rows, Py_ssize_t cols, real factor) noexcept nogil:
    """x *= factor."""
    apply_unary(vscale, x.at, x.s0, 1, x.at, x.s0, rows, cols, factor)


cdef void scale(Call* call, Py_ssize_t rows) noexcept nogil:
    apply_unary(vscale, call.a.at, call.a.s0, call.a.s1, call.out.at, call.out.s0, rows, call.cols,
                share_of(call, rows))

register(b"scale", scale, HAS_OUTPUT | HAS_SETTING, b"y = setting x; in a program, divided by the size of the batch.")


# Dropout of a share p: multiply() by a mask, made of numbers u that are uniform in [0, 1)
cdef void dropout_mask(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef double share = call.settings.value
    cdef real p = <real>share, kept = <real>(1 / (1 - share)) if share < 1 else 0
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(call.cols):
            call.out.at[i * call.out.s0 + j] = kept if call.a.at[i * call.a.s0 + j * call.a.s1] >= p else 0

register(b"dropout_mask", dropout_mask, HAS_OUTPUT | HAS_SETTING, b"y = 1 / (1 - setting) if u >= setting else 0.")


cdef void zero(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(rows):
        memset(call.out.at + i * call.out.s0, 0, call.cols * sizeof(real))

register(b"zero", zero, BY_NAME, b"y = 0.")
