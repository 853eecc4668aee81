# What Python calls of the losses of labels (N,), int64, from 0 to C-1, one for each row of (N, C):
#     picked_total      sum over n of z[n, labels[n]], in double: the negative log-likelihood
#     add_at_labels     z[n, labels[n]] += value: its gradient
#     cross_entropy     both steps of it, log_softmax and the sum, in one call
#     its gradient      share (e^log_p - 1 at the labels)
# ValueError for other labels, before anything is written. Labels are copied before they are checked, since
# another thread may write to what was given at any time.

cdef extern from "stdlib.h" nogil:
    void* malloc(size_t size)
    void free(void* memory)


cdef enum:
    FEW = 128  # labels that are copied without asking for memory


cdef inline void done_with(Py_ssize_t* copy, Py_ssize_t* few) noexcept:
    if copy != few:
        free(copy)


cdef Py_ssize_t* copied(
    const int64_t[:] labels, Py_ssize_t n, Py_ssize_t classes, Py_ssize_t* few
) except NULL:
    """n labels, from 0 to classes - 1, in ``few``, which has room for FEW, or in memory that done_with() frees."""
    cdef Py_ssize_t* copy = few
    cdef Py_ssize_t i, label
    if labels.shape[0] != n:
        raise ValueError(f"expected labels of shape {(n,)}, got {(labels.shape[0],)}")
    if n and (<size_t>&labels[0] | <size_t>labels.strides[0]) % sizeof(int64_t):
        raise ValueError(MISALIGNED)
    if n > FEW:
        copy = <Py_ssize_t*>malloc(n * sizeof(Py_ssize_t)) if n <= PY_SSIZE_T_MAX // 16 else NULL
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


cdef inline double picked(
    const real* z, Py_ssize_t zs0, Py_ssize_t zs1, const Py_ssize_t* labels, Py_ssize_t n
) noexcept nogil:
    """The sum over n of z[n, labels[n]]."""
    cdef double acc = 0
    cdef Py_ssize_t i
    for i in range(n):
        acc += z[i * zs0 + labels[i] * zs1]
    return acc


def picked_total(const real[:, :] z not None, const int64_t[:] labels not None):
    """The sum over n of z[n, labels[n]], in double: (N, C) (N,) -> float. ValueError for a label outside 0..C-1."""
    cdef Py_ssize_t n = z.shape[0], c = z.shape[1]
    cdef const real* pz = matrix(z, n, c)
    cdef Py_ssize_t few[FEW]
    cdef Py_ssize_t* at = copied(labels, n, c, few)
    total = picked(pz, row_step(z), col_step(z), at, n)
    done_with(at, few)
    return total


def add_at_labels(real[:, ::1] z not None, const int64_t[:] labels not None, double value):
    """z[n, labels[n]] += value, for every n: (N, C) (N,). ValueError for a label outside 0..C-1."""
    cdef Py_ssize_t n = z.shape[0], c = z.shape[1], zs0 = row_step(z), i
    cdef real* pz = <real*>matrix(z, n, c)
    cdef Py_ssize_t few[FEW]
    cdef Py_ssize_t* at = copied(labels, n, c, few)
    for i in range(n):
        pz[i * zs0 + at[i]] += <real>value
    done_with(at, few)


def cross_entropy(const real[:, :] z not None, const int64_t[:] labels not None, real[:, ::1] log_p):
    """log_p = log_softmax z; minus the sum over n of log_p[n, labels[n]], in double: (N, C) (N,) -> float.

    (the sum, log_p) if log_p is None, and made here.
    """
    cdef Py_ssize_t n = z.shape[0], c = z.shape[1], ps0
    cdef const real* pz = matrix(z, n, c)
    cdef real* p
    cdef Py_ssize_t few[FEW]
    made = output(log_p, n, c, &p, &ps0)
    cdef Py_ssize_t* at = copied(labels, n, c, few)  # after this nothing is refused
    cdef PyThreadState* state = released(8 * n * c)
    if c:
        log_softmax_rows(pz, row_step(z), col_step(z), p, ps0, n, c)
    regained(state)
    total = -picked(p, ps0, 1, at, n)
    done_with(at, few)
    return total if made is None else (total, made)


def cross_entropy_gradient(
    const real[:, :] log_p not None, const int64_t[:] labels not None, real[:, ::1] dz, double share
):
    """dz = share (e^log_p - 1 at the labels): (N, C) (N,) -> (N, C)."""
    cdef Py_ssize_t n = log_p.shape[0], c = log_p.shape[1], i, j, ds0, rows = n, cols = c
    cdef const real* p = matrix(log_p, n, c)
    cdef real* d
    cdef Py_ssize_t few[FEW]
    made = output(dz, n, c, &d, &ds0)
    cdef Py_ssize_t* at = copied(labels, n, c, few)
    cdef PyThreadState* state = released(8 * n * c)
    apply_unary(vexp, p, row_step(log_p), col_step(log_p), d, ds0, n, c, 0)
    for i in range(n):
        d[i * ds0 + at[i]] -= 1
    if ds0 == c:
        rows, cols = 1, n * c
    for i in range(rows):
        for j in range(cols):
            d[i * ds0 + j] *= <real>share
    regained(state)
    done_with(at, few)
    return made
