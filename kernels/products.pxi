# The products of a linear layer, all with one weight (O, I) for a batch of N rows:
#
#     y  = x weight^T + bias         (N, I) (O, I) (O,) -> (N, O)
#     dx = dy weight                 (N, O) (O, I) -> (N, I)
#     dweight += dy^T x              (N, O) (N, I) -> (O, I)
#     dbias += sum over n of dy[n]   (N, O) -> (O,)
#
# An activation, or its derivative, may finish each panel of y, or dx, while it is in the first-level cache.

from libc.string cimport memset


cdef void finish_panel(void* then, Py_ssize_t i, Py_ssize_t rows, Py_ssize_t j, Py_ssize_t cols) noexcept nogil:
    cdef Call* call = <Call*>then
    cdef Call part
    if i == 0 and j == 0 and cols == call.cols:
        call.run(call, rows)
    else:
        part = moved(call, i, j)
        part.cols = cols
        part.run(&part, rows)


cdef void affine(Call* call, Py_ssize_t rows) noexcept nogil:
    """out = start + a b, for a (rows, depth), b (depth, cols)."""
    cdef finishing finish = NULL
    if call.then is not NULL:
        finish = finish_panel
    gemm_and_finish(
        rows, call.cols, call.depth, call.a.at, call.a.s0, call.a.s1, call.b.at, call.b.s0, call.b.s1,
        call.start.at, call.start.s0, call.out.at, call.out.s0, finish, call.then)


register(b"matmul", affine, PRODUCT | BY_NAME, b"c = a b: (M, K) (K, N) -> (M, N).")
register(b"linear", affine, PRODUCT | BY_NAME,
         b"y = x weight^T + bias: (N, I) (O, I) (O,) -> (N, O); the sums begin at the bias (None: at zero).")
register(b"linear_input_gradient", affine, PRODUCT | BY_NAME, b"dx = dy weight: (N, O) (O, I) -> (N, I).")


cdef void bmm(Call* call, Py_ssize_t rows) noexcept nogil:
    """out = a b for each of a stack of matrices."""
    cdef Stack* stack = &call.settings.stack
    cdef Py_ssize_t i
    for i in range(stack.count):
        gemm(rows, call.cols, call.depth, call.a.at + i * stack.a, call.a.s0, call.a.s1,
             call.b.at + i * stack.b, call.b.s0, call.b.s1, NULL, 0, call.out.at + i * stack.out, call.out.s0)


register(b"bmm", bmm, STACK | BY_NAME, b"c = a b, matrix by matrix: (B, M, K) (B, K, N) -> (B, M, N).")


cdef void column_sum(Call* call, Py_ssize_t rows) noexcept nogil:
    """out[j] += sum over i of a[i, j], for out of one row; with overwrite = for +=."""
    if call.overwrite:
        memset(call.out.at, 0, call.cols * sizeof(real))
    column_sums(call.a.at, call.a.s0, call.a.s1, call.out.at, call.out.s1, rows, call.cols)


cdef void linear_gradients(Call* call, Py_ssize_t rows) noexcept nogil:
    """out += a^T b and bias_gradient += column sums of b, a (rows, depth), b (rows, cols); overwrite: = for +=."""
    if call.out.at is not NULL:
        gemm(call.depth, call.cols, rows, call.a.at, call.a.s1, call.a.s0, call.b.at, call.b.s0, call.b.s1,
             NULL if call.overwrite else call.out.at, call.out.s0, call.out.at, call.out.s0)
    if call.bias_gradient.at is not NULL:
        if call.overwrite:
            memset(call.bias_gradient.at, 0, call.cols * sizeof(real))
        column_sums(
            call.b.at, call.b.s0, call.b.s1, call.bias_gradient.at, call.bias_gradient.s1, rows, call.cols)


register(b"column_sum", column_sum, BY_NAME, b"db += sum over n of dy[n]: (N, O) -> (O,).")
register(b"linear_weight_gradient", linear_gradients, BY_NAME,
         b"dweight += dy^T x: (N, I) (N, O) -> (O, I), one of whose strides is one.")
register(b"linear_gradients", linear_gradients, BY_NAME,
         b"dweight += dy^T x and db += sum over n of dy[n] (None: a layer without bias), in one call.")
