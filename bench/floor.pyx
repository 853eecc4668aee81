"""What the arithmetic alone costs: one core's peak of multiply-adds, and the training step of S by itself.

S = 2-25-25-25-2 with tanh, softmax cross-entropy and plain SGD in float32, everything at a fixed place
and of a fixed size. All matrices are rows of 32, zero beyond what they hold. A bias is the weight of an
input that is always one: row ``inputs`` of W.
"""
include "types.pxi"
include "elementary.pxi"

cdef enum:
    ROW = 32        # numbers in a row of any matrix
    LAYERS = 4
    ROWS = 4        # of a tile of a product; a batch is a multiple of it
    BATCH = 1024    # at most
    INPUTS = 2
    HIDDEN = 25
    CLASSES = 2
    CHAINS = 12     # multiply-adds in flight: more than latency times units


def fma_chains(Py_ssize_t rounds):
    """The operations of ``rounds`` rounds of independent multiply-adds in registers, done meanwhile."""
    cdef vec chain[CHAINS]
    cdef vec factor = broadcast(<real>0.5), total = broadcast(0)
    cdef Py_ssize_t _n
    cdef int i
    cdef real lanes[16]
    for i in range(CHAINS):
        chain[i] = broadcast(<real>i)
    for _n in range(rounds):
        for i in range(CHAINS):
            chain[i] = fma(chain[i], factor, factor)
    for i in range(CHAINS):  # used, or the compiler leaves it all out
        total += chain[i]
    store(lanes, total)
    if not lanes[0] > 0:
        raise ArithmeticError("fma_chains: expected a positive sum")
    return 2 * rounds * CHAINS * LANES


cdef inline void product(
    const int cols, Py_ssize_t rows, Py_ssize_t depth, const real* a, Py_ssize_t as0, Py_ssize_t as1,
    const real* b, real* c
) noexcept nogil:
    """c[i, :] = sum over k < depth of a[i, k] b[k, :], the first ``cols`` vectors of each row."""
    cdef vec acc[ROWS][2]
    cdef Py_ssize_t i, j, k
    cdef int p, q
    for j in range((cols + 1) // 2):
        for i in range(rows // ROWS):
            for p in range(ROWS):
                for q in range(min(cols, 2)):
                    acc[p][q] = broadcast(0)
            for k in range(depth):
                for p in range(ROWS):
                    for q in range(min(cols, 2)):
                        acc[p][q] = fma(broadcast(a[(i * ROWS + p) * as0 + k * as1]),
                                        load(b + k * ROW + (2 * j + q) * LANES), acc[p][q])
            for p in range(ROWS):
                for q in range(min(cols, 2)):
                    store(c + (i * ROWS + p) * ROW + (2 * j + q) * LANES, acc[p][q])


cdef class Step:
    """The step of S: ``weights`` are four matrices (inputs + 1, outputs), the bias in the last row."""

    cdef real values[LAYERS + 1][BATCH * ROW]   # the input of each layer and, last, the outputs
    cdef real gradients[2][BATCH * ROW]         # of the values, by turns
    cdef real w[LAYERS][ROW * ROW]
    cdef real dw[LAYERS][ROW * ROW]
    cdef real transposed[ROW * ROW]

    def __init__(self, weights):
        cdef int layer
        cdef Py_ssize_t i, j
        for layer in range(LAYERS):
            for i in range(len(weights[layer])):
                for j in range(len(weights[layer][i])):
                    self.w[layer][i * ROW + j] = weights[layer][i][j]

    def weights(self, int layer):
        """Matrix (32, 32) of a layer as a list of rows."""
        return [[self.w[layer][i * ROW + j] for j in range(ROW)] for i in range(ROW)]

    def __call__(self, const real[:, ::1] x, const long long[::1] labels, real lr):
        """Train on x (N, 2), labels (N,); N a multiple of 4. The loss before the update."""
        cdef Py_ssize_t n = x.shape[0]
        if n % ROWS or not 0 < n <= BATCH or x.shape[1] != INPUTS or labels.shape[0] != n:
            raise ValueError(f"Step: expected x (N, 2) and labels (N,), N a multiple of 4 up to {BATCH}, "
                             f"got {n} rows of {x.shape[1]} and {labels.shape[0]} labels")
        self.forward(&x[0, 0], n)
        cdef real loss = self.loss(&labels[0], n)
        self.backward(n)
        self.update(lr)
        return loss

    cdef void forward(self, const real* x, Py_ssize_t n) noexcept:
        cdef Py_ssize_t i, j
        cdef int layer
        cdef real* h
        for i in range(n):
            for j in range(INPUTS):
                self.values[0][i * ROW + j] = x[i * INPUTS + j]
            self.values[0][i * ROW + INPUTS] = 1
        product(ROW // LANES, n, INPUTS + 1, self.values[0], ROW, 1, self.w[0], self.values[1])
        for layer in range(1, LAYERS):
            h = self.values[layer]
            for j in range(n * ROW // LANES):
                store(h + j * LANES, vtanh(load(h + j * LANES), broadcast(0)))
            for i in range(n):
                h[i * ROW + HIDDEN] = 1
            if layer < LAYERS - 1:
                product(ROW // LANES, n, HIDDEN + 1, h, ROW, 1, self.w[layer], self.values[layer + 1])
            else:
                product(1, n, HIDDEN + 1, h, ROW, 1, self.w[layer], self.values[LAYERS])

    cdef real loss(self, const long long* labels, Py_ssize_t n) noexcept:
        """Of two classes p of the right one is sigmoid(its output - the other's); the loss is -log p."""
        cdef real margin[BATCH]
        cdef real log_p[BATCH]
        cdef real* z = self.values[LAYERS]
        cdef real* dz = self.gradients[0]
        cdef Py_ssize_t i
        cdef vec p
        cdef real total = 0
        for i in range(n):
            margin[i] = z[i * ROW + labels[i]] - z[i * ROW + 1 - labels[i]]
        for i in range((n + LANES - 1) // LANES):
            p = vsigmoid(load(margin + i * LANES), broadcast(0))
            store(log_p + i * LANES, vlog(p, broadcast(0)))
            store(margin + i * LANES, (p - broadcast(1)) / broadcast(<real>n))
        for i in range(n):
            total -= log_p[i]
            dz[i * ROW + labels[i]] = margin[i]
            dz[i * ROW + 1 - labels[i]] = -margin[i]
        return total / n

    cdef void backward(self, Py_ssize_t n) noexcept:
        """dW = xT dz of each layer, dx = dz WT (1 - x^2) of all but the first."""
        cdef int layer
        cdef Py_ssize_t i, j
        cdef real* dz = self.gradients[0]
        cdef real* dx = self.gradients[1]
        cdef real* x = self.values[LAYERS - 1]
        cdef vec y
        product(1, HIDDEN + ROWS, n, x, 1, ROW, dz, self.dw[LAYERS - 1])
        for layer in range(LAYERS - 1, 0, -1):
            for i in range(HIDDEN):
                for j in range(CLASSES if layer == LAYERS - 1 else HIDDEN):
                    self.transposed[j * ROW + i] = self.w[layer][i * ROW + j]
            product(ROW // LANES, n, CLASSES if layer == LAYERS - 1 else HIDDEN, dz, ROW, 1, self.transposed, dx)
            x = self.values[layer]
            for j in range(n * ROW // LANES):
                y = load(x + j * LANES)
                store(dx + j * LANES, load(dx + j * LANES) * (broadcast(1) - y * y))
            dz, dx = dx, dz
            product(ROW // LANES, HIDDEN + ROWS if layer > 1 else ROWS, n, self.values[layer - 1], 1, ROW, dz,
                    self.dw[layer - 1])

    cdef void update(self, real lr) noexcept:
        cdef int layer
        cdef Py_ssize_t i
        cdef real* w
        cdef real* dw
        for layer in range(LAYERS):
            w, dw = self.w[layer], self.dw[layer]
            for i in range((INPUTS + 1 if layer == 0 else HIDDEN + 1) * ROW // LANES):
                store(w + i * LANES, fma(broadcast(-lr), load(dw + i * LANES), load(w + i * LANES)))
