# How threads share a single call of a recorded step: by outputs, so that no sum changes. A part is the call with its
# matrices moved; what lies there may be floats or doubles, so it is moved by bytes.

cdef extern from "threads.h" nogil:
    ctypedef void (*part_function)(void* context, int part, int parts) noexcept
    void run_parts(part_function function, void* context, int parts) noexcept
    long work_for_threads(long usual) noexcept
    const int MAX_THREADS

cdef enum Axis:
    NOT_SHARED
    OUTPUT_ROWS     # of the output, and of what is marked
    OUTPUT_COLUMNS
    WEIGHT_ROWS     # of a weight's gradient, which its kernel picks itself

cdef enum Moves:
    MOVES_A = 1
    MOVES_B = 2
    MOVES_OUT = 4
    MOVES_START = 8

cdef enum:
    WORK_FOR_THREADS = 400_000  # multiply-adds of a call below which a second thread costs more than it brings, usually
    ROWS_TOGETHER = 12          # of a product: whole tiles
    COLUMNS_TOGETHER = 32       # whole panels

cdef struct Sharing:
    Axis axis
    int moves
    int bytes          # of an element
    Py_ssize_t unit    # rows or columns that stay together: of a weight the channels of a tap

cdef struct SharedCall:
    const Call* call
    const Sharing* sharing
    Py_ssize_t rows

cdef int thread_count = 1


def set_num_threads(int n):
    """On how many threads a recorded step may run: 1 to MAX_THREADS."""
    global thread_count
    if not 1 <= n <= MAX_THREADS:
        raise ValueError(f"set_num_threads: expected 1 to {MAX_THREADS} threads, got {n}")
    thread_count = n


cdef Sharing sharing_of(int flags, str name, const Call* call, Py_ssize_t rows, int size):
    """How a call with these flags may be shared."""
    cdef Sharing found
    found.axis, found.moves, found.bytes, found.unit = NOT_SHARED, 0, size, 1
    if flags & WINDOWS:
        found.axis, found.moves = OUTPUT_ROWS, MOVES_A | MOVES_OUT
        if name == "convolution_weight_gradient":
            found.axis, found.moves, found.unit = WEIGHT_ROWS, 0, call.geometry.channels // call.geometry.groups
        elif name in ("max_pool_backward", "max_pool_pick"):
            found.moves |= MOVES_B
    elif name == "turned":
        found.axis, found.moves = OUTPUT_ROWS, MOVES_A | MOVES_OUT
    elif flags & PRODUCT:
        found.axis, found.moves, found.unit = OUTPUT_ROWS, MOVES_A | MOVES_OUT, ROWS_TOGETHER
        if call.start.at is not NULL and call.start.s0 != 0:
            found.moves |= MOVES_START
        if rows < 4 * ROWS_TOGETHER:
            found.axis, found.moves, found.unit = OUTPUT_COLUMNS, MOVES_B | MOVES_OUT | MOVES_START, COLUMNS_TOGETHER
    elif name == "column_sum":
        found.axis, found.moves, found.unit = OUTPUT_COLUMNS, MOVES_A | MOVES_OUT, COLUMNS_TOGETHER
    elif flags & ELEMENTWISE and flags & HAS_OUTPUT and not flags & (BY_NAME | GIVES_BYTES | HAS_LABELS | GIVES_NUMBER):
        found.axis, found.moves = OUTPUT_ROWS, MOVES_A | MOVES_B | MOVES_OUT
        if rows == 1:
            found.axis, found.unit = OUTPUT_COLUMNS, COLUMNS_TOGETHER
    return found


cdef inline void move(Matrix* m, Py_ssize_t i, Py_ssize_t j, int size) noexcept nogil:
    if m.at is not NULL:
        m.at = <real*>(<char*>m.at + (i * m.s0 + j * m.s1) * size)


cdef void run_share(void* context, int part, int parts) noexcept nogil:
    cdef const SharedCall* shared = <const SharedCall*>context
    cdef const Sharing* sharing = shared.sharing
    cdef Call mine = shared.call[0]
    cdef Py_ssize_t total, unit = sharing.unit, begin, end, i = 0, j = 0, rows = shared.rows
    total = (shared.rows if sharing.axis == OUTPUT_ROWS else
             mine.cols if sharing.axis == OUTPUT_COLUMNS else mine.depth)
    begin = min((total + unit * parts - 1) // (unit * parts) * unit * part, total)
    end = min((total + unit * parts - 1) // (unit * parts) * unit * (part + 1), total)
    if begin == end:
        return
    if sharing.axis == OUTPUT_ROWS:
        i, rows = begin, end - begin
    elif sharing.axis == OUTPUT_COLUMNS:
        j, mine.cols = begin, end - begin
    else:
        mine.first, mine.depth = begin, end - begin
    if sharing.moves & MOVES_A:
        move(&mine.a, i, j, sharing.bytes)
    if sharing.moves & MOVES_B:
        move(&mine.b, i, j, sharing.bytes)
    if sharing.moves & MOVES_OUT:
        move(&mine.out, i, j, sharing.bytes)
    if sharing.moves & MOVES_START:
        move(&mine.start, i, j, sharing.bytes)
    mine.run(&mine, rows)


cdef inline void run_shared(Call* call, Py_ssize_t rows, Py_ssize_t work, const Sharing* sharing) noexcept nogil:
    """Run a call, on several threads if it may be shared and is worth it."""
    cdef SharedCall shared
    if (thread_count == 1 or work < WORK_FOR_THREADS or sharing.axis == NOT_SHARED
            or work < work_for_threads(WORK_FOR_THREADS)):
        call.run(call, rows)
        return
    shared.call, shared.sharing, shared.rows = call, sharing, rows
    run_parts(run_share, &shared, thread_count)
