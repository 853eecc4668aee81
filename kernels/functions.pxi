# The functions of Python that run one operation, each made by what the operation takes and gives. Given None as its
# output, a function makes an array and returns it: that is cheaper than to take in one that was made for it.

cdef inline object run_unary(action run, const real[:, :] x, real[:, ::1] y, double setting):
    cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
    cdef Call call = call_of(run)
    fill(&call.a, x, n, m)
    call.cols, call.settings.value = m, setting
    made = output(y, n, m, &call.out)
    run_rows(&call, n, 8 * n * m)
    return made


cdef inline object run_binary(
    action run, const real[:, :] dy, const real[:, :] x, real[:, ::1] dx, double setting, double* number
):
    cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
    cdef Call call = call_of(run)
    fill(&call.a, dy, n, m)
    fill(&call.b, x, n, m)
    call.cols, call.settings.value = m, setting
    call.number = number
    made = output(dx, n, m, &call.out)
    run_rows(&call, n, 8 * n * m)
    return made


cdef inline void run_rows(Call* call, Py_ssize_t rows, Py_ssize_t operations) noexcept:
    """Run a call on rows with something in them; other threads may run meanwhile if it takes long."""
    cdef PyThreadState* state
    if rows and call.cols:
        state = released(operations)
        call.run(call, rows)
        regained(state)


def unary(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] x not None, real[:, ::1] y):
        return run_unary(run, x, y, 0)

    return function


def unary_with_setting(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] x not None, real[:, ::1] y, double setting):
        return run_unary(run, x, y, setting)

    return function


def binary(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] dy not None, const real[:, :] x not None, real[:, ::1] dx):
        return run_binary(run, dy, x, dx, 0, NULL)

    return function


def binary_with_setting(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] dy not None, const real[:, :] x not None, real[:, ::1] dx, double setting):
        return run_binary(run, dy, x, dx, setting, NULL)

    return function


def number(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] x not None):
        cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
        cdef double result = 0
        cdef Call call = call_of(run)
        fill(&call.a, x, n, m)
        call.cols, call.number = m, &result
        run_rows(&call, n, n * m)
        return result

    return function


def number_of_two(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] a not None, const real[:, :] b not None):
        cdef Py_ssize_t n = a.shape[0], m = a.shape[1]
        cdef double result = 0
        cdef Call call = call_of(run)
        fill(&call.a, a, n, m)
        fill(&call.b, b, n, m)
        call.cols, call.number = m, &result
        run_rows(&call, n, n * m)
        return result

    return function


def binary_and_number(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(const real[:, :] a not None, const real[:, :] b not None, real[:, ::1] y):
        cdef double result = 0
        made = run_binary(run, a, b, y, 0, &result)
        return result if made is None else (result, made)

    return function


# The updates of optimizers: flat values w, their gradient g and the state

cdef int set_flat(Call* call, const real[::1] g, real[::1] w, tuple settings, const Operation* operation) except -1:
    cdef Py_ssize_t size = w.shape[0], i, count = len(operation.settings.decode().split())
    fill_row(&call.a, g, size)
    fill_row(&call.out, w, size)
    call.cols = size
    if len(settings) != count:
        raise TypeError(f"expected {operation.settings.decode()}, got {len(settings)} settings")
    for i in range(count):
        call.settings.all[i] = settings[i]
    return 0


def update_with_state(Operations operations, str name):
    cdef const Operation* operation = operations.find(name)

    def function(const real[::1] g not None, real[::1] w not None, real[::1] state not None, *settings):
        cdef Call call = call_of(operation.run)
        set_flat(&call, g, w, settings, operation)
        call.state[0] = <real*>vector(state, w.shape[0])
        run_rows(&call, 1, 8 * call.cols)

    return function


def update_with_states(Operations operations, str name):
    cdef const Operation* operation = operations.find(name)

    def function(const real[::1] g not None, real[::1] w not None, real[::1] first not None,
                 real[::1] second not None, *settings):
        cdef Call call = call_of(operation.run)
        set_flat(&call, g, w, settings, operation)
        call.state[0], call.state[1] = <real*>vector(first, w.shape[0]), <real*>vector(second, w.shape[0])
        run_rows(&call, 1, 8 * call.cols)

    return function


def zero(Operations operations, str name):
    cdef action run = operations.find(name).run

    def function(real[:, ::1] y not None):
        cdef Call call = call_of(run)
        fill(&call.out, y, y.shape[0], y.shape[1])
        call.cols = y.shape[1]
        run_rows(&call, y.shape[0], y.shape[0] * y.shape[1])

    return function
