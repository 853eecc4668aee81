# The functions of a stack of products, and of the rows of a table.

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE


cdef int fill_stack(Matrix* m, Py_ssize_t* step, Py_buffer* x, const Py_ssize_t* shape) except -1:
    """Let the matrix be the first of the stack; the elements from one to the next. Views have two axes at most here."""
    if x.ndim != 3:
        raise ValueError(f"expected a stack of matrices, got {x.ndim} axes")
    if x.itemsize != sizeof(real) or x.format[0] != (c"f" if sizeof(real) == 4 else c"d") or x.format[1] != 0:
        raise ValueError(f"expected a stack of {REAL}")
    if x.shape[0] != shape[0]:
        raise ValueError(f"expected a stack of {shape[0]} matrices, got {x.shape[0]}")
    set_matrix(m, x.buf, x.shape + 1, x.strides + 1, shape[1], shape[2])
    if x.strides[0] % <Py_ssize_t>sizeof(real):
        raise ValueError(MISALIGNED)
    step[0] = x.strides[0] // <Py_ssize_t>sizeof(real)
    return 0


def product_of_stacks(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(a not None, b not None, c not None):
        cdef Py_buffer buffers[3]
        cdef Py_ssize_t shapes[3][3]
        cdef Py_ssize_t count, m, k, n
        cdef int held = 0
        cdef Call call
        begin(&call, run)
        try:
            PyObject_GetBuffer(a, &buffers[0], PyBUF_STRIDES | PyBUF_FORMAT)
            held = 1
            PyObject_GetBuffer(b, &buffers[1], PyBUF_STRIDES | PyBUF_FORMAT)
            held = 2
            PyObject_GetBuffer(c, &buffers[2], PyBUF_STRIDES | PyBUF_FORMAT | PyBUF_WRITABLE)
            held = 3
            if buffers[0].ndim != 3 or buffers[1].ndim != 3:
                raise ValueError(f"expected stacks of matrices, got {buffers[0].ndim} and {buffers[1].ndim} axes")
            count, m, k, n = buffers[0].shape[0], buffers[0].shape[1], buffers[0].shape[2], buffers[1].shape[2]
            shapes[0][:] = [count, m, k]
            shapes[1][:] = [count, k, n]
            shapes[2][:] = [count, m, n]
            fill_stack(&call.a, &call.settings.stack.a, &buffers[0], shapes[0])
            fill_stack(&call.b, &call.settings.stack.b, &buffers[1], shapes[1])
            fill_stack(&call.out, &call.settings.stack.out, &buffers[2], shapes[2])
            if n > 1 and m and count and call.out.s1 != 1:
                raise ValueError("expected an output whose rows have stride one")
            call.depth, call.cols, call.settings.stack.count = k, n, count
            if count:
                run_rows(&call, m, count * m * n * k)
        finally:
            for i in range(held):
                PyBuffer_Release(&buffers[i])

    return function


def take_rows(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] table not None, const int64_t[:] labels not None, real[:, ::1] y not None):
        cdef Py_ssize_t n = labels.shape[0], e = table.shape[1]
        cdef int64_t few[FEW]
        cdef Call call
        begin(&call, run)
        call.cols = e
        fill(&call.a, table, table.shape[0], e)
        fill(&call.out, y, n, e)
        cdef int64_t* copy = copied(labels, n, table.shape[0], few)
        call.labels = copy
        run_rows(&call, n, n * e)
        done_with(copy, few)

    return function


def add_rows(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] g not None, const int64_t[:] labels not None, real[:, ::1] total not None,
                 double skip):
        cdef Py_ssize_t n = labels.shape[0], e = total.shape[1]
        cdef int64_t few[FEW]
        cdef Call call
        begin(&call, run)
        call.cols, call.settings.value = e, skip
        fill(&call.a, g, n, e)
        fill(&call.out, total, total.shape[0], e)
        cdef int64_t* copy = copied(labels, n, total.shape[0], few)
        call.labels = copy
        run_rows(&call, n, n * e)
        done_with(copy, few)

    return function
