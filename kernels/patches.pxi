# The patches that windows see, as the rows of a matrix, and images with their padding around them.

cdef extern from * nogil:
    """
    #define PATCH_ELEMENTS (1 << 13)  /* of the patches that are formed at a time: they stay in the first cache */
    #define PATCH_DEPTH 2048          /* of one patch; there are two tiles of patches at least */
    #define PATCH_SAMPLES (4 * TILE_ROWS) /* whose dx stay in the cache while the windows pass over them */
    #define PADDED_ELEMENTS (1 << 15) /* of the images that are padded at a time */
    #define NARROW_ROWS 8             /* outputs for which the lanes run over something else, at most */
    static OF_A_THREAD real PATCHES[2 * 12 * PATCH_DEPTH + 2 * 16], PADDED[PADDED_ELEMENTS + 8 * 16];
    static OF_A_THREAD real NARROW[NARROW_ROWS * PATCH_DEPTH];
    static OF_A_THREAD ptrdiff_t OFFSETS[PATCH_DEPTH];
    """
    const Py_ssize_t PATCH_ELEMENTS, PATCH_DEPTH, PATCH_SAMPLES, PADDED_ELEMENTS, NARROW_ROWS
    real PATCHES[]
    real PADDED[]
    real NARROW[]
    Py_ssize_t OFFSETS[]


# Where the taps of a line of the window lie side by side in x, they are one run; else each is a run of its own.
cdef inline Py_ssize_t taps_of_a_run(const Geometry* g) noexcept nogil:
    return g.kernel_width if g.dilation_x == 1 and g.groups == 1 else 1


cdef inline void copy_run(real* to, const real* source, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j = 0
    while n - j >= LANES:
        store(to + j, load(source + j))
        j += LANES
    if j < n:
        store_part(to + j, load_part(source + j, n - j), n - j)


cdef inline void zero_run(real* to, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j = 0
    while j < n:
        store_first(to + j, broadcast(0), min(n - j, LANES))
        j += LANES


cdef inline void copy_runs(
    const int whole, const real* x, Py_ssize_t step, real* to, Py_ssize_t row, Py_ssize_t run, Py_ssize_t rows,
    const bint covered
) noexcept nogil:
    """A run of the patches at neighbouring positions, of ``whole`` vectors (0: as many as there are).

    covered : what is copied behind it will be covered by the next run.
    """
    cdef Py_ssize_t t, j, vectors = whole if whole > 0 else (run + LANES - 1) // LANES
    for t in range(rows):
        for j in range(vectors - 1):
            store(to + j * LANES, load(x + j * LANES))
        j = (vectors - 1) * LANES
        if covered:
            store(to + j, load(x + j))
        else:
            store_part(to + j, load_part(x + j, run - j), run - j)
        to += row
        x += step


cdef inline void copy_runs_of(
    const real* x, Py_ssize_t step, real* to, Py_ssize_t row, Py_ssize_t run, Py_ssize_t rows, bint covered
) noexcept nogil:
    """The same with the constants at hand."""
    if covered:
        if run <= LANES:
            copy_runs(1, x, step, to, row, run, rows, True)
        elif run <= 2 * LANES:
            copy_runs(2, x, step, to, row, run, rows, True)
        else:
            copy_runs(0, x, step, to, row, run, rows, True)
    elif run <= LANES:
        copy_runs(1, x, step, to, row, run, rows, False)
    else:
        copy_runs(0, x, step, to, row, run, rows, False)


cdef void edge_patch(
    const Geometry* g, const real* sample, Py_ssize_t top, Py_ssize_t left, Py_ssize_t first, Py_ssize_t last, real* out
) noexcept nogil:
    """Elements first to last of one patch, which may hang over the edge."""
    cdef Py_ssize_t channels = g.channels // g.groups, taps = taps_of_a_run(g), run = taps * channels
    cdef Py_ssize_t of_line = g.kernel_width // taps, r, ky, kx, iy, ix, start, low, high, lower, upper
    for r in range(first // run, (last + run - 1) // run):
        ky = r // of_line
        kx = r - ky * of_line
        start = r * run
        low, high = max(start, first), min(start + run, last)
        iy = top + ky * g.dilation_y
        ix = left + kx * g.dilation_x
        lower = upper = low
        if 0 <= iy < g.height:
            lower = min(max(start - ix * channels, low), high)
            upper = max(min(start + (g.width - ix) * channels, high), lower)
            copy_run(out + lower - first, sample + (iy * g.width + ix) * g.channels + lower - start, upper - lower)
        zero_run(out + low - first, lower - low)
        zero_run(out + upper - first, high - upper)


cdef void form_patches(
    const Geometry* g, const real* x, const real* x_end, Py_ssize_t group, Py_ssize_t begin, Py_ssize_t end,
    Py_ssize_t first, Py_ssize_t last, real* out
) noexcept nogil:
    """Elements first to last of the patches at the positions begin to end, which count through all samples.

    Lines of positions whose patches lie inside are copied run by run, in whole vectors as far as x goes on.
    """
    cdef Py_ssize_t channels = g.channels // g.groups, taps = taps_of_a_run(g), run = taps * channels
    cdef Py_ssize_t of_line = g.kernel_width // taps, line = g.width * g.channels, size = g.height * line
    cdef Py_ssize_t ox = begin % g.out_width, oy = begin // g.out_width % g.out_height, t = begin, row = last - first
    cdef Py_ssize_t r, top, left, low, high, count, n, step = g.stride_x * g.channels
    cdef Py_ssize_t reach_y = (g.kernel_height - 1) * g.dilation_y, reach_x = (g.kernel_width - 1) * g.dilation_x
    cdef const real* sample = x + begin // (g.out_width * g.out_height) * size + group * channels
    cdef const real* source
    while t < end:
        count = min(g.out_width - ox, end - t)
        top, left = oy * g.stride_y - g.top, ox * g.stride_x - g.left
        if (0 <= top and top + reach_y < g.height and 0 <= left
                and left + (count - 1) * g.stride_x + reach_x < g.width
                and sample + (top + reach_y) * line + (left + (count - 1) * g.stride_x + reach_x) * g.channels
                + run + 2 * LANES <= x_end):
            for r in range(first // run, (last + run - 1) // run):
                low, high = max(r * run, first), min(r * run + run, last)
                source = (sample + (top + r // of_line * g.dilation_y) * line
                          + (left + r % of_line * g.dilation_x) * g.channels + low - r * run)
                copy_runs_of(source, step, out + low - first, row, high - low, count, high < last
                             and last - high >= LANES)
        else:
            for n in range(count):
                edge_patch(g, sample, top, left + n * g.stride_x, first, last, out + n * row)
        out += count * row
        t += count
        ox = 0
        oy += 1
        if oy == g.out_height:
            oy = 0
            sample += size


# Images are padded first, where windows hang over their edge and there is room: then no window need look for it.

cdef inline Geometry with_padding(const Geometry* g) noexcept nogil:
    """The geometry over images of just what the windows reach."""
    cdef Geometry p = g[0]
    p.height = (g.out_height - 1) * g.stride_y + (g.kernel_height - 1) * g.dilation_y + 1
    p.width = (g.out_width - 1) * g.stride_x + (g.kernel_width - 1) * g.dilation_x + 1
    p.top = p.left = 0
    return p


cdef inline bint hangs_over(const Geometry* g, const Geometry* padded) noexcept nogil:
    return (g.top > 0 or g.left > 0 or padded.height - g.top > g.height or padded.width - g.left > g.width)


cdef void pad(const Geometry* g, const Geometry* p, const real* x, Py_ssize_t samples) noexcept nogil:
    """PADDED = the images of x, as far as windows reach, and zeros around them."""
    cdef Py_ssize_t n, y, iy, line = p.width * p.channels
    cdef Py_ssize_t first = min(max(g.left, 0), p.width), last = max(min(g.width + g.left, p.width), first)
    cdef real* to = PADDED
    for n in range(samples):
        for y in range(p.height):
            iy = y - g.top
            if 0 <= iy < g.height:
                zero_run(to, first * g.channels)
                copy_run(to + first * g.channels, x + (iy * g.width + first - g.left) * g.channels,
                         (last - first) * g.channels)
                zero_run(to + last * g.channels, line - last * g.channels)
            else:
                zero_run(to, line)
            to += line
        x += g.height * g.width * g.channels


cdef struct Patches:  # where they come from: some samples of x, as they are or padded
    Geometry padded
    const Geometry* geometry
    const real* x
    const real* end
    Py_ssize_t samples   # at a time
    bint pads


cdef inline Patches patches_of(const Geometry* g, Py_ssize_t rows) noexcept nogil:
    cdef Patches source
    cdef Py_ssize_t size
    source.padded = with_padding(g)
    size = source.padded.height * source.padded.width * source.padded.channels
    source.pads = hangs_over(g, &source.padded) and size <= PADDED_ELEMENTS
    source.samples = PADDED_ELEMENTS // size if source.pads else rows
    return source


cdef inline void take_samples(
    Patches* source, const Geometry* g, const Call* call, Py_ssize_t s, Py_ssize_t samples, Py_ssize_t rows
) noexcept nogil:
    """Let the patches be those of the samples from s on."""
    if source.pads:
        pad(g, &source.padded, call.a.at + s * call.a.s0, samples)
        source.geometry, source.x, source.end = &source.padded, PADDED, PADDED + PADDED_ELEMENTS + 8 * 16
    else:
        source.geometry, source.x = g, call.a.at + s * call.a.s0
        source.end = call.a.at + rows * call.a.s0


cdef inline Py_ssize_t patches_at_a_time(Py_ssize_t depth) noexcept nogil:
    """Whole tiles of them, as many as there is room for."""
    return max(PATCH_ELEMENTS // depth // TILE_ROWS, 2) * TILE_ROWS
