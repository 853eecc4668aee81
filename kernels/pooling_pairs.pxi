# Max pooling over windows of 2 x 2 that do not overlap, of fewer channels than a vector has lanes: several windows lie
# side by side in a vector. The pixels of m windows are 2 m pixels of two lines; a permutation brings the left pixels of
# the windows together, another the right ones, and two others put what belongs to each back in its place.

cdef extern from * nogil:
    """
    #define PERMUTES (VEC_BYTES >= 32) /* elsewhere a permutation is a loop */
    typedef struct { integer left[16], right[16], low[16], high[16]; } Orders;
    """
    const bint PERMUTES
    ctypedef struct Orders:
        integer left[16]
        integer right[16]
        integer low[16]
        integer high[16]


cdef inline mask order_of(const integer* lanes) noexcept nogil:
    return bits(load(<const real*>lanes))


cdef inline bint lie_in_pairs(const Geometry* g) noexcept nogil:
    """Whether these are such windows, and inside the image."""
    return (PERMUTES and 2 * g.channels <= 2 * LANES - g.channels and g.kernel_height == g.kernel_width == 2
            and g.stride_y == g.stride_x == 2 and g.dilation_y == g.dilation_x == 1 and g.top == g.left == 0
            and 2 * g.out_height <= g.height and 2 * g.out_width <= g.width)


cdef inline Orders orders_of(Py_ssize_t channels, Py_ssize_t windows) noexcept nogil:
    """The permutations, for so many windows in a vector. What no window needs is of the first lane."""
    cdef Orders orders
    cdef Py_ssize_t i, n = windows * channels
    for i in range(LANES):
        orders.left[i] = <integer>(i + i // channels * channels) if i < n else 0
        orders.right[i] = orders.left[i] + <integer>channels if i < n else 0
        orders.low[i] = <integer>place_of(i, channels)
        orders.high[i] = <integer>place_of(LANES + i, channels) if LANES + i < 2 * n else 0
    return orders


cdef inline Py_ssize_t place_of(Py_ssize_t i, Py_ssize_t channels) noexcept nogil:
    """Where element i of a line of pixels is among the left ones (from 0 on) and the right ones (from LANES on)."""
    cdef Py_ssize_t pixel = i // channels
    return pixel // 2 * channels + i % channels + pixel % 2 * LANES


cdef inline vec load_as_far(const real* p, Py_ssize_t n) noexcept nogil:
    """The first n lanes, or all of them, or none."""
    return load(p) if n >= LANES else load_part(p, max(n, 0))


cdef inline void store_as_far(real* p, vec v, Py_ssize_t n) noexcept nogil:
    if n >= LANES:
        store(p, v)
    elif n > 0:
        store_part(p, v, n)


cdef inline mask takes(vec value, vec largest) noexcept nogil:
    """Where a value is larger than the largest before it, or NaN."""
    return greater(value, largest) | ~not_less(value, value)


cdef void max_pool_pairs(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef const Geometry* g = call.geometry
    cdef Py_ssize_t c = g.channels, windows = LANES // c, step = windows * c, line = g.width * c, n, oy, j
    cdef Py_ssize_t width = g.out_width * c
    cdef Orders orders = orders_of(c, windows)
    cdef mask left = order_of(orders.left), right = order_of(orders.right)
    cdef const real* x
    cdef real* y = call.out.at
    cdef vec low, high, largest, value
    cdef int k
    for n in range(rows):
        x = call.a.at + n * call.a.s0
        for oy in range(g.out_height):
            j = 0
            while j < width:
                largest = broadcast(-INFINITY)
                for k in range(2):
                    low = load_as_far(x + k * line + 2 * j, 2 * (width - j))
                    high = load_as_far(x + k * line + 2 * j + LANES, 2 * (width - j) - LANES)
                    value = picked(low, high, left)
                    largest = choose(takes(value, largest), value, largest)
                    value = picked(low, high, right)
                    largest = choose(takes(value, largest), value, largest)
                store_first(y + j, largest, min(width - j, step))
                j += step
            y += width
            x += 2 * line


cdef void max_pool_pairs_backward(Call* call, Py_ssize_t rows) noexcept nogil:
    """out = dx for a = dy and b = x; with a setting zero where x is."""
    cdef const Geometry* g = call.geometry
    cdef Py_ssize_t c = g.channels, windows = LANES // c, step = windows * c, line = g.width * c, n, oy, j, left_over
    cdef Py_ssize_t width = g.out_width * c
    cdef Orders orders = orders_of(c, windows)
    cdef mask left = order_of(orders.left), right = order_of(orders.right), low = order_of(orders.low)
    cdef mask high = order_of(orders.high), second, third, fourth, first
    cdef bint relu = call.settings.value != 0
    cdef const real* x
    cdef const real* dy = call.a.at
    cdef real* dx
    cdef vec a, b, value, largest, gradient
    for n in range(rows):
        x, dx = call.b.at + n * call.b.s0, call.out.at + n * call.out.s0
        for oy in range(g.out_height):
            j = 0
            while j < width:
                left_over = 2 * min(width - j, step)
                a = load_as_far(x + 2 * j, left_over)
                b = load_as_far(x + 2 * j + LANES, left_over - LANES)
                largest, value = picked(a, b, left), picked(a, b, right)
                second = takes(value, largest)
                largest = choose(second, value, largest)
                a = load_as_far(x + line + 2 * j, left_over)
                b = load_as_far(x + line + 2 * j + LANES, left_over - LANES)
                value = picked(a, b, left)
                third = takes(value, largest)
                largest = choose(third, value, largest)
                value = picked(a, b, right)
                fourth = takes(value, largest)
                gradient = broadcast(0) + load_as_far(dy + j, min(width - j, step))
                if relu:
                    largest = choose(fourth, value, largest)
                    gradient = from_bits(bits(gradient) & ~not_less(broadcast(0), largest))
                third = third & ~fourth
                second = second & ~(third | fourth)
                first = ~(second | third | fourth)
                a, b = from_bits(bits(gradient) & first), from_bits(bits(gradient) & second)
                store_as_far(dx + 2 * j, picked(a, b, low), left_over)
                store_as_far(dx + 2 * j + LANES, picked(a, b, high), left_over - LANES)
                a, b = from_bits(bits(gradient) & third), from_bits(bits(gradient) & fourth)
                store_as_far(dx + line + 2 * j, picked(a, b, low), left_over)
                store_as_far(dx + line + 2 * j + LANES, picked(a, b, high), left_over - LANES)
                j += step
            dy += width
            x += 2 * line
            dx += 2 * line
