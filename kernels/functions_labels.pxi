# The functions of operations that read labels (N,), int64, from 0 to C-1, one for each row of (N, C). ValueError for
# other labels, before anything is written. Labels are copied before they are checked, since another thread may write
# to the array at any time.

cdef enum:
    FEW = 128  # labels that are copied to the stack


cdef inline void done_with(int64_t* copy, int64_t* few) noexcept:
    if copy != few:
        free(copy)


cdef int64_t* copied(
    const int64_t[:] labels, Py_ssize_t n, Py_ssize_t classes, int64_t* few
) except NULL:
    """n labels, from 0 to classes - 1, in ``few``, which has room for FEW, or in memory that done_with() frees."""
    cdef int64_t* copy = few
    cdef Py_ssize_t i
    cdef int64_t label
    if labels.shape[0] != n:
        raise ValueError(f"expected labels of shape {(n,)}, got {(labels.shape[0],)}")
    if n and (<size_t>&labels[0] | <size_t>labels.strides[0]) % sizeof(int64_t):
        raise ValueError(MISALIGNED)
    if n > FEW:
        copy = <int64_t*>malloc(n * sizeof(int64_t)) if n <= PY_SSIZE_T_MAX // 16 else NULL
        if copy is NULL:
            raise MemoryError
    for i in range(n):
        copy[i] = labels[i]
    for i in range(n):
        if copy[i] < 0 or copy[i] >= classes:
            label = copy[i]
            done_with(copy, few)
            raise ValueError(f"expected labels from 0 to {classes - 1}, got {label}")
    return copy


def labelled_number(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] z not None, const int64_t[:] labels not None):
        cdef Py_ssize_t n = z.shape[0], c = z.shape[1]
        cdef double result = 0
        cdef int64_t few[FEW]
        cdef Call call
        begin(&call, run)
        call.cols, call.number = c, &result
        fill(&call.a, z, n, c)
        cdef int64_t* copy = copied(labels, n, c, few)  # no error is raised after this
        call.labels = copy
        run_rows(&call, n, n * c)
        done_with(copy, few)
        return result

    return function


def labelled_and_number(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] z not None, const int64_t[:] labels not None, real[:, ::1] y):
        cdef Py_ssize_t n = z.shape[0], c = z.shape[1]
        cdef double result = 0
        cdef int64_t few[FEW]
        cdef Call call
        begin(&call, run)
        call.cols, call.number = c, &result
        fill(&call.a, z, n, c)
        made = None
        if y is None:
            made = new_matrix(&call.out, n, c)
        else:
            fill(&call.out, y, n, c)
        cdef int64_t* copy = copied(labels, n, c, few)
        call.labels = copy
        run_rows(&call, n, 8 * n * c)
        done_with(copy, few)
        return result if made is None else (result, made)

    return function


def labelled_with_setting(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] z not None, const int64_t[:] labels not None, real[:, ::1] y, double setting):
        cdef Py_ssize_t n = z.shape[0], c = z.shape[1]
        cdef int64_t few[FEW]
        cdef Call call
        begin(&call, run)
        call.cols, call.settings.value = c, setting
        fill(&call.a, z, n, c)
        made = None
        if y is None:
            made = new_matrix(&call.out, n, c)
        else:
            fill(&call.out, y, n, c)
        cdef int64_t* copy = copied(labels, n, c, few)
        call.labels = copy
        run_rows(&call, n, 8 * n * c)
        done_with(copy, few)
        return made

    return function


def add_at_labels(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(real[:, ::1] z not None, const int64_t[:] labels not None, double value):
        cdef Py_ssize_t n = z.shape[0], c = z.shape[1]
        cdef int64_t few[FEW]
        cdef Call call
        begin(&call, run)
        call.cols, call.settings.value = c, value
        fill(&call.out, z, n, c)
        cdef int64_t* copy = copied(labels, n, c, few)
        call.labels = copy
        run_rows(&call, n, n * c)
        done_with(copy, few)

    return function
