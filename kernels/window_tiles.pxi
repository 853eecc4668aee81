# Products of windows that read the images where they lie: no patch is formed. A tile holds up to TILE_ROWS rows of at
# most two vectors in registers through a whole sum, whose terms lie in a, and in b, in three loops: of a convolution
# the lines of a window, its taps where they do not lie side by side, and the channels; of a weight's gradient the
# samples, the lines and the places of a line.

cdef enum:
    CACHED = 1 << 13  # elements of x and dy over which the tiles of a weight's gradient pass in turn

cdef struct Walk:  # the loops, the last fastest; how far apart their terms lie in a and in b; the rows of a tile in a
    Py_ssize_t blocks, lines, terms
    Py_ssize_t a_block, a_line, a_term, a_row
    Py_ssize_t b_block, b_line, b_term
    bint relu  # of each sum in the end


cdef inline void walk_tile(
    const int rows, const int cols, const Walk* walk, const real* a, const real* b, Py_ssize_t tail,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """c[i, j] = start[i, j] + the sum of a[i] b[j] along the walk; of the last vector only tail lanes are columns.

    b is read in whole vectors. start: NULL for zeros. rows and cols are constants at every call.
    """
    cdef vec acc[12][2]
    cdef vec row[2]
    cdef vec factor
    cdef const real* third[4]
    cdef const real* a_line
    cdef const real* b_line
    cdef Py_ssize_t block, line, k
    cdef int i, j
    for i in range(rows):
        for j in range(cols):
            if start is NULL:
                acc[i][j] = broadcast(0)
            elif j < cols - 1:
                acc[i][j] = load(start + i * ss0 + j * LANES)
            else:
                acc[i][j] = load_strided(start + i * ss0 + j * LANES, 1, tail)
    for block in range(walk.blocks):
        a_line, b_line = a + block * walk.a_block, b + block * walk.b_block
        for line in range(walk.lines):
            for i in range((rows + 2) // 3):
                third[i] = a_line + 3 * i * walk.a_row
            for k in range(walk.terms):
                for j in range(cols):
                    row[j] = load(b_line + k * walk.b_term + j * LANES)
                for i in range(rows):
                    factor = broadcast(third[i // 3][(i % 3) * walk.a_row])
                    for j in range(cols):
                        acc[i][j] = fma(factor, row[j], acc[i][j])
                for i in range((rows + 2) // 3):
                    third[i] += walk.a_term
            a_line += walk.a_line
            b_line += walk.b_line
    for i in range(rows):
        for j in range(cols):
            if walk.relu:
                acc[i][j] = larger(broadcast(0), acc[i][j])
            store_first(c + i * cs0 + j * LANES, acc[i][j], tail if j == cols - 1 else LANES)


cdef void walk_rows(
    int rows, Py_ssize_t width, const Walk* walk, const real* a, const real* b,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """The tile of this many rows, at most TILE_ROWS, and of width columns, at most PANEL_N."""
    cdef Py_ssize_t tail = width - LANES
    if width > LANES:
        if TILE_ROWS > 6 and rows == 12:
            walk_tile(12, 2, walk, a, b, tail, start, ss0, c, cs0)
        elif TILE_ROWS > 6 and rows == 11:
            walk_tile(11, 2, walk, a, b, tail, start, ss0, c, cs0)
        elif TILE_ROWS > 6 and rows == 10:
            walk_tile(10, 2, walk, a, b, tail, start, ss0, c, cs0)
        elif TILE_ROWS > 6 and rows == 9:
            walk_tile(9, 2, walk, a, b, tail, start, ss0, c, cs0)
        elif TILE_ROWS > 6 and rows == 8:
            walk_tile(8, 2, walk, a, b, tail, start, ss0, c, cs0)
        elif TILE_ROWS > 6 and rows == 7:
            walk_tile(7, 2, walk, a, b, tail, start, ss0, c, cs0)
        elif rows == 6:
            walk_tile(6, 2, walk, a, b, tail, start, ss0, c, cs0)
        elif rows == 5:
            walk_tile(5, 2, walk, a, b, tail, start, ss0, c, cs0)
        elif rows == 4:
            walk_tile(4, 2, walk, a, b, tail, start, ss0, c, cs0)
        elif rows == 3:
            walk_tile(3, 2, walk, a, b, tail, start, ss0, c, cs0)
        elif rows == 2:
            walk_tile(2, 2, walk, a, b, tail, start, ss0, c, cs0)
        else:
            walk_tile(1, 2, walk, a, b, tail, start, ss0, c, cs0)
    elif TILE_ROWS > 6 and rows == 12:
        walk_tile(12, 1, walk, a, b, width, start, ss0, c, cs0)
    elif TILE_ROWS > 6 and rows == 11:
        walk_tile(11, 1, walk, a, b, width, start, ss0, c, cs0)
    elif TILE_ROWS > 6 and rows == 10:
        walk_tile(10, 1, walk, a, b, width, start, ss0, c, cs0)
    elif TILE_ROWS > 6 and rows == 9:
        walk_tile(9, 1, walk, a, b, width, start, ss0, c, cs0)
    elif TILE_ROWS > 6 and rows == 8:
        walk_tile(8, 1, walk, a, b, width, start, ss0, c, cs0)
    elif TILE_ROWS > 6 and rows == 7:
        walk_tile(7, 1, walk, a, b, width, start, ss0, c, cs0)
    elif rows == 6:
        walk_tile(6, 1, walk, a, b, width, start, ss0, c, cs0)
    elif rows == 5:
        walk_tile(5, 1, walk, a, b, width, start, ss0, c, cs0)
    elif rows == 4:
        walk_tile(4, 1, walk, a, b, width, start, ss0, c, cs0)
    elif rows == 3:
        walk_tile(3, 1, walk, a, b, width, start, ss0, c, cs0)
    elif rows == 2:
        walk_tile(2, 1, walk, a, b, width, start, ss0, c, cs0)
    else:
        walk_tile(1, 1, walk, a, b, width, start, ss0, c, cs0)


cdef void walk_all(
    Py_ssize_t rows, Py_ssize_t width, const Walk* walk, const real* a, const real* b,
    const real* start, Py_ssize_t ss0, real* c, Py_ssize_t cs0
) noexcept nogil:
    """Any number of rows, in tiles of nearly the same height."""
    cdef Py_ssize_t tiles = (rows + TILE_ROWS - 1) // TILE_ROWS, i = 0, height
    cdef const real* origin = NULL
    while tiles > 0:
        height = (rows - i + tiles - 1) // tiles
        if start is not NULL:
            origin = start + i * ss0
        walk_rows(<int>height, width, walk, a + i * walk.a_row, b, origin, ss0, c + i * cs0, cs0)
        i += height
        tiles -= 1


cdef inline Py_ssize_t whole_vectors(Py_ssize_t width) noexcept nogil:
    return (width + LANES - 1) // LANES * LANES


cdef inline bint fill_tiles(Py_ssize_t rows, Py_ssize_t cols) noexcept nogil:
    """Whether tiles of so many rows and columns hold vectors of sums enough to hide the latency of an addition."""
    cdef Py_ssize_t tiles = (rows + TILE_ROWS - 1) // TILE_ROWS, vectors = 2 if cols > LANES else 1
    return rows // tiles * vectors >= (6 if TILE_ROWS > 6 else 5 if vectors == 1 else 8)


cdef inline void copy_padded(
    const real* x, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t width, real* out
) noexcept nogil:
    """A panel of so many columns of a matrix, with zeros up to whole vectors."""
    cdef Py_ssize_t i, whole = width // LANES * LANES, j
    for i in range(rows):
        j = 0
        while j < whole:
            store(out + j, load(x + j))
            j += LANES
        if j < width:
            store(out + j, load_part(x + j, width - j))
        x += step
        out += whole_vectors(width)


cdef inline const real* first_window(const Geometry* p, const real* sample) noexcept nogil:
    """Where the first window of a sample begins, none of whose windows hangs over."""
    return sample - (p.top * p.width + p.left) * p.channels


cdef inline bint lies_ready(const Geometry* g, const Patches* source) noexcept nogil:
    """Whether no window hangs over the images as they are taken, padded or not."""
    return source.pads or not hangs_over(g, &source.padded)


cdef bint convolution_walks(const Geometry* g, const Patches* source) noexcept nogil:
    """Whether the tiles along the lines of the output are full enough, and the weights fit into A_BLOCK."""
    cdef Py_ssize_t outputs = g.out_channels // g.groups, panels = (outputs + PANEL_N - 1) // PANEL_N
    cdef Py_ssize_t depth = g.kernel_height * g.kernel_width * (g.channels // g.groups)
    return (lies_ready(g, source) and fill_tiles(g.out_width, outputs)
            and depth * panels * PANEL_N * g.groups <= A_ELEMENTS)


cdef bint weight_gradient_walks(const Geometry* g, const Patches* source) noexcept nogil:
    """Whether the tiles along a run of taps are full enough, and the gradients of a sample fit into A_BLOCK."""
    cdef Py_ssize_t outputs = g.out_channels // g.groups, run = taps_of_a_run(g) * (g.channels // g.groups)
    return (lies_ready(g, source) and fill_tiles(run, outputs)
            and g.out_height * g.out_width * PANEL_N <= A_ELEMENTS)


cdef void walking_convolution(Call* call, Py_ssize_t rows) noexcept nogil:
    """out = start + the sums over the windows of a, for b the weight, which is copied in panels of whole vectors."""
    cdef const Geometry* g = call.geometry
    cdef const Geometry* p
    cdef Py_ssize_t outputs = g.out_channels // g.groups, o = g.out_channels, channels = g.channels // g.groups
    cdef Py_ssize_t taps = taps_of_a_run(g), depth = g.kernel_height * g.kernel_width * channels, width
    cdef Py_ssize_t s = 0, samples, n, group, j, oy
    cdef Patches source = patches_of(g, rows)
    cdef Walk walk
    cdef real* panel = A_BLOCK
    cdef real* y
    cdef const real* start = NULL
    cdef const real* x
    for group in range(g.groups):
        j = 0
        while j < outputs:
            width = min(outputs - j, PANEL_N)
            copy_padded(call.b.at + group * outputs + j, o, depth, width, panel)
            panel += depth * whole_vectors(width)
            j += PANEL_N
    walk.relu = call.settings.value != 0
    walk.blocks, walk.lines, walk.terms = g.kernel_height, g.kernel_width // taps, taps * channels
    while s < rows:
        samples = min(rows - s, source.samples)
        take_samples(&source, g, call, s, samples, rows)
        p = source.geometry
        walk.a_block, walk.a_line, walk.a_term = p.dilation_y * p.width * p.channels, p.dilation_x * p.channels, 1
        walk.a_row = p.stride_x * p.channels
        for n in range(samples):
            panel = A_BLOCK
            for group in range(g.groups):
                j = 0
                while j < outputs:
                    width = min(outputs - j, PANEL_N)
                    walk.b_term = whole_vectors(width)
                    walk.b_line = walk.terms * walk.b_term
                    walk.b_block = walk.lines * walk.b_line
                    y = call.out.at + (s + n) * call.out.s0 + group * outputs + j
                    x = first_window(p, source.x + n * p.height * p.width * p.channels) + group * channels
                    if call.start.at is not NULL:
                        start = call.start.at + group * outputs + j
                    for oy in range(g.out_height):
                        walk_all(g.out_width, width, &walk, x, panel, start, 0, y, o)
                        x += p.stride_y * p.width * p.channels
                        y += g.out_width * o
                    panel += depth * walk.b_term
                    j += PANEL_N
        s += samples


cdef void walking_weight_gradient(Call* call, Py_ssize_t rows) noexcept nogil:
    """out += the sums for a = x, b = dy, for images that are padded already or need not be."""
    cdef const Geometry* g = call.geometry
    cdef const Geometry* p
    cdef Py_ssize_t outputs = g.out_channels // g.groups, o = g.out_channels, channels = g.channels // g.groups
    cdef Py_ssize_t taps = taps_of_a_run(g), run = taps * channels, of_line = g.kernel_width // taps
    cdef Py_ssize_t s = 0, samples, group, j, k, r, n, width, places = g.out_height * g.out_width, size
    cdef Patches source = patches_of(g, rows)
    cdef Walk walk
    cdef const real* dy
    cdef const real* x
    cdef const real* start
    cdef real* dweight
    size = source.padded.height * source.padded.width * source.padded.channels + places * o
    samples = min(source.samples, max(CACHED // size, 1))
    source.samples = min(samples, max(A_ELEMENTS // (places * PANEL_N), 1))
    while s < rows:
        samples = min(rows - s, source.samples)
        take_samples(&source, g, call, s, samples, rows)
        p = source.geometry
        walk.relu = False
        walk.blocks, walk.lines, walk.terms = samples, g.out_height, g.out_width
        walk.a_block, walk.a_line = p.height * p.width * p.channels, p.stride_y * p.width * p.channels
        walk.a_term, walk.a_row = p.stride_x * p.channels, 1
        for group in range(g.groups):
            j = 0
            while j < outputs:
                width = min(outputs - j, PANEL_N)
                dy, walk.b_term = call.b.at + s * call.b.s0 + group * outputs + j, o
                if width % LANES:
                    copy_padded(dy, o, samples * places, width, A_BLOCK)
                    dy, walk.b_term = A_BLOCK, whole_vectors(width)
                walk.b_line = g.out_width * walk.b_term
                walk.b_block = places * walk.b_term
                k = call.first
                while k < call.first + call.depth:
                    r = k // run
                    n = min(r * run + run, call.first + call.depth) - k
                    x = (first_window(p, source.x) + r // of_line * p.dilation_y * p.width * p.channels
                         + r % of_line * p.dilation_x * p.channels + group * channels + k - r * run)
                    dweight = call.out.at + k * o + group * outputs + j
                    start = dweight
                    if call.overwrite and s == 0:
                        start = NULL
                    walk_all(n, width, &walk, x, dy, start, o, dweight, o)
                    k += n
                j += PANEL_N
        s += samples
