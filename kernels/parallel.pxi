# How threads share a program: each goes through all calls of a parallel region and does its parts of each, so that
# there is one fork and join for many calls. Between calls by rows there is no barrier, since a row depends on itself
# alone; nor between the gradients of parameters. There may be more parts than threads.

cdef extern from "threads.h" nogil:
    ctypedef void (*part_function)(void* context, int thread, int threads) noexcept
    void run_parts(part_function function, void* context, int threads) noexcept
    void wait_for_others(int threads, unsigned int barrier) noexcept
    long work_for_threads(long usual) noexcept
    const int MAX_THREADS

cdef extern from * nogil:
    """
    #define UNIT_ROWS 4 /* rows are shared out in multiples of this */
    """
    const int UNIT_ROWS

cdef struct Region:
    Call** calls
    Py_ssize_t count, rows
    int parts
    int panel  # columns that a product computes together


cdef inline Py_ssize_t boundary(Py_ssize_t size, Py_ssize_t unit, int part, int parts) noexcept nogil:
    """The index at which a part begins, where size is cut into parts of whole units."""
    return min(size, (size + unit * parts - 1) // (unit * parts) * unit * part)


cdef void run_part(const Call* call, Py_ssize_t rows, int panel, int part, int parts) noexcept nogil:
    cdef Call mine = call[0], then
    cdef Py_ssize_t begin = 0, end = 0
    if call.partition == BY_ROWS:
        begin, end = boundary(rows, UNIT_ROWS, part, parts), boundary(rows, UNIT_ROWS, part + 1, parts)
        mine.a, mine.out = from_element(&call.a, begin, 0), from_element(&call.out, begin, 0)
        if call.b_by_rows:
            mine.b = from_element(&call.b, begin, 0)
        mine.labels = call.labels + begin
        mine.batch_rows = rows  # a mean is over the whole batch
        if call.then is not NULL:
            then = moved(call.then, begin, 0)
        rows = end - begin
    elif call.partition == BY_COLUMNS:
        begin, end = boundary(call.cols, panel, part, parts), boundary(call.cols, panel, part + 1, parts)
        mine.b, mine.out = from_element(&call.b, 0, begin), from_element(&call.out, 0, begin)
        mine.start, mine.cols = from_element(&call.start, 0, begin), end - begin
        if call.then is not NULL:
            then = moved(call.then, 0, begin)
    elif call.partition == BY_INPUTS:
        begin, end = boundary(call.depth, UNIT_ROWS, part, parts), boundary(call.depth, UNIT_ROWS, part + 1, parts)
        mine.a, mine.out, mine.depth = from_element(&call.a, 0, begin), from_element(&call.out, begin, 0), end - begin
        if part > 0:
            mine.bias_gradient.at = NULL
    elif call.partition == BY_ELEMENTS:
        begin, end = boundary(call.cols, 16, part, parts), boundary(call.cols, 16, part + 1, parts)
        mine.a, mine.out = from_element(&call.a, 0, begin), from_element(&call.out, 0, begin)
        if call.state[0] is not NULL:
            mine.state[0] = call.state[0] + begin
        if call.state[1] is not NULL:
            mine.state[1] = call.state[1] + begin
        mine.cols, rows = end - begin, 1
    elif part == 0:
        end = 1
    if call.then is not NULL:
        mine.then = &then
    if begin < end:
        mine.run(&mine, rows)


cdef inline bint waits(const Call* call, const Call* before) noexcept nogil:
    """Whether a call needs a barrier: it reads what other threads compute in the call before it."""
    cdef Partition how = call.partition
    return how != before.partition or how == ALONE or how == BY_COLUMNS or how == BY_ELEMENTS


cdef void run_region(void* context, int thread, int threads) noexcept nogil:
    cdef Region* region = <Region*>context
    cdef unsigned int barriers = 0
    cdef const Call* before = NULL
    cdef Call* call
    cdef Py_ssize_t i
    cdef int part
    for i in range(region.count):
        call = region.calls[i]
        if call.within:
            continue
        if region.parts == 1:
            call.run(call, 1 if call.partition == BY_ELEMENTS else region.rows)
            continue
        if before is not NULL and waits(call, before):
            wait_for_others(threads, barriers)
            barriers += 1
        part = thread
        while part < region.parts:
            run_part(call, region.rows, region.panel, part, region.parts)
            part += threads
        before = call
