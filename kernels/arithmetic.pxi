# Elementwise arithmetic. An input whose stride along an axis is 0 is broadcast there.

cdef inline vec vmultiply(vec a, vec b, vec unused) noexcept nogil:
    return a * b

cdef inline vec vadd(vec a, vec b, vec unused) noexcept nogil:
    return a + b

cdef inline vec vsubtract(vec a, vec b, vec unused) noexcept nogil:
    return a - b

cdef inline vec vdivide(vec a, vec b, vec unused) noexcept nogil:
    return a / b

cdef inline vec vcopy(vec x, vec unused) noexcept nogil:
    return x

cdef inline vec vnegative(vec x, vec unused) noexcept nogil:
    return -x

cdef inline vec vabsolute(vec x, vec unused) noexcept nogil:
    return absolute(x)

cdef inline vec vroot(vec x, vec unused) noexcept nogil:
    return root_of(x)

cdef inline vec vsquare(vec x, vec unused) noexcept nogil:
    return x * x

cdef inline vec vsign(vec x, vec unused) noexcept nogil:
    # NaN gives NaN, and zero gives +0
    cdef vec zero = broadcast(0), ones = broadcast(1)
    return choose(greater(x, zero), ones, choose(greater(zero, x), -ones, choose(not_less(zero, x), zero, x)))

cdef inline vec vscale(vec x, vec factor) noexcept nogil:
    return x * factor


cdef void exp(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vexp, call, rows)

cdef void log(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vlog, call, rows)

cdef void erf(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(verf, call, rows)

cdef void multiply(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(vmultiply, call, rows)

cdef void add(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(vadd, call, rows)

cdef void subtract(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(vsubtract, call, rows)

cdef void divide(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(vdivide, call, rows)

cdef void copy(Call* call, Py_ssize_t rows) noexcept nogil:
    if call.a.s0 == 1 and call.a.s1 != 1:  # the transpose, block by block
        pack(call.a.at, 1, call.a.s1, rows, call.cols, call.out.at, call.out.s0)
    else:
        unary_call(vcopy, call, rows)

cdef void negative(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vnegative, call, rows)

cdef void absolute_value(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vabsolute, call, rows)

cdef void sqrt(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vroot, call, rows)

cdef void square(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vsquare, call, rows)

cdef void sign(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vsign, call, rows)

register(b"add", add, HAS_B | HAS_OUTPUT | ELEMENTWISE, b"c = a + b.")
register(b"subtract", subtract, HAS_B | HAS_OUTPUT | ELEMENTWISE, b"c = a - b.")
register(b"divide", divide, HAS_B | HAS_OUTPUT | ELEMENTWISE, b"c = a / b.")
register(b"copy", copy, HAS_OUTPUT | ELEMENTWISE, b"y = x.")
register(b"negative", negative, HAS_OUTPUT | ELEMENTWISE, b"y = -x.")
register(b"absolute", absolute_value, HAS_OUTPUT | ELEMENTWISE, b"y = |x|.")
register(b"sqrt", sqrt, HAS_OUTPUT | ELEMENTWISE, b"y = the square root of x.")
register(b"square", square, HAS_OUTPUT | ELEMENTWISE, b"y = x x.")
register(b"sign", sign, HAS_OUTPUT | ELEMENTWISE, b"y = -1, 0 or 1, as x is below, at or above zero.")
register(b"exp", exp, HAS_OUTPUT | ELEMENTWISE, b"y = e^x.")
register(b"log", log, HAS_OUTPUT | ELEMENTWISE, b"y = log x.")
register(b"erf", erf, HAS_OUTPUT | ELEMENTWISE, b"y = 2 / sqrt(pi) times the integral of e^-t^2 from 0 to x.")
register(b"multiply", multiply, HAS_B | HAS_OUTPUT | ELEMENTWISE, b"c = a b, element by element.")


cdef inline void scale_rows(Matrix* x, Py_ssize_t rows, Py_ssize_t cols, real factor) noexcept nogil:
    """x *= factor."""
    apply_unary(vscale, x.at, x.s0, 1, x.at, x.s0, rows, cols, factor)


cdef void scale(Call* call, Py_ssize_t rows) noexcept nogil:
    apply_unary(vscale, call.a.at, call.a.s0, call.a.s1, call.out.at, call.out.s0, rows, call.cols,
                gradient_factor(call, rows))

register(b"scale", scale, HAS_OUTPUT | HAS_SETTING, b"y = setting x; in a program, divided by the size of the batch.")


# Dropout with probability p: multiply() by a mask, made from numbers u that are uniform in [0, 1)
cdef void dropout_mask(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef double dropped = call.settings.value
    cdef real p = <real>dropped, gain = <real>(1 / (1 - dropped)) if dropped < 1 else 0
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(call.cols):
            call.out.at[i * call.out.s0 + j] = gain if call.a.at[i * call.a.s0 + j * call.a.s1] >= p else 0

register(b"dropout_mask", dropout_mask, HAS_OUTPUT | HAS_SETTING, b"y = 1 / (1 - setting) if u >= setting else 0.")


cdef void zero(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(rows):
        memset(call.out.at + i * call.out.s0, 0, call.cols * sizeof(real))

register(b"zero", zero, BY_NAME, b"y = 0.")


# Comparisons give bytes of 0 and 1, and where() reads them; sums of losses are doubles in either element type

from libc.stdint cimport uint8_t, uint64_t


cdef extern from * nogil:
    """
    #define TOGETHER VEC_BYTES /* results that fill a vector */

    /* y = 1 where the relation holds, else 0. Relation, count and step_b are constants, and the bytes lie apart from
       the numbers: so the compiler makes whole vectors of comparisons, and nothing for a rest. */
    INLINE void compare_some(const int relation, const int count, const real *__restrict a, const real *__restrict b,
                             const int step_b, uint8_t *__restrict y) {
      for (int k = 0; k < count; k++) {
        real c = b[k * step_b];
        y[k] = relation == 0 ? a[k] < c : relation == 1 ? a[k] <= c : relation == 2 ? a[k] == c : a[k] != c;
      }
    }
    """
    const int TOGETHER
    void compare_some(int relation, int count, const real* a, const real* b, int step_b, uint8_t* y)


cdef inline void compare(const int relation, Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i, j, n, cols = call.cols, step_a = call.a.s1, step_b = call.b.s1
    cdef const real* a
    cdef const real* b
    cdef real left[16]
    cdef real right[16]
    cdef uint8_t found[16]
    cdef uint8_t* y
    for i in range(rows):
        a, b = call.a.at + i * call.a.s0, call.b.at + i * call.b.s0
        y = <uint8_t*>call.out.at + i * call.out.s0
        j = 0
        while step_a == 1 and step_b == 1 and j + TOGETHER <= cols:
            compare_some(relation, TOGETHER, a + j, b + j, 1, y + j)
            j += TOGETHER
        while step_a == 1 and step_b == 0 and j + TOGETHER <= cols:
            compare_some(relation, TOGETHER, a + j, b, 0, y + j)
            j += TOGETHER
        while j < cols:
            n = min(cols - j, LANES)
            store(left, load_strided(a + j * step_a, step_a, n))
            store(right, load_strided(b + j * step_b, step_b, n))
            compare_some(relation, LANES, left, right, 1, found)
            memcpy(y + j, found, n)
            j += LANES


cdef void less(Call* call, Py_ssize_t rows) noexcept nogil:
    compare(0, call, rows)

cdef void less_equal(Call* call, Py_ssize_t rows) noexcept nogil:
    compare(1, call, rows)

cdef void equal(Call* call, Py_ssize_t rows) noexcept nogil:
    compare(2, call, rows)

cdef void not_equal(Call* call, Py_ssize_t rows) noexcept nogil:
    compare(3, call, rows)

register(b"less", less, HAS_B | GIVES_BYTES, b"y = 1 if a < b else 0.")
register(b"less_equal", less_equal, HAS_B | GIVES_BYTES, b"y = 1 if a <= b else 0.")
register(b"equal", equal, HAS_B | GIVES_BYTES, b"y = 1 if a = b else 0.")
register(b"not_equal", not_equal, HAS_B | GIVES_BYTES, b"y = 0 if a = b else 1.")


cdef void where(Call* call, Py_ssize_t rows) noexcept nogil:
    # the condition takes the place of a product's start
    cdef Py_ssize_t i, j
    cdef const uint8_t* condition = <const uint8_t*>call.start.at
    for i in range(rows):
        for j in range(call.cols):
            call.out.at[i * call.out.s0 + j] = (
                call.a.at[i * call.a.s0 + j * call.a.s1] if condition[i * call.start.s0 + j * call.start.s1]
                else call.b.at[i * call.b.s0 + j * call.b.s1])

register(b"where", where, BY_NAME, b"y = a where the condition is not 0, b elsewhere.")


cdef void to_double(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef double* y = <double*>call.out.at
    for i in range(rows):
        for j in range(call.cols):
            y[i * call.out.s0 + j] = call.a.at[i * call.a.s0 + j * call.a.s1]

cdef void from_double(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef const double* x = <const double*>call.a.at
    for i in range(rows):
        for j in range(call.cols):
            call.out.at[i * call.out.s0 + j] = <real>x[i * call.a.s0 + j * call.a.s1]

cdef void add_integer(Call* call, Py_ssize_t rows) noexcept nogil:
    # counters; unsigned, for which going past the largest number is defined
    cdef Py_ssize_t i, j, cols = call.cols, step = call.a.s1
    cdef uint64_t value = <uint64_t><int64_t>call.settings.value
    cdef uint64_t* y
    cdef const uint64_t* x
    for i in range(rows):
        y, x = <uint64_t*>call.out.at + i * call.out.s0, <const uint64_t*>call.a.at + i * call.a.s0
        if step == 1:  # a loop that the compiler can vectorise
            for j in range(cols):
                y[j] = x[j] + value
        else:
            for j in range(cols):
                y[j] = x[j * step] + value

register(b"add_integer", add_integer, BY_NAME, b"y = x + the whole part of value, of int64.")
register(b"to_double", to_double, BY_NAME, b"y = x, in double.")
register(b"from_double", from_double, BY_NAME, b"y = x, rounded from double.")
