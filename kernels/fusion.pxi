# Chains: elementwise operations on flat arrays that pass through the cache together.
#
# A chain is a recorded update rule of minidl.optim. Its numbers (settings, the number of the step, and what is
# computed from them) are computed in double, as Python does, and rounded to the element type where an operation on
# arrays reads them. All arrays are cut into blocks; the operations run one after the other over a block, which stays
# in the cache from the first operation to the last. Each operation rounds its result.
#
#     a b + c d, a b + c, c - a b      are one operation each, with the roundings of the two or three
#
# A chain for which a loop is registered runs as one loop over vectors instead, with the same bits.

ctypedef vec (*element)(vec a, vec b, vec c, vec d) noexcept nogil

TABLE.fused.lanes = LANES


cdef int register_fused(const char* name, fused_action run) except -1:
    """An operation of chains."""
    if TABLE.fused.operation_count == MOST_FUSED:
        raise ImportError("expected no more than MOST_FUSED operations")
    TABLE.fused.operations[TABLE.fused.operation_count] = FusedOperation(name, run)
    TABLE.fused.operation_count += 1
    return 0


cdef int register_loop(const char* name, whole_loop run, const char* text) except -1:
    """A single loop for the chain with this text."""
    if TABLE.fused.loop_count == MOST_LOOPS:
        raise ImportError("expected no more than MOST_LOOPS loops")
    TABLE.fused.loops[TABLE.fused.loop_count] = FusedLoop(text, name, run)
    TABLE.fused.loop_count += 1
    return 0


cdef inline void each(
    element function, const FusedCall* o, real** places, const Py_ssize_t* steps, Py_ssize_t n
) noexcept nogil:
    """y = function(a, b, c, d), vector by vector."""
    cdef real* y = places[o.y]
    cdef const real* a = places[o.a]
    cdef const real* b = places[o.b]
    cdef const real* c = places[o.c]
    cdef const real* d = places[o.d]
    cdef Py_ssize_t sa = steps[o.a], sb = steps[o.b], sc = steps[o.c], sd = steps[o.d], i = 0
    while i + 2 * LANES <= n:  # two vectors at a time, which halves the address arithmetic
        store(y + i, function(load(a), load(b), load(c), load(d)))
        store(y + i + LANES, function(load(a + sa), load(b + sb), load(c + sc), load(d + sd)))
        a, b, c, d, i = a + 2 * sa, b + 2 * sb, c + 2 * sc, d + 2 * sd, i + 2 * LANES
    if i + LANES <= n:
        store(y + i, function(load(a), load(b), load(c), load(d)))
        a, b, c, d, i = a + sa, b + sb, c + sc, d + sd, i + LANES
    if i < n:
        n -= i
        store_part(y + i, function(load_part(a, n), load_part(b, n), load_part(c, n), load_part(d, n)), n)


cdef inline mask same_value(vec a, vec b) noexcept nogil:
    return not_less(a, b) & not_less(b, a)

# True is a lane with all bits set.

cdef inline vec fused_add(vec a, vec b, vec c, vec d) noexcept nogil:
    return a + b

cdef inline vec fused_subtract(vec a, vec b, vec c, vec d) noexcept nogil:
    return a - b

cdef inline vec fused_multiply(vec a, vec b, vec c, vec d) noexcept nogil:
    return a * b

cdef inline vec fused_divide(vec a, vec b, vec c, vec d) noexcept nogil:
    return a / b

cdef inline vec fused_two_products(vec a, vec b, vec c, vec d) noexcept nogil:
    return a * b + c * d

cdef inline vec fused_product_and(vec a, vec b, vec c, vec d) noexcept nogil:
    return a * b + c

cdef inline vec fused_less_product(vec a, vec b, vec c, vec d) noexcept nogil:
    return c - a * b

cdef inline vec fused_negative(vec a, vec b, vec c, vec d) noexcept nogil:
    return -a

cdef inline vec fused_absolute(vec a, vec b, vec c, vec d) noexcept nogil:
    return absolute(a)

cdef inline vec fused_sqrt(vec a, vec b, vec c, vec d) noexcept nogil:
    return root_of(a)

cdef inline vec fused_sign(vec a, vec b, vec c, vec d) noexcept nogil:
    cdef vec zero = broadcast(0), one = broadcast(1)
    cdef vec y = choose(same_value(a, zero), zero, a)  # NaN gives NaN
    return choose(greater(a, zero), one, choose(greater(zero, a), -one, y))

cdef inline vec fused_maximum(vec a, vec b, vec c, vec d) noexcept nogil:
    return choose(not_less(a, b) | ~same_value(a, a), a, b)

cdef inline vec fused_minimum(vec a, vec b, vec c, vec d) noexcept nogil:
    return choose(not_less(b, a) | ~same_value(a, a), a, b)

cdef inline vec fused_greater(vec a, vec b, vec c, vec d) noexcept nogil:
    return from_bits(greater(a, b))

cdef inline vec fused_not_less(vec a, vec b, vec c, vec d) noexcept nogil:
    return from_bits(not_less(a, b))

cdef inline vec fused_equal(vec a, vec b, vec c, vec d) noexcept nogil:
    return from_bits(same_value(a, b))

cdef inline vec fused_and(vec a, vec b, vec c, vec d) noexcept nogil:
    return from_bits(bits(a) & bits(b))

cdef inline vec fused_or(vec a, vec b, vec c, vec d) noexcept nogil:
    return from_bits(bits(a) | bits(b))

cdef inline vec fused_not(vec a, vec b, vec c, vec d) noexcept nogil:
    return from_bits(~bits(a))

cdef inline vec fused_where(vec a, vec b, vec c, vec d) noexcept nogil:
    return choose(bits(a), b, c)

cdef inline vec fused_copy(vec a, vec b, vec c, vec d) noexcept nogil:
    return a

# The constants let the loop inline them.

cdef void run_add(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_add, o, p, s, n)
register_fused(b"add", run_add)

cdef void run_subtract(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_subtract, o, p, s, n)
register_fused(b"subtract", run_subtract)

cdef void run_multiply(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_multiply, o, p, s, n)
register_fused(b"multiply", run_multiply)

cdef void run_divide(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_divide, o, p, s, n)
register_fused(b"divide", run_divide)

cdef void run_two_products(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_two_products, o, p, s, n)
register_fused(b"two_products", run_two_products)

cdef void run_product_and(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_product_and, o, p, s, n)
register_fused(b"product_and", run_product_and)

cdef void run_less_product(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_less_product, o, p, s, n)
register_fused(b"less_product", run_less_product)

cdef void run_negative(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_negative, o, p, s, n)
register_fused(b"negative", run_negative)

cdef void run_absolute(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_absolute, o, p, s, n)
register_fused(b"absolute", run_absolute)

cdef void run_sqrt(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_sqrt, o, p, s, n)
register_fused(b"sqrt", run_sqrt)

cdef void run_sign(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_sign, o, p, s, n)
register_fused(b"sign", run_sign)

cdef void run_maximum(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_maximum, o, p, s, n)
register_fused(b"maximum", run_maximum)

cdef void run_minimum(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_minimum, o, p, s, n)
register_fused(b"minimum", run_minimum)

cdef void run_greater(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_greater, o, p, s, n)
register_fused(b"greater", run_greater)

cdef void run_not_less(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_not_less, o, p, s, n)
register_fused(b"not_less", run_not_less)

cdef void run_equal(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_equal, o, p, s, n)
register_fused(b"equal", run_equal)

cdef void run_and(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_and, o, p, s, n)
register_fused(b"and", run_and)

cdef void run_or(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_or, o, p, s, n)
register_fused(b"or", run_or)

cdef void run_not(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_not, o, p, s, n)
register_fused(b"not", run_not)

cdef void run_where(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_where, o, p, s, n)
register_fused(b"where", run_where)

cdef void run_copy(const FusedCall* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_copy, o, p, s, n)
register_fused(b"copy", run_copy)
