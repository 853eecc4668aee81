# Pooling: what windows see of each channel, as one number. Images lie as those of convolutions do. Adaptive windows
# divide the image: from floor(i H / H') to ceil((i + 1) H / H').
#
#     max       y = the largest x;  dy goes to the first of the largest (of NaN: to the last)
#     average   y = the sum of x, line by line, divided by how many there are;  dx += dy / how many

cdef struct Window:  # the taps that lie in the image: rows y, y + dilation_y, ... and likewise columns
    Py_ssize_t y, x, height, width
    real count       # what an average divides by


cdef inline void taps_inside(
    Py_ssize_t begin, Py_ssize_t taps, Py_ssize_t dilation, Py_ssize_t size, Py_ssize_t* first, Py_ssize_t* many
) noexcept nogil:
    """Of the taps begin, begin + dilation, ...: the first that is not negative, and how many are below size."""
    cdef Py_ssize_t outside
    if dilation == 1:  # nothing to divide
        first[0] = max(begin, 0)
        many[0] = max(min(begin + taps, size) - first[0], 0)
        return
    outside = (-begin + dilation - 1) // dilation if begin < 0 else 0
    first[0] = begin + outside * dilation
    many[0] = max(min(taps - outside, (size - first[0] + dilation - 1) // dilation if first[0] < size else 0), 0)


cdef inline Window window_at(const Geometry* g, Py_ssize_t oy, Py_ssize_t ox) noexcept nogil:
    cdef Window w
    cdef Py_ssize_t y, x
    if g.divisor == ADAPTIVE:
        w.y, w.x = oy * g.height // g.out_height, ox * g.width // g.out_width
        w.height = ((oy + 1) * g.height + g.out_height - 1) // g.out_height - w.y
        w.width = ((ox + 1) * g.width + g.out_width - 1) // g.out_width - w.x
        w.count = <real>(w.height * w.width)
        return w
    y, x = oy * g.stride_y - g.top, ox * g.stride_x - g.left
    taps_inside(y, g.kernel_height, g.dilation_y, g.height, &w.y, &w.height)
    taps_inside(x, g.kernel_width, g.dilation_x, g.width, &w.x, &w.width)
    if g.divisor == INSIDE:
        w.count = <real>(w.height * w.width)
    elif g.divisor == WITH_PADDING:  # as much of it as there is
        w.count = <real>(min(g.kernel_height, g.height + g.top - y) * min(g.kernel_width, g.width + g.left - x))
    else:
        w.count = <real>g.divisor
    return w


cdef inline vec first_largest(
    const Py_ssize_t height, const Py_ssize_t width, const real* x, Py_ssize_t line, Py_ssize_t step, Py_ssize_t n,
    vec* which
) noexcept nogil:
    """The largest of height x width taps at x, and the number of the tap that it is. (A window of constant size
    unrolls.)"""
    cdef vec largest = broadcast(-INFINITY), value, number
    cdef Py_ssize_t ky, kx
    which[0] = broadcast(0)
    for ky in range(height):
        for kx in range(width):
            value = load_strided(x + ky * line + kx * step, 1, n)
            number = broadcast(<real>(ky * width + kx))
            which[0] = choose(greater(value, largest), number, choose(not_less(value, value), which[0], number))
            largest = choose(greater(value, largest), value, choose(not_less(value, value), largest, value))
    return largest


cdef inline vec of_same(vec a, vec b, vec same, vec other) noexcept nogil:
    """same where a = b, other elsewhere."""
    return choose(greater(a, b), other, choose(greater(b, a), other, same))


cdef void max_pool(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef const Geometry* g = call.geometry
    cdef Py_ssize_t n, oy, ox, c, lanes, line = g.dilation_y * g.width * g.channels, step = g.dilation_x * g.channels
    cdef const real* x
    cdef real* y = call.out.at
    cdef Window w
    cdef vec which, largest
    if lie_in_pairs(g):
        max_pool_pairs(call, rows)
        return
    for n in range(rows):
        for oy in range(g.out_height):
            taps_inside(oy * g.stride_y - g.top, g.kernel_height, g.dilation_y, g.height, &w.y, &w.height)
            for ox in range(g.out_width):
                taps_inside(ox * g.stride_x - g.left, g.kernel_width, g.dilation_x, g.width, &w.x, &w.width)
                x = call.a.at + n * call.a.s0 + (w.y * g.width + w.x) * g.channels
                c = 0
                while c < g.channels:
                    lanes = min(g.channels - c, LANES)
                    if w.height == 2 and w.width == 2:
                        largest = first_largest(2, 2, x + c, line, step, lanes, &which)
                    else:
                        largest = first_largest(w.height, w.width, x + c, line, step, lanes, &which)
                    store_first(y + c, largest, lanes)
                    c += LANES
                y += g.channels


cdef inline bint divide_the_image(const Geometry* g) noexcept nogil:
    """Whether each element of the image is in one window."""
    return (g.stride_y == g.kernel_height and g.stride_x == g.kernel_width and g.dilation_y == g.dilation_x == 1
            and g.top == g.left == 0 and g.out_height * g.stride_y == g.height and g.out_width * g.stride_x == g.width)


cdef inline void give_to_the_largest(
    const Py_ssize_t height, const Py_ssize_t width, const real* x, real* dx, const real* dy, Py_ssize_t line,
    Py_ssize_t step, Py_ssize_t lanes, const bint alone, bint relu
) noexcept nogil:
    """dx += dy at the largest of the taps; alone: dx = that, and zero at the others; relu: only where x > 0 or NaN."""
    cdef Py_ssize_t ky, kx
    cdef real* at
    cdef vec which, before, gradient = load_strided(dy, 1, lanes)
    before = first_largest(height, width, x, line, step, lanes, &which)
    if relu:
        gradient = choose(not_less(broadcast(0), before), broadcast(0), gradient)
    for ky in range(height):
        for kx in range(width):
            at = dx + ky * line + kx * step
            before = broadcast(0) if alone else load_strided(at, 1, lanes)
            store_first(at, of_same(which, broadcast(<real>(ky * width + kx)), before + gradient, before), lanes)


cdef void max_pool_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    """out = dx for a = dy and b = x; with a setting ReLU's derivative of that, for x what ReLU gave.

    Where windows divide the image, there is nothing in dx to add to.
    """
    cdef const Geometry* g = call.geometry
    cdef bint alone = divide_the_image(g), relu = call.settings.value != 0
    cdef Py_ssize_t n, oy, ox, c, lanes, line = g.dilation_y * g.width * g.channels, step = g.dilation_x * g.channels
    cdef const real* dy = call.a.at
    cdef const real* x
    cdef real* dx
    cdef Window w
    if not alone:
        memset(call.out.at, 0, rows * call.cols * sizeof(real))
    if lie_in_pairs(g):
        max_pool_pairs_backward(call, rows)
        return
    for n in range(rows):
        for oy in range(g.out_height):
            taps_inside(oy * g.stride_y - g.top, g.kernel_height, g.dilation_y, g.height, &w.y, &w.height)
            for ox in range(g.out_width):
                taps_inside(ox * g.stride_x - g.left, g.kernel_width, g.dilation_x, g.width, &w.x, &w.width)
                x = call.b.at + n * call.b.s0 + (w.y * g.width + w.x) * g.channels
                dx = call.out.at + n * call.out.s0 + (w.y * g.width + w.x) * g.channels
                c = 0
                while c < g.channels:
                    lanes = min(g.channels - c, LANES)
                    if alone and w.height == 2 and w.width == 2:
                        give_to_the_largest(2, 2, x + c, dx + c, dy + c, line, step, lanes, True, relu)
                    else:
                        give_to_the_largest(w.height, w.width, x + c, dx + c, dy + c, line, step, lanes, alone, relu)
                    c += LANES
                dy += g.channels


cdef void max_pool_pick(Call* call, Py_ssize_t rows) noexcept nogil:
    """out = a at where b has the largest of each window."""
    cdef const Geometry* g = call.geometry
    cdef Py_ssize_t n, oy, ox, c, width, ky, kx, at
    cdef real* y = call.out.at
    cdef Window w
    cdef vec which, found
    for n in range(rows):
        for oy in range(g.out_height):
            for ox in range(g.out_width):
                w = window_at(g, oy, ox)
                c = 0
                while c < g.channels:
                    width = min(g.channels - c, LANES)
                    at = (w.y * g.width + w.x) * g.channels + c
                    first_largest(w.height, w.width, call.b.at + n * call.b.s0 + at,
                                  g.dilation_y * g.width * g.channels, g.dilation_x * g.channels, width, &which)
                    found = broadcast(0)
                    for ky in range(w.height):
                        for kx in range(w.width):
                            found = of_same(
                                which, broadcast(<real>(ky * w.width + kx)),
                                load_strided(call.a.at + n * call.a.s0 + at
                                             + (ky * g.dilation_y * g.width + kx * g.dilation_x) * g.channels,
                                             1, width), found)
                    store_first(y + c, found, width)
                    c += LANES
                y += g.channels


cdef void average_pool(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef const Geometry* g = call.geometry
    cdef Py_ssize_t n, oy, ox, c, width, ky, kx
    cdef const real* x
    cdef real* y = call.out.at
    cdef Window w
    cdef vec total
    for n in range(rows):
        for oy in range(g.out_height):
            for ox in range(g.out_width):
                w = window_at(g, oy, ox)
                x = call.a.at + n * call.a.s0 + (w.y * g.width + w.x) * g.channels
                c = 0
                while c < g.channels:
                    width = min(g.channels - c, LANES)
                    total = broadcast(0)
                    for ky in range(w.height):
                        for kx in range(w.width):
                            total = total + load_strided(
                                x + c + (ky * g.dilation_y * g.width + kx * g.dilation_x) * g.channels, 1, width)
                    store_first(y + c, total / broadcast(w.count), width)
                    c += LANES
                y += g.channels


cdef void average_pool_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    """out = dx for a = dy."""
    cdef const Geometry* g = call.geometry
    cdef Py_ssize_t n, oy, ox, c, width, ky, kx
    cdef const real* dy = call.a.at
    cdef real* dx
    cdef real* at
    cdef Window w
    cdef vec share
    memset(call.out.at, 0, rows * call.cols * sizeof(real))
    for n in range(rows):
        for oy in range(g.out_height):
            for ox in range(g.out_width):
                w = window_at(g, oy, ox)
                dx = call.out.at + n * call.out.s0 + (w.y * g.width + w.x) * g.channels
                c = 0
                while c < g.channels:
                    width = min(g.channels - c, LANES)
                    share = load_strided(dy + c, 1, width) / broadcast(w.count)
                    for ky in range(w.height):
                        for kx in range(w.width):
                            at = dx + c + (ky * g.dilation_y * g.width + kx * g.dilation_x) * g.channels
                            store_first(at, load_strided(at, 1, width) + share, width)
                    c += LANES
                dy += g.channels


register(b"max_pool", max_pool, WINDOWS | BY_NAME, b"y = the largest x of each window; NaN, if there is one.")
register(b"max_pool_backward", max_pool_backward, WINDOWS | BY_NAME,
         b"dx = the sums of the dy whose windows have their first largest x (or last NaN) there.")
register(b"max_pool_pick", max_pool_pick, WINDOWS | BY_NAME,
         b"y = u at the first largest x (or last NaN) of each window.")
register(b"average_pool", average_pool, WINDOWS | BY_NAME, b"y = the sum of the x of each window, divided by a count.")
register(b"average_pool_backward", average_pool_backward, WINDOWS | BY_NAME,
         b"dx = the sums of dy / count over the windows that see an x.")
