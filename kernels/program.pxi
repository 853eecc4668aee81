# The captured step: a list of kernel calls, walked without Python between them.
#
# Each call is a Call: the function, where its arrays begin, and their sizes. Arrays with a row for each
# sample have room for the largest batch; a run tells how many rows it has. What the program cannot do
# itself it asks of a Python function, in its place in the list.

cdef extern from "math.h" nogil:
    double power "pow"(double base, double exponent)
    double square_root "sqrt"(double x)
    bint isfinite(double x)

cdef extern from "string.h" nogil:
    void* memset(void* memory, int value, size_t size)
    void* memcpy(void* to, const void* source, size_t size)

cdef extern from "stdlib.h" nogil:
    void* calloc(size_t count, size_t size)
    void* realloc(void* memory, size_t size)

cdef struct Call

ctypedef void (*action)(Call* call, Py_ssize_t rows) noexcept nogil

# How a call is shared among threads: by rows of the batch, by columns of its output, by rows of dW, by
# elements, or not at all. Always by outputs, so that no sum changes.
cdef enum Share:
    ALONE
    BY_ROWS
    BY_COLUMNS
    BY_INPUTS
    BY_ELEMENTS

cdef struct Call:
    action run
    Share share
    bint b_by_rows          # whether b has the batch's rows, too
    const real* a           # the first input, with its strides
    Py_ssize_t as0, as1
    const real* b           # the second
    Py_ssize_t bs0, bs1
    const real* bias
    real* y                 # the output: rows of cols elements, ys0 apart
    Py_ssize_t ys0
    real* db                # the gradient of a bias
    real* first_moment      # an optimizer's state
    real* second_moment
    Py_ssize_t depth, cols
    Call* then              # the call that finishes each panel of a product's output
    bint within             # this call is the ``then`` of another
    Py_ssize_t labels_from  # the row of the batch that this call begins with,
    Py_ssize_t batch_rows   # and how many there are; 0: as many as it is told
    const int64_t* labels   # the batch's
    double* number          # what it computes besides
    double setting
    int count               # of what the number is divided by: 0 nothing, 1 rows, 2 elements
    bint fresh              # write the gradient, do not add to it
    double s[10]            # an optimizer's settings
    int update              # the group that an update is of,
    long long* seen         # and how many updates its state has seen


cdef inline double divisor(const Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t n = call.batch_rows or rows
    return 1 if call.count == 0 else n if call.count == 1 else n * call.cols


cdef inline Call moved(const Call* call, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    """An elementwise call, from row i and column j of its arrays."""
    cdef Call part = call[0]
    part.a = call.a + i * call.as0 + j * call.as1
    part.y = call.y + i * call.ys0 + j
    if call.b is not NULL:
        part.b = call.b + i * call.bs0 + j * call.bs1
    if call.first_moment is not NULL:
        part.first_moment = call.first_moment + j
    if call.second_moment is not NULL:
        part.second_moment = call.second_moment + j
    return part


# Layers: products, and what finishes their panels: an activation, or its derivative

cdef void finish_panel(void* then, Py_ssize_t i, Py_ssize_t rows, Py_ssize_t j, Py_ssize_t cols) noexcept nogil:
    cdef Call* call = <Call*>then
    cdef Call part
    if i == 0 and j == 0 and cols == call.cols:
        call.run(call, rows)
    else:
        part = moved(call, i, j)
        part.cols = cols
        part.run(&part, rows)


cdef inline finishing finish_of(const Call* call) noexcept nogil:
    if call.then is NULL:
        return NULL
    return finish_panel


cdef void run_linear(Call* call, Py_ssize_t rows) noexcept nogil:
    gemm_and_finish(
        rows, call.cols, call.depth, call.a, call.as0, call.as1, call.b, call.bs1, call.bs0,
        call.bias, 0, call.y, call.ys0, finish_of(call), call.then)


cdef void run_input_gradient(Call* call, Py_ssize_t rows) noexcept nogil:
    gemm_and_finish(
        rows, call.cols, call.depth, call.a, call.as0, call.as1, call.b, call.bs0, call.bs1,
        NULL, 0, call.y, call.ys0, finish_of(call), call.then)


cdef void run_parameter_gradients(Call* call, Py_ssize_t rows) noexcept nogil:
    # a: x (rows, depth), b: dy (rows, cols), y: dW, lying as (depth, cols), or NULL
    if call.y is not NULL:
        gemm(call.depth, call.cols, rows, call.a, call.as1, call.as0, call.b, call.bs0, call.bs1,
             NULL if call.fresh else call.y, call.cols, call.y, call.cols)
    if call.db is not NULL:
        if call.fresh:
            memset(call.db, 0, call.cols * sizeof(real))
        column_sums(call.b, call.bs0, call.bs1, call.db, 1, rows, call.cols)


cdef void run_scaled(Call* call, Py_ssize_t rows) noexcept nogil:
    # Dropout: y = a b, row by row of one length.
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(call.cols):
            call.y[i * call.cols + j] = call.a[i * call.as0 + j * call.as1] * call.b[i * call.cols + j]


cdef void run_dropout_scale(Call* call, Py_ssize_t rows) noexcept nogil:
    # y: uniform numbers in, 0 or 1 / (1 - p) out
    cdef Py_ssize_t i
    cdef real p = <real>call.setting, kept = <real>(1 / (1 - call.setting)) if call.setting < 1 else 0
    for i in range(rows * call.cols):
        call.y[i] = kept if call.y[i] >= p else 0


# Elementwise functions and those of a row: the constants let the loops inline them

cdef inline void unary_call(unary function, Call* call, Py_ssize_t rows) noexcept nogil:
    apply_unary(function, call.a, call.as0, call.as1, call.y, call.ys0, rows, call.cols, <real>call.setting)

cdef void run_exp(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vexp, call, rows)

cdef void run_relu(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vrelu, call, rows)

cdef void run_leaky_relu(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vleaky_relu, call, rows)

cdef void run_elu(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(velu, call, rows)

cdef void run_selu(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vselu, call, rows)

cdef void run_tanh(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vtanh, call, rows)

cdef void run_sigmoid(Call* call, Py_ssize_t rows) noexcept nogil:
    unary_call(vsigmoid, call, rows)

cdef void run_softmax(Call* call, Py_ssize_t rows) noexcept nogil:
    softmax_rows(call.a, call.as0, call.as1, call.y, call.cols, rows, call.cols)

cdef void run_log_softmax(Call* call, Py_ssize_t rows) noexcept nogil:
    log_softmax_rows(call.a, call.as0, call.as1, call.y, call.cols, rows, call.cols)

cdef inline void binary_call(binary function, Call* call, Py_ssize_t rows) noexcept nogil:
    apply_binary(function, call.a, call.as0, call.as1, call.b, call.bs0, call.bs1, call.y, call.ys0,
                 rows, call.cols, <real>call.setting)

cdef void run_relu_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(drelu, call, rows)

cdef void run_leaky_relu_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(dleaky_relu, call, rows)

cdef void run_elu_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(delu, call, rows)

cdef void run_selu_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(dselu, call, rows)

cdef void run_tanh_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(dtanh, call, rows)

cdef void run_sigmoid_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    binary_call(dsigmoid, call, rows)

cdef void run_softmax_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    dsoftmax_rows(call.a, call.as0, call.as1, call.b, call.bs0, call.bs1, call.y, call.cols, rows, call.cols)

cdef void run_log_softmax_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    dlog_softmax_rows(call.a, call.as0, call.as1, call.b, call.bs0, call.bs1, call.y, call.cols, rows, call.cols)


# Losses: z is the output (rows, cols), a; the number is the loss

cdef void run_picked(Call* call, Py_ssize_t rows) noexcept nogil:
    # -sum of a[n, label n], reduced
    cdef double acc = 0
    cdef Py_ssize_t i
    for i in range(rows):
        acc += call.a[i * call.as0 + call.labels[i] * call.as1]
    call.number[0] = <real>(-acc / divisor(call, rows))


cdef void run_label_gradient(Call* call, Py_ssize_t rows) noexcept nogil:
    # y -= 1 at the labels (of zeros if fresh), times the share of each row
    cdef real share = <real>(1 / divisor(call, rows))
    cdef Py_ssize_t i, j
    if call.fresh:
        memset(call.y, 0, rows * call.cols * sizeof(real))
    for i in range(rows):
        call.y[i * call.cols + call.labels[call.labels_from + i]] += -1
        for j in range(call.cols):
            call.y[i * call.cols + j] *= share


cdef void run_squared_error(Call* call, Py_ssize_t rows) noexcept nogil:
    # y = z - t, b being the target; sum of y^2, reduced
    cdef double acc = 0
    cdef real d
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(call.cols):
            d = call.a[i * call.as0 + j * call.as1] - call.b[i * call.bs0 + j * call.bs1]
            call.y[i * call.cols + j] = d
            acc += d * d
    call.number[0] = <real>(acc / divisor(call, rows))


cdef void run_times_share(Call* call, Py_ssize_t rows) noexcept nogil:
    # y *= setting / divisor
    cdef real share = <real>(call.setting / divisor(call, rows))
    cdef Py_ssize_t i
    for i in range(rows * call.cols):
        call.y[i] *= share


cdef void run_soft_loss(Call* call, Py_ssize_t rows) noexcept nogil:
    # -sum of t log p, reduced: a is log p, b the rows of probabilities
    cdef double acc = 0
    cdef real product
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(call.cols):
            product = call.b[i * call.bs0 + j * call.bs1] * call.a[i * call.as0 + j * call.as1]
            acc += product
    call.number[0] = <real>(-acc / divisor(call, rows))


cdef void run_soft_gradient(Call* call, Py_ssize_t rows) noexcept nogil:
    # y = (y sum of t - t) share, row by row
    cdef real share = <real>(1 / divisor(call, rows)), acc, v
    cdef Py_ssize_t i, j
    for i in range(rows):
        acc = 0
        for j in range(call.cols):
            acc += call.b[i * call.bs0 + j * call.bs1]
        for j in range(call.cols):
            v = call.y[i * call.cols + j] * acc
            v = v - call.b[i * call.bs0 + j * call.bs1]
            call.y[i * call.cols + j] = v * share


cdef void run_wrong(Call* call, Py_ssize_t rows) noexcept nogil:
    # The number of rows whose first largest element is not the label's.
    cdef Py_ssize_t i, j, best, wrong = 0
    cdef const real* row
    for i in range(rows):
        row, best = call.a + i * call.as0, 0
        for j in range(1, call.cols):
            if row[j * call.as1] > row[best * call.as1]:
                best = j
        wrong += best != call.labels[i]
    call.number[0] = wrong


# Optimizers: y the values, a the gradients

cdef void run_sgd(Call* call, Py_ssize_t rows) noexcept nogil:
    sgd_update(call.cols, call.y, call.a, call.first_moment, <real>call.s[0], <real>call.s[1], <real>call.s[2],
               <real>call.s[3], call.s[4] != 0, call.s[5] != 0)

cdef void run_adam(Call* call, Py_ssize_t rows) noexcept nogil:
    adam_update(call.cols, call.y, call.a, call.first_moment, call.second_moment, <real>call.s[0], <real>call.s[1],
                <real>call.s[2], <real>call.s[3], <real>call.s[4], <real>call.s[5], <real>call.s[6],
                <real>call.s[7], <real>call.s[8])

cdef void run_adadelta(Call* call, Py_ssize_t rows) noexcept nogil:
    adadelta_update(call.cols, call.y, call.a, call.first_moment, call.second_moment, <real>call.s[0], <real>call.s[1],
                    <real>call.s[2], <real>call.s[3], <real>call.s[4])

cdef void run_zero(Call* call, Py_ssize_t rows) noexcept nogil:
    memset(call.y, 0, call.cols * sizeof(real))
