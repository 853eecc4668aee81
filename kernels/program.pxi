# Program: the calls of a captured step. Python writes them once; they are then run without Python between them.
#
# A call is an operation's action, the addresses of its arrays, and their sizes. Arrays with a row for each sample have
# room for the largest batch; each step gives its number of rows. What has no kernel is a Python function, called in its
# place in the list.
#
# Nothing that Python does may lead a program into foreign memory. So an address is taken through a typed view of the
# size that the call needs, of memory that can't be resized and that the program holds; labels and index are copied
# before they are checked; guards compare what else the program was built from before each step, and after each Python
# function in it; and a program that is running refuses a second call.

from cpython.list cimport PyList_GET_ITEM

from minidl.kernels.shortcut import Refusal

cdef extern from "math.h" nogil:
    bint isfinite(double x)

cdef int thread_count = 1


def set_num_threads(int n):
    """Set how many threads a program may run on: 1 to MAX_THREADS."""
    global thread_count
    if not 1 <= n <= MAX_THREADS:
        raise ValueError(f"set_num_threads: expected 1 to {MAX_THREADS} threads, got {n}")
    thread_count = n


cdef object NDARRAY = numpy.ndarray
cdef str CHANGED = (
    "capture: the model or its training was changed while a step ran, by a loss, a generator or another thread; "
    "nothing was updated, and the next step takes it as it is then")

cdef dict DIVIDED = {"sum": BY_NOTHING, "rows": BY_BATCH, "elements": BY_NUMBERS}

cdef enum:
    WORK_FOR_TWO = 1_500_000  # multiply-adds of a pass below which a second thread costs more than it brings, usually
    FEW_ROWS = 16           # below which it takes three times as many, since tiles of rows cannot be shared well
    SHORT = 8               # columns of a row up to which a loop copies it faster than a call
    WIDE = 1 << 17          # elements of a weight from which threads share its columns, not the rows of the batch

# Which operands of a call are the batch's, and change from step to step
cdef enum:
    A_IS_INPUT = 1
    B_IS_TARGET = 2

cdef struct NameGuard:  # the value that a name must have; Program.references holds all three
    PyObject* namespace
    PyObject* name
    PyObject* value

cdef struct ParameterGuard:  # a parameter of the model, whether it was trained when the program was built,
    Facts* facts
    bint trained
    Py_ssize_t call      # the call that reads it in the forward pass,
    bint read            # whether the backward reads it, too: then its value must not change in between
    long long version


cdef void gather(
    const Matrix* x, Py_ssize_t cols, const Py_ssize_t* index, Py_ssize_t rows, const Matrix* out
) noexcept nogil:
    """Copy these rows of x."""
    cdef const real* row
    cdef real* to = out.at
    cdef Py_ssize_t i, j
    for i in range(rows):
        row = x.at + index[i] * x.s0
        if x.s1 == 1 and cols > SHORT:
            memcpy(to, row, cols * sizeof(real))
        else:
            for j in range(cols):
                to[j] = row[j * x.s1]
        to += out.s0


@cython.binding(False)
cdef class Program:
    """A list of kernel calls over arrays of up to ``capacity`` rows.

    Program(capacity, width, classes, target_width): batches of up to capacity rows of width; labels of
    0..classes-1, or target rows of target_width. The methods append a call each; an operand of None is the
    batch's input, or target. ``forward_ends``, ``loss_ends`` mark where the forward pass and the loss end.
    step(), run() and forward() run it.
    """

    cdef Operations operations
    cdef Call** calls
    cdef Py_ssize_t count, room, forward_end, loss_end, python_end, update_begin
    cdef list references, functions, updates, guarded_lists, backups
    cdef NameGuard* guards
    cdef Py_ssize_t guard_count
    cdef ParameterGuard* guarded   # the parameters of the model
    cdef Py_ssize_t guarded_count
    cdef Facts** reached           # those whose gradients the calls write
    cdef Py_ssize_t reached_count
    cdef Facts** marked            # the parameters of the optimizer, then the others of the model
    cdef char* had_grad            # whether they had a gradient before the step
    cdef Py_ssize_t cleared_count, marked_count  # of them the optimizer's, and all
    cdef list update_arrays        # the arrays that the calls of the updates point into
    cdef Py_ssize_t output_call, output_width
    cdef int* flags
    cdef int64_t* labels           # the batch's
    cdef Py_ssize_t* index
    cdef double loss_value, wrong_value
    cdef Py_ssize_t width, target_width, classes, work
    cdef Py_ssize_t columns        # of all arrays with a row for each sample
    cdef Py_ssize_t first_passing  # the first call that writes what one of the backward pass alone reads
    cdef set places, passing       # where such arrays begin
    cdef readonly Py_ssize_t capacity
    cdef int panel                 # columns that a product computes together
    cdef Matrix x, t  # the batch that the calls read
    cdef Matrix gathered, gathered_target
    cdef readonly bint running
    cdef readonly object target    # the batch's, for a loss that is a Python function
    cdef bint late_labels, python_after_loss, entered, asks_target, shares_columns

    def __cinit__(self, Operations operations, Py_ssize_t capacity, Py_ssize_t width, Py_ssize_t classes,
                  Py_ssize_t target_width):
        if capacity < 1 or width < 1 or classes < 0 or target_width < 0:
            raise ValueError(f"expected at least one row and one column, got {capacity} and {width}")
        self.operations, self.panel = operations, operations.table.panel
        self.capacity, self.width, self.classes, self.target_width = capacity, width, classes, target_width
        self.references, self.functions, self.updates, self.backups = [], [], [], []
        self.guarded_lists, self.update_arrays = [], []
        self.places, self.passing, self.first_passing = set(), set(), -1
        self.forward_end = self.loss_end = self.python_end = self.update_begin = self.output_call = -1
        self.labels = <int64_t*>calloc(capacity, sizeof(int64_t))
        self.index = <Py_ssize_t*>calloc(capacity, sizeof(Py_ssize_t))
        if self.labels is NULL or self.index is NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.count):
            free(self.calls[i])
        free(self.calls)
        free(self.guards)
        free(self.guarded)
        free(self.reached)
        free(self.marked)
        free(self.had_grad)
        free(self.flags)
        free(self.labels)
        free(self.index)

    # Building

    cdef Call* append(self, action run, function=None) except NULL:
        if self.running or self.update_begin >= 0:
            raise RuntimeError("a program cannot be written while it runs, nor after its update")
        return self.written(run, function)

    cdef Call* written(self, action run, function) except NULL:
        cdef void* memory
        if self.count == self.room:
            memory = realloc(self.calls, (2 * self.room + 8) * sizeof(Call*))
            if memory is NULL:
                raise MemoryError
            self.calls = <Call**>memory
            memory = realloc(self.flags, (2 * self.room + 8) * sizeof(int))
            if memory is NULL:
                raise MemoryError
            self.flags, self.room = <int*>memory, 2 * self.room + 8
        cdef Call* call = <Call*>calloc(1, sizeof(Call))
        if call is NULL:
            raise MemoryError
        self.functions.append(function)
        self.calls[self.count] = call
        call.run, call.labels, call.number, call.divide = run, self.labels, &self.loss_value, BY_NOTHING
        self.flags[self.count] = 0
        self.count += 1
        return call

    cdef real* held(self, list keeper, array, Py_ssize_t size) except NULL:
        """Where an array of exactly ``size`` elements begins, to be written; the list holds it."""
        cdef real[::1] view = array
        if view.shape[0] != size:
            raise ValueError(f"expected an array of {size} elements, got {view.shape[0]}")
        keeper.append(lock(array))
        return &view[0] if size else NOTHING

    cdef Matrix flat(self, array, Py_ssize_t size) except *:
        """An array of exactly ``size`` elements, as one row that serves all rows."""
        return Matrix(self.held(self.references, array, size), 0, 1)

    cdef Matrix rows(self, array, Py_ssize_t cols) except *:
        """An array with a row of cols for each sample of the largest batch, to be written."""
        cdef real[:, ::1] view = array
        if view.shape[0] != self.capacity or view.shape[1] != cols or cols < 1:
            raise ValueError(f"expected an array of shape {(self.capacity, cols)}, got "
                             f"{(view.shape[0], view.shape[1])}")
        self.references.append(lock(array))
        place = <size_t>&view[0, 0]
        if place not in self.places:
            self.places.add(place)
            self.columns += cols
        return Matrix(&view[0, 0], cols, 1)

    cdef int set_a(self, Call* call, array, Py_ssize_t cols) except -1:
        if array is not None:
            call.a = self.rows(array, cols)
        elif cols != self.width:
            raise ValueError(f"expected an input of {self.width} columns, got {cols}")
        else:
            self.flags[self.count - 1] |= A_IS_INPUT
        return 0

    cdef int set_weight(self, Call* call, weight, Py_ssize_t rows, Py_ssize_t cols) except -1:
        cdef const real[:, :] view = weight
        fill(&call.b, view, rows, cols)
        self.references.append(lock(weight))
        return 0

    cdef int product(self, Call* call, Py_ssize_t depth, Py_ssize_t cols) except -1:
        """Describe the product with a weight of depth x cols."""
        call.depth, call.cols = depth, cols
        call.partition = BY_COLUMNS if cols >= 4 * self.operations.table.panel and depth * cols >= WIDE else BY_ROWS
        self.shares_columns |= call.partition == BY_COLUMNS
        self.work += depth * cols
        return 0

    def linear(self, x, weight not None, bias, y not None):
        """y = x weight^T + bias."""
        cdef Call* call = self.append(self.operations.find("linear").run)
        cdef Py_ssize_t depth = weight.shape[1], cols = weight.shape[0]
        self.set_a(call, x, depth)
        self.set_weight(call, weight, cols, depth)
        call.b = transposed(call.b)
        if bias is not None:
            call.start = self.flat(bias, cols)
        call.out = self.rows(y, cols)
        self.product(call, depth, cols)

    def input_gradient(self, dy not None, weight not None, dx not None):
        """dx = dy weight."""
        cdef Call* call = self.append(self.operations.find("linear_input_gradient").run)
        cdef Py_ssize_t depth = weight.shape[0], cols = weight.shape[1]
        self.set_a(call, dy, depth)
        self.set_weight(call, weight, depth, cols)
        call.out = self.rows(dx, cols)
        self.product(call, depth, cols)
        self.passing.add(<size_t>call.out.at)
        if self.first_passing < 0:
            self.first_passing = self.count - 1
        self.note_passing(call)

    def parameter_gradients(self, x, dy not None, dweight, dbias, bint overwrite):
        """Add to dweight, which lies as (in, out), and dbias for x and dy, or overwrite them; either may be None."""
        cdef Call* call = self.append(self.operations.find("linear_gradients").run)
        cdef Py_ssize_t cols = dy.shape[1], depth = self.width if x is None else x.shape[1]
        cdef real[:, ::1] view
        self.set_a(call, x, depth)
        call.b = self.rows(dy, cols)
        if dweight is not None:
            view = dweight.T
            fill(&call.out, view, depth, cols)
            self.references.append(lock(dweight))
        if dbias is not None:
            call.bias_gradient = self.flat(dbias, cols)
        self.product(call, depth, cols)
        call.partition, call.overwrite = BY_INPUTS, overwrite
        self.note_passing(call)

    cdef int note_passing(self, Call* call) except -1:
        """Note which matrices of the call hold gradients on their way through the backward pass."""
        if <size_t>call.a.at in self.passing:
            call.passes |= A_PASSES
        if <size_t>call.b.at in self.passing:
            call.passes |= B_PASSES
        if <size_t>call.out.at in self.passing:
            call.passes |= OUT_PASSES
        return 0

    def apply(self, str name, a, y not None, b=None, double setting=0, str reduction="sum", bint overwrite=False,
              bint against_target=False):
        """Append the operation called name: y from a, and b or, with against_target, the rows of the target.

        An elementwise operation on the output of the product before it is fused: it runs panel by panel.
        """
        cdef Py_ssize_t cols = y.shape[1]
        cdef const Operation* operation = self.operations.find(name)
        cdef bint two = (operation.flags & HAS_B) != 0
        cdef Divide divide = DIVIDED[reduction]
        if not operation.flags & (HAS_OUTPUT | HAS_LABELS | GIVES_NUMBER):
            raise ValueError(f"{name}: expected an operation on rows")
        if operation.flags & HAS_LABELS and cols != self.classes:
            raise ValueError(f"{name}: expected {self.classes} columns, got {cols}")
        if (against_target or b is not None) != two:
            raise ValueError(f"{name}: expected {'two operands' if two else 'one operand'}")
        if against_target and cols != self.target_width:
            raise ValueError(f"{name}: expected {self.target_width} columns, got {cols}")
        cdef Call* call = self.append(operation.run)
        cdef Call* before = self.calls[self.count - 2] if self.count > 1 else NULL
        self.set_a(call, a, cols)
        if against_target:
            self.flags[self.count - 1] |= B_IS_TARGET
        elif two:
            call.b = self.rows(b, cols)
        call.b_by_rows = two
        call.partition = ALONE if operation.flags & GIVES_NUMBER else BY_ROWS
        call.out, call.cols = self.rows(y, cols), cols
        call.settings.value, call.divide, call.overwrite = setting, divide, overwrite
        self.note_passing(call)
        if name == "wrong":
            call.number = &self.wrong_value
        self.work += 8 * cols
        if operation.flags & ELEMENTWISE and before is not NULL and before.out.at == call.a.at and (
                before.run is self.operations.find("linear").run):
            before.then, call.within = call, True

    def zero(self, gradient not None):
        """Set a flat gradient to zero."""
        cdef Call* call = self.append(self.operations.find("zero").run)
        call.out, call.cols, call.partition = self.flat(gradient, gradient.size), gradient.size, BY_ELEMENTS

    def python(self, function):
        """Call function(rows), which returns the loss or None."""
        if not callable(function):
            raise TypeError(f"expected a function, got {type(function).__name__}")
        self.append(NULL, function)
        if self.loss_end < 0:
            self.late_labels = True
        else:
            self.python_after_loss = True
            if self.count - 1 == self.loss_end:  # before the backward, not after it
                self.python_end = self.count

    def ask_target(self):
        """Make the target of the batch available to Python functions."""
        self.asks_target = True

    def forward_ends(self, last not None):
        """The call that writes the array ``last`` may write it elsewhere; see forward()."""
        cdef Py_ssize_t i, cols = last.shape[1]
        cdef real* y = self.rows(last, cols).at
        self.forward_end, self.output_call, self.output_width = self.count, -1, cols
        for i in range(self.count):
            if self.calls[i].run is not NULL and self.calls[i].out.at == y and not self.calls[i].within:
                self.output_call = i

    def loss_ends(self):
        self.loss_end = self.python_end = self.count

    # What it was built from

    def guard(self, namespace not None, names):
        """A guard: each of these names of a dictionary must stand for the same object."""
        cdef NameGuard* entry
        cdef void* memory
        if not isinstance(namespace, dict):
            raise TypeError(f"expected a dictionary, got {type(namespace).__name__}")
        for name in names:
            memory = realloc(self.guards, (self.guard_count + 1) * sizeof(NameGuard))
            if memory is NULL:
                raise MemoryError
            self.guards = <NameGuard*>memory
            entry = &self.guards[self.guard_count]
            value = namespace[name]
            self.references += [namespace, name, value]
            entry.namespace, entry.name, entry.value = <PyObject*>namespace, <PyObject*>name, <PyObject*>value
            self.guard_count += 1

    def guard_list(self, list items not None):
        """A guard: the list must hold the same objects."""
        self.guarded_lists.append((items, list(items)))

    cdef Facts* facts_of(self, status) except NULL:
        if type(status) is not Status:
            raise TypeError(f"expected a Status, got {type(status).__name__}")
        self.references.append(status)
        return <Facts*><size_t>status.address

    def guard_parameter(self, status):
        """A guard: this parameter of the model, which the next call reads, must stay trained, or frozen."""
        cdef Facts* facts = self.facts_of(status)
        cdef void* memory = realloc(self.guarded, (self.guarded_count + 1) * sizeof(ParameterGuard))
        if memory is NULL:
            raise MemoryError
        self.guarded = <ParameterGuard*>memory
        self.guarded[self.guarded_count].facts = facts
        self.guarded[self.guarded_count].trained = facts.trained
        self.guarded[self.guarded_count].call = self.count
        self.guarded[self.guarded_count].read = False
        self.guarded_count += 1

    def backward_reads(self, status):
        """Note that the backward reads the value of this guarded parameter."""
        cdef Py_ssize_t i
        cdef Facts* facts = self.facts_of(status)
        for i in range(self.guarded_count):
            if self.guarded[i].facts == facts:
                self.guarded[i].read = True

    cdef void note_versions(self, Py_ssize_t call) noexcept:
        """Note the versions of the values that calls from this one on read."""
        cdef Py_ssize_t i
        for i in range(self.guarded_count):
            if self.guarded[i].call >= call:
                self.guarded[i].version = self.guarded[i].facts.version

    cdef int check_versions(self) except -1:
        """RuntimeError if a value that the backward reads is no longer the one that the forward read."""
        cdef Py_ssize_t i
        for i in range(self.guarded_count):
            if self.guarded[i].read and self.guarded[i].version != self.guarded[i].facts.version:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: "
                    f"a weight is at version {self.guarded[i].facts.version}; expected version "
                    f"{self.guarded[i].version} instead: a loss or a generator changed it while the step ran")
        return 0

    def reaches(self, status):
        """Note that the calls write this parameter's gradient."""
        cdef Facts* facts = self.facts_of(status)
        cdef void* memory = realloc(self.reached, (self.reached_count + 1) * sizeof(Facts*))
        if memory is NULL:
            raise MemoryError
        self.reached = <Facts**>memory
        self.reached[self.reached_count] = facts
        self.reached_count += 1

    def marks(self, list cleared not None, list others not None, bint backup):
        """Name the parameters: (status, gradient) of the optimizer's, whose gradients each step clears, and of others.

        backup : whether Python runs in the backward and the update, which may fail: then gradients are put back.
        """
        cdef Py_ssize_t i
        if self.marked is not NULL:
            raise RuntimeError("expected the parameters once")
        pairs = [*cleared, *others]
        self.marked = <Facts**>calloc(max(len(pairs), 1), sizeof(Facts*))
        self.had_grad = <char*>calloc(max(len(pairs), 1), sizeof(char))
        if self.marked is NULL or self.had_grad is NULL:
            raise MemoryError
        for i, (status, gradient) in enumerate(pairs):
            self.marked[i] = self.facts_of(status)
            if backup:
                self.backups.append((gradient, numpy.empty_like(gradient), i < len(cleared)))
        self.cleared_count, self.marked_count = len(cleared), len(pairs)

    def update(self, optimizer not None):
        """Append the update of what an optimizer of minidl.optim holds. Nothing can be appended after it."""
        if self.running or self.update_begin >= 0:
            raise RuntimeError("expected one update, of a program that does not run")
        cdef Py_ssize_t i, j
        cdef Update update
        updates = [Update(self.operations, optimizer, group, flat)
                   for group, flat in zip(optimizer.param_groups, optimizer.flats(), strict=True)]
        for update in updates:
            for i in range(update.size):
                for j in range(self.reached_count):
                    if update.facts[i] == self.reached[j]:
                        update.written[i] = True
        self.updates, self.update_begin = updates, self.count

    cpdef bint guard_failed(self):
        """Whether anything that is guarded has changed since."""
        cdef list items, were
        cdef Py_ssize_t i
        cdef NameGuard* entry
        for i in range(self.guard_count):
            entry = &self.guards[i]
            if PyDict_GetItemWithError(<object>entry.namespace, <object>entry.name) != entry.value:
                return True
        for i in range(self.guarded_count):
            if self.guarded[i].trained != self.guarded[i].facts.trained:
                return True
        for pair in self.guarded_lists:
            items, were = <list>(<tuple>pair)[0], <list>(<tuple>pair)[1]
            if len(items) != len(were):
                return True
            for i in range(len(items)):
                if PyList_GET_ITEM(items, i) != PyList_GET_ITEM(were, i):
                    return True
        return False

    def gather_into(self, x not None, rows):
        """Set the arrays into which the rows of a batch given by index are gathered."""
        self.gathered = self.rows(x, self.width)
        if rows is not None:
            self.gathered_target = self.rows(rows, self.target_width)

    # Running

    cdef int run_calls(self, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t rows) except -1:
        """Run the calls from begin to end; other Python threads may run meanwhile if it takes long."""
        cdef Py_ssize_t i = begin, first
        cdef PyThreadState* state
        while i < end:
            first = i
            while i < end and self.calls[i].run is not NULL:
                i += 1
            if i > first:
                state = released(rows * self.work)
                self.run_kernels(first, i, rows)
                regained(state)
            if i < end:
                value = self.functions[i](rows)
                if value is not None:
                    self.loss_value = value
                i += 1
                if i < self.loss_end:
                    self.note_versions(i)
                if i < self.count and self.guard_failed():
                    raise RuntimeError(CHANGED)
        return 0

    cdef void run_kernels(self, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t rows) noexcept nogil:
        """Run these calls, none of which is a Python function."""
        cdef Region region
        region.calls, region.rows, region.count, region.panel = &self.calls[begin], rows, end - begin, self.panel
        region.parts = 1 if thread_count == 1 or not self.shared_pays(rows) else thread_count
        region.block = block_of(self.columns) if rows > LEAST_BLOCK else 0
        region.passing = region.block > 0 and begin <= self.first_passing and self.passes(end)
        run_parts(run_region, &region, region.parts)

    cdef bint passes(self, Py_ssize_t end) noexcept nogil:
        """Whether the whole backward pass is among the calls before ``end``, and goes by blocks."""
        cdef Py_ssize_t i, last = self.count if self.update_begin < 0 else self.update_begin
        if end < last:
            return False
        for i in range(self.first_passing, last):
            if not goes_by_blocks(self.calls[i]):
                return False
        return True

    cdef bint shared_pays(self, Py_ssize_t rows) noexcept nogil:
        """Whether a pass over so many rows is faster on several threads."""
        cdef Py_ssize_t work = rows * self.work
        if rows < FEW_ROWS and not self.shares_columns:
            work //= 3
        return work > WORK_FOR_TWO and work > work_for_threads(WORK_FOR_TWO)

    cdef int set_batch(self, const Matrix* x, const Matrix* t) noexcept nogil:
        """Point the calls to this batch and these rows of the target."""
        cdef Py_ssize_t i
        if same_place(x, &self.x) and same_place(t, &self.t):
            return 0
        self.x, self.t = x[0], t[0]
        for i in range(self.count):
            if self.flags[i] & A_IS_INPUT:
                self.calls[i].a = x[0]
            if self.flags[i] & B_IS_TARGET:
                self.calls[i].b = t[0]
        return 0

    def step(self, x, target, index=None):
        """One step on the batch x (N, width), or x[index]; the loss. FloatingPointError if that is not finite.

        target: int64 labels (N,), or rows in the element type. Refusal, before anything is called, for a batch
        that does not fit and a program of which a guard fails.
        """
        if not isfinite(self.one_step(x, target, index)):
            raise FloatingPointError(
                f"capture: the loss became {self.loss_value}; the weights are those before this step")
        return self.loss_value

    def run(self, x, target, index=None):
        """The same, but a loss that is not finite is returned; nothing is updated then."""
        return self.one_step(x, target, index)

    cdef int begin(self) except -1:
        """Mark the program as running; RuntimeError if it is already."""
        if self.running or self.entered:
            raise RuntimeError(
                "capture: this step is running already: it was called again from within it, or by another thread")
        self.running = True
        return 0

    def enter(self):
        """Refuse to run until leave(), as a program that is running does."""
        self.begin()
        self.running, self.entered = False, True

    def leave(self):
        self.entered = False

    cdef int read_labels(self, const int64_t[:] labels, Py_ssize_t rows, bint by_index) except -1:
        """Copy the labels of the batch and check the copy, since the array may change at any time."""
        cdef Py_ssize_t i
        cdef int64_t outside = 0
        if (<size_t>&labels[0] | <size_t>labels.strides[0]) % sizeof(int64_t):
            raise Refusal(MISALIGNED)
        if labels.strides[0] == sizeof(int64_t) and not by_index:
            memcpy(self.labels, &labels[0], rows * sizeof(int64_t))
        else:
            for i in range(rows):
                self.labels[i] = labels[self.index[i] if by_index else i]
        for i in range(rows):  # a sum without branches, which the compiler vectorises
            outside += <uint64_t>self.labels[i] >= <uint64_t>self.classes
        for i in range(rows if outside else 0):
            if not 0 <= self.labels[i] < self.classes:
                raise Refusal(f"expected labels from 0 to {self.classes - 1}, got {self.labels[i]}")
        return 0

    cdef int read_index(self, const Py_ssize_t[:] index, Py_ssize_t rows, Py_ssize_t samples) except -1:
        cdef Py_ssize_t i
        if (<size_t>&index[0] | <size_t>index.strides[0]) % sizeof(Py_ssize_t):
            raise Refusal(MISALIGNED)
        for i in range(rows):
            self.index[i] = index[i]
        for i in range(rows):
            if not 0 <= self.index[i] < samples:
                raise Refusal(f"expected indices from 0 to {samples - 1}, got {self.index[i]}")
        return 0

    cdef double one_step(self, samples, target, indices) except? -1:
        self.begin()
        try:
            return self.checked_step(samples, target, indices)
        finally:
            self.running, self.target = False, None

    cdef double checked_step(self, samples, target, indices) except? -1:
        cdef const real[:, :] x, t
        cdef const Py_ssize_t[:] index
        cdef const int64_t[:] labels
        cdef Py_ssize_t rows
        cdef Matrix x_at, t_at = Matrix(NULL, 0, 0)
        # Plain arrays alone: a subclass may mask values, or run Python when it is read.
        if type(samples) is not NDARRAY or indices is not None and type(indices) is not NDARRAY or (
                (self.classes or self.target_width) and type(target) is not NDARRAY):
            raise Refusal("expected NumPy arrays")
        try:
            x, index = samples, indices
            if self.classes:
                labels = target
            elif self.target_width:
                t = target
            fill(&x_at, x, x.shape[0], self.width)
            if self.target_width:
                fill(&t_at, t, x.shape[0], self.target_width)
        except (TypeError, ValueError, BufferError) as error:
            raise Refusal(str(error)) from None
        if self.guard_failed():
            raise Refusal("what the program was built from has changed")
        rows = x.shape[0] if index is None else index.shape[0]
        if not 0 < rows <= self.capacity:
            raise Refusal(f"expected 1 to {self.capacity} rows, got {rows}")
        if index is not None:
            self.read_index(index, rows, x.shape[0])
            gather(&x_at, self.width, self.index, rows, &self.gathered)
            x_at = self.gathered
        if self.classes:
            if labels.shape[0] != x.shape[0]:
                raise Refusal(f"expected labels of shape {(x.shape[0],)}, got {(labels.shape[0],)}")
            self.read_labels(labels, rows, index is not None)
        if self.target_width and index is not None:
            gather(&t_at, self.target_width, self.index, rows, &self.gathered_target)
            t_at = self.gathered_target
        if self.asks_target:
            self.target = target if index is None else target[numpy.array(<Py_ssize_t[:rows]>self.index)]
        locks = None
        if index is None and (self.late_labels or self.python_after_loss or rows * self.work > WORK_TO_RELEASE):
            locks = lock(samples), lock(target) if isinstance(target, numpy.ndarray) else None
        self.set_batch(&x_at, &t_at)
        if self.late_labels or self.python_after_loss:
            self.note_versions(0)
        if self.late_labels and self.classes and index is None:
            self.run_calls(0, self.forward_end, rows)
            try:  # again, as the loss of the modules would: Python has run since
                self.read_labels(labels, rows, False)
            except Refusal as refusal:
                raise ValueError(f"capture: {refusal}") from None
            self.run_calls(self.forward_end, self.loss_end, rows)
        else:
            self.run_calls(0, self.loss_end, rows)
        if not isfinite(self.loss_value):
            return self.loss_value
        if self.python_after_loss:
            self.backward_and_update_in_python(rows)
        else:
            self.backward_and_update(rows)
        return self.loss_value

    cdef int backward_and_update(self, Py_ssize_t rows) except -1:
        """The rest of a step, without Python functions in it."""
        cdef Py_ssize_t i
        if self.late_labels:
            self.check_versions()
        self.prepare_updates()
        for i in range(self.cleared_count):
            self.marked[i].has_grad = False
        for i in range(self.reached_count):
            self.reached[i].has_grad = True
        self.run_calls(self.loss_end, self.count, rows)
        return 0

    cdef int backward_and_update_in_python(self, Py_ssize_t rows) except -1:
        """The same with Python functions in it. After an error the gradients are as before the step."""
        cdef Py_ssize_t i
        for i in range(self.marked_count):
            self.had_grad[i] = self.marked[i].has_grad
        for gradient, backup, cleared in self.backups:
            backup[:] = gradient
        try:
            for i in range(self.cleared_count):
                self.marked[i].has_grad = False
            for gradient, backup, cleared in self.backups:
                if cleared:
                    gradient[:] = 0
            self.run_calls(self.loss_end, self.python_end, rows)
            self.check_versions()
            for i in range(self.cleared_count):  # a user's loss may have written other gradients
                if self.backups[i][0].any():
                    self.marked[i].has_grad = True
            for i in range(self.reached_count):
                self.reached[i].has_grad = True
            if self.update_begin >= 0:
                self.prepare_updates()
            self.run_calls(self.python_end, self.count, rows)
        except BaseException:
            for gradient, backup, cleared in self.backups:
                gradient[:] = backup
            for i in range(self.marked_count):
                self.marked[i].has_grad = self.had_grad[i]
            raise
        return 0

    cdef int prepare_updates(self) except -1:
        """Set what the update changes, and its numbers. An error leaves all as it was; no Python runs after it."""
        cdef Py_ssize_t i
        cdef bint stateful, fit = True, python_ran = False
        cdef Update update
        for update in self.updates:
            if not update.settings_stand():
                stateful, python_ran = update.stateful, True
                update.read_settings()
                fit = fit and update.stateful == stateful
            fit = fit and update.calls_fit(self.python_after_loss)
        if not fit:
            self.lay_out_updates()
        if python_ran or not fit:
            for update in self.updates:
                if not update.calls_fit(self.python_after_loss):
                    raise RuntimeError(CHANGED)
            if self.guard_failed():
                raise RuntimeError(CHANGED)
        cdef Moving moving
        for update in self.updates:
            moving = update.moving()
            for i in range(self.update_begin, self.count):
                if self.updates[self.calls[i].group] is update:
                    set_numbers(&moving, moving.numbers, self.calls[i])
        for update in self.updates:
            moving = update.moving()
            count_update(&moving)
        return 0

    cdef int lay_out_updates(self) except -1:
        """Write the calls of the updates anew, for the parameters that are to be updated now."""
        cdef Update update
        cdef Call* call
        cdef Py_ssize_t i, leader, number
        self.truncate()
        del self.update_arrays[:]
        for update in self.updates:
            update.generation = -1  # no call is valid until all are written
        for number, update in enumerate(self.updates):
            names = update.optimizer.state_of(update.group) if update.stateful else ()
            for i in range(update.size):
                update.leaders[i] = -1
            update.arrays, update.names = [], ()
            for part in update.flat.parts(update.chosen(self.python_after_loss)):
                indices = part.indices
                leader = indices[0]
                for index in indices:
                    i = index
                    if not (0 <= i < update.size and 0 <= leader < update.size):
                        raise IndexError(index)
                    update.leaders[i] = leader
                for values, gradients, arrays in part.spans(*names):
                    call = self.written(update.run, None)
                    call.cols, call.group, call.seen = values.size, number, &update.counts[leader]
                    call.partition = BY_ELEMENTS
                    call.out = Matrix(self.held(self.update_arrays, values, call.cols), 0, 1)
                    call.a = Matrix(self.held(self.update_arrays, gradients, call.cols), 0, 1)
                    for i in range(min(len(arrays), 2)):
                        call.state[i] = self.held(self.update_arrays, arrays[i], call.cols)
            if update.size and any([update.leaders[i] >= 0 for i in range(update.size)]):
                state = update.flat.state
                if type(state) is not dict:
                    raise TypeError(f"expected the state in a dictionary, got {type(state).__name__}")
                update.state, update.arrays, update.names = state, update.flat.arrays(names), tuple(names)
        for update in self.updates:
            update.generation = update.counts[update.size]
        return 0

    cdef void truncate(self) noexcept:
        """Remove the calls of the updates."""
        cdef Py_ssize_t i
        for i in range(self.update_begin, self.count):
            free(self.calls[i])
        self.count = self.update_begin
        del self.functions[self.update_begin:]

    cdef void write_output(self, real* y) noexcept:
        """Let the last call of the forward pass, and the call fused with it, write to y."""
        cdef Call* call = self.calls[self.output_call]
        call.out.at = y
        if call.then is not NULL:
            call.then.a.at = call.then.out.at = y

    def steps(self, samples, target, order, Py_ssize_t batch, double total, output=None, truth=None,
              double threshold=0, settings=None):
        """A step for each ``batch`` rows of the order, in one call: (losses, total, wrong). See stretch.pxi.

        total : what the losses, each times its rows, are added to, in their order. output, truth, threshold : where
        the steps write the model's output, and the class of each sample, by which misclassified rows are counted;
        without a truth ``wrong`` counts what the program does. settings : of the optimizer's groups in each step,
        as note_settings() wrote them.

        There are fewer losses than batches if a loss is not finite, which is then the last, without an update, and
        if labels do not fit. Refusal, and nothing done, where a single step has to do more than that.
        """
        self.begin()
        try:
            return stretch(self, samples, target, order, batch, total, output, truth, threshold, settings)
        finally:
            self.running = False

    def members(self, samples, target, Py_ssize_t batch, output, truth, double threshold, orders not None,
                Py_ssize_t rows, numbers not None, list own not None, list states not None, list statuses not None):
        """Train several networks in place of the program's own, one after the other, in one call. See members.pxi.

        samples, target, batch, output, truth, threshold : as of steps(). orders : of each network the indices of
        all epochs, ``rows`` of each. numbers : the settings of each, as note_settings() wrote them. own, states,
        statuses : lists, with one for the program's network, then one for each: of arrays that are copied there and
        back, of an optimizer's state, which begins as zeros, of the statuses of the parameters.

        Returns for each network what found_of() says; its last loss may not be finite, then the update of that step
        was not made. Refusal, and nothing done, as of steps().
        """
        self.begin()
        try:
            return members(self, samples, target, batch, output, truth, threshold, orders, rows, numbers, own,
                           states, statuses)
        finally:
            self.running = False

    def note_settings(self, double[::1] numbers not None):
        """Write down the present settings; False where a step with them has to be prepared by itself."""
        cdef Py_ssize_t i
        if numbers.shape[0] != self.settings_count:
            raise ValueError(f"expected an array of {self.settings_count} elements, got {numbers.shape[0]}")
        for i in range(len(self.updates)):
            if not (<Update>self.updates[i]).note_settings(&numbers[i * MOST_SETTINGS]):
                return False
        return True

    @property
    def compiled_throughout(self):
        """Whether a step needs no Python."""
        return not self.late_labels and not self.python_after_loss and self.update_begin >= 0

    @property
    def settings_count(self):
        """The elements of the array for note_settings()."""
        return len(self.updates) * MOST_SETTINGS

    def forward(self, samples not None):
        """The forward pass alone, over any number of rows, capacity at a time: (N, width) -> a new array.

        None, and nothing done, if a guard fails.
        """
        cdef const real[:, :] x
        cdef Py_ssize_t rows, begin = 0, count
        cdef Matrix x_at, part, y, no_target = Matrix(NULL, 0, 0)
        self.begin()
        try:
            if self.guard_failed():
                return None
            if self.output_call < 0:
                raise RuntimeError("expected a program with a forward pass")
            x = samples
            rows = x.shape[0]
            fill(&x_at, x, rows, self.width)
            locks = None
            if rows * self.work > WORK_TO_RELEASE:
                locks = lock(samples)
            made = new_matrix(&y, rows, self.output_width)
            while begin < rows:
                count = min(rows - begin, self.capacity)
                part = from_element(&x_at, begin, 0)
                self.set_batch(&part, &no_target)
                self.write_output(y.at + begin * self.output_width)
                self.run_calls(0, self.forward_end, count)
                begin += count
            return made
        finally:
            self.running = False

    @property
    def block(self):
        """The rows that pass through a step together, where its batch has more of them; 0: always all."""
        return block_of(self.columns)

    @property
    def wrong(self):
        """The number of rows of the last batch whose largest output is not the label's."""
        return <Py_ssize_t>self.wrong_value
