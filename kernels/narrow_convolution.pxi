# Convolutions of few outputs: lanes over the outputs would be mostly empty.

# For few outputs the lanes run over the places of a line, each channel of the image being a plane.

cdef inline void interleave(
    const real* x, Py_ssize_t step, Py_ssize_t many, Py_ssize_t n, real* out
) noexcept nogil:
    """out[j, r] = x[r, j], of ``many`` rows of n that are ``step`` apart; up to eight rows in vectors.

    Each column is written as eight numbers, of which the next column covers what is too much.
    """
    cdef vec rows[8]
    cdef Py_ssize_t j = 0, r, lanes, whole
    cdef int v, half
    while many <= 8 and LANES >= 8 and j < n:
        lanes = min(n - j, LANES)
        for r in range(8):
            rows[r] = load_strided(x + r * step + j, 1, lanes) if r < many else broadcast(0)
        columns_of_eight(rows)
        whole = min(lanes, ((n - j) * many - 8) // many + 1) if (n - j) * many >= 8 else 0
        if whole == LANES:
            for v in range(8):
                for half in range(EIGHTS):
                    store_eight(out + (v * EIGHTS + half) * many, rows, v * EIGHTS + half)
            out += LANES * many
            j += LANES
            continue
        for r in range(whole):
            store_eight(out + r * many, rows, <int>r)
        out += whole * many
        j += whole
        if whole < lanes:
            break
    while j < n:
        for r in range(many):
            out[r] = x[r * step + j]
        out += many
        j += 1


cdef bint convolution_is_narrow(const Geometry* g, const Geometry* padded) noexcept nogil:
    """Whether lanes over the places of a line are fuller than over the outputs, and what is copied fits."""
    cdef Py_ssize_t o = g.out_channels, pairs = (g.out_width + 2 * LANES - 1) // (2 * LANES)
    return (g.groups == 1 and g.stride_x == 1 and o <= NARROW_ROWS
            and 2 * pairs * o < g.out_width * ((o + LANES - 1) // LANES)
            and g.kernel_height * g.kernel_width * g.channels <= PATCH_DEPTH
            and padded.height * padded.width * g.channels <= PADDED_ELEMENTS)


cdef inline void narrow_tile(
    const int rows, Py_ssize_t depth, const real* planes, const real* weight, const real* start, real* out, bint relu
) noexcept nogil:
    """out[r, place] for two vectors of places and rows outputs, which is a constant."""
    cdef vec acc[8][2]
    cdef vec places[2]
    cdef vec factor
    cdef Py_ssize_t k
    cdef int r, v
    for r in range(rows):
        for v in range(2):
            acc[r][v] = broadcast(start[r])
    for k in range(depth):
        for v in range(2):
            places[v] = load(planes + OFFSETS[k] + v * LANES)
        for r in range(rows):
            factor = broadcast(weight[k * rows + r])
            for v in range(2):
                acc[r][v] = fma(places[v], factor, acc[r][v])
    for r in range(rows):
        for v in range(2):
            store(out + (r * 2 + v) * LANES, larger(broadcast(0), acc[r][v]) if relu else acc[r][v])


cdef void lay_planes(const Geometry* g, const Geometry* p, const real* x) noexcept nogil:
    """PADDED = one image, channel by channel."""
    cdef Py_ssize_t c, y, ix, iy
    cdef real* to = PADDED
    for c in range(p.channels):
        for y in range(p.height):
            iy = y - g.top
            for ix in range(-g.left, p.width - g.left):
                to[0] = 0
                if 0 <= iy < g.height and 0 <= ix < g.width:
                    to[0] = x[(iy * g.width + ix) * g.channels + c]
                to += 1


cdef void narrow_convolution(Call* call, const Geometry* p, Py_ssize_t rows) noexcept nogil:
    cdef const Geometry* g = call.geometry
    cdef Py_ssize_t o = g.out_channels, depth = g.kernel_height * g.kernel_width * g.channels
    cdef Py_ssize_t height = (o + 1) // 2 * 2, n, oy, ox, k = 0, r, ky, kx, c
    cdef bint relu = call.settings.value != 0
    cdef real start[8]
    cdef real found[8 * 2 * 16]
    cdef const real* planes
    for r in range(height):
        start[r] = call.start.at[r] if call.start.at is not NULL and r < o else 0
    for ky in range(g.kernel_height):
        for kx in range(g.kernel_width):
            for c in range(g.channels):
                OFFSETS[k] = (c * p.height + ky * g.dilation_y) * p.width + kx * g.dilation_x
                for r in range(height):
                    NARROW[k * height + r] = call.b.at[k * o + r] if r < o else 0
                k += 1
    for n in range(rows):
        if g.channels == 1:
            pad(g, p, call.a.at + n * call.a.s0, 1)
        else:
            lay_planes(g, p, call.a.at + n * call.a.s0)
        for oy in range(g.out_height):
            ox = 0
            while ox < g.out_width:
                planes = PADDED + oy * g.stride_y * p.width + ox
                if height == 2:
                    narrow_tile(2, depth, planes, NARROW, start, found, relu)
                elif height == 4:
                    narrow_tile(4, depth, planes, NARROW, start, found, relu)
                elif height == 6:
                    narrow_tile(6, depth, planes, NARROW, start, found, relu)
                else:
                    narrow_tile(8, depth, planes, NARROW, start, found, relu)
                interleave(found, 2 * LANES, o, min(g.out_width - ox, 2 * LANES),
                           call.out.at + n * call.out.s0 + (oy * g.out_width + ox) * o)
                ox += 2 * LANES


# The gradient of few outputs: the lanes run over the taps, and the outputs are the rows. For a line of the output, the
# pixels that its windows see are laid column by column, those of a column from kh lines: then the taps of a window are
# one run, column by column, and those of the next window begin stride_x columns later.

cdef bint weight_gradient_is_narrow(const Geometry* g, const Patches* source) noexcept nogil:
    """Whether lanes over the taps are fuller than over the outputs, and what is copied fits."""
    cdef Py_ssize_t outputs = g.out_channels, depth = g.kernel_height * g.kernel_width * g.channels
    return (g.groups == 1 and g.dilation_x == 1 and outputs <= NARROW_ROWS and depth <= PATCH_DEPTH
            and 4 * outputs * ((depth + LANES - 1) // LANES) < 3 * depth * ((outputs + LANES - 1) // LANES)
            and lies_ready(g, source)
            and source.padded.width * g.kernel_height * g.channels + PANEL_N <= A_ELEMENTS)


cdef void lay_columns(const Geometry* p, Py_ssize_t columns, const real* x, real* out) noexcept nogil:
    """out[column, ky, c] for one line of windows, from the pixel of x at which these begin."""
    cdef Py_ssize_t ky, line = p.dilation_y * p.width * p.channels, column = p.kernel_height * p.channels
    if p.channels == 1:
        interleave(x, line, p.kernel_height, columns, out)
        return
    for ky in range(p.kernel_height):
        copy_runs_of(x + ky * line, p.channels, out + ky * p.channels, column, p.channels, columns, False)


cdef void narrow_weight_gradient(Call* call, Py_ssize_t rows) noexcept nogil:
    """out += the sums for a = x, b = dy.

    Of a part of the taps, as large a part of their vectors, in which they lie column by column, is computed instead.
    """
    cdef const Geometry* g = call.geometry
    cdef const Geometry* p
    cdef Py_ssize_t o = g.out_channels, depth = g.kernel_height * g.kernel_width * g.channels, column, k, r, j, n, oy
    cdef Py_ssize_t vectors = (depth + LANES - 1) // LANES, begin = call.first * vectors // depth * LANES
    cdef Py_ssize_t stop = min((call.first + call.depth) * vectors // depth * LANES, depth)
    cdef Py_ssize_t lines, line, count, samples, s = 0
    cdef Patches source = patches_of(g, rows)
    cdef Py_ssize_t ky, kx, c
    cdef Walk walk
    cdef const real* x
    cdef const real* dy
    if begin == stop:
        return
    k = 0
    for ky in range(g.kernel_height):  # NARROW = the transpose, with the taps column by column
        for kx in range(g.kernel_width):
            for c in range(g.channels):
                OFFSETS[k] = (kx * g.kernel_height + ky) * g.channels + c
                if begin <= OFFSETS[k] < stop:
                    for r in range(o):
                        NARROW[r * depth + OFFSETS[k]] = 0 if call.overwrite else call.out.at[k * o + r]
                k += 1
    column = g.kernel_height * g.channels
    line = source.padded.width * column
    lines = min(max(CACHED // line, 1), g.out_height)
    walk.relu = False
    walk.blocks, walk.terms = 1, g.out_width
    walk.a_block, walk.a_line, walk.a_term, walk.a_row = 0, g.out_width * o, o, 1
    walk.b_block, walk.b_line, walk.b_term = 0, line, g.stride_x * column
    while s < rows:
        take_samples(&source, g, call, s, 1, rows)
        p = source.geometry
        oy = 0
        while oy < g.out_height:
            count = min(g.out_height - oy, lines)
            for n in range(count):
                x = first_window(p, source.x) + (oy + n) * g.stride_y * p.width * p.channels
                lay_columns(p, source.padded.width, x, A_BLOCK + n * line)
            walk.lines = count
            dy = call.b.at + s * call.b.s0 + oy * g.out_width * o
            j = begin
            while j < stop:
                walk_all(o, min(stop - j, PANEL_N), &walk, dy, A_BLOCK + j, NARROW + j, depth,
                         NARROW + j, depth)
                j += PANEL_N
            oy += count
        s += 1
    for k in range(depth):
        if begin <= OFFSETS[k] < stop:
            for r in range(o):
                call.out.at[k * o + r] = NARROW[r * depth + OFFSETS[k]]
