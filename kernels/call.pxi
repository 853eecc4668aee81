# A call of an operation: which action, on which arrays. The modules of the targets, whose actions these are, and
# the modules that Python calls are compiled with this same text.

from libc.stdint cimport int64_t

ctypedef void (*action)(Call* call, Py_ssize_t rows) noexcept nogil

cdef struct Matrix:
    real* at           # element (0, 0); NULL: no matrix
    Py_ssize_t s0, s1  # elements from one row to the next, and from one column to the next

# How a call is shared among threads: by rows of the batch, by columns of its output, by rows of dW, by
# elements, or not at all. Always by outputs, so that no sum changes.
cdef enum Partition:
    ALONE
    BY_ROWS
    BY_COLUMNS
    BY_INPUTS
    BY_ELEMENTS

# What the sum over a batch is divided by. EXACT: by nothing, and it is not rounded to the element type either.
cdef enum Divide:
    EXACT
    BY_NOTHING
    BY_BATCH
    BY_NUMBERS

cdef struct SgdStep:
    double lr, momentum, gain, decay, nesterov, maximize

cdef struct AdamStep:
    double rate, root, eps, beta1, rest1, beta2, rest2, decay, shrink

cdef struct AdadeltaStep:
    double lr, rho, rest, eps, decay

cdef struct Stack:  # of matrices: how many, and elements from one to the next
    Py_ssize_t count, a, b, out

cdef union Settings:
    double value    # of an operation with one setting
    double all[9]   # as Python gives them, in the order of the names that the operation is registered with
    SgdStep sgd
    AdamStep adam
    AdadeltaStep adadelta
    Stack stack     # of bmm

# How windows pass over images. The sizes first, which are at least one. Padding is told by where the first window
# begins; behind the image there is as much as the windows reach.
cdef enum:
    GEOMETRY_SIZES = 13
    GEOMETRY_FIELDS = 16

cdef struct Geometry:
    Py_ssize_t height, width, channels              # of the input
    Py_ssize_t out_height, out_width, out_channels
    Py_ssize_t kernel_height, kernel_width          # the taps of a window
    Py_ssize_t stride_y, stride_x, dilation_y, dilation_x
    Py_ssize_t groups                               # of channels, each with a part of the outputs
    Py_ssize_t top, left                            # the padding above and on the left
    Py_ssize_t divisor                              # of an average: a number, or one of these

cdef enum:
    WITH_PADDING = 0  # the taps in the image and in its padding
    INSIDE = -1       # the taps in the image
    ADAPTIVE = -2     # the same, and windows divide the image; kernel, stride and padding say nothing

cdef enum:
    MOST_ADDED = 0x7fffffff  # to integers, by a setting, which is a double

cdef struct Call:
    action run
    Partition partition
    Matrix a, b              # the inputs
    Matrix out               # rows of stride one, but for column_sum's
    Py_ssize_t cols, depth   # of the output; of a product's sums
    Settings settings
    # of a product
    Matrix start             # where its sums begin: one row, of which s0 is 0, or as large as the output
    Matrix bias_gradient     # one row
    bint overwrite               # write the output, do not add to it
    Call* then               # the call that finishes each panel of the output
    bint within              # this call is the ``then`` of another
    int passes               # which of its matrices hold a block of rows alone: see blocks.pxi
    # of windows
    const Geometry* geometry
    Py_ssize_t first         # row of a weight's gradient: ``depth`` rows from it are computed
    # of a loss
    bint b_by_rows           # b has the batch's rows, too
    const int64_t* labels    # of the rows
    double* number           # the loss
    Divide divide
    Py_ssize_t batch_rows    # of the batch that the rows are a part of; 0: they are all of it
    # of an optimizer
    real* state[2]
    int group                # the group that is updated,
    long long* seen          # and how many updates its state has seen

# What an operation takes and gives
cdef enum:
    HAS_B = 1          # a second input of the first's shape
    HAS_LABELS = 2     # a label for each row
    HAS_OUTPUT = 4     # as large as the first input
    HAS_SETTING = 8    # one number
    HAS_STATE = 16     # an optimizer's: one array beside the values,
    HAS_STATES = 32    # or two
    GIVES_NUMBER = 64  # a sum over the batch, in one order: one thread computes it
    ELEMENTWISE = 128  # knows no neighbours: may finish a product, panel by panel
    PRODUCT = 256      # a product that can be finished
    BY_NAME = 512      # its callable is written out, since no other operation takes what it takes
    GIVES_BYTES = 1024  # an output of bytes
    WINDOWS = 2048     # over windows, which a geometry describes
    STACK = 4096       # a product of stacks of matrices
    TABLE_ROWS = 8192  # rows of a table by their labels
    NORMALIZES = 16384  # rows or columns, with a weight and a bias
    RECURRENT = 32768  # whole sequences: see recurrent.pxi

cdef struct Operation:
    const char* name
    action run
    int flags
    const char* formula
    const char* settings  # the names of several settings

# How an optimizer's step becomes the settings of its operation: from the numbers of the parameter group and the
# step's number, from 1.
ctypedef void (*preparation)(const double* group, double step, Settings* settings) noexcept nogil

cdef struct Rule:
    const char* optimizer
    const char* operation
    const char* settings  # their names in the parameter group; a pair counts as two numbers
    preparation prepare

include "fused_call.pxi"

cdef enum:
    MOST_OPERATIONS = 160
    MOST_RULES = 16

cdef struct Table:  # what the module of a target consists of
    size_t call_bytes  # sizeof(Call): a module from another source is not called
    int panel          # columns of a product that are computed together
    action peak        # multiply-adds in registers, rows times; and how many operations each time has
    int peak_operations
    int operation_count, rule_count
    Operation operations[MOST_OPERATIONS]
    Rule rules[MOST_RULES]
    FusedTable fused


cdef inline Matrix from_element(const Matrix* m, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    """The matrix from row i and column j on."""
    cdef Matrix part = m[0]
    if m.at is not NULL:
        part.at = m.at + i * m.s0 + j * m.s1
    return part


cdef inline bint same_place(const Matrix* m, const Matrix* n) noexcept nogil:
    return m.at == n.at and m.s0 == n.s0 and m.s1 == n.s1


cdef inline Call moved(const Call* call, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    """An elementwise call, from row i and column j of its arrays."""
    cdef Call part = call[0]
    part.a = from_element(&call.a, i, j)
    part.b = from_element(&call.b, i, j)
    part.out = from_element(&call.out, i, j)
    return part
