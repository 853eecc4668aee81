# register(): makes an operation known, to Python as a function and to programs as an action; both run the same code.

from cpython.pycapsule cimport PyCapsule_New

cdef Table TABLE
TABLE.call_bytes, TABLE.panel = sizeof(Call), PANEL_N
TABLE.peak, TABLE.peak_operations = multiply_adds, 2 * CHAINS * LANES


# The peak of a core: chains of multiply-adds in registers

cdef enum:
    CHAINS = 12

cdef void multiply_adds(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef vec acc[CHAINS]
    cdef vec factor = load(call.a.at), term = load(call.a.at)
    cdef Py_ssize_t i
    cdef int k
    for k in range(CHAINS):
        acc[k] = broadcast(<real>k)
    for i in range(rows):
        for k in range(CHAINS):
            acc[k] = fma(acc[k], factor, term)
    for k in range(1, CHAINS):
        acc[0] = acc[0] + acc[k]
    store(call.out.at, acc[0])


cdef int register(const char* name, action run, int flags, const char* formula, const char* settings=b"") except -1:
    """Register an operation by name; the flags say what its action takes and gives."""
    if TABLE.operation_count == MOST_OPERATIONS:
        raise ImportError("expected no more than MOST_OPERATIONS operations")
    TABLE.operations[TABLE.operation_count] = Operation(name, run, flags, formula, settings)
    TABLE.operation_count += 1
    return 0


cdef int register_rule(
    const char* optimizer, const char* operation, preparation prepare, const char* settings
) except -1:
    """Register the operation that is the update of an optimizer's class."""
    if TABLE.rule_count == MOST_RULES:
        raise ImportError("expected no more than MOST_RULES rules")
    TABLE.rules[TABLE.rule_count] = Rule(optimizer, operation, settings, prepare)
    TABLE.rule_count += 1
    return 0


table = PyCapsule_New(&TABLE, "minidl.kernels.table of doubles" if sizeof(real) == 8 else
                      "minidl.kernels.table of floats", NULL)


# What the actions of losses divide by

cdef inline double divisor(const Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t n = call.batch_rows or rows
    return n if call.divide == BY_BATCH else n * call.cols if call.divide == BY_NUMBERS else 1


cdef inline double reduced(const Call* call, double acc, Py_ssize_t rows) noexcept nogil:
    """The loss of a call, from its sum over the batch."""
    return acc if call.divide == EXACT else <real>(acc / divisor(call, rows))


cdef inline real gradient_factor(const Call* call, Py_ssize_t rows) noexcept nogil:
    """The factor of a loss's gradient: 1 over what its sum is divided by."""
    return <real>(call.settings.value / divisor(call, rows))
