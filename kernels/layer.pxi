# A linear layer and its arrays, looked at once rather than at each call: taking an array in costs a
# small layer as much as its product. It keeps no more than that, so several threads may use one.

cdef class Layer:
    """The kernels of a linear layer for its arrays: weight (O, I), bias (O,) and their gradients; None without bias.

    The layer's arrays may become others. Each method is told which weight and bias are the layer's now, and
    does nothing and returns None if it holds others. ValueError for arrays that do not fit.
    """

    cdef readonly object weight, bias
    cdef const real[:, :] w
    cdef const real[:] b
    cdef real[:, :] dw
    cdef real[:] db

    def __cinit__(self, weight not None, bias, dweight not None, dbias):
        self.weight, self.bias = weight, bias
        self.w, self.b, self.dw, self.db = weight, bias, dweight, dbias
        cdef Py_ssize_t o = self.w.shape[0]
        matrix(self.dw, o, self.w.shape[1])
        if (bias is None) != (dbias is None):
            raise ValueError("expected a gradient for the bias, and none without one")
        if bias is not None:
            vector(self.b, o)
            vector(self.db, o)

    def forward(self, const real[:, :] x not None, weight, bias):
        """y = x weight^T + bias, in a new array: (N, I) -> (N, O)."""
        if weight is not self.weight or bias is not self.bias:
            return None
        return affine(x, self.w, self.b, None)

    def backward(self, const real[:, :] x not None, const real[:, :] dy not None, weight, bias, bint wanted):
        """dweight += dy^T x and dbias += sum over n of dy[n]; dx = dy weight in a new array if wanted, else True."""
        if weight is not self.weight or bias is not self.bias:
            return None
        parameter_gradients(x, dy, self.dw, self.db)
        return product(dy, self.w, None) if wanted else True
