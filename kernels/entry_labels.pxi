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


cdef class Labels:
    """A checked copy of n labels, from 0 to classes - 1."""

    cdef Py_ssize_t* at

    def __dealloc__(self):
        free(self.at)


cdef Labels copied(const int64_t[:] labels, Py_ssize_t n, Py_ssize_t classes):
    cdef Labels copy = Labels.__new__(Labels)
    cdef Py_ssize_t i
    if labels.shape[0] != n:
        raise ValueError(f"expected labels of shape {(n,)}, got {(labels.shape[0],)}")
    if n > PY_SSIZE_T_MAX // <Py_ssize_t>sizeof(Py_ssize_t):
        raise MemoryError
    copy.at = <Py_ssize_t*>malloc(max(n, 1) * sizeof(Py_ssize_t))
    if copy.at is NULL:
        raise MemoryError
    for i in range(n):
        copy.at[i] = labels[i]
    for i in range(n):
        if copy.at[i] < 0 or copy.at[i] >= classes:
            raise ValueError(f"expected labels from 0 to {classes - 1}, got {copy.at[i]}")
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
    cdef Labels checked = copied(labels, n, c)
    return picked(pz, row_step(z), col_step(z), checked.at, n)


def add_at_labels(real[:, ::1] z not None, const int64_t[:] labels not None, double value):
    """z[n, labels[n]] += value, for every n: (N, C) (N,). ValueError for a label outside 0..C-1."""
    cdef Py_ssize_t n = z.shape[0], c = z.shape[1], zs0 = row_step(z), i
    cdef real* pz = <real*>matrix(z, n, c)
    cdef Labels checked = copied(labels, n, c)
    for i in range(n):
        pz[i * zs0 + checked.at[i]] += <real>value


def cross_entropy(const real[:, :] z not None, const int64_t[:] labels not None, real[:, ::1] log_p):
    """log_p = log_softmax z; minus the sum over n of log_p[n, labels[n]], in double: (N, C) (N,) -> float.

    (the sum, log_p) if log_p is None, and made here.
    """
    cdef Py_ssize_t n = z.shape[0], c = z.shape[1], ps0
    cdef const real* pz = matrix(z, n, c)
    cdef real* p
    cdef Labels checked = copied(labels, n, c)
    made = output(log_p, n, c, &p, &ps0)
    cdef PyThreadState* state = released(8 * n * c)
    if c:
        log_softmax_rows(pz, row_step(z), col_step(z), p, ps0, n, c)
    regained(state)
    total = -picked(p, ps0, 1, checked.at, n)
    return total if made is None else (total, made)


def cross_entropy_gradient(
    const real[:, :] log_p not None, const int64_t[:] labels not None, real[:, ::1] dz, double share
):
    """dz = share (e^log_p - 1 at the labels): (N, C) (N,) -> (N, C)."""
    cdef Py_ssize_t n = log_p.shape[0], c = log_p.shape[1], i, j, ds0, rows = n, cols = c
    cdef const real* p = matrix(log_p, n, c)
    cdef real* d
    cdef Labels checked = copied(labels, n, c)
    made = output(dz, n, c, &d, &ds0)
    cdef PyThreadState* state = released(8 * n * c)
    apply_unary(vexp, p, row_step(log_p), col_step(log_p), d, ds0, n, c, 0)
    for i in range(n):
        d[i * ds0 + checked.at[i]] -= 1
    if ds0 == c:
        rows, cols = 1, n * c
    for i in range(rows):
        for j in range(cols):
            d[i * ds0 + j] *= <real>share
    regained(state)
    return made
