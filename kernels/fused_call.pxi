# A chain's operations: the targets' modules export them in this form, and the modules that Python calls run them.

cdef enum:
    CHAIN_BLOCK = 1024  # elements
    CHAIN_ARRAYS = 24   # arrays that a chain works on, at most: w, g and the state
    CHAIN_SLOTS = 96    # with numbers and temporaries
    CHAIN_LANES = 16    # elements of the widest vector: copies of a number
    MOST_FUSED = 32
    MOST_LOOPS = 16

# On n elements of the arrays at these addresses, one for each slot; steps: from vector to vector, 0 for a number.
ctypedef void (*fused_action)(
    const FusedCall* call, real** places, const Py_ssize_t* steps, Py_ssize_t n) noexcept nogil

cdef struct FusedCall:
    fused_action run
    int y, a, b, c, d  # slots

# A whole chain: the addresses of w, g and the state, and the numbers in the order of the chain's text.
ctypedef void (*whole_loop)(Py_ssize_t n, real** places, const real* numbers) noexcept nogil

cdef struct FusedOperation:
    const char* name
    fused_action run

cdef struct FusedLoop:
    const char* text  # of the chain; minidl/optim/chains.py writes it
    const char* name
    whole_loop run

cdef struct FusedTable:
    int lanes  # elements of a vector
    int operation_count, loop_count
    FusedOperation operations[MOST_FUSED]
    FusedLoop loops[MOST_LOOPS]
