# Chains: elementwise operations on flat arrays that pass through the cache together.
#
# A chain is what an update rule of minidl.optim was recorded as. It has two levels. Numbers (settings, the
# number of the step, and what follows from them) are computed in double, as Python computes them. Arrays meet
# them rounded to the element: all arrays are cut into blocks, and each operation runs over one block, which
# stays in the cache from the first operation to the last. An operation rounds its result by itself.
#
#     a b + c d, a b + c, c - a b      are one operation each, with the roundings of the two or three
#
# A chain whose text stands in LOOPS runs as one loop over vectors instead, with the same bits.

from minidl.kernels.memory import Memory

cdef enum:
    CHAIN_BLOCK = 1024  # elements
    CHAIN_ARRAYS = 24   # arrays that a chain works on, at most: w, g and the state
    CHAIN_SLOTS = 96    # with numbers and temporaries

ctypedef vec (*element)(vec a, vec b, vec c, vec d) noexcept nogil

cdef struct Operation:
    void (*run)(const Operation* operation, real** places, const Py_ssize_t* steps, Py_ssize_t n) noexcept nogil
    int y, a, b, c, d  # slots: their places, and their steps from vector to vector (0 for a number)


cdef inline void each(
    element function, const Operation* o, real** places, const Py_ssize_t* steps, Py_ssize_t n
) noexcept nogil:
    """y = function(a, b, c, d), vector by vector."""
    cdef real* y = places[o.y]
    cdef const real* a = places[o.a]
    cdef const real* b = places[o.b]
    cdef const real* c = places[o.c]
    cdef const real* d = places[o.d]
    cdef Py_ssize_t sa = steps[o.a], sb = steps[o.b], sc = steps[o.c], sd = steps[o.d], i = 0
    while i + 2 * LANES <= n:  # two at a time: half as many addresses to compute
        store(y + i, function(load(a), load(b), load(c), load(d)))
        store(y + i + LANES, function(load(a + sa), load(b + sb), load(c + sc), load(d + sd)))
        a, b, c, d, i = a + 2 * sa, b + 2 * sb, c + 2 * sc, d + 2 * sd, i + 2 * LANES
    if i + LANES <= n:
        store(y + i, function(load(a), load(b), load(c), load(d)))
        a, b, c, d, i = a + sa, b + sb, c + sc, d + sd, i + LANES
    if i < n:
        n -= i
        store_part(y + i, function(load_part(a, n), load_part(b, n), load_part(c, n), load_part(d, n)), n)


cdef inline mask same_value(vec a, vec b) noexcept nogil:
    return not_less(a, b) & not_less(b, a)

# What is true has all bits set.

cdef inline vec fused_add(vec a, vec b, vec c, vec d) noexcept nogil:
    return a + b

cdef inline vec fused_subtract(vec a, vec b, vec c, vec d) noexcept nogil:
    return a - b

cdef inline vec fused_multiply(vec a, vec b, vec c, vec d) noexcept nogil:
    return a * b

cdef inline vec fused_divide(vec a, vec b, vec c, vec d) noexcept nogil:
    return a / b

cdef inline vec fused_two_products(vec a, vec b, vec c, vec d) noexcept nogil:
    return a * b + c * d

cdef inline vec fused_product_and(vec a, vec b, vec c, vec d) noexcept nogil:
    return a * b + c

cdef inline vec fused_less_product(vec a, vec b, vec c, vec d) noexcept nogil:
    return c - a * b

cdef inline vec fused_negative(vec a, vec b, vec c, vec d) noexcept nogil:
    return -a

cdef inline vec fused_absolute(vec a, vec b, vec c, vec d) noexcept nogil:
    return absolute(a)

cdef inline vec fused_sqrt(vec a, vec b, vec c, vec d) noexcept nogil:
    return root_of(a)

cdef inline vec fused_sign(vec a, vec b, vec c, vec d) noexcept nogil:
    cdef vec zero = broadcast(0), one = broadcast(1)
    cdef vec y = choose(same_value(a, zero), zero, a)  # NaN gives itself
    return choose(greater(a, zero), one, choose(greater(zero, a), -one, y))

cdef inline vec fused_maximum(vec a, vec b, vec c, vec d) noexcept nogil:
    return choose(not_less(a, b) | ~same_value(a, a), a, b)

cdef inline vec fused_minimum(vec a, vec b, vec c, vec d) noexcept nogil:
    return choose(not_less(b, a) | ~same_value(a, a), a, b)

cdef inline vec fused_greater(vec a, vec b, vec c, vec d) noexcept nogil:
    return from_bits(greater(a, b))

cdef inline vec fused_not_less(vec a, vec b, vec c, vec d) noexcept nogil:
    return from_bits(not_less(a, b))

cdef inline vec fused_equal(vec a, vec b, vec c, vec d) noexcept nogil:
    return from_bits(same_value(a, b))

cdef inline vec fused_and(vec a, vec b, vec c, vec d) noexcept nogil:
    return from_bits(bits(a) & bits(b))

cdef inline vec fused_or(vec a, vec b, vec c, vec d) noexcept nogil:
    return from_bits(bits(a) | bits(b))

cdef inline vec fused_not(vec a, vec b, vec c, vec d) noexcept nogil:
    return from_bits(~bits(a))

cdef inline vec fused_where(vec a, vec b, vec c, vec d) noexcept nogil:
    return choose(bits(a), b, c)

cdef inline vec fused_copy(vec a, vec b, vec c, vec d) noexcept nogil:
    return a

# The constants let the loop inline them.

cdef void run_add(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_add, o, p, s, n)

cdef void run_subtract(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_subtract, o, p, s, n)

cdef void run_multiply(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_multiply, o, p, s, n)

cdef void run_divide(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_divide, o, p, s, n)

cdef void run_two_products(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_two_products, o, p, s, n)

cdef void run_product_and(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_product_and, o, p, s, n)

cdef void run_less_product(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_less_product, o, p, s, n)

cdef void run_negative(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_negative, o, p, s, n)

cdef void run_absolute(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_absolute, o, p, s, n)

cdef void run_sqrt(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_sqrt, o, p, s, n)

cdef void run_sign(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_sign, o, p, s, n)

cdef void run_maximum(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_maximum, o, p, s, n)

cdef void run_minimum(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_minimum, o, p, s, n)

cdef void run_greater(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_greater, o, p, s, n)

cdef void run_not_less(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_not_less, o, p, s, n)

cdef void run_equal(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_equal, o, p, s, n)

cdef void run_and(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_and, o, p, s, n)

cdef void run_or(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_or, o, p, s, n)

cdef void run_not(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_not, o, p, s, n)

cdef void run_where(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_where, o, p, s, n)

cdef void run_copy(const Operation* o, real** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil:
    each(fused_copy, o, p, s, n)

cdef dict FUSED = {  # name -> address
    "add": <size_t>run_add, "subtract": <size_t>run_subtract, "multiply": <size_t>run_multiply,
    "divide": <size_t>run_divide, "two_products": <size_t>run_two_products, "product_and": <size_t>run_product_and,
    "less_product": <size_t>run_less_product, "negative": <size_t>run_negative, "absolute": <size_t>run_absolute,
    "sqrt": <size_t>run_sqrt, "sign": <size_t>run_sign, "maximum": <size_t>run_maximum,
    "minimum": <size_t>run_minimum, "greater": <size_t>run_greater, "not_less": <size_t>run_not_less,
    "equal": <size_t>run_equal, "and": <size_t>run_and, "or": <size_t>run_or, "not": <size_t>run_not,
    "where": <size_t>run_where, "copy": <size_t>run_copy}


# Loops of their own for whole chains, where a measurement showed that they pay: the values stay in registers
# from the first operation to the last. p: w, g and the state; s: the numbers of the text, in its order.

ctypedef void (*whole_loop)(Py_ssize_t n, real** p, const real* s) noexcept nogil

cdef enum Decay:
    NO_DECAY
    OF_GRADIENT  # g + n0 w
    OF_VALUES    # n0 w


cdef inline void adam_vectors(Py_ssize_t n, real** p, const real* s, const Decay decay) noexcept nogil:
    cdef Py_ssize_t i = 0, k
    cdef vec x, d, m, v
    cdef real factor = s[0]
    if decay != NO_DECAY:
        s += 1
    while i < n:
        k = min(n - i, LANES)
        x, d = load_strided(p[0] + i, 1, k), load_strided(p[1] + i, 1, k)
        if decay == OF_GRADIENT:
            d = d + x * broadcast(factor)
        elif decay == OF_VALUES:
            x = x * broadcast(factor)
        m = load_strided(p[2] + i, 1, k) * broadcast(s[0]) + d * broadcast(s[1])
        v = load_strided(p[3] + i, 1, k) * broadcast(s[2]) + d * d * broadcast(s[3])
        store_first(p[2] + i, m, k)
        store_first(p[3] + i, v, k)
        store_first(p[0] + i, x - m / (root_of(v) / broadcast(s[4]) + broadcast(s[5])) * broadcast(s[6]), k)
        i += LANES


cdef inline void adadelta_vectors(Py_ssize_t n, real** p, const real* s, const Decay decay) noexcept nogil:
    cdef Py_ssize_t i = 0, k
    cdef vec x, d, v, u
    cdef real factor = s[0]
    if decay != NO_DECAY:
        s += 1
    while i < n:
        k = min(n - i, LANES)
        x, d = load_strided(p[0] + i, 1, k), load_strided(p[1] + i, 1, k)
        if decay == OF_GRADIENT:
            d = d + x * broadcast(factor)
        v = load_strided(p[2] + i, 1, k) * broadcast(s[0]) + d * d * broadcast(s[1])
        u = load_strided(p[3] + i, 1, k)
        d = d / root_of(v + broadcast(s[2])) * root_of(u + broadcast(s[2]))
        store_first(p[2] + i, v, k)
        store_first(p[3] + i, u * broadcast(s[0]) + d * d * broadcast(s[1]), k)
        store_first(p[0] + i, x - d * broadcast(s[3]), k)
        i += LANES


cdef void loop_adam(Py_ssize_t n, real** p, const real* s) noexcept nogil:
    adam_vectors(n, p, s, NO_DECAY)

cdef void loop_adam_decay(Py_ssize_t n, real** p, const real* s) noexcept nogil:
    adam_vectors(n, p, s, OF_GRADIENT)

cdef void loop_adamw(Py_ssize_t n, real** p, const real* s) noexcept nogil:
    adam_vectors(n, p, s, OF_VALUES)

cdef void loop_adadelta(Py_ssize_t n, real** p, const real* s) noexcept nogil:
    adadelta_vectors(n, p, s, NO_DECAY)

cdef void loop_adadelta_decay(Py_ssize_t n, real** p, const real* s) noexcept nogil:
    adadelta_vectors(n, p, s, OF_GRADIENT)

cdef dict LOOPS = {  # text -> (name, address); minidl/optim/chains.py writes the text
    "t0 = multiply n0 s0; t1 = multiply n1 g; t2 = add t0 t1; t3 = multiply n2 s1; t4 = multiply g g; "
    "t5 = multiply n3 t4; t6 = add t3 t5; t7 = sqrt t6; t8 = divide t7 n4; t9 = add n5 t8; t10 = divide t2 t9; "
    "t11 = multiply n6 t10; t12 = subtract w t11; w = t12; s0 = t2; s1 = t6": ("adam", <size_t>loop_adam),
    "t0 = multiply n0 w; t1 = add g t0; t2 = multiply n1 s0; t3 = multiply n2 t1; t4 = add t2 t3; "
    "t5 = multiply n3 s1; t6 = multiply t1 t1; t7 = multiply n4 t6; t8 = add t5 t7; t9 = sqrt t8; "
    "t10 = divide t9 n5; t11 = add n6 t10; t12 = divide t4 t11; t13 = multiply n7 t12; t14 = subtract w t13; "
    "w = t14; s0 = t4; s1 = t8": ("adam_decay", <size_t>loop_adam_decay),
    "t0 = multiply n0 w; t1 = multiply n1 s0; t2 = multiply n2 g; t3 = add t1 t2; t4 = multiply n3 s1; "
    "t5 = multiply g g; t6 = multiply n4 t5; t7 = add t4 t6; t8 = sqrt t7; t9 = divide t8 n5; t10 = add n6 t9; "
    "t11 = divide t3 t10; t12 = multiply n7 t11; t13 = subtract t0 t12; w = t13; s0 = t3; s1 = t7":
        ("adamw", <size_t>loop_adamw),
    "t0 = multiply n0 s0; t1 = multiply g g; t2 = multiply n1 t1; t3 = add t0 t2; t4 = add n2 t3; t5 = sqrt t4; "
    "t6 = divide g t5; t7 = add n2 s1; t8 = sqrt t7; t9 = multiply t6 t8; t10 = multiply n0 s1; "
    "t11 = multiply t9 t9; t12 = multiply n1 t11; t13 = add t10 t12; t14 = multiply n3 t9; t15 = subtract w t14; "
    "w = t15; s0 = t3; s1 = t13": ("adadelta", <size_t>loop_adadelta),
    "t0 = multiply n0 w; t1 = add g t0; t2 = multiply n1 s0; t3 = multiply t1 t1; t4 = multiply n2 t3; "
    "t5 = add t2 t4; t6 = add n3 t5; t7 = sqrt t6; t8 = divide t1 t7; t9 = add n3 s1; t10 = sqrt t9; "
    "t11 = multiply t8 t10; t12 = multiply n1 s1; t13 = multiply t11 t11; t14 = multiply n2 t13; "
    "t15 = add t12 t14; t16 = multiply n4 t11; t17 = subtract w t16; w = t17; s0 = t5; s1 = t15":
        ("adadelta_decay", <size_t>loop_adadelta_decay)}


# Numbers, in double. What Python would refuse (a division by zero, a root of what is below zero) is left to it.

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
    int a, b      # numbers before it, or the place of a setting
    double value

cdef struct Guard:  # a comparison that a branch of the rule took
    Relation relation
    int a, b
    bint outcome


cdef class Chain:
    """A recorded update rule.

    numbers : (rule, a, b, value) of each. guards : (relation, a, b, outcome). used : the numbers that arrays
    meet. operations : (name, y, a, b, c, d); slots are the arrays (w, g, the state), then the numbers used,
    then the temporaries.
    """

    cdef readonly str text, loop_name
    cdef readonly int arrays, settings
    cdef int number_count, guard_count, used_count, operation_count, temporaries
    cdef Number* numbers
    cdef double* values
    cdef Guard* guards
    cdef int* used
    cdef Operation* operations
    cdef whole_loop loop
    cdef object memory
    cdef real* vectors   # the numbers used, a vector each, then the temporaries, a block each
    cdef real* rounded   # the numbers used

    def __cinit__(self, str text, int arrays, int settings, list numbers, list guards, list used, list operations,
                  int temporaries, bint whole=True):
        cdef int i, a, b, slots = arrays + len(used) + temporaries
        cdef size_t address
        cdef Py_ssize_t size
        cdef real[::1] view
        if not 2 <= arrays <= CHAIN_ARRAYS or slots > CHAIN_SLOTS or settings < 0 or temporaries < 0:
            raise ValueError(f"a chain of {arrays} arrays and {slots} slots is too long")
        self.text, self.arrays, self.settings, self.temporaries = text, arrays, settings, temporaries
        self.numbers = <Number*>calloc(len(numbers) + 1, sizeof(Number))
        self.values = <double*>calloc(len(numbers) + 1, sizeof(double))
        self.guards = <Guard*>calloc(len(guards) + 1, sizeof(Guard))
        self.used = <int*>calloc(len(used) + 1, sizeof(int))
        self.operations = <Operation*>calloc(len(operations) + 1, sizeof(Operation))
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
            address = FUSED[name]
            if len(places) != 5 or not all([0 <= place < slots for place in places]) or places[0] == 1 or (
                    arrays <= places[0] < arrays + self.used_count):  # the gradients and the numbers stay
                raise IndexError((name, places))
            (<size_t*>&self.operations[i].run)[0] = address
            self.operations[i].y, self.operations[i].a, self.operations[i].b = places[0], places[1], places[2]
            self.operations[i].c, self.operations[i].d = places[3], places[4]
        self.operation_count = len(operations)
        size = (self.used_count * 17 + temporaries * CHAIN_BLOCK + 1) * sizeof(real)
        view = self.memory = numpy.frombuffer(Memory(size), REAL)  # which begins on a cache line
        self.vectors, self.rounded = &view[0], &view[0] + self.used_count * 16 + temporaries * CHAIN_BLOCK
        self.loop_name, self.loop = "", NULL
        if whole and text in LOOPS:
            self.loop_name, address = LOOPS[text]
            (<size_t*>&self.loop)[0] = address

    def __dealloc__(self):
        free(self.numbers)
        free(self.values)
        free(self.guards)
        free(self.used)
        free(self.operations)

    cdef bint evaluate(self, const double* settings, double step) noexcept:
        """Compute the numbers of a step; whether they are those of the branches that were recorded."""
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
        """Round the numbers that were evaluated last to the element."""
        cdef int i
        for i in range(self.used_count):
            self.rounded[i] = <real>self.values[self.used[i]]
            store(self.vectors + 16 * i, broadcast(self.rounded[i]))

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
            places[self.arrays + i], steps[self.arrays + i] = self.vectors + 16 * i, 0
        for i in range(self.temporaries):
            places[used + i] = self.vectors + 16 * self.used_count + CHAIN_BLOCK * i
            steps[used + i] = LANES
        for i in range(self.arrays):
            steps[i] = LANES
        while begin < n:
            size = min(n - begin, CHAIN_BLOCK)
            for i in range(self.arrays):
                places[i] = arrays[i] + begin
            for i in range(self.operation_count):
                self.operations[i].run(&self.operations[i], places, steps, size)
            begin += size
