# The functions of the recurrent layers, which take whole sequences.

include "recurrent_sizes.pxi"


cdef int begin_recurrent(Call* call, str name, Operations operations, tuple settings) except -1:
    cdef Py_ssize_t i
    begin(call, operations.find(name).run)
    for i in range(len(settings)):
        call.settings.all[i] = settings[i]
    return 0


def recurrent(Operations operations, str name):
    def function(const real[:, :] a not None, const real[:, :] weight not None, const real[:] bias,
                 real[::1] work not None, *settings):
        cdef Py_ssize_t n, h, width
        cdef Call call
        n, h, width, of_a, of_b, of_work, _ = recurrent_shapes(
            name, a.shape[0], (weight.shape[1], weight.shape[0]), settings)
        begin_recurrent(&call, name, operations, settings)
        call.depth, call.cols = h, width
        fill(&call.a, a, a.shape[0], of_a[1])
        fill(&call.b, weight, of_b[1], of_b[0])
        call.b = transposed(call.b)
        fill_row(&call.out, work, of_work[1])
        if a.strides[1] != sizeof(real):
            raise ValueError(f"{name}: expected the input's part in rows of stride one")
        if bias is not None:
            fill_row(&call.start, bias, width)
            if call.start.s1 != 1:
                raise ValueError(f"{name}: expected a bias of stride one")
        run_rows(&call, n, call.a.s0 * a.shape[0])

    return function


def recurrent_backward(Operations operations, str name):
    def function(const real[:, ::1] g not None, const real[:, :] weight not None, real[::1] work not None,
                 real[:, ::1] out not None, *settings):
        cdef Py_ssize_t n, h, width
        cdef Call call
        n, h, width, of_g, of_b, of_work, of_out = recurrent_shapes(
            name, g.shape[0], (weight.shape[0], weight.shape[1]), settings)
        begin_recurrent(&call, name, operations, settings)
        call.depth, call.cols = h, width
        fill(&call.a, g, of_g[0], of_g[1])
        fill(&call.b, weight, of_b[0], of_b[1])
        fill_row(&call.start, work, of_work[1])
        fill(&call.out, out, of_out[0], of_out[1])
        run_rows(&call, n, 8 * of_out[0] * of_out[1])

    return function
