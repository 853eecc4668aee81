# Chain: an update rule as minidl.optim recorded it, and how it is run; fusion.pxi has its arithmetic.

from minidl.kernels.memory import Memory

cdef extern from "math.h" nogil:
    double power "pow"(double base, double exponent)
    double square_root "sqrt"(double x)


# Numbers, in double. What raises in Python (a division by zero, a root of a negative number) is left to Python.

cdef enum NumberRule:
    CONSTANT
    SETTING
    STEP
    PLUS
    MINUS
    TIMES
    OVER
    POWER
    ROOT
    NEGATED
    MAGNITUDE

cdef enum Relation:
    LESS
    AT_MOST
    EQUAL

cdef dict NUMBER_RULES = {"constant": CONSTANT, "setting": SETTING, "step": STEP, "add": PLUS, "subtract": MINUS,
                          "multiply": TIMES, "divide": OVER, "power": POWER, "sqrt": ROOT, "negative": NEGATED,
                          "absolute": MAGNITUDE}
cdef dict RELATIONS = {"less": LESS, "at_most": AT_MOST, "equal": EQUAL}

cdef struct Number:
    NumberRule rule
    int a, b      # earlier numbers, or the index of a setting
    double value

cdef struct Guard:  # a comparison that a branch of the rule took
    Relation relation
    int a, b
    bint outcome


cdef fused_action fused_named(Operations table, str name) except NULL:
    """KeyError for a name that there is not."""
    cdef int i
    for i in range(table.table.fused.operation_count):
        if table.table.fused.operations[i].name.decode() == name:
            return table.table.fused.operations[i].run
    raise KeyError(name)


@cython.binding(False)
cdef class Chain:
    """A recorded update rule.

    numbers : (rule, a, b, value) of each. guards : (relation, a, b, outcome). used : the numbers that
    operations on arrays read. operations : (name, y, a, b, c, d); slots are the arrays (w, g, the state), then the
    numbers used, then the temporaries.
    """

    cdef readonly str text, loop_name
    cdef readonly int arrays, settings
    cdef int number_count, guard_count, used_count, operation_count, temporaries
    cdef Number* numbers
    cdef double* values
    cdef Guard* guards
    cdef int* used
    cdef FusedCall* operations
    cdef Py_ssize_t lanes
    cdef whole_loop loop
    cdef object memory
    cdef real* vectors   # the numbers used, a vector each, then the temporaries, a block each
    cdef real* rounded   # the numbers used

    def __cinit__(self, Operations table, str text, int arrays, int settings, list numbers, list guards, list used,
                  list operations, int temporaries, bint whole=True):
        cdef int i, a, b, slots = arrays + len(used) + temporaries
        cdef Py_ssize_t size
        cdef real[::1] view
        if not 2 <= arrays <= CHAIN_ARRAYS or slots > CHAIN_SLOTS or settings < 0 or temporaries < 0:
            raise ValueError(f"a chain of {arrays} arrays and {slots} slots is too long")
        self.text, self.arrays, self.settings, self.temporaries = text, arrays, settings, temporaries
        self.numbers = <Number*>calloc(len(numbers) + 1, sizeof(Number))
        self.values = <double*>calloc(len(numbers) + 1, sizeof(double))
        self.guards = <Guard*>calloc(len(guards) + 1, sizeof(Guard))
        self.used = <int*>calloc(len(used) + 1, sizeof(int))
        self.operations = <FusedCall*>calloc(len(operations) + 1, sizeof(FusedCall))
        if (self.numbers is NULL or self.values is NULL or self.guards is NULL or self.used is NULL
                or self.operations is NULL):
            raise MemoryError
        for i, (rule, a, b, value) in enumerate(numbers):
            self.numbers[i].rule, self.numbers[i].value = NUMBER_RULES[rule], value
            if not 0 <= a < (settings if rule == "setting" else max(i, 1)) or not 0 <= b < max(i, 1):
                raise IndexError((rule, a, b))
            self.numbers[i].a, self.numbers[i].b = a, b
        self.number_count = len(numbers)
        for i, (relation, a, b, outcome) in enumerate(guards):
            if not (0 <= a < self.number_count and 0 <= b < self.number_count):
                raise IndexError((relation, a, b))
            self.guards[i].relation, self.guards[i].outcome = RELATIONS[relation], outcome
            self.guards[i].a, self.guards[i].b = a, b
        self.guard_count = len(guards)
        for i, a in enumerate(used):
            if not 0 <= a < self.number_count:
                raise IndexError(a)
            self.used[i] = a
        self.used_count = len(used)
        for i, (name, *places) in enumerate(operations):
            if len(places) != 5 or not all([0 <= place < slots for place in places]) or places[0] == 1 or (
                    arrays <= places[0] < arrays + self.used_count):  # gradients and numbers are not written to
                raise IndexError((name, places))
            self.operations[i].run = fused_named(table, name)
            self.operations[i].y, self.operations[i].a, self.operations[i].b = places[0], places[1], places[2]
            self.operations[i].c, self.operations[i].d = places[3], places[4]
        self.operation_count = len(operations)
        size = (self.used_count * (CHAIN_LANES + 1) + temporaries * CHAIN_BLOCK + 1) * sizeof(real)
        view = self.memory = numpy.frombuffer(Memory(size), REAL)  # which begins on a cache line
        self.vectors = &view[0]
        self.rounded = self.vectors + self.used_count * CHAIN_LANES + temporaries * CHAIN_BLOCK
        self.lanes, self.loop_name, self.loop = table.table.fused.lanes, "", NULL
        for i in range(table.table.fused.loop_count if whole else 0):
            if table.table.fused.loops[i].text.decode() == text:
                self.loop_name, self.loop = table.table.fused.loops[i].name.decode(), table.table.fused.loops[i].run

    def __dealloc__(self):
        free(self.numbers)
        free(self.values)
        free(self.guards)
        free(self.used)
        free(self.operations)

    cdef bint evaluate(self, const double* settings, double step) noexcept:
        """Compute the numbers of a step; True if the rule takes the recorded branches with them."""
        cdef int i
        cdef double a, b, y = 0
        cdef double* v = self.values
        cdef bint holds
        cdef NumberRule rule
        cdef Relation relation
        for i in range(self.number_count):
            a, b = v[self.numbers[i].a], v[self.numbers[i].b]
            rule = self.numbers[i].rule
            if rule == CONSTANT:
                y = self.numbers[i].value
            elif rule == SETTING:
                y = settings[self.numbers[i].a]
            elif rule == STEP:
                y = step
            elif rule == PLUS:
                y = a + b
            elif rule == MINUS:
                y = a - b
            elif rule == TIMES:
                y = a * b
            elif rule == OVER:
                if b == 0:
                    return False
                y = a / b
            elif rule == POWER:
                if not a > 0 and not (a == 0 and b >= 0):
                    return False
                y = power(a, b)
                if not isfinite(y):
                    return False
            elif rule == ROOT:
                if not a >= 0:
                    return False
                y = square_root(a)
            elif rule == NEGATED:
                y = -a
            else:
                y = -a if a < 0 else a
                if a == 0:
                    y = 0
            v[i] = y
        for i in range(self.guard_count):
            a, b = v[self.guards[i].a], v[self.guards[i].b]
            relation = self.guards[i].relation
            holds = a < b if relation == LESS else a <= b if relation == AT_MOST else a == b
            if holds != self.guards[i].outcome:
                return False
        return True

    def fits(self, list settings not None, double step):
        """Whether the rule would take the branches that were recorded."""
        cdef double[::1] values
        if len(settings) != self.settings:
            return False
        values = numpy.array([*settings, 0], numpy.float64)
        return self.evaluate(&values[0], step)

    cdef void set_numbers(self) noexcept:
        """Round the numbers that were computed last to the element type."""
        cdef int i, j
        for i in range(self.used_count):
            self.rounded[i] = <real>self.values[self.used[i]]
            for j in range(CHAIN_LANES):
                self.vectors[CHAIN_LANES * i + j] = self.rounded[i]

    cdef void run(self, real** arrays, Py_ssize_t n) noexcept nogil:
        """Run over arrays of n elements, with the numbers that were set last."""
        cdef real* places[CHAIN_SLOTS]
        cdef Py_ssize_t steps[CHAIN_SLOTS]
        cdef Py_ssize_t begin = 0, size
        cdef int i, used = self.arrays + self.used_count
        if self.loop is not NULL:
            self.loop(n, arrays, self.rounded)
            return
        for i in range(self.used_count):
            places[self.arrays + i], steps[self.arrays + i] = self.vectors + CHAIN_LANES * i, 0
        for i in range(self.temporaries):
            places[used + i] = self.vectors + CHAIN_LANES * self.used_count + CHAIN_BLOCK * i
            steps[used + i] = self.lanes
        for i in range(self.arrays):
            steps[i] = self.lanes
        while begin < n:
            size = min(n - begin, CHAIN_BLOCK)
            for i in range(self.arrays):
                places[i] = arrays[i] + begin
            for i in range(self.operation_count):
                self.operations[i].run(&self.operations[i], places, steps, size)
            begin += size
