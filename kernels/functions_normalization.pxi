# The functions of normalisation, with a weight and a bias (C,), or None.

cdef int fill_settings(Call* call, const real[:] weight, const real[:] bias, Py_ssize_t c) except -1:
    if weight is not None:
        fill_row(&call.start, weight, c)
    if bias is not None:
        fill_row(&call.bias_gradient, bias, c)
    if c > 1 and (call.start.at is not NULL and call.start.s1 != 1
                  or call.bias_gradient.at is not NULL and call.bias_gradient.s1 != 1):
        raise ValueError("expected a weight and a bias of stride one")
    return 0


def normalization(Operations operations, str name):
    cdef action run = operations.find(name).run
    cdef Py_ssize_t more = 2 if name == "batch_norm" else 0

    def function(const real[:, ::1] x not None, const real[:] weight, const real[:] bias, real[:, ::1] y not None,
                 double eps):
        cdef Py_ssize_t n = x.shape[0], c = x.shape[1]
        cdef Call call
        begin(&call, run)
        call.cols, call.settings.value = c, eps
        fill(&call.a, x, n, c)
        fill(&call.out, y, n + more, c)
        fill_settings(&call, weight, bias, c)
        run_rows(&call, n, 8 * n * c)

    return function


def normalization_backward(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, ::1] g not None, const real[:, ::1] x not None, const real[:] weight,
                 real[:, ::1] out not None, double eps):
        cdef Py_ssize_t n = x.shape[0], c = x.shape[1]
        cdef Call call
        begin(&call, run)
        call.cols, call.settings.value = c, eps
        fill(&call.a, g, n, c)
        fill(&call.b, x, n, c)
        fill(&call.out, out, n + 2, c)
        fill_settings(&call, weight, None, c)
        run_rows(&call, n, 16 * n * c)

    return function
