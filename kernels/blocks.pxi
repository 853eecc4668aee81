# Where the arrays between the layers of a long batch would leave the cache, a block of its rows passes through many
# calls before the next block follows. Sums over the batch, those of gradients, go on from block to block in the order
# of the rows, so that no bit changes.
#
# What a backward pass hands from call to call is of use in its block alone: all blocks write it to the same place.

cdef enum:
    CACHED = 1 << 17      # elements of the arrays of a block
    ROWS_OF_A_BLOCK = 96  # a block has a multiple of these, which is whole tiles and panels,
    LEAST_BLOCK = 512     # and not fewer, since each block reads all weights

# Matrices that hold the present block alone
cdef enum:
    A_PASSES = 1
    B_PASSES = 2
    OUT_PASSES = 4


cdef inline Py_ssize_t block_of(Py_ssize_t columns) noexcept nogil:
    """The rows of a block, for arrays of so many columns together; 0 where blocks do not pay."""
    cdef Py_ssize_t rows = 0 if columns == 0 else CACHED // columns // ROWS_OF_A_BLOCK * ROWS_OF_A_BLOCK
    return rows if rows >= LEAST_BLOCK else 0


cdef inline bint goes_by_blocks(const Call* call) noexcept nogil:
    """Whether a call's rows depend on the same rows of what the calls before it wrote, or are summed up in order."""
    return call.run is not NULL and (call.partition == BY_ROWS or call.partition == BY_INPUTS)


cdef inline Call of_block(const Call* call, Py_ssize_t begin, Py_ssize_t rows, bint passing) noexcept nogil:
    """The call for the rows from ``begin`` on, of a batch of ``rows``."""
    cdef Call mine = call[0]
    cdef int stays = call.passes if passing else 0
    if not stays & A_PASSES:
        mine.a = from_element(&call.a, begin, 0)
    if (call.b_by_rows or call.partition == BY_INPUTS) and not stays & B_PASSES:
        mine.b = from_element(&call.b, begin, 0)
    if call.partition == BY_INPUTS:
        mine.overwrite = call.overwrite and begin == 0
    elif not stays & OUT_PASSES:
        mine.out = from_element(&call.out, begin, 0)
    mine.labels = call.labels + begin
    mine.batch_rows = rows  # a mean is over the whole batch
    return mine


cdef void run_blocks(
    Call** calls, Py_ssize_t count, Py_ssize_t rows, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t block, bint passing
) noexcept nogil:
    """Run these calls for the rows from begin to end of a batch of ``rows``."""
    cdef Call mine, then
    cdef Py_ssize_t i
    while begin < end:
        for i in range(count):
            if calls[i].within:
                continue
            mine = of_block(calls[i], begin, rows, passing)
            if mine.then is not NULL:
                then = of_block(mine.then, begin, rows, passing)
                mine.then = &then
            mine.run(&mine, min(block, end - begin))
        begin += block


cdef void run_alone(const Region* region) noexcept nogil:
    """All calls of a region, on one thread."""
    cdef Py_ssize_t i = 0, end
    cdef Call* call
    while i < region.count:
        end = i
        while 0 < region.block < region.rows and end < region.count and goes_by_blocks(region.calls[end]):
            end += 1
        if end > i:
            run_blocks(region.calls + i, end - i, region.rows, 0, region.rows, region.block, region.passing)
            i = end
            continue
        call = region.calls[i]
        if not call.within:
            call.run(call, 1 if call.partition == BY_ELEMENTS else region.rows)
        i += 1
