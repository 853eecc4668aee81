# The kernels of a linear layer, bound to its arrays: these are taken in once, not at each call, since taking an array
# in costs a small layer as much as its product. Calls change nothing but the version, so several threads may share one.

from minidl.kernels.memory import Status

cdef struct Facts:  # of a parameter; its Status in kernels/memory.pyx holds them
    long long version
    int trained
    int has_grad


@cython.binding(False)
cdef class Layer:
    """The kernels of a linear layer for its arrays: weight (O, I), bias (O,) and their gradients; None without bias.

    A layer may replace its arrays. So each method is given the layer's present weight and bias; if it is bound to
    others, it does nothing and returns None. ``weight_status`` and ``bias_status`` say which of the two is trained;
    without them both are. ``version``: that of the weight in the last forward.
    ValueError for arrays that do not fit.
    """

    cdef action product, gradients, sum_columns
    cdef readonly object weight, bias, weight_status, bias_status
    cdef tuple locks
    cdef public long long version
    cdef Facts* weight_facts
    cdef Facts* bias_facts
    cdef Facts unasked
    cdef const real[:, :] w
    cdef const real[:] b
    cdef real[:, :] dw
    cdef real[:] db
    cdef Matrix w_at, b_at, dw_at, db_at  # the same as matrices of a call

    def __cinit__(self, Operations operations, weight not None, bias, dweight not None, dbias,
                  weight_status=None, bias_status=None):
        self.product, self.gradients = operations.find("linear").run, operations.find("linear_weight_gradient").run
        self.sum_columns = operations.find("column_sum").run
        self.weight, self.bias = weight, bias
        self.w, self.b, self.dw, self.db = weight, bias, dweight, dbias
        cdef Py_ssize_t o = self.w.shape[0], i = self.w.shape[1]
        fill(&self.w_at, self.w, o, i)
        fill(&self.dw_at, self.dw, o, i)
        if (bias is None) != (dbias is None):
            raise ValueError("expected a gradient for the bias, and none without one")
        if bias is not None:
            fill_row(&self.b_at, self.b, o)
            fill_row(&self.db_at, self.db, o)
        self.locks = lock(weight), lock(dweight), None if bias is None else (lock(bias), lock(dbias))
        self.weight_status, self.bias_status = weight_status, bias_status
        self.unasked.trained = True
        self.weight_facts, self.bias_facts = self.facts_of(weight_status), self.facts_of(bias_status)

    cdef Facts* facts_of(self, status) except NULL:
        if status is None:
            return &self.unasked
        if type(status) is not Status:
            raise TypeError(f"expected a Status, got {type(status).__name__}")
        return <Facts*><size_t>status.address

    def forward(self, const real[:, :] x not None, weight, bias):
        """y = x weight^T + bias, in a new array: (N, I) -> (N, O)."""
        if weight is not self.weight or bias is not self.bias:
            return None
        self.version = self.weight_facts.version
        cdef Py_ssize_t n = x.shape[0], i = self.w.shape[1], o = self.w.shape[0]
        cdef Call call
        begin(&call, self.product)
        call.depth, call.cols = i, o
        fill(&call.a, x, n, i)
        call.b, call.start = transposed(self.w_at), self.b_at
        made = new_matrix(&call.out, n, o)
        if bias is not None and call.start.s1 != 1:
            spread_start(&call, n)
        run_rows(&call, n, n * i * o)
        return made

    def backward(self, const real[:, :] x not None, const real[:, :] dy not None, weight, bias, bint needs_dx):
        """dweight += dy^T x and dbias += sum over n of dy[n], if trained; dx = dy weight if needs_dx, else True.

        dx is a new array. None is also returned where dx is needed and the weight has changed since the last forward.
        """
        if weight is not self.weight or bias is not self.bias:
            return None
        if needs_dx and self.version != self.weight_facts.version:
            return None
        cdef Py_ssize_t n = dy.shape[0], i = self.w.shape[1], o = self.w.shape[0]
        cdef Matrix x_at, dy_at
        cdef Call call
        fill(&x_at, x, n, i)
        fill(&dy_at, dy, n, o)
        if self.weight_facts.trained:
            begin(&call, self.gradients)
            call.a, call.b, call.out, call.depth, call.cols = x_at, dy_at, self.dw_at, i, o
            run_weight_gradient(&call, n)
            self.weight_facts.has_grad = True
        if self.db is not None and self.bias_facts.trained:
            begin(&call, self.sum_columns)
            call.a, call.out, call.cols = dy_at, self.db_at, o
            run_rows(&call, n, n * o)
            self.bias_facts.has_grad = True
        if not needs_dx:
            return True
        begin(&call, self.product)
        call.a, call.b, call.depth, call.cols = dy_at, self.w_at, o, i
        made = new_matrix(&call.out, n, i)
        run_rows(&call, n, n * i * o)
        return made
