# The functions that Python calls for one operation, each made from what the operation takes and gives. If its output
# is None, a function makes the array and returns it, which is cheaper than taking in one that Python has made.

cdef inline void run_rows(Call* call, Py_ssize_t rows, Py_ssize_t operations) noexcept:
    """Run a call, unless there are no elements; other Python threads may run meanwhile if it takes long."""
    cdef PyThreadState* state
    if rows and call.cols:
        state = released(operations)
        call.run(call, rows)
        regained(state)


def unary(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] x not None, real[:, ::1] y):
        cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
        cdef Call call
        begin(&call, run)
        call.cols = m
        fill(&call.a, x, n, m)
        made = None
        if y is None:
            made = new_matrix(&call.out, n, m)
        else:
            fill(&call.out, y, n, m)
        run_rows(&call, n, 8 * n * m)
        return made

    return function


def unary_with_setting(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] x not None, real[:, ::1] y, double setting):
        cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
        cdef Call call
        begin(&call, run)
        call.cols, call.settings.value = m, setting
        fill(&call.a, x, n, m)
        made = None
        if y is None:
            made = new_matrix(&call.out, n, m)
        else:
            fill(&call.out, y, n, m)
        run_rows(&call, n, 8 * n * m)
        return made

    return function


def binary(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] dy not None, const real[:, :] x not None, real[:, ::1] dx):
        cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
        cdef Call call
        begin(&call, run)
        call.cols = m
        fill(&call.a, dy, n, m)
        fill(&call.b, x, n, m)
        made = None
        if dx is None:
            made = new_matrix(&call.out, n, m)
        else:
            fill(&call.out, dx, n, m)
        run_rows(&call, n, 8 * n * m)
        return made

    return function


def binary_with_setting(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] dy not None, const real[:, :] x not None, real[:, ::1] dx, double setting):
        cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
        cdef Call call
        begin(&call, run)
        call.cols, call.settings.value = m, setting
        fill(&call.a, dy, n, m)
        fill(&call.b, x, n, m)
        made = None
        if dx is None:
            made = new_matrix(&call.out, n, m)
        else:
            fill(&call.out, dx, n, m)
        run_rows(&call, n, 8 * n * m)
        return made

    return function


def binary_and_number(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] a not None, const real[:, :] b not None, real[:, ::1] y):
        cdef Py_ssize_t n = a.shape[0], m = a.shape[1]
        cdef double result = 0
        cdef Call call
        begin(&call, run)
        call.cols, call.number = m, &result
        fill(&call.a, a, n, m)
        fill(&call.b, b, n, m)
        made = None
        if y is None:
            made = new_matrix(&call.out, n, m)
        else:
            fill(&call.out, y, n, m)
        run_rows(&call, n, 8 * n * m)
        return result if made is None else (result, made)

    return function


def number(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] x not None):
        cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
        cdef double result = 0
        cdef Call call
        begin(&call, run)
        call.cols, call.number = m, &result
        fill(&call.a, x, n, m)
        run_rows(&call, n, n * m)
        return result

    return function


def number_of_two(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] a not None, const real[:, :] b not None):
        cdef Py_ssize_t n = a.shape[0], m = a.shape[1]
        cdef double result = 0
        cdef Call call
        begin(&call, run)
        call.cols, call.number = m, &result
        fill(&call.a, a, n, m)
        fill(&call.b, b, n, m)
        run_rows(&call, n, n * m)
        return result

    return function


def zero(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(real[:, ::1] y not None):
        cdef Call call
        begin(&call, run)
        call.cols = y.shape[1]
        fill(&call.out, y, y.shape[0], y.shape[1])
        run_rows(&call, y.shape[0], y.shape[0] * y.shape[1])

    return function


# The updates of optimizers: flat values w, their gradient g and the state

cdef int set_settings(Call* call, tuple settings, const Operation* operation) except -1:
    cdef list names = operation.settings.decode().split()
    cdef Py_ssize_t i
    if len(settings) != len(names):
        raise TypeError(f"expected {', '.join(names)}, got {len(settings)} settings")
    for i in range(len(names)):
        call.settings.all[i] = settings[i]
    return 0


def update_with_state(Operations operations, str name):
    cdef const Operation* operation = operations.find(name)

    def function(const real[::1] g not None, real[::1] w not None, real[::1] state not None, *settings):
        cdef Py_ssize_t size = w.shape[0]
        cdef Matrix one
        cdef Call call
        begin(&call, operation.run)
        call.cols = size
        set_settings(&call, settings, operation)
        fill_row(&call.a, g, size)
        fill_row(&call.out, w, size)
        fill_row(&one, state, size)
        call.state[0] = one.at
        run_rows(&call, 1, 8 * size)

    return function


def update_with_states(Operations operations, str name):
    cdef const Operation* operation = operations.find(name)

    def function(const real[::1] g not None, real[::1] w not None, real[::1] state not None,
                 real[::1] state_2 not None, *settings):
        cdef Py_ssize_t size = w.shape[0]
        cdef Matrix one, two
        cdef Call call
        begin(&call, operation.run)
        call.cols = size
        set_settings(&call, settings, operation)
        fill_row(&call.a, g, size)
        fill_row(&call.out, w, size)
        fill_row(&one, state, size)
        fill_row(&two, state_2, size)
        call.state[0], call.state[1] = one.at, two.at
        run_rows(&call, 1, 8 * size)

    return function
