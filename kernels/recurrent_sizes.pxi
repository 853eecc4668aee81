# The sizes of the arrays of a recurrent operation, for those that call it: Python's functions and programs.

# states, gates, what is kept a unit and step beside the states, columns of the derivative's output: in H
cdef dict RECURRENT_SIZES = {"rnn": (1, 1, 0, 1), "lstm": (2, 4, 5, 4), "gru": (1, 3, 4, 6)}


cdef tuple recurrent_shapes(str name, Py_ssize_t a_rows, tuple b_shape, tuple settings):
    """(N, H, gates H, the shapes of a, b, the work and the output), for N sequences. ValueError for what no call takes.

    The b of a value is W^T (H, gates H), that of a derivative W; its output has a shape of its own, the value's is the
    work, a row.
    """
    cdef bint back = name.endswith("_backward")
    cdef Py_ssize_t states, gates, kept, columns, steps, n, h
    states, gates, kept, columns = RECURRENT_SIZES[name.removesuffix("_backward")]
    if len(settings) != (3 if name.startswith("rnn") else 2):
        raise TypeError(f"{name}: expected the number of steps and how they run, got {settings}")
    h = b_shape[1] if back else b_shape[0]
    steps = <Py_ssize_t>settings[0]
    parts = steps * (states if back else 1)  # of a
    if steps < 1 or h < 1 or a_rows < 1 or a_rows % parts or steps != settings[0]:
        raise ValueError(f"{name}: expected at least one of {steps} steps of each sequence, got {a_rows} rows")
    n = a_rows // parts
    work = (1, states * (steps + 1) * n * h + kept * steps * n * h)
    return (n, h, gates * h, (a_rows, h if back else gates * h), (gates * h, h) if back else (h, gates * h), work,
            ((steps + 1) * n, columns * h) if back else work)
