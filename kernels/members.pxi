# Members: networks that a program trains one after the other in one call. Each one's values and gradients are copied
# to where the program has its own, trained epoch by epoch as by Program.steps(), and copied back.
#
# Between two networks there is no Python, so that threads, each with a program, do not wait for each other.

cdef extern from "clock.h" nogil:
    double seconds_now()

cdef struct Members:
    Py_ssize_t count, epochs
    Py_ssize_t spans, states, parameters  # of each: values or gradients, an optimizer's state, parameters
    real** own          # (1 + count, spans + states): the program's, then those of each network
    Py_ssize_t* sizes   # (spans + states,)
    Facts** facts       # (1 + count, parameters)
    const Py_ssize_t* orders  # (count, epochs, rows of an epoch)
    const double* numbers     # (count, settings of the update)
    # What is found
    double* losses      # (count, epochs, steps)
    double* totals      # (count, epochs), as the next three
    double* seconds     # since the network's begin
    Py_ssize_t* wrong
    Py_ssize_t* done    # losses
    long long* seen     # (count, parameters): updates


cdef members(Program program, samples, target, Py_ssize_t batch, output, truth, double threshold,
             const Py_ssize_t[:, :] orders, Py_ssize_t rows, const double[:, ::1] numbers, list own, list states,
             list statuses):
    """What Program.members() returns."""
    cdef Stretch s
    cdef Members m
    cdef Moving moving
    cdef Update update
    cdef Py_ssize_t i, j, k, steps
    cdef PyThreadState* state
    cdef char* memory
    memset(&s, 0, sizeof(Stretch))
    held = read_data(program, &s, samples, target, output, truth, threshold)
    m.count, s.size, s.batch = orders.shape[0], rows, batch
    if batch < 1 or rows < 1 or min(batch, rows) > program.capacity:
        raise Refusal(f"expected 1 to {program.capacity} rows")
    m.epochs = orders.shape[1] // rows
    if m.count < 1 or m.epochs < 1 or orders.shape[1] % rows:
        raise ValueError(f"expected orders of {rows} rows for each epoch")
    if program.guard_failed() or not program.compiled_throughout or len(program.updates) != 1:
        raise Refusal("a single step is needed")
    update = program.updates[0]
    if not update.calls_fit(False):
        raise Refusal("the update is to be prepared")
    if numbers.shape[0] != m.count or numbers.shape[1] != MOST_SETTINGS or not (
            len(own) == len(states) == len(statuses) == 1 + m.count):
        raise ValueError("expected settings, arrays, states and statuses for each network")
    m.spans, m.states, m.parameters = len(own[0]), len(states[0]), update.size
    s.steps, s.updates = (s.size - 1) // batch + 1, 1
    steps = m.count * m.epochs * s.steps
    memory = <char*>malloc(
        (steps + 2 * m.count * m.epochs + m.count * MOST_SETTINGS) * sizeof(double)
        + (m.count * m.epochs * (s.size + 2) + m.spans + m.states) * sizeof(Py_ssize_t)
        + m.count * m.parameters * sizeof(long long)
        + (1 + m.count) * (m.spans + m.states + m.parameters) * sizeof(void*))
    if memory is NULL:
        raise MemoryError
    try:
        m.losses = <double*>memory
        m.totals = m.losses + steps
        m.seconds = m.totals + m.count * m.epochs
        m.numbers = m.seconds + m.count * m.epochs
        m.wrong = <Py_ssize_t*>(m.numbers + m.count * MOST_SETTINGS)
        m.done = m.wrong + m.count * m.epochs
        m.orders = m.done + m.count * m.epochs
        m.sizes = <Py_ssize_t*>(m.orders + m.count * m.epochs * s.size)
        m.seen = <long long*>(m.sizes + m.spans + m.states)
        m.own = <real**>(m.seen + m.count * m.parameters)
        m.facts = <Facts**>(m.own + (1 + m.count) * (m.spans + m.states))
        for k in range(1 + m.count):
            hold(held, own[k], &m.own[k * (m.spans + m.states)], m.sizes, m.spans, k == 0)
            hold(held, states[k], &m.own[k * (m.spans + m.states) + m.spans], m.sizes + m.spans, m.states, k == 0)
            if len(statuses[k]) != m.parameters:
                raise ValueError(f"expected {m.parameters} statuses, got {len(statuses[k])}")
            for i in range(m.parameters):
                status = statuses[k][i]
                if type(status) is not Status:
                    raise TypeError(f"expected a Status, got {type(status).__name__}")
                held.append(status)
                m.facts[k * m.parameters + i] = <Facts*><size_t>status.address
        for i in range(m.count):
            for j in range(MOST_SETTINGS):
                (<double*>m.numbers)[i * MOST_SETTINGS + j] = numbers[i, j]
            for j in range(m.epochs * rows):
                if not 0 <= orders[i, j] < s.samples:
                    raise Refusal(f"expected indices from 0 to {s.samples - 1}, got {orders[i, j]}")
                (<Py_ssize_t*>m.orders)[i * m.epochs * rows + j] = orders[i, j]
        moving = update.moving()
        s.moving = &moving
        state = PyEval_SaveThread()
        train_members(program, &s, &m, &moving)
        PyEval_RestoreThread(state)
        return [found_of(&s, &m, k) for k in range(m.count)]
    finally:
        free(memory)


cdef int hold(list held, list arrays, real** at, Py_ssize_t* sizes, Py_ssize_t count, bint first) except -1:
    """Where these arrays begin, each of the size that the program's has, or, if these are the first, how large it is.

    They are held, and cannot be resized.
    """
    cdef real[::1] view
    cdef Py_ssize_t i
    if len(arrays) != count:
        raise ValueError(f"expected {count} arrays, got {len(arrays)}")
    for i in range(count):
        try:
            view = arrays[i]
        except (TypeError, ValueError, BufferError) as error:
            raise Refusal(str(error)) from None
        if first:
            sizes[i] = view.shape[0]
        elif view.shape[0] != sizes[i]:
            raise ValueError(f"expected an array of {sizes[i]} elements, got {view.shape[0]}")
        at[i] = &view[0] if sizes[i] else NOTHING
        held.append(lock(arrays[i]))
    return 0


cdef void train_members(Program program, Stretch* s, Members* m, Moving* moving) noexcept nogil:
    cdef Py_ssize_t i, k, epoch, place, width = m.spans + m.states
    cdef real** there
    cdef Facts** facts
    cdef double begin
    for k in range(m.count):
        there, facts, begin = &m.own[(1 + k) * width], &m.facts[(1 + k) * m.parameters], seconds_now()
        for i in range(m.spans):
            memcpy(m.own[i], there[i], m.sizes[i] * sizeof(real))
        for i in range(m.spans, width):
            memset(m.own[i], 0, m.sizes[i] * sizeof(real))
        for i in range(m.parameters):
            m.facts[i].has_grad, moving.counts[i] = facts[i].has_grad, 0
        moving.numbers = m.numbers + k * MOST_SETTINGS
        for epoch in range(m.epochs):
            m.done[k * m.epochs + epoch] = 0
        for epoch in range(m.epochs):
            place = k * m.epochs + epoch
            s.order, s.losses, s.total, s.wrong = m.orders + place * s.size, m.losses + place * s.steps, 0, 0
            m.done[place] = run_stretch(program, s)
            m.totals[place], m.wrong[place], m.seconds[place] = s.total, s.wrong, seconds_now() - begin
            if m.done[place] < s.steps or not isfinite(s.losses[s.steps - 1]):
                break
        for i in range(width):
            memcpy(there[i], m.own[i], m.sizes[i] * sizeof(real))
        for i in range(m.parameters):
            facts[i].has_grad, m.seen[k * m.parameters + i] = m.facts[i].has_grad, moving.counts[i]
            facts[i].version += 1


cdef tuple found_of(const Stretch* s, const Members* m, Py_ssize_t k):
    """Of a network: ([(losses, total, wrong, seconds) of each epoch that was begun], updates of each parameter)."""
    cdef Py_ssize_t i, place
    epochs = []
    for place in range(k * m.epochs, (k + 1) * m.epochs):
        if m.done[place] == 0:
            break
        epochs.append(([m.losses[place * s.steps + i] for i in range(m.done[place])], m.totals[place], m.wrong[place],
                       m.seconds[place]))
    return epochs, [m.seen[k * m.parameters + i] for i in range(m.parameters)]
