"""What runs a recorded step: its instructions, one after the other, while what it was recorded from stands.

Nothing that Python does may lead it into foreign memory. An operand is a matrix that the program holds, whose
extent is compared with the instruction's when it is bound; its memory can't be resized, since a weak reference
to the owner stands; labels are checked where they are used, in memory that nobody else writes; and a program that
runs refuses a second call.
"""

import numpy

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDED_RO, PyBuffer_Release, PyObject_GetBuffer
from cpython.dict cimport PyDict_GetItemWithError, PyDict_Size
from cpython.list cimport PyList_GET_ITEM
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from minidl.kernels.memory import Status

cdef extern from "Python.h":
    PyObject* PyCell_GET(object cell) noexcept
    object PyWeakref_NewRef(object referent, object callback)

cdef extern from "math.h" nogil:
    bint isfinite(double x)

cdef extern from "string.h" nogil:
    void* memset(void* memory, int value, size_t size)
    void* memcpy(void* to, const void* source, size_t size)

cdef extern from "stdlib.h" nogil:
    void* calloc(size_t count, size_t size)
    void* realloc(void* memory, size_t size)
    void free(void* memory)

cdef extern from * nogil:
    """
    #include <time.h>
    #ifdef _WIN32
    #include <windows.h>
    static double now(void) {
      LARGE_INTEGER count, frequency;
      QueryPerformanceCounter(&count);
      QueryPerformanceFrequency(&frequency);
      return (double)count.QuadPart / (double)frequency.QuadPart;
    }
    #else
    static double now(void) {
      struct timespec t;
      clock_gettime(CLOCK_MONOTONIC, &t);
      return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    }
    #endif
    """
    double now()

cdef extern from "instruction.h" nogil:
    ctypedef struct Operand:
        void* p
        Py_ssize_t s0, s1
    ctypedef struct Instruction:
        void (*action)(const Instruction* ins) noexcept nogil
        Operand y, a, b, c
        Py_ssize_t rows, cols, depth
        double setting
        int kind, accumulates

ctypedef void (*action)(const Instruction* ins) noexcept nogil

cdef struct Facts:  # of a parameter; kernels/memory.pyx keeps them
    long long version
    int trained
    int has_grad

cdef enum Kind:
    KERNEL    # calls its action
    PYTHON    # calls a Python function
    REACHED   # a parameter has a gradient from here on
    CLEARED   # and none
    CHANGED   # a parameter's value was changed in place
    LABELS    # labels must lie in range
    FINITE    # the program ends here if a number is not finite

cdef enum:
    WORK_TO_RELEASE = 100_000  # multiply-adds from which other Python threads may run meanwhile

cdef dict FORMS = {name: "product" if name == "gemm" else "column sums" if name == "column_sums" else
                   "row sums" if name == "row_sums" else "total" if name == "total" else
                   "picked" if name == "picked_total" else "labels" if name in ("minus_one_hot", "cross_entropy_gradient") else
                   "zero" if name == "zero" else "elementwise"
                   for name in (
                       "copy neg abs sqrt square sign exp log relu leaky_relu elu selu tanh sigmoid add sub mul div "
                       "relu_backward leaky_relu_backward elu_backward selu_backward tanh_backward sigmoid_backward "
                       "lt le eq ne where gemm column_sums row_sums softmax log_softmax softmax_backward "
                       "log_softmax_backward total picked_total minus_one_hot cross_entropy_gradient zero to_double from_double").split()}
cdef set BYTES_OUT = {"lt", "le", "eq", "ne"}
cdef object DOUBLE = numpy.dtype(numpy.float64)
cdef object MISSING = object()  # the value of a key that is not there
cdef object NDARRAY = numpy.ndarray
cdef object BOOL = numpy.dtype(bool)
cdef object INT64 = numpy.dtype(numpy.int64)


cdef class Guards:
    """What must be as it was: names in dictionaries, items of lists, cells of closures, attributes, flags.

    Objects are compared by identity. ``changed()`` gives the number of the first that is another, or -1.
    """

    cdef list entries, texts
    cdef Py_ssize_t count

    def __cinit__(self):
        self.entries, self.texts = [], []

    def __len__(self):
        return len(self.entries)

    def text(self, Py_ssize_t i):
        """What entry i is called in a message."""
        return self.texts[i]

    def name(self, namespace not None, key, str text):
        """The value of a key of a dictionary, or that there is none."""
        if not isinstance(namespace, dict):
            raise TypeError(f"expected a dictionary, got {type(namespace).__name__}")
        self.add((0, namespace, key, dict.get(namespace, key, MISSING)), text)

    def size(self, namespace not None, str text):
        """How many keys a dictionary has."""
        if not isinstance(namespace, dict):
            raise TypeError(f"expected a dictionary, got {type(namespace).__name__}")
        self.add((1, namespace, len(namespace), None), text)

    def items(self, list items not None, str text):
        """The items of a list."""
        self.add((2, items, tuple(items), None), text)

    def cell(self, cell, str text):
        """What a variable of an enclosing function stands for."""
        self.add((3, cell, cell.cell_contents, None), text)

    def attribute(self, holder, str name, str text):
        """The value of an attribute, however it is found; None if there is none."""
        self.add((4, holder, name, getattr(holder, name, None)), text)

    def trained(self, status not None, str text):
        """Whether a parameter is trained."""
        if type(status) is not Status:
            raise TypeError(f"expected a Status, got {type(status).__name__}")
        self.add((5, status, <size_t>status.address, status.requires_grad), text)

    cdef int add(self, tuple entry, str text) except -1:
        self.entries.append(entry)
        self.texts.append(text)
        self.count += 1
        return 0

    cdef bint stands(self, tuple entry) except -1:
        cdef int kind = entry[0]
        cdef PyObject* found
        cdef tuple were
        cdef Py_ssize_t i
        if kind == 0:
            found = PyDict_GetItemWithError(entry[1], entry[2])
            return found == <PyObject*>entry[3] or (found is NULL and entry[3] is MISSING)
        if kind == 1:
            return PyDict_Size(entry[1]) == <Py_ssize_t>entry[2]
        if kind == 2:
            were = <tuple>entry[2]
            if len(<list>entry[1]) != len(were):
                return False
            for i in range(len(were)):
                if PyList_GET_ITEM(<list>entry[1], i) != <PyObject*>were[i]:
                    return False
            return True
        if kind == 3:
            return PyCell_GET(entry[1]) == <PyObject*>entry[2]
        if kind == 4:
            return getattr(entry[1], entry[2], None) is entry[3]
        return (<Facts*><size_t>entry[2]).trained == <bint>entry[3]

    cpdef Py_ssize_t changed(self) except -2:
        """The first entry that is not as it was, or -1."""
        cdef Py_ssize_t i
        for i in range(self.count):
            if not self.stands(<tuple>PyList_GET_ITEM(self.entries, i)):
                return i
        return -1

    def take(self, Guards others not None):
        """Guard what the others guard, too."""
        self.entries += others.entries
        self.texts += others.texts
        self.count = len(self.entries)

    def renew(self, Py_ssize_t i, bint whatever=False):
        """Take entry i as it is now, if it is a number or a string of the same type and value; whether it was.

        whatever : take it, whatever it is.
        """
        cdef tuple entry = self.entries[i]
        kind, holder, key, before = entry
        if kind == 0:
            now = dict.get(holder, key, MISSING)
        elif kind == 3:
            before, now = key, holder.cell_contents
        elif kind == 4:
            now = getattr(holder, key, None)
        else:
            return False
        if not whatever and (type(now) is not type(before) or repr(now) != repr(before) or type(now) not in (
                int, float, str, bool, bytes, complex)):
            return False
        self.entries[i] = (kind, holder, now, None) if kind == 3 else (kind, holder, key, now)
        return True


cdef class Replay:
    """The program of a recorded step.

    Replay(actions): for each element type the addresses of the actions by name. ``guards`` say whether it may run.
    Methods append an instruction each.
    """

    cdef Instruction* code
    cdef Py_ssize_t count, room
    cdef dict actions
    cdef readonly list functions, kept, inputs
    cdef readonly Guards guards
    cdef readonly bint running, stopped
    cdef list labels_of
    cdef Py_ssize_t work
    cdef public Py_ssize_t replays, next_check

    def __cinit__(self, dict actions not None):
        self.actions = actions
        self.functions, self.kept, self.inputs, self.labels_of = [], [], [], []
        self.guards = Guards()
        self.next_check = 1

    def __dealloc__(self):
        free(self.code)

    def __len__(self):
        return self.count

    # Building

    cdef Instruction* append(self, Kind kind, function) except NULL:
        cdef void* memory
        if self.running:
            raise RuntimeError("a program cannot be written while it runs")
        if self.count == self.room:
            memory = realloc(self.code, (2 * self.room + 16) * sizeof(Instruction))
            if memory is NULL:
                raise MemoryError
            self.code, self.room = <Instruction*>memory, 2 * self.room + 16
        cdef Instruction* ins = &self.code[self.count]
        memset(ins, 0, sizeof(Instruction))
        ins.kind = kind
        self.functions.append(function)
        self.labels_of.append(None)
        self.count += 1
        return ins

    cdef int bind(self, Operand* operand, array, dtype, Py_ssize_t rows, Py_ssize_t cols, bint written) except -1:
        """Let the operand be this array of exactly rows x cols."""
        if type(array) is not NDARRAY or array.dtype != dtype or array.shape != (rows, cols):
            raise ValueError(f"expected an array of {dtype} of shape {(rows, cols)}, got "
                             f"{getattr(array, 'dtype', type(array).__name__)} of {getattr(array, 'shape', None)}")
        cdef Py_ssize_t size = dtype.itemsize, s0 = array.strides[0], s1 = array.strides[1]
        if not array.flags.aligned or s0 % size or s1 % size:
            raise ValueError("expected strides of whole elements, and these aligned")
        if rows < 2:
            s0 = cols * size
        if cols < 2:
            s1 = size
        if written and (not array.flags.writeable or s1 != size):
            raise ValueError("expected an output to write to, whose columns have stride one")
        operand.p, operand.s0, operand.s1 = <void*><size_t>array.ctypes.data, s0 // size, s1 // size
        owner = array
        while isinstance(owner.base, NDARRAY):
            owner = owner.base
        self.kept.append((array, PyWeakref_NewRef(owner, None)))
        return 0

    def kernel(self, str name not None, dtype not None, y, a=None, b=None, c=None, double setting=0,
               bint accumulates=False):
        """Call the action of this name and element type; the shapes of its operands are those that its form says.

        elementwise    all (rows, cols); y of lt, le, eq, ne and c of where are of bool; to_double and from_double
                       have one operand of float64
        product        y (rows, cols), a (rows, depth), b (depth, cols), c (1, cols) or None
        column sums    y (1, cols), a (rows, cols); row sums: y (1, rows)
        total          y (1, 1) of float64, a (rows, cols); picked: and c labels (1, rows)
        labels         y (rows, cols), c labels (1, rows); of cross_entropy_gradient also a (rows, cols), b (1, 1)
        """
        cdef str form = FORMS[name]
        cdef Py_ssize_t rows = y.shape[0], cols = y.shape[1], depth = 1
        real = numpy.dtype(dtype)
        if form == "product":
            depth = a.shape[1]
        elif form in ("column sums", "row sums", "total", "picked"):
            rows, cols = a.shape
        cdef Instruction* ins = self.append(KERNEL, None)
        ins.action = <action><size_t>self.actions[real][name]
        ins.rows, ins.cols, ins.depth, ins.setting, ins.accumulates = rows, cols, depth, setting, accumulates
        try:
            if form == "elementwise":
                self.bind(&ins.y, y, BOOL if name in BYTES_OUT else DOUBLE if name == "to_double" else real,
                          rows, cols, True)
                self.bind(&ins.a, a, DOUBLE if name == "from_double" else real, rows, cols, False)
                if b is not None:
                    self.bind(&ins.b, b, real, rows, cols, False)
                if c is not None:
                    self.bind(&ins.c, c, BOOL, rows, cols, False)
            elif form == "zero":
                self.bind(&ins.y, y, real, 1, cols, True)
            elif form == "product":
                self.bind(&ins.y, y, real, rows, cols, True)
                self.bind(&ins.a, a, real, rows, depth, False)
                self.bind(&ins.b, b, real, depth, cols, False)
                if c is not None:
                    self.bind(&ins.c, c, real, 1, cols, True)
            elif form in ("column sums", "row sums"):
                self.bind(&ins.y, y, real, 1, cols if form == "column sums" else rows, True)
                self.bind(&ins.a, a, real, rows, cols, False)
            elif form == "labels":
                self.bind(&ins.y, y, real, rows, cols, True)
                if (a is not None) != (name == "cross_entropy_gradient"):
                    raise ValueError(f"{name}: expected other operands")
                if a is not None:
                    self.bind(&ins.a, a, real, rows, cols, False)
                    self.bind(&ins.b, b, real, 1, 1, False)
                self.bind(&ins.c, c, INT64, 1, rows, True)
            else:
                self.bind(&ins.y, y, DOUBLE, 1, 1, True)
                self.bind(&ins.a, a, real, rows, cols, False)
                if form == "picked":
                    self.bind(&ins.c, c, INT64, 1, rows, True)
        except BaseException:
            self.count -= 1
            self.functions.pop()
            self.labels_of.pop()
            raise
        self.work += rows * cols * (depth if form == "product" else 4)

    def labels(self, array, Py_ssize_t classes, str who):
        """Raise ValueError unless these labels (1, rows), which the program alone writes, lie in 0..classes-1."""
        cdef Instruction* ins = self.append(LABELS, None)
        ins.rows, ins.cols = array.shape[1], classes
        self.bind(&ins.c, array, INT64, 1, ins.rows, True)
        self.labels_of[self.count - 1] = who

    def finite(self, array):
        """End here unless this number (1, 1) is finite."""
        cdef Instruction* ins = self.append(FINITE, None)
        self.bind(&ins.a, array, array.dtype, 1, 1, False)
        ins.rows = array.dtype.itemsize

    def call(self, function not None):
        """Call a Python function of no arguments."""
        self.append(PYTHON, function)

    def mark(self, str kind not None, status not None):
        """"reached", "cleared" or "changed", of a parameter."""
        if type(status) is not Status:
            raise TypeError(f"expected a Status, got {type(status).__name__}")
        cdef Instruction* ins = self.append({"reached": REACHED, "cleared": CLEARED, "changed": CHANGED}[kind], None)
        ins.y.p = <void*><size_t>status.address
        self.kept.append(status)

    def argument(self, array):
        """The next argument: an array of this program's that it is copied into, or a static one, told as (value,)."""
        if type(array) is NDARRAY:
            view = array
            if not array.flags.c_contiguous or not array.flags.writeable:
                raise ValueError("expected a contiguous array")
            owner = array
            while isinstance(owner.base, NDARRAY):
                owner = owner.base
            self.inputs.append((view, array.dtype, <size_t>array.ctypes.data, <size_t>array.nbytes,
                                PyWeakref_NewRef(owner, None)))
        else:
            self.inputs.append(array)

    # Running

    cpdef bint take(self, tuple args) except -1:
        """Copy the arguments in; False, if they are not of the kind that the program was recorded for."""
        cdef Py_ssize_t i, j
        cdef Py_buffer buffer
        cdef tuple entry
        cdef bint fits
        if len(args) != len(self.inputs):
            return False
        for i in range(len(args)):
            entry = <tuple>PyList_GET_ITEM(self.inputs, i)
            if len(entry) == 1:
                if type(args[i]) is not type(entry[0]) or args[i] != entry[0]:
                    return False
                continue
            given = args[i]
            if type(given) is not NDARRAY or given.dtype != entry[1] or given.shape != entry[0].shape:
                return False
        for i in range(len(args)):
            entry = <tuple>PyList_GET_ITEM(self.inputs, i)
            if len(entry) == 1:
                continue
            PyObject_GetBuffer(args[i], &buffer, PyBUF_STRIDED_RO)
            fits, size = True, buffer.itemsize
            for j in range(buffer.ndim - 1, -1, -1):
                fits = fits and (buffer.strides[j] == size or buffer.shape[j] == 1)
                size *= buffer.shape[j]
            fits = fits and buffer.len == <Py_ssize_t>entry[3]
            if fits:
                memcpy(<void*><size_t>entry[2], buffer.buf, buffer.len)
            PyBuffer_Release(&buffer)
            if not fits:
                (<object>entry[0])[...] = args[i]
        return True

    cpdef bint due(self):
        """Whether the next replay is one that is checked against Python."""
        return self.replays + 1 == self.next_check

    cpdef bint run(self) except -1:
        """Run all; False if a number that must be finite was not."""
        if self.running:
            raise RuntimeError(
                "capture: this step is running already: it was called again from within it, or by another thread")
        self.running = True
        try:
            self.replays += 1
            return self.walk()
        finally:
            self.running = False

    cdef bint walk(self) except -1:
        return self.walk_from(0)

    cdef bint walk_from(self, Py_ssize_t i) except -1:
        cdef Instruction* ins
        cdef Facts* facts
        cdef double number
        cdef bint large = self.work > WORK_TO_RELEASE
        while i < self.count:
            ins = &self.code[i]
            if ins.kind == KERNEL:
                if large:
                    with nogil:
                        while i < self.count and self.code[i].kind == KERNEL:
                            self.code[i].action(&self.code[i])
                            i += 1
                    continue
                ins.action(ins)
            elif ins.kind == PYTHON:
                self.functions[i]()
            elif ins.kind == LABELS:
                self.check_labels(ins, i)
            elif ins.kind == FINITE:
                number = (<float*>ins.a.p)[0] if ins.rows == 4 else (<double*>ins.a.p)[0]
                if not isfinite(number):
                    return False
            else:
                facts = <Facts*>ins.y.p
                if ins.kind == CHANGED:
                    facts.version += 1
                else:
                    facts.has_grad = ins.kind == REACHED
            i += 1
        return True

    def clocked(self):
        """Run all, and tell how many seconds each instruction took."""
        cdef double[::1] seconds = numpy.zeros(self.count)
        cdef Py_ssize_t i, count = self.count
        cdef double begin
        if self.running:
            raise RuntimeError("capture: this step is running already")
        self.running = True
        try:
            for i in range(count):
                begin = now()
                self.count = i + 1
                self.walk_from(i)
                seconds[i] = now() - begin
        finally:
            self.count, self.running = count, False
        return numpy.asarray(seconds)

    cdef int check_labels(self, const Instruction* ins, Py_ssize_t number) except -1:
        cdef Py_ssize_t i
        cdef const int64_t* labels = <const int64_t*>ins.c.p
        for i in range(ins.rows):
            if not 0 <= labels[i] < ins.cols:
                raise ValueError(
                    f"{self.labels_of[number]}: expected labels from 0 to {ins.cols - 1}, got {labels[i]}")
        return 0


def peak(tuple action_and_operations not None, dtype):
    """Operations per second of one core that does multiply-adds in registers alone: the best of ten."""
    cdef Instruction ins
    cdef double begin, best = 1e9
    cdef int turn
    ones, out = numpy.full(16, 0.5, dtype), numpy.zeros(16, dtype)
    ins.a.p, ins.y.p, ins.rows = <void*><size_t>ones.ctypes.data, <void*><size_t>out.ctypes.data, 100_000
    cdef action run = <action><size_t>action_and_operations[0]
    for turn in range(10):
        begin = now()
        run(&ins)
        best = min(best, now() - begin)
    return ins.rows * action_and_operations[1] / best


cdef class ReplayedCall:
    """A callable that goes straight to the program that ran last, and to Python where that does not fit.

    A subclass gives ``slow(args)`` and sets ``program`` and ``result``, which makes the output.
    """

    cdef public Replay program
    cdef public object result

    def __call__(self, *args):
        cdef Replay program = self.program
        if (program is not None and not program.due() and not program.running
                and program.guards.changed() < 0 and program.take(args)):
            program.run()
            return self.result()
        return self.slow(args)

    def slow(self, args):
        """The output all the same."""
        raise NotImplementedError(f"{type(self).__name__}.slow: expected a subclass to define it")
