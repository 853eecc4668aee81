# The functions of operations some of whose arrays have another element type: bytes of 0 and 1, and doubles.

cdef extern from * nogil:
    """
    typedef unsigned char byte;
    """
    ctypedef unsigned char byte


cdef int set_other(
    Matrix* m, const void* at, Py_ssize_t size, const Py_ssize_t* shape, const Py_ssize_t* strides,
    Py_ssize_t rows, Py_ssize_t cols
) except -1:
    """The matrix is an array of exactly rows x cols, whose elements have this size."""
    if shape[0] != rows or shape[1] != cols:
        raise ValueError(f"expected an array of shape {(rows, cols)}, got {(shape[0], shape[1])}")
    m.at, m.s0, m.s1 = NOTHING, strides[0] // size, strides[1] // size
    if rows and cols:
        if (<size_t>at | <size_t>strides[0] | <size_t>strides[1]) % <size_t>size:
            raise ValueError(MISALIGNED)
        m.at = <real*>at
    return 0


cdef inline int fill_bytes(Matrix* m, const byte[:, :] x, Py_ssize_t rows, Py_ssize_t cols) except -1:
    return set_other(m, &x[0, 0] if x.shape[0] and x.shape[1] else NULL, 1, x.shape, x.strides, rows, cols)


cdef inline int fill_doubles(Matrix* m, const double[:, :] x, Py_ssize_t rows, Py_ssize_t cols) except -1:
    return set_other(m, &x[0, 0] if x.shape[0] and x.shape[1] else NULL, sizeof(double), x.shape, x.strides, rows, cols)


cdef inline int fill_integers(Matrix* m, const int64_t[:, :] x, Py_ssize_t rows, Py_ssize_t cols) except -1:
    cdef const int64_t* first = &x[0, 0] if x.shape[0] and x.shape[1] else NULL
    return set_other(m, first, sizeof(int64_t), x.shape, x.strides, rows, cols)


def comparison(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] a not None, const real[:, :] b not None, byte[:, ::1] y not None):
        cdef Py_ssize_t n = a.shape[0], m = a.shape[1]
        cdef Call call
        begin(&call, run)
        call.cols = m
        fill(&call.a, a, n, m)
        fill(&call.b, b, n, m)
        fill_bytes(&call.out, y, n, m)
        run_rows(&call, n, n * m)

    return function


def where(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const byte[:, :] condition not None, const real[:, :] a not None, const real[:, :] b not None,
                 real[:, ::1] y not None):
        cdef Py_ssize_t n = a.shape[0], m = a.shape[1]
        cdef Call call
        begin(&call, run)
        call.cols = m
        fill(&call.a, a, n, m)
        fill(&call.b, b, n, m)
        fill_bytes(&call.start, condition, n, m)
        fill(&call.out, y, n, m)
        run_rows(&call, n, n * m)

    return function


def to_double(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] x not None, double[:, ::1] y not None):
        cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
        cdef Call call
        begin(&call, run)
        call.cols = m
        fill(&call.a, x, n, m)
        fill_doubles(&call.out, y, n, m)
        run_rows(&call, n, n * m)

    return function


def from_double(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const double[:, :] x not None, real[:, ::1] y not None):
        cdef Py_ssize_t n = y.shape[0], m = y.shape[1]
        cdef Call call
        begin(&call, run)
        call.cols = m
        fill_doubles(&call.a, x, n, m)
        fill(&call.out, y, n, m)
        run_rows(&call, n, n * m)

    return function


def add_integer(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const int64_t[:, :] x not None, int64_t[:, ::1] y not None, double value):
        cdef Py_ssize_t n = y.shape[0], m = y.shape[1]
        cdef Call call
        if not -MOST_ADDED <= value <= MOST_ADDED:
            raise ValueError(f"expected a number of at most {MOST_ADDED}, got {value}")
        begin(&call, run)
        call.cols, call.settings.value = m, value
        fill_integers(&call.a, x, n, m)
        fill_integers(&call.out, y, n, m)
        run_rows(&call, n, n * m)

    return function


def row_sum(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] x not None, real[:] y not None):
        cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
        cdef Call call
        begin(&call, run)
        call.cols = m
        fill(&call.a, x, n, m)
        fill_row(&call.out, y, n)
        if m:
            run_rows(&call, n, n * m)
        else:
            y[:] = 0

    return function
