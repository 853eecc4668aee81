# A stretch: many steps of a program in one call, without Python between them, while other Python threads may run.
#
# It makes the steps that as many calls of Program.run() make, with the same bits, and it is made for steps without a
# Python function in them. What a step has to prepare in Python (new settings, other parameters to be updated, a guard
# that fails) is left to a single step: the stretch refuses, having done nothing.
#
# What other threads can change meanwhile is copied before it is checked (order, labels), or held (arrays). A change of
# the model, or of the optimizer's settings, is seen by the next stretch.

cdef struct Stretch:
    const Py_ssize_t* order
    Py_ssize_t size, batch, steps
    Py_ssize_t samples         # that there are
    Matrix x, t
    const int64_t* labels
    Py_ssize_t label_step
    const real* output         # of ``outputs`` columns, and the class of each sample; or NULL
    Py_ssize_t outputs
    const int64_t* truth
    real threshold
    const Moving* moving       # of each update
    Py_ssize_t updates
    const double* settings     # of each update in each step; or NULL, for the present ones
    double* losses
    double total
    Py_ssize_t wrong


cdef list read_data(Program program, Stretch* s, samples, target, output, truth, double threshold):
    """Read where the samples, the target and what is compared lie; what holds them. Refusal if they don't fit."""
    cdef const real[:, :] x, t
    cdef const real[:, ::1] z
    cdef const int64_t[:] labels
    cdef const int64_t[::1] classes
    given = [samples, target, *(() if truth is None else (output, truth))]
    if any([type(array) is not NDARRAY for array in given]):
        raise Refusal("expected NumPy arrays")
    try:
        x = samples
        s.samples = x.shape[0]
        fill(&s.x, x, s.samples, program.width)
        if program.classes:
            labels = target
            if labels.shape[0] != s.samples or (<size_t>&labels[0] | <size_t>labels.strides[0]) % sizeof(int64_t):
                raise Refusal("expected a label for each sample")
            s.labels, s.label_step = &labels[0], labels.strides[0] // <Py_ssize_t>sizeof(int64_t)
        elif program.target_width:
            t = target
            fill(&s.t, t, s.samples, program.target_width)
        if truth is not None:
            z, classes = output, truth
            if z.shape[0] < program.capacity or classes.shape[0] != s.samples:
                raise Refusal("expected an output for each row, and a class for each sample")
            if <size_t>&z[0, 0] % sizeof(real) or <size_t>&classes[0] % sizeof(int64_t):
                raise Refusal(MISALIGNED)
            s.output, s.outputs, s.truth, s.threshold = &z[0, 0], z.shape[1], &classes[0], <real>threshold
    except (TypeError, ValueError, BufferError) as error:
        raise Refusal(str(error)) from None
    return [lock(array) for array in given]


cdef stretch(Program program, samples, target, order, Py_ssize_t batch, double total, output, truth, double threshold,
             settings):
    """What Program.steps() returns."""
    cdef Stretch s
    cdef const Py_ssize_t[::1] index
    cdef const double[:, ::1] numbers_of
    cdef Py_ssize_t i, done
    cdef Update update
    cdef PyThreadState* state
    cdef void* memory
    memset(&s, 0, sizeof(Stretch))
    held = read_data(program, &s, samples, target, output, truth, threshold)
    given = [order, *(() if settings is None else (settings,))]
    if any([type(array) is not NDARRAY for array in given]):
        raise Refusal("expected NumPy arrays")
    try:
        index = order
        if settings is not None:
            numbers_of = settings
    except (TypeError, ValueError, BufferError) as error:
        raise Refusal(str(error)) from None
    s.size, s.batch, s.updates, s.total = index.shape[0], batch, len(program.updates), total
    if batch < 1 or s.size < 1 or min(batch, s.size) > program.capacity:
        raise Refusal(f"expected 1 to {program.capacity} rows")
    s.steps = (s.size - 1) // batch + 1
    if settings is not None and (numbers_of.shape[0] < s.steps
                                 or numbers_of.shape[1] != s.updates * MOST_SETTINGS):
        raise Refusal("expected settings for each step")
    if settings is not None and s.updates:
        if <size_t>&numbers_of[0, 0] % sizeof(double):
            raise Refusal(MISALIGNED)
        s.settings = &numbers_of[0, 0]
    if program.guard_failed() or not program.compiled_throughout:
        raise Refusal("a single step is needed")
    for update in program.updates:
        if not (settings is not None or update.settings_stand()) or not update.calls_fit(False):
            raise Refusal("the update is to be prepared")
    held += [*[lock(array) for array in given], *program.update_arrays]
    memory = malloc(s.size * sizeof(Py_ssize_t) + s.steps * sizeof(double) + s.updates * sizeof(Moving))
    if memory is NULL:
        raise MemoryError
    try:
        s.losses = <double*>memory
        s.moving = <Moving*>(s.losses + s.steps)
        s.order = <Py_ssize_t*>(s.moving + s.updates)
        for i in range(s.updates):
            (<Moving*>s.moving)[i] = (<Update>program.updates[i]).moving()
        memcpy(<void*>s.order, &index[0], s.size * sizeof(Py_ssize_t))
        for i in range(s.size):
            if not 0 <= s.order[i] < s.samples:
                raise Refusal(f"expected indices from 0 to {s.samples - 1}, got {s.order[i]}")
        state = released(program.work * s.size)
        done = run_stretch(program, &s)
        regained(state)
        return [s.losses[i] for i in range(done)], s.total, s.wrong
    finally:
        free(memory)


cdef Py_ssize_t run_stretch(Program program, Stretch* s) noexcept nogil:
    """Make the steps; the number of losses. It ends before labels that do not fit, and with a loss that is not finite.
    """
    cdef Py_ssize_t step, i, begin = 0, rows
    cdef const Moving* moving
    cdef const double* numbers
    cdef Matrix* t = &program.gathered_target if program.target_width else &s.t
    for step in range(s.steps):
        rows = min(s.batch, s.size - begin)
        if s.labels is not NULL and not gather_labels(program, s, s.order + begin, rows):
            return step
        gather(&s.x, program.width, s.order + begin, rows, &program.gathered)
        if program.target_width:
            gather(&s.t, program.target_width, s.order + begin, rows, &program.gathered_target)
        program.set_batch(&program.gathered, t)
        program.run_kernels(0, program.loss_end, rows)
        s.losses[step] = program.loss_value
        if not isfinite(program.loss_value):
            return step + 1
        for i in range(program.cleared_count if step == 0 else 0):
            program.marked[i].has_grad = False
        for i in range(program.reached_count if step == 0 else 0):
            program.reached[i].has_grad = True
        for i in range(program.update_begin, program.count):
            moving = &s.moving[program.calls[i].group]
            numbers = moving.numbers
            if s.settings is not NULL:
                numbers = s.settings + (step * s.updates + program.calls[i].group) * MOST_SETTINGS
            set_numbers(moving, numbers, program.calls[i])
        for i in range(s.updates):
            count_update(&s.moving[i])
        program.run_kernels(program.loss_end, program.count, rows)
        s.total += program.loss_value * <double>rows
        s.wrong += <Py_ssize_t>program.wrong_value if s.truth is NULL else misclassified(s, s.order + begin, rows)
        begin += rows
    return s.steps


cdef bint gather_labels(Program program, const Stretch* s, const Py_ssize_t* index, Py_ssize_t rows) noexcept nogil:
    """Copy the labels of a batch; whether they fit."""
    cdef Py_ssize_t i
    cdef int64_t outside = 0
    for i in range(rows):
        program.labels[i] = s.labels[index[i] * s.label_step]
        outside += <uint64_t>program.labels[i] >= <uint64_t>program.classes
    return outside == 0


cdef Py_ssize_t misclassified(const Stretch* s, const Py_ssize_t* index, Py_ssize_t rows) noexcept nogil:
    """The rows of a batch whose class is not the first of the largest outputs or, of one, the side of the threshold."""
    cdef Py_ssize_t i, j, found, wrong = 0
    cdef const real* z = s.output
    for i in range(rows):
        found = z[0] > s.threshold if s.outputs == 1 else 0
        for j in range(1, s.outputs):
            if z[j] > z[found]:
                found = j
        wrong += found != s.truth[index[i]]
        z += s.outputs
    return wrong
