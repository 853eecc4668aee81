# Program: what Python builds the captured step with, and runs it by.

from cpython.dict cimport PyDict_GetItemWithError
from cpython.list cimport PyList_GET_ITEM
from cpython.object cimport PyObject

cdef int thread_count = 1


def set_num_threads(int n):
    """How many threads a program may run on: 1 to MAX_THREADS."""
    global thread_count
    if not 1 <= n <= MAX_THREADS:
        raise ValueError(f"set_num_threads: expected 1 to {MAX_THREADS} threads, got {n}")
    thread_count = n


REDUCTIONS = {"sum": 0, "rows": 1, "elements": 2}

cdef enum:
    WORK_FOR_TWO = 800_000  # multiply-adds of a pass below which a second thread costs more than it brings
    WIDE = 1 << 17          # elements of a weight from which threads share its columns, not the batch's rows

# Which operands of a call are the batch's, and change from run to run
cdef enum:
    A_IS_INPUT = 1
    B_IS_TARGET = 2


cdef struct Watched:  # what a name must stand for; Program.kept holds all three
    PyObject* namespace
    PyObject* name
    PyObject* value


cdef class Program:
    """A list of kernel calls over arrays of up to ``capacity`` rows.

    The methods append a call each; an operand of None is the batch's input, or target. ``forward_ends``,
    ``loss_ends`` mark where the forward pass and the loss end. step(), run() and forward() walk it.
    """

    cdef Call** calls
    cdef Py_ssize_t count, room, forward_end, loss_end
    cdef list kept, functions, updates, watched_lists
    cdef Watched* watched
    cdef Py_ssize_t watched_count
    cdef Py_ssize_t output_call, output_width
    cdef int* flags
    cdef int64_t* labels
    cdef double loss_value, wrong_value
    cdef Py_ssize_t width, target_width, classes, operations
    cdef readonly Py_ssize_t capacity
    cdef const real* x  # the batch that the calls were set to
    cdef const real* t
    cdef Py_ssize_t xs0, xs1, ts0, ts1
    cdef real* gathered
    cdef real* gathered_target
    cdef int64_t* gathered_labels

    def __cinit__(self):
        self.calls, self.flags, self.count, self.room = NULL, NULL, 0, 0
        self.watched, self.watched_count = NULL, 0
        self.x, self.t, self.gathered, self.gathered_target, self.gathered_labels = NULL, NULL, NULL, NULL, NULL

    def __init__(self, Py_ssize_t capacity, Py_ssize_t width, Py_ssize_t classes, Py_ssize_t target_width):
        """Batches of up to capacity rows of width; labels of 0..classes-1, or target rows of target_width."""
        self.capacity, self.width, self.classes, self.target_width = capacity, width, classes, target_width
        self.kept, self.functions, self.updates = [], [], []
        self.watched_lists = []
        self.forward_end = self.loss_end = -1

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.count):
            free(self.calls[i])
        free(self.calls)
        free(self.watched)
        free(self.flags)

    # Building

    cdef Call* append(self, action run, function=None) except NULL:
        if self.count == self.room:
            self.room = 2 * self.room + 16
            self.calls = <Call**>realloc(self.calls, self.room * sizeof(Call*))
            self.flags = <int*>realloc(self.flags, self.room * sizeof(int))
            if self.calls is NULL or self.flags is NULL:
                raise MemoryError
        cdef Call* call = <Call*>calloc(1, sizeof(Call))
        if call is NULL:
            raise MemoryError
        self.calls[self.count] = call
        call.run, call.labels = run, &self.labels
        self.flags[self.count] = 0
        self.functions.append(function)
        self.count += 1
        return call

    cdef real* address(self, array) except? NULL:
        """Where an array begins, which is kept alive from now on."""
        self.kept.append(array)
        return <real*>address_of(array)

    cdef int set_a(self, Call* call, array) except -1:
        if array is None:
            self.flags[self.count - 1] |= A_IS_INPUT
            return 0
        call.a = self.address(array)
        call.as0, call.as1 = array.strides[0] // sizeof(real), array.strides[1] // sizeof(real)
        return 0

    cdef int set_b(self, Call* call, array, int flag) except -1:
        if array is None:
            self.flags[self.count - 1] |= flag
            return 0
        call.b = self.address(array)
        call.bs0, call.bs1 = array.strides[0] // sizeof(real), array.strides[1] // sizeof(real)
        return 0

    cdef int product(self, Call* call, array, Py_ssize_t depth, Py_ssize_t cols) except -1:
        """A product of a layer, its output in the array."""
        call.y, call.ys0, call.depth, call.cols = self.address(array), cols, depth, cols
        call.share = BY_COLUMNS if cols >= 4 * PANEL_N and depth * cols >= WIDE else BY_ROWS
        self.operations += depth * cols
        return 0

    def linear(self, x, weight, bias, y):
        """y = x weight^T + bias."""
        cdef Call* call = self.append(run_linear)
        self.set_a(call, x)
        self.set_b(call, weight, 0)
        call.bias = NULL if bias is None else self.address(bias)
        self.product(call, y, weight.shape[1], weight.shape[0])

    def input_gradient(self, dy, weight, dx):
        """dx = dy weight."""
        cdef Call* call = self.append(run_input_gradient)
        self.set_a(call, dy)
        self.set_b(call, weight, 0)
        self.product(call, dx, weight.shape[0], weight.shape[1])

    def parameter_gradients(self, x, dy, dweight, db, bint fresh):
        """dweight, lying as (in, out), and db (or None) for x and dy; fresh: written, not added to."""
        cdef Call* call = self.append(run_parameter_gradients)
        self.set_a(call, x)
        self.set_b(call, dy, 0)
        self.product(call, dweight, dweight.shape[1], dweight.shape[0])
        call.share, call.fresh, call.y2 = BY_INPUTS, fresh, NULL if db is None else self.address(db)

    def apply(self, str name, a, y, b=None, double setting=0, str reduction="sum", bint fresh=False,
              bint against_target=False):
        """The action called name: y from a (and b; against_target: the batch's rows).

        An elementwise action on what the call before has written, a layer's product, is done panel by panel.
        """
        cdef Call* call = self.append(<action><size_t>ACTIONS[name])
        cdef Call* before = self.calls[self.count - 2] if self.count > 1 else NULL
        self.set_a(call, a)
        if against_target or b is not None:
            self.set_b(call, b, B_IS_TARGET)
            call.b_by_rows = True
        call.share = ALONE if name in SERIAL else BY_ROWS
        call.cols = call.ys0 = y.shape[1]
        call.y, call.setting, call.count, call.fresh = self.address(y), setting, REDUCTIONS[reduction], fresh
        call.number = &self.wrong_value if name == "wrong" else &self.loss_value
        self.operations += 8 * call.cols
        if name in ELEMENTWISE and before is not NULL and before.y == call.a and (
                before.run is run_linear or before.run is run_input_gradient):
            before.then, call.within = call, True

    def zero(self, array):
        """Set a flat array to zero."""
        cdef Call* call = self.append(run_zero)
        call.y, call.cols, call.share = self.address(array), array.size, BY_ELEMENTS

    def python(self, function):
        """Call function(rows), a float: None, or the loss."""
        self.append(NULL, function)

    def update(self, kind, group, flat, names):
        """Update the parameters of one group by the rule called kind: SGD, Adam, AdamW or Adadelta."""
        cdef Update update = Update(kind, group, flat, names)
        cdef Call* call
        update.first, update.count = self.count, len(flat.runs)
        for values, gradients in flat.runs:
            call = self.append(run_sgd if kind == "SGD" else run_adadelta if kind == "Adadelta" else run_adam)
            call.y, call.a, call.cols = self.address(values), self.address(gradients), values.size
            call.share, call.as1 = BY_ELEMENTS, 1
        self.updates.append(update)

    def forward_ends(self, last):
        """The call that writes the array ``last`` may write it elsewhere; see forward()."""
        cdef real* y = self.address(last)
        self.forward_end, self.output_call, self.output_width = self.count, -1, last.shape[1]
        for i in range(self.count):
            if self.calls[i].run is not NULL and self.calls[i].y == y and not self.calls[i].within:
                self.output_call = i

    def loss_ends(self):
        self.loss_end = self.count

    def watch(self, dict namespace, names):
        """Be stale once one of these names stands for another object."""
        cdef Watched* entry
        for name in names:
            self.watched = <Watched*>realloc(self.watched, (self.watched_count + 1) * sizeof(Watched))
            if self.watched is NULL:
                raise MemoryError
            entry = &self.watched[self.watched_count]
            value = namespace[name]
            self.kept += [namespace, name, value]
            entry.namespace, entry.name, entry.value = <PyObject*>namespace, <PyObject*>name, <PyObject*>value
            self.watched_count += 1

    def watch_list(self, list items):
        """Be stale once the list holds other objects."""
        self.watched_lists.append((items, list(items)))

    cpdef bint stale(self):
        """Whether anything watched has changed since."""
        cdef list items, were
        cdef Py_ssize_t i
        cdef Watched* entry
        for i in range(self.watched_count):
            entry = &self.watched[i]
            if PyDict_GetItemWithError(<object>entry.namespace, <object>entry.name) != entry.value:
                return True
        for pair in self.watched_lists:
            items, were = <list>(<tuple>pair)[0], <list>(<tuple>pair)[1]
            if len(items) != len(were):
                return True
            for i in range(len(items)):
                if PyList_GET_ITEM(items, i) != PyList_GET_ITEM(were, i):
                    return True
        return False

    def gather_into(self, x, rows, labels):
        """Where batches that are picked by index are put together."""
        self.gathered = self.address(x)
        if rows is not None:
            self.gathered_target = self.address(rows)
        if labels is not None:
            self.gathered_labels = <int64_t*>self.address(labels)

    # Running

    cdef int walk(self, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t rows) except -1:
        """Run the calls from begin to end; other threads run meanwhile if it takes long."""
        cdef Py_ssize_t i = begin
        cdef PyThreadState* state
        cdef Stretch stretch
        cdef int parts = thread_count if rows * self.operations > WORK_FOR_TWO else 1
        while i < end:
            stretch.calls, stretch.rows, stretch.count, stretch.parts = &self.calls[i], rows, 0, parts
            while i < end and self.calls[i].run is not NULL:
                stretch.count += 1
                i += 1
            state = released(rows * self.operations)
            run_parts(walk_part, &stretch, parts)
            regained(state)
            if i < end:
                value = self.functions[i](rows)
                if value is not None:
                    self.loss_value = value
                i += 1
        return 0

    cdef int set_batch(self, const real* x, Py_ssize_t xs0, Py_ssize_t xs1,
                       const real* t, Py_ssize_t ts0, Py_ssize_t ts1) except -1:
        cdef Py_ssize_t i
        if x == self.x and xs0 == self.xs0 and xs1 == self.xs1 and t == self.t and ts0 == self.ts0 and ts1 == self.ts1:
            return 0
        self.x, self.xs0, self.xs1, self.t, self.ts0, self.ts1 = x, xs0, xs1, t, ts0, ts1
        for i in range(self.count):
            if self.flags[i] & A_IS_INPUT:
                self.calls[i].a, self.calls[i].as0, self.calls[i].as1 = x, xs0, xs1
            if self.flags[i] & B_IS_TARGET:
                self.calls[i].b, self.calls[i].bs0, self.calls[i].bs1 = t, ts0, ts1
        return 0

    def step(self, x not None, target, index=None):
        """One step on the batch x (N, width), or x[index]; the loss. FloatingPointError if that is not finite.

        target: int64 labels (N,), or rows in the element type. ValueError also for a program that is stale.
        """
        if not isfinite(self.one_step(x, target, index)):
            raise FloatingPointError(
                f"capture: the loss became {self.loss_value}; the weights are those before this step")
        return self.loss_value

    def run(self, x not None, target, index=None):
        """The same, but a loss that is not finite is returned, too."""
        return self.one_step(x, target, index)

    cdef double one_step(self, samples, target, picked) except? -1:
        if self.stale():
            raise ValueError("expected a program to run before what it was built from has changed")
        cdef const real[:, :] x = samples
        cdef const Py_ssize_t[:] index = picked
        cdef Py_ssize_t rows = x.shape[0] if index is None else index.shape[0]
        cdef const int64_t[:] labels
        cdef const real[:, :] t
        cdef const real* px
        cdef const real* pt = NULL
        cdef Py_ssize_t i, j, xs0, xs1, ts0 = 0, ts1 = 0
        if x.shape[1] != self.width:
            raise ValueError(f"expected an input of shape (N, {self.width}), got {(x.shape[0], x.shape[1])}")
        if not 0 < rows <= self.capacity:
            raise ValueError(f"expected 1 to {self.capacity} rows, got {rows}")
        px, xs0, xs1 = matrix(x, x.shape[0], self.width), row_step(x), col_step(x)
        if index is not None:
            for i in range(rows):
                if not 0 <= index[i] < x.shape[0]:
                    raise IndexError(f"expected indices from 0 to {x.shape[0] - 1}, got {index[i]}")
                if xs1 == 1:
                    memcpy(self.gathered + i * self.width, px + index[i] * xs0, self.width * sizeof(real))
                else:
                    for j in range(self.width):
                        self.gathered[i * self.width + j] = px[index[i] * xs0 + j * xs1]
        if self.classes:
            labels = target
            if labels.shape[0] != x.shape[0]:
                raise ValueError(f"expected labels of shape {(x.shape[0],)}, got {(labels.shape[0],)}")
            if index is not None:
                for i in range(rows):
                    self.gathered_labels[i] = labels[index[i]]
                self.labels = self.gathered_labels
            elif labels.strides[0] == sizeof(int64_t):
                self.labels = <int64_t*>&labels[0]
            else:
                for i in range(rows):
                    self.gathered_labels[i] = labels[i]
                self.labels = self.gathered_labels
            for i in range(rows):
                if self.labels[i] < 0 or self.labels[i] >= self.classes:
                    raise ValueError(f"expected labels from 0 to {self.classes - 1}, got {self.labels[i]}")
        elif self.target_width:
            t = target
            if t.shape[0] != x.shape[0] or t.shape[1] != self.target_width:
                raise ValueError(
                    f"expected a target of shape {(x.shape[0], self.target_width)}, got {(t.shape[0], t.shape[1])}")
            pt, ts0, ts1 = matrix(t, x.shape[0], self.target_width), row_step(t), col_step(t)
            if index is not None:
                for i in range(rows):
                    for j in range(self.target_width):
                        self.gathered_target[i * self.target_width + j] = pt[index[i] * ts0 + j * ts1]
                pt, ts0, ts1 = self.gathered_target, self.target_width, 1
        if index is not None:
            px, xs0, xs1 = self.gathered, self.width, 1
        self.set_batch(px, xs0, xs1, pt, ts0, ts1)
        self.walk(0, self.loss_end, rows)
        if not isfinite(self.loss_value):
            return self.loss_value
        for update in self.updates:
            (<Update>update).settle(self.calls)
        self.walk(self.loss_end, self.count, rows)
        return self.loss_value

    cdef void write_output(self, real* y) noexcept:
        """Let the last call of the forward pass write to y, and what finishes it, too."""
        cdef Call* call = self.calls[self.output_call]
        call.y = y
        if call.then is not NULL:
            call.then.a = call.then.y = y

    def forward(self, samples not None):
        """The forward pass alone, over any number of rows, capacity at a time: (N, width) -> a new array.

        None, and nothing done, if the program is stale.
        """
        if self.stale():
            return None
        cdef const real[:, :] x = samples
        cdef Py_ssize_t rows = x.shape[0], begin = 0, count
        cdef const real* px = matrix(x, rows, self.width)
        cdef real* py
        cdef Py_ssize_t ys0
        made = output(None, rows, self.output_width, &py, &ys0)
        while begin < rows:
            count = min(rows - begin, self.capacity)
            self.set_batch(px + begin * row_step(x), row_step(x), col_step(x), NULL, 0, 0)
            self.write_output(py + begin * self.output_width)
            self.walk(0, self.forward_end, count)
            begin += count
        return made

    @property
    def wrong(self):
        """The number of rows of the last batch whose largest output is not the label's."""
        return <Py_ssize_t>self.wrong_value
