# Convolutions over images, of N samples that lie row by row: x as (H, W, C), y as (H', W', O), the weight as
# (kh, kw, C / groups, O). A vector of length L is an image of one line. For each group of C' = C / groups channels:
#
#     y[n, p, o]        = bias[o] + sum over k of patch[n, p, k] weight[k, o]      k = (ky, kx, c)
#     dx[n, i, c]      += sum over p of dy[n, p, o] weight[k, o]          for each i = p stride - pad + k dilation
#     dweight[k, o]    += sum over n, p of patch[n, p, k] dy[n, p, o]
#
# A patch is what a window sees, zero where it hangs over the edge. Each sum is one chain of fused multiply-adds, the
# last index of the sum fastest; dx leaves out the positions that there are none of.

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


cdef void convolution(Call* call, Py_ssize_t rows) noexcept nogil:
    """out = start + the sums over the patches of a, for b the weight."""
    cdef const Geometry* g = call.geometry
    cdef Py_ssize_t outputs = g.out_channels // g.groups, o = g.out_channels, of_a_sample = g.out_height * g.out_width
    cdef Py_ssize_t depth = g.kernel_height * g.kernel_width * (g.channels // g.groups), size = min(depth, PATCH_DEPTH)
    cdef Py_ssize_t block = patches_at_a_time(size), s = 0, samples, group, t, k, end, terms, from_step
    cdef Patches source = patches_of(g, rows)
    cdef const real* origin
    cdef real* y
    if (g.groups == 1 and g.stride_x == 1 and 2 * o <= LANES and o <= NARROW_ROWS and depth <= PATCH_DEPTH
            and source.padded.height * source.padded.width * g.channels <= PADDED_ELEMENTS):
        narrow_convolution(call, &source.padded, rows)
        return
    while s < rows:
        samples = min(rows - s, source.samples)
        take_samples(&source, g, call, s, samples, rows)
        for group in range(g.groups):
            t = 0
            while t < samples * of_a_sample:
                end = min(t + block, samples * of_a_sample)
                y = call.out.at + (s * of_a_sample + t) * o + group * outputs
                origin, from_step = NULL, 0
                if call.start.at is not NULL:
                    origin = call.start.at + group * outputs
                k = 0
                while k < depth:
                    terms = min(depth - k, size)
                    form_patches(source.geometry, source.x, source.end, group, t, end, k, k + terms, PATCHES)
                    gemm(end - t, outputs, terms, PATCHES, terms, 1, call.b.at + k * o + group * outputs, o, 1,
                         origin, from_step, y, o)
                    origin, from_step = y, o
                    k += terms
                t = end
        s += samples


# For few outputs the lanes run over the places of a line, each channel of the image being a plane.

cdef inline void narrow_tile(
    const int rows, Py_ssize_t depth, const real* planes, const real* weight, const real* start, real* out
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
            store(out + (r * 2 + v) * LANES, acc[r][v])


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
                    narrow_tile(2, depth, planes, NARROW, start, found)
                elif height == 4:
                    narrow_tile(4, depth, planes, NARROW, start, found)
                elif height == 6:
                    narrow_tile(6, depth, planes, NARROW, start, found)
                else:
                    narrow_tile(8, depth, planes, NARROW, start, found)
                pack(found, 1, 2 * LANES, min(g.out_width - ox, 2 * LANES), o,
                     call.out.at + n * call.out.s0 + (oy * g.out_width + ox) * o, o)
                ox += 2 * LANES


cdef void convolution_input_gradient(Call* call, Py_ssize_t rows) noexcept nogil:
    """out = the sums for a = dy, b the weight.

    A window's line of taps is a run of columns of dx, and the samples are the rows of a product whose sums begin at
    what is there. The lines, and the panels of each, are taken from the last to the first: then an element of dx
    meets the positions p in their order.
    """
    cdef const Geometry* g = call.geometry
    cdef Py_ssize_t channels = g.channels // g.groups, outputs = g.out_channels // g.groups, o = g.out_channels
    cdef Py_ssize_t taps = taps_of_a_run(g), run = taps * channels, of_line = g.kernel_width // taps
    cdef Py_ssize_t panel = max(min(PANEL_N, PANEL_K * PANEL_N // outputs), 1), bs0 = PANEL_N
    cdef Py_ssize_t s = 0, samples, group, r, j, width, oy, ox, iy, ix, low, high
    cdef const real* b
    cdef const real* turned
    cdef const real* dy
    cdef real* dx
    memset(call.out.at, 0, rows * call.cols * sizeof(real))
    while s < rows:
        samples = min(rows - s, PATCH_SAMPLES)
        for group in range(g.groups):
            for r in range(g.kernel_height * of_line - 1, -1, -1):
                j = (run - 1) // panel * panel
                while j >= 0:
                    width = min(run - j, panel)
                    b = call.b.at + (r * run + j) * o + group * outputs
                    if outputs <= PANEL_K * PANEL_N:
                        bs0 = panel
                        pack(b, 1, o, outputs, width, B_PANEL, bs0)
                        b = B_PANEL
                    else:  # a panel of one column, which needs no turning
                        bs0 = 1
                    for oy in range(g.out_height):
                        iy = oy * g.stride_y - g.top + r // of_line * g.dilation_y
                        if not 0 <= iy < g.height:
                            continue
                        for ox in range(g.out_width):
                            ix = ox * g.stride_x - g.left + r % of_line * g.dilation_x
                            low, high = max(j, -ix * channels), min(j + width, (g.width - ix) * channels)
                            if low < high:
                                turned = b + low - j
                                dy = call.a.at + s * call.a.s0 + (oy * g.out_width + ox) * o + group * outputs
                                dx = (call.out.at + s * call.out.s0 + (iy * g.width + ix) * g.channels
                                      + group * channels + low)
                                any_column(high - low, samples, outputs, dy, call.a.s0, 1, turned, bs0,
                                           dx, call.out.s0, dx, call.out.s0)
                    j -= panel
        s += samples


cdef void convolution_weight_gradient(Call* call, Py_ssize_t rows) noexcept nogil:
    """out += the sums for a = x, b = dy; overwrite: not +=. Of few outputs the transpose is summed, in full vectors."""
    cdef const Geometry* g = call.geometry
    cdef Py_ssize_t outputs = g.out_channels // g.groups, o = g.out_channels, of_a_sample = g.out_height * g.out_width
    cdef Py_ssize_t last = call.first + call.depth, size = min(call.depth, PATCH_DEPTH)
    cdef Py_ssize_t block = patches_at_a_time(size), s, samples, group, t, k = call.first, end, terms
    cdef Patches source = patches_of(g, rows)
    cdef bint turns = outputs <= NARROW_ROWS and 4 * outputs * ((size + LANES - 1) // LANES) < 3 * size
    cdef const real* start
    cdef const real* dy
    cdef real* dweight
    while k < last:
        terms = min(last - k, size)
        for group in range(g.groups):
            dweight = call.out.at + k * o + group * outputs
            start = NULL
            if not call.overwrite:
                start = dweight
            if turns and not call.overwrite:
                pack(dweight, 1, o, outputs, terms, NARROW, terms)
                start = NARROW
            s = 0
            while s < rows:
                samples = min(rows - s, source.samples)
                take_samples(&source, g, call, s, samples, rows)
                t = 0
                while t < samples * of_a_sample:
                    end = min(t + block, samples * of_a_sample)
                    form_patches(source.geometry, source.x, source.end, group, t, end, k, k + terms, PATCHES)
                    dy = call.b.at + (s * of_a_sample + t) * o + group * outputs
                    if turns:
                        gemm(outputs, terms, end - t, dy, 1, o, PATCHES, terms, 1, start, terms, NARROW, terms)
                        start = NARROW
                    else:
                        gemm(terms, outputs, end - t, PATCHES, 1, terms, dy, o, 1, start, o, dweight, o)
                        start = dweight
                    t = end
                s += samples
            if turns:
                pack(NARROW, 1, terms, terms, outputs, dweight, o)
        k += terms


register(b"convolution", convolution, WINDOWS | BY_NAME,
         b"y[n, p, o] = bias[o] + sum over k of patch[n, p, k] weight[k, o].")
register(b"convolution_input_gradient", convolution_input_gradient, WINDOWS | BY_NAME,
         b"dx = the sums over p of dy[n, p, o] weight[k, o], at what element k of patch p is of x.")
register(b"convolution_weight_gradient", convolution_weight_gradient, WINDOWS | BY_NAME,
         b"dweight[k, o] += sum over n, p of patch[n, p, k] dy[n, p, o].")


cdef void turned(Call* call, Py_ssize_t rows) noexcept nogil:
    """Each row of a as a matrix of ``depth`` rows, transposed: channels first become channels last, or the reverse."""
    cdef Py_ssize_t n, width = call.cols // call.depth
    for n in range(rows):
        pack(call.a.at + n * call.a.s0, 1, width, width, call.depth, call.out.at + n * call.out.s0, call.depth)


register(b"turned", turned, BY_NAME, b"y[n] = x[n] transposed, for x[n] as a matrix of this many rows.")
