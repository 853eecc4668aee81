# The functions of operations over windows. Their arrays are matrices of stride one, a row for each sample.

cdef inline void fill_dense(Matrix* m, const real[:, ::1] x) noexcept:
    m.at, m.s0, m.s1 = NOTHING, x.shape[1], 1
    if x.shape[0] and x.shape[1]:
        m.at = <real*>&x[0, 0]


def windows(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, ::1] a not None, real[:, ::1] out not None, tuple geometry not None):
        cdef Geometry g
        cdef Call call
        read_geometry(&g, geometry)
        check_parts(&g, name, ((a.shape[0], a.shape[1]), (out.shape[0], out.shape[1])))
        begin(&call, run)
        call.geometry, call.cols = &g, out.shape[1]
        fill_dense(&call.a, a)
        fill_dense(&call.out, out)
        run_rows(&call, a.shape[0], g.kernel_height * g.kernel_width * a.shape[0] * min(a.shape[1], out.shape[1]))

    return function


def windows_of_two(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, ::1] a not None, const real[:, ::1] b not None, real[:, ::1] out not None,
                 tuple geometry not None):
        cdef Geometry g
        cdef Call call
        read_geometry(&g, geometry)
        check_parts(&g, name, ((a.shape[0], a.shape[1]), (b.shape[0], b.shape[1]), (out.shape[0], out.shape[1])))
        begin(&call, run)
        call.geometry, call.cols, call.depth = &g, out.shape[1], out.shape[0]
        fill_dense(&call.a, a)
        fill_dense(&call.b, b)
        fill_dense(&call.out, out)
        run_rows(&call, a.shape[0], a.shape[0] * a.shape[1] * b.shape[1])

    return function


def convolution(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, ::1] x not None, const real[:, ::1] weight not None, const real[::1] bias,
                 real[:, ::1] y not None, tuple geometry not None):
        cdef Geometry g
        cdef Call call
        read_geometry(&g, geometry)
        check_parts(&g, name, ((x.shape[0], x.shape[1]), (weight.shape[0], weight.shape[1]),
                               (y.shape[0], y.shape[1])))
        begin(&call, run)
        call.geometry, call.cols = &g, y.shape[1]
        fill_dense(&call.a, x)
        fill_dense(&call.b, weight)
        fill_dense(&call.out, y)
        if bias is not None:
            fill_row(&call.start, bias, g.out_channels)
        run_rows(&call, x.shape[0], y.shape[0] * y.shape[1] * weight.shape[0])

    return function


def turned(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, ::1] x not None, real[:, ::1] y not None, Py_ssize_t rows):
        cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
        cdef Call call
        if rows < 1 or m % rows:
            raise ValueError(f"expected rows of whole matrices of {rows} rows, got {m} numbers")
        begin(&call, run)
        call.depth, call.cols = rows, m
        fill(&call.a, x, n, m)
        fill(&call.out, y, n, m)
        run_rows(&call, n, n * m)

    return function
