# The actions of recorded steps: each reads an Instruction, whose operands are matrices of any strides, and
# writes its output, whose columns have stride one.
#     elementwise   y[i, j] = f(a[i, j], b[i, j]); an operand with a stride of zero is broadcast
#     products      y = start + a b, where start is nothing, a row (the bias), or y itself
#     sums          of rows, of columns and of all; the order of each is told with it
# REPLAY gives the address of an action by its name.

from libc.stdint cimport uint8_t

cdef extern from "instruction.h" nogil:
    ctypedef struct Operand:
        void* p
        Py_ssize_t s0, s1
    ctypedef struct Instruction:
        Operand y, a, b, c
        Py_ssize_t rows, cols, depth
        double setting
        double* number
        int accumulates

ctypedef void (*replay_action)(const Instruction* ins) noexcept nogil

REPLAY = {}


cdef void replayed(str name, replay_action act):
    REPLAY[name] = <size_t>act


# Elementwise functions of one input and of two

cdef inline vec operand(const real* p, Py_ssize_t step, Py_ssize_t n) noexcept nogil:
    """n <= LANES elements, or one for all of them where the step is zero."""
    if step == 1:
        return load(p) if n == LANES else load_part(p, n)
    if step == 0:
        return broadcast(p[0])
    return load_strided(p, step, n)


cdef inline bint end_to_end(const Operand* x, Py_ssize_t cols) noexcept nogil:
    """Whether its rows can be walked as one long row."""
    return x.s0 == cols * x.s1 and x.s1 <= 1


cdef inline void elementwise1(unary function, const Instruction* ins) noexcept nogil:
    cdef Py_ssize_t i, j, n, rows = ins.rows, cols = ins.cols
    cdef const real* a
    cdef real* y
    cdef vec setting = broadcast(<real>ins.setting)
    if end_to_end(&ins.y, cols) and end_to_end(&ins.a, cols):
        rows, cols = 1, rows * cols
    for i in range(rows):
        a, y = <const real*>ins.a.p + i * ins.a.s0, <real*>ins.y.p + i * ins.y.s0
        j = 0
        while j < cols:
            n = min(cols - j, LANES)
            store_first(y + j, function(operand(a + j * ins.a.s1, ins.a.s1, n), setting), n)
            j += LANES


cdef inline void elementwise2(binary function, const Instruction* ins) noexcept nogil:
    cdef Py_ssize_t i, j, n, rows = ins.rows, cols = ins.cols
    cdef const real* a
    cdef const real* b
    cdef real* y
    cdef vec setting = broadcast(<real>ins.setting)
    if end_to_end(&ins.y, cols) and end_to_end(&ins.a, cols) and end_to_end(&ins.b, cols):
        rows, cols = 1, rows * cols
    for i in range(rows):
        a, b = <const real*>ins.a.p + i * ins.a.s0, <const real*>ins.b.p + i * ins.b.s0
        y = <real*>ins.y.p + i * ins.y.s0
        j = 0
        while j + LANES <= cols and ins.a.s1 == 1 and ins.b.s1 == 1:
            store(y + j, function(load(a + j), load(b + j), setting))
            j += LANES
        while j < cols:
            n = min(cols - j, LANES)
            store_first(y + j, function(operand(a + j * ins.a.s1, ins.a.s1, n),
                                        operand(b + j * ins.b.s1, ins.b.s1, n), setting), n)
            j += LANES


cdef inline vec vcopy(vec x, vec unused) noexcept nogil:
    return x

cdef inline vec vneg(vec x, vec unused) noexcept nogil:
    return -x

cdef inline vec vabs(vec x, vec unused) noexcept nogil:
    return absolute(x)

cdef inline vec vsqrt(vec x, vec unused) noexcept nogil:
    return root_of(x)

cdef inline vec vsquare(vec x, vec unused) noexcept nogil:
    return x * x

cdef inline vec vsign(vec x, vec unused) noexcept nogil:
    # NaN stays NaN; both zeros give +0, as NumPy's sign does
    cdef vec zero = broadcast(0)
    return choose(greater(x, zero), broadcast(1), choose(greater(zero, x), broadcast(-1),
                  choose(not_less(x, zero), zero, x)))

cdef inline vec vadd(vec a, vec b, vec unused) noexcept nogil:
    return a + b

cdef inline vec vsub(vec a, vec b, vec unused) noexcept nogil:
    return a - b

cdef inline vec vmul(vec a, vec b, vec unused) noexcept nogil:
    return a * b

cdef inline vec vdiv(vec a, vec b, vec unused) noexcept nogil:
    return a / b


cdef void replay_copy(const Instruction* ins) noexcept nogil:
    elementwise1(vcopy, ins)

cdef void replay_neg(const Instruction* ins) noexcept nogil:
    elementwise1(vneg, ins)

cdef void replay_abs(const Instruction* ins) noexcept nogil:
    elementwise1(vabs, ins)

cdef void replay_sqrt(const Instruction* ins) noexcept nogil:
    elementwise1(vsqrt, ins)

cdef void replay_square(const Instruction* ins) noexcept nogil:
    elementwise1(vsquare, ins)

cdef void replay_sign(const Instruction* ins) noexcept nogil:
    elementwise1(vsign, ins)

cdef void replay_exp(const Instruction* ins) noexcept nogil:
    elementwise1(vexp, ins)

cdef void replay_log(const Instruction* ins) noexcept nogil:
    elementwise1(vlog, ins)

cdef void replay_relu(const Instruction* ins) noexcept nogil:
    elementwise1(vrelu, ins)

cdef void replay_leaky_relu(const Instruction* ins) noexcept nogil:
    elementwise1(vleaky_relu, ins)

cdef void replay_elu(const Instruction* ins) noexcept nogil:
    elementwise1(velu, ins)

cdef void replay_selu(const Instruction* ins) noexcept nogil:
    elementwise1(vselu, ins)

cdef void replay_tanh(const Instruction* ins) noexcept nogil:
    elementwise1(vtanh, ins)

cdef void replay_sigmoid(const Instruction* ins) noexcept nogil:
    elementwise1(vsigmoid, ins)

cdef void replay_add(const Instruction* ins) noexcept nogil:
    elementwise2(vadd, ins)

cdef void replay_sub(const Instruction* ins) noexcept nogil:
    elementwise2(vsub, ins)

cdef void replay_mul(const Instruction* ins) noexcept nogil:
    elementwise2(vmul, ins)

cdef void replay_div(const Instruction* ins) noexcept nogil:
    elementwise2(vdiv, ins)

cdef void replay_relu_backward(const Instruction* ins) noexcept nogil:
    elementwise2(drelu, ins)

cdef void replay_leaky_relu_backward(const Instruction* ins) noexcept nogil:
    elementwise2(dleaky_relu, ins)

cdef void replay_elu_backward(const Instruction* ins) noexcept nogil:
    elementwise2(delu, ins)

cdef void replay_selu_backward(const Instruction* ins) noexcept nogil:
    elementwise2(dselu, ins)

cdef void replay_tanh_backward(const Instruction* ins) noexcept nogil:
    elementwise2(dtanh, ins)

cdef void replay_sigmoid_backward(const Instruction* ins) noexcept nogil:
    elementwise2(dsigmoid, ins)


# Comparisons give bytes of 0 and 1; where reads them

cdef inline bint compared(const int relation, real a, real b) noexcept nogil:
    if relation == 0:
        return a < b
    if relation == 1:
        return a <= b
    if relation == 2:
        return a == b
    return a != b


cdef inline void comparison(const int relation, const Instruction* ins) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef const real* a
    cdef const real* b
    cdef uint8_t* y
    for i in range(ins.rows):
        a, b = <const real*>ins.a.p + i * ins.a.s0, <const real*>ins.b.p + i * ins.b.s0
        y = <uint8_t*>ins.y.p + i * ins.y.s0
        for j in range(ins.cols):
            y[j] = compared(relation, a[j * ins.a.s1], b[j * ins.b.s1])


cdef void replay_lt(const Instruction* ins) noexcept nogil:
    comparison(0, ins)

cdef void replay_le(const Instruction* ins) noexcept nogil:
    comparison(1, ins)

cdef void replay_eq(const Instruction* ins) noexcept nogil:
    comparison(2, ins)

cdef void replay_ne(const Instruction* ins) noexcept nogil:
    comparison(3, ins)


cdef void replay_where(const Instruction* ins) noexcept nogil:
    # y = a where c is set, b elsewhere
    cdef Py_ssize_t i, j
    cdef const real* a
    cdef const real* b
    cdef const uint8_t* c
    cdef real* y
    for i in range(ins.rows):
        a, b = <const real*>ins.a.p + i * ins.a.s0, <const real*>ins.b.p + i * ins.b.s0
        c, y = <const uint8_t*>ins.c.p + i * ins.c.s0, <real*>ins.y.p + i * ins.y.s0
        for j in range(ins.cols):
            y[j] = a[j * ins.a.s1] if c[j * ins.c.s1] else b[j * ins.b.s1]


# Products: a (rows, depth), b (depth, cols), c the row where the sums begin, if there is one

cdef void replay_gemm(const Instruction* ins) noexcept nogil:
    cdef const real* start = <const real*>ins.c.p
    cdef Py_ssize_t step = 0
    if ins.accumulates:
        start, step = <const real*>ins.y.p, ins.y.s0
    gemm(ins.rows, ins.cols, ins.depth, <const real*>ins.a.p, ins.a.s0, ins.a.s1, <const real*>ins.b.p, ins.b.s0,
         ins.b.s1, start, step, <real*>ins.y.p, ins.y.s0)


# Sums

cdef void replay_column_sums(const Instruction* ins) noexcept nogil:
    # y[j] = (y[j] +) sum over i of a[i, j], in the order of i
    if not ins.accumulates:
        memset(ins.y.p, 0, ins.cols * sizeof(real))
    column_sums(<const real*>ins.a.p, ins.a.s0, ins.a.s1, <real*>ins.y.p, 1, ins.rows, ins.cols)


cdef void replay_row_sums(const Instruction* ins) noexcept nogil:
    # y[i] = sum over j of a[i, j]
    cdef Py_ssize_t i
    for i in range(ins.rows):
        (<real*>ins.y.p)[i] = <real>eightfold_sum(<const real*>ins.a.p + i * ins.a.s0, ins.a.s1, ins.cols)


cdef inline double eightfold_sum(const real* x, Py_ssize_t step, Py_ssize_t n) noexcept nogil:
    """The sum of n elements in double: eight partial sums, of the elements whose index is k modulo 8.

    They are added up as ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)).
    """
    cdef double acc[8]
    cdef Py_ssize_t j = 0
    cdef int k
    for k in range(8):
        acc[k] = 0
    while j + 8 <= n:
        for k in range(8):
            acc[k] += x[(j + k) * step]
        j += 8
    for k in range(n - j):
        acc[k] += x[(j + k) * step]
    return ((acc[0] + acc[1]) + (acc[2] + acc[3])) + ((acc[4] + acc[5]) + (acc[6] + acc[7]))


# Functions of a row

cdef void replay_softmax(const Instruction* ins) noexcept nogil:
    softmax_rows(<const real*>ins.a.p, ins.a.s0, ins.a.s1, <real*>ins.y.p, ins.y.s0, ins.rows, ins.cols)

cdef void replay_log_softmax(const Instruction* ins) noexcept nogil:
    log_softmax_rows(<const real*>ins.a.p, ins.a.s0, ins.a.s1, <real*>ins.y.p, ins.y.s0, ins.rows, ins.cols)

cdef void replay_softmax_backward(const Instruction* ins) noexcept nogil:
    dsoftmax_rows(<const real*>ins.a.p, ins.a.s0, ins.a.s1, <const real*>ins.b.p, ins.b.s0, ins.b.s1,
                  <real*>ins.y.p, ins.y.s0, ins.rows, ins.cols)

cdef void replay_log_softmax_backward(const Instruction* ins) noexcept nogil:
    dlog_softmax_rows(<const real*>ins.a.p, ins.a.s0, ins.a.s1, <const real*>ins.b.p, ins.b.s0, ins.b.s1,
                      <real*>ins.y.p, ins.y.s0, ins.rows, ins.cols)


# Losses: sums in double, in the order of the index; c are labels, checked before

cdef void replay_total(const Instruction* ins) noexcept nogil:
    # y[0] = the sum of all a
    (<double*>ins.y.p)[0] = grand_total(<const real*>ins.a.p, ins.a.s0, ins.a.s1, ins.rows, ins.cols)


cdef void replay_picked_total(const Instruction* ins) noexcept nogil:
    # y[0] = the sum over i of a[i, c_i]
    cdef double acc = 0
    cdef Py_ssize_t i
    for i in range(ins.rows):
        acc += (<const real*>ins.a.p)[i * ins.a.s0 + (<const int64_t*>ins.c.p)[i] * ins.a.s1]
    (<double*>ins.y.p)[0] = acc


cdef void replay_minus_one_hot(const Instruction* ins) noexcept nogil:
    # y = 0, and -1 at [i, c_i]
    cdef Py_ssize_t i
    for i in range(ins.rows):
        memset(<real*>ins.y.p + i * ins.y.s0, 0, ins.cols * sizeof(real))
        (<real*>ins.y.p)[i * ins.y.s0 + (<const int64_t*>ins.c.p)[i]] = -1


cdef void replay_cross_entropy_gradient(const Instruction* ins) noexcept nogil:
    # y = (e^a - onehot(c)) b
    cdef real share = (<const real*>ins.b.p)[0]
    cdef Py_ssize_t i, j
    cdef real* y
    elementwise1(vexp, ins)
    for i in range(ins.rows):
        y = <real*>ins.y.p + i * ins.y.s0
        y[(<const int64_t*>ins.c.p)[i]] -= 1
        for j in range(ins.cols):
            y[j] *= share


cdef void replay_to_double(const Instruction* ins) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(ins.rows):
        for j in range(ins.cols):
            (<double*>ins.y.p)[i * ins.y.s0 + j] = (<const real*>ins.a.p)[i * ins.a.s0 + j * ins.a.s1]


cdef void replay_from_double(const Instruction* ins) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(ins.rows):
        for j in range(ins.cols):
            (<real*>ins.y.p)[i * ins.y.s0 + j] = <real>(<const double*>ins.a.p)[i * ins.a.s0 + j * ins.a.s1]


cdef void replay_zero(const Instruction* ins) noexcept nogil:
    memset(ins.y.p, 0, ins.cols * sizeof(real))


# The peak of a core: chains of multiply-adds in registers, rows times

cdef enum:
    CHAINS = 12

cdef void replay_peak(const Instruction* ins) noexcept nogil:
    cdef vec acc[CHAINS]
    cdef vec factor = load(<const real*>ins.a.p), term = load(<const real*>ins.a.p)
    cdef Py_ssize_t i
    cdef int k
    for k in range(CHAINS):
        acc[k] = broadcast(<real>k)
    for i in range(ins.rows):
        for k in range(CHAINS):
            acc[k] = fma(acc[k], factor, term)
    for k in range(1, CHAINS):
        acc[0] = acc[0] + acc[k]
    store(<real*>ins.y.p, acc[0])


PEAK = (<size_t>&replay_peak, 2 * CHAINS * LANES)  # the action, and its operations for each of its rows


replayed("copy", replay_copy)
replayed("neg", replay_neg)
replayed("abs", replay_abs)
replayed("sqrt", replay_sqrt)
replayed("square", replay_square)
replayed("sign", replay_sign)
replayed("exp", replay_exp)
replayed("log", replay_log)
replayed("relu", replay_relu)
replayed("leaky_relu", replay_leaky_relu)
replayed("elu", replay_elu)
replayed("selu", replay_selu)
replayed("tanh", replay_tanh)
replayed("sigmoid", replay_sigmoid)
replayed("add", replay_add)
replayed("sub", replay_sub)
replayed("mul", replay_mul)
replayed("div", replay_div)
replayed("relu_backward", replay_relu_backward)
replayed("leaky_relu_backward", replay_leaky_relu_backward)
replayed("elu_backward", replay_elu_backward)
replayed("selu_backward", replay_selu_backward)
replayed("tanh_backward", replay_tanh_backward)
replayed("sigmoid_backward", replay_sigmoid_backward)
replayed("lt", replay_lt)
replayed("le", replay_le)
replayed("eq", replay_eq)
replayed("ne", replay_ne)
replayed("where", replay_where)
replayed("gemm", replay_gemm)
replayed("column_sums", replay_column_sums)
replayed("row_sums", replay_row_sums)
replayed("softmax", replay_softmax)
replayed("log_softmax", replay_log_softmax)
replayed("softmax_backward", replay_softmax_backward)
replayed("log_softmax_backward", replay_log_softmax_backward)
replayed("total", replay_total)
replayed("picked_total", replay_picked_total)
replayed("to_double", replay_to_double)
replayed("from_double", replay_from_double)
replayed("minus_one_hot", replay_minus_one_hot)
replayed("cross_entropy_gradient", replay_cross_entropy_gradient)
replayed("zero", replay_zero)
