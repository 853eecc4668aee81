# How Python describes the geometry of windows, and the check that arrays are as large as it says.

# The parts of the operations over windows, as they are called: x of the input's size, y of the output's, w a weight
cdef dict PARTS = {
    "convolution": "xwy", "convolution_input_gradient": "ywx", "convolution_weight_gradient": "xyw",
    "max_pool": "xy", "max_pool_backward": "yxx", "max_pool_pick": "xxy",
    "average_pool": "xy", "average_pool_backward": "yx",
}

cdef enum:
    LARGEST = 1 << 30  # of a number of a geometry: no product of two of them is too large


cdef int read_geometry(Geometry* g, tuple given) except -1:
    """Take the numbers of a geometry, in the order of its fields. ValueError for those that describe none."""
    cdef Py_ssize_t* fields = <Py_ssize_t*>g
    cdef int i
    if len(given) != GEOMETRY_FIELDS:
        raise ValueError(f"expected a geometry of {GEOMETRY_FIELDS} numbers, got {len(given)}")
    for i in range(GEOMETRY_FIELDS):
        fields[i] = given[i]
        if not -LARGEST < fields[i] < LARGEST:
            raise ValueError(f"expected a geometry of moderate numbers, got {given}")
    if min(given[:GEOMETRY_SIZES]) < 1 or g.divisor < ADAPTIVE:
        raise ValueError(f"expected sizes of at least one, got {given}")
    if g.divisor == ADAPTIVE and (g.dilation_y > 1 or g.dilation_x > 1):
        raise ValueError("expected adaptive windows without gaps")
    if g.channels % g.groups or g.out_channels % g.groups:
        raise ValueError(f"expected channels that {g.groups} groups can share, got {g.channels} and {g.out_channels}")
    return 0


cdef tuple shape_of_part(const Geometry* g, str part, rows):
    """The shape of the matrix that is this part, for so many samples."""
    if part == "x":
        return rows, int(g.height) * g.width * g.channels
    if part == "y":
        return rows, int(g.out_height) * g.out_width * g.out_channels
    return int(g.kernel_height) * g.kernel_width * (g.channels // g.groups), g.out_channels


cdef int check_parts(const Geometry* g, str name, tuple shapes) except -1:
    """ValueError unless the shapes of the arrays (a, b where there is one, out) are those of the operation."""
    cdef Py_ssize_t rows = -1
    cdef str part, parts
    parts = PARTS[name]
    if "w" not in parts and g.out_channels != g.channels:
        raise ValueError(f"{name}: expected as many channels as before, got {g.channels} and {g.out_channels}")
    for part, came in zip(parts, shapes, strict=True):
        if part != "w" and rows < 0:
            rows = came[0]
        shape = shape_of_part(g, part, rows)
        if came != shape:
            raise ValueError(f"{name}: expected an array of shape {shape}, got {came}")
    return 0
