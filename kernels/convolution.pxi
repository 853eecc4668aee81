# Convolutions over images, of N samples that lie row by row: x as (H, W, C), y as (H', W', O), the weight as
# (kh, kw, C / groups, O). A vector of length L is an image of one line. For each group of C' = C / groups channels:
#
#     y[n, p, o]        = bias[o] + sum over k of patch[n, p, k] weight[k, o]      k = (ky, kx, c)
#     dx[n, i, c]      += sum over p of dy[n, p, o] weight[k, o]          for each i = p stride - pad + k dilation
#     dweight[k, o]    += sum over n, p of patch[n, p, k] dy[n, p, o]
#
# A patch is what a window sees, zero where it hangs over the edge. Each sum is one chain of fused multiply-adds, the
# last index of the sum fastest. The chain of dx is over columns of positions, over the positions of each, and over o;
# it leaves out the positions that there are none of.


cdef void convolution(Call* call, Py_ssize_t rows) noexcept nogil:
    """out = start + the sums over the patches of a, for b the weight; with a setting ReLU of it."""
    cdef const Geometry* g = call.geometry
    cdef Py_ssize_t outputs = g.out_channels // g.groups, o = g.out_channels, of_a_sample = g.out_height * g.out_width
    cdef Py_ssize_t depth = g.kernel_height * g.kernel_width * (g.channels // g.groups), size = min(depth, PATCH_DEPTH)
    cdef Py_ssize_t block = patches_at_a_time(size), s = 0, samples, group, t, k, end, terms, from_step
    cdef Patches source = patches_of(g, rows)
    cdef const real* origin
    cdef real* y
    if convolution_is_narrow(g, &source.padded):
        narrow_convolution(call, &source.padded, rows)
        return
    if convolution_walks(g, &source):
        walking_convolution(call, rows)
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
    if call.settings.value != 0:
        relu_in_place(call.out.at, rows * call.cols)


cdef void relu_in_place(real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j = 0, lanes
    while j < n:
        lanes = min(n - j, LANES)
        store_first(y + j, larger(broadcast(0), load_strided(y + j, 1, lanes)), lanes)
        j += LANES


cdef inline Py_ssize_t taps_apart(const Geometry* g) noexcept nogil:
    """Of the taps of a column, every how many-th meets one line of the image."""
    cdef Py_ssize_t a = g.stride_y, b = g.dilation_y, rest
    while b:
        rest = a % b
        a, b = b, rest
    return g.stride_y // a


cdef inline Py_ssize_t turned_columns(const Geometry* g) noexcept nogil:
    """The columns of a panel of turned weights: whole vectors, as far as A_BLOCK holds a column's taps; or one."""
    cdef Py_ssize_t terms = g.kernel_height * (g.out_channels // g.groups)
    return PANEL_N if (terms + 1) * PANEL_N <= A_ELEMENTS else LANES if (terms + 2) * LANES <= A_ELEMENTS else 1


cdef void add_from_places(
    Call* call, const Walk* walk, const real* b, Py_ssize_t s, Py_ssize_t samples, Py_ssize_t dy, Py_ssize_t dx,
    Py_ssize_t width, bint turned
) noexcept nogil:
    """dx += the sums over one column of places, for samples from s on; dy and dx say where in a sample these begin."""
    cdef const real* a = call.a.at + s * call.a.s0 + dy
    cdef real* out = call.out.at + s * call.out.s0 + dx
    cdef Py_ssize_t line
    if turned:
        walk_all(samples, width, walk, a, b, out, call.out.s0, out, call.out.s0)
        return
    for line in range(walk.lines):  # a single column of the weight, too long to be copied
        any_column(1, samples, walk.terms, a + line * walk.a_line, call.a.s0, 1, b + line * walk.b_line, 1,
                   out, call.out.s0, out, call.out.s0)


cdef void convolution_input_gradient(Call* call, Py_ssize_t rows) noexcept nogil:
    """out = the sums for a = dy, b the weight.

    A line of taps is a run of columns of dx, and the samples are the rows of a product whose sums begin at what is
    there. Each passes over a column of places, whose windows meet one line of the image in their taps from the last to
    the first. The runs, and the panels of each, are taken from the last to the first, too: then an element of dx meets
    the columns of places in their order.
    """
    cdef const Geometry* g = call.geometry
    cdef Py_ssize_t channels = g.channels // g.groups, outputs = g.out_channels // g.groups, o = g.out_channels
    cdef Py_ssize_t taps = taps_of_a_run(g), run = taps * channels, of_line = g.kernel_width // taps
    cdef Py_ssize_t panel = turned_columns(g), apart = taps_apart(g), step, tap
    cdef Py_ssize_t s = 0, samples, group, r, j, width, oy, ox, iy, ix, ky, low, high, place
    cdef const real* weight
    cdef Walk walk
    memset(call.out.at, 0, rows * call.cols * sizeof(real))
    walk.relu = False
    walk.blocks, walk.terms = 1, outputs
    walk.a_block, walk.a_term, walk.a_row = 0, 1, call.a.s0
    walk.a_line = g.dilation_y * apart // g.stride_y * g.out_width * o
    while s < rows:
        samples = min(rows - s, PATCH_SAMPLES)
        for group in range(g.groups):
            for r in range(of_line - 1, -1, -1):
                j = (run - 1) // panel * panel
                while j >= 0:
                    width = min(run - j, panel)
                    weight = call.b.at + (r * run + j) * o + group * outputs
                    tap, walk.b_term = g.kernel_width * channels * o, 1  # from one tap of a column to the next
                    if panel > 1:
                        step = whole_vectors(width)
                        for ky in range(g.kernel_height):
                            pack(weight + ky * tap, 1, o, outputs, width, A_BLOCK + ky * outputs * step, step)
                        weight, tap, walk.b_term = A_BLOCK, outputs * step, step
                    walk.b_block, walk.b_line = 0, -apart * tap
                    for iy in range(g.height):
                        walk.lines = place = high = 0
                        for ky in range(g.kernel_height - 1, -1, -1):
                            oy = iy + g.top - ky * g.dilation_y
                            if oy >= 0 and oy % g.stride_y == 0 and oy // g.stride_y < g.out_height:
                                if walk.lines == 0:
                                    place, high = oy // g.stride_y * g.out_width, ky
                                walk.lines += 1
                        ky = high
                        if walk.lines == 0:
                            continue
                        for ox in range(g.out_width):
                            ix = ox * g.stride_x - g.left + r * g.dilation_x
                            low, high = max(j, -ix * channels), min(j + width, (g.width - ix) * channels)
                            if low < high:
                                add_from_places(
                                    call, &walk, weight + ky * tap + (low - j if panel > 1 else 0), s, samples,
                                    (place + ox) * o + group * outputs,
                                    (iy * g.width + ix) * g.channels + group * channels + low, high - low, panel > 1)
                    j -= panel
        s += samples


cdef void convolution_weight_gradient(Call* call, Py_ssize_t rows) noexcept nogil:
    """out += the sums for a = x, b = dy, of the rows of the weight from ``first`` on; overwrite: not +=."""
    cdef const Geometry* g = call.geometry
    cdef Py_ssize_t outputs = g.out_channels // g.groups, o = g.out_channels, of_a_sample = g.out_height * g.out_width
    cdef Py_ssize_t last = call.first + call.depth, size = min(call.depth, PATCH_DEPTH)
    cdef Py_ssize_t block = patches_at_a_time(size), s, samples, group, t, k = call.first, end, terms
    cdef Patches source = patches_of(g, rows)
    cdef const real* start
    cdef const real* dy
    cdef real* dweight
    if weight_gradient_is_narrow(g, &source):
        narrow_weight_gradient(call, rows)
        return
    if weight_gradient_walks(g, &source):
        walking_weight_gradient(call, rows)
        return
    while k < last:
        terms = min(last - k, size)
        for group in range(g.groups):
            dweight = call.out.at + k * o + group * outputs
            start = NULL
            if not call.overwrite:
                start = dweight
            s = 0
            while s < rows:
                samples = min(rows - s, source.samples)
                take_samples(&source, g, call, s, samples, rows)
                t = 0
                while t < samples * of_a_sample:
                    end = min(t + block, samples * of_a_sample)
                    form_patches(source.geometry, source.x, source.end, group, t, end, k, k + terms, PATCHES)
                    dy = call.b.at + (s * of_a_sample + t) * o + group * outputs
                    gemm(terms, outputs, end - t, PATCHES, 1, terms, dy, o, 1, start, o, dweight, o)
                    start = dweight
                    t = end
                s += samples
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
