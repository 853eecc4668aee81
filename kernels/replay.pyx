"""The program of a recorded step: instructions that run one after the other, and the guards that allow it.

Nothing that Python does may lead it into foreign memory. The program holds each operand, and compares its extent with
the instruction's when it binds it. A guard says that the memory is where it was; it can't be resized while the program
runs, since there is a weak reference to its owner. Labels are checked where they are used, in memory that nobody else
writes to. A program that is running refuses a second call.
"""

import builtins
from types import CellType

import numpy

from cpython.buffer cimport PyBUF_STRIDED_RO, PyBuffer_Release, PyObject_GetBuffer
from cpython.dict cimport PyDict_GetItemWithError, PyDict_Size
from cpython.list cimport PyList_GET_ITEM
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer

from minidl.kernels.memory import Status

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1
    PyObject* PyCell_GET(object cell) noexcept
    object PyWeakref_NewRef(object referent, object callback)

cdef extern from "memory.h":
    ctypedef struct ArrayHead:
        char* data

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

cdef extern from *:
    """
    typedef float real; /* stands for either type: no element is read or written here */
    """
    ctypedef float real

include "call.pxi"
include "geometry.pxi"

include "shares.pxi"
include "recurrent_sizes.pxi"

cdef struct Instruction:
    Call call
    int kind
    Py_ssize_t rows
    Py_ssize_t work  # multiply-adds, or as much
    Sharing sharing  # among threads
    double* source   # of SETTING: a number in memory, a double if source_is_double
    bint source_is_double

cdef struct Facts:  # of a parameter; its Status in kernels/memory.pyx holds them
    long long version
    int trained
    int has_grad

cdef enum Kind:
    KERNEL    # calls its action
    SETTING   # takes the setting of the next instruction from memory
    PYTHON    # calls a Python function
    REACHED   # a parameter has a gradient from here on
    CLEARED   # and none
    CHANGED   # a parameter's value was changed in place
    LABELS    # labels must lie in range
    FINITE    # the program ends here if a number is not finite

cdef enum:
    MOST_GIVEN = 8  # arguments that are labels
    WORK_TO_RELEASE = 100_000  # multiply-adds from which other Python threads may run meanwhile

cdef enum:
    MOST_ARRAYS = 8  # of the data, in steps()

cdef object NDARRAY = numpy.ndarray
UNFIT = object()  # the result for arguments that the program was not recorded for
cdef tuple PLAIN = (int, float, str, bool, bytes, complex, type(None))
cdef object BOOL = numpy.dtype(bool)
cdef object INT64 = numpy.dtype(numpy.int64)
cdef object SINGLE = numpy.dtype(numpy.float32)
cdef object DOUBLE = numpy.dtype(numpy.float64)


cdef enum GuardKind:
    NAME       # the value of a key of a dictionary, or that there is none
    SIZE       # how many keys there are
    ITEMS      # the items of a list
    CELL       # what a variable of an enclosing function stands for
    ATTRIBUTE  # the value of an attribute, however it is found
    KIND       # the class of an object
    TRAINED    # whether a parameter is trained
    HAS_GRAD   # whether it has a gradient
    VALUE      # what a function of no arguments gives, by ==
    LIES       # the address and the strides of an array
    CONTENT    # its elements, bit for bit

cdef struct Guard:
    GuardKind kind
    PyObject* holder
    PyObject* key
    PyObject* value
    Py_ssize_t number
    Facts* facts


cdef class Guards:
    """What must be unchanged before a replay. Objects are compared by identity.

    ``changed()`` gives the number of the first that is another, or -1; ``text(i)`` what it is called in a message.
    """

    cdef Guard* guards
    cdef Py_ssize_t count, room
    cdef list held, texts

    def __cinit__(self):
        self.held, self.texts = [], []

    def __dealloc__(self):
        free(self.guards)

    def __len__(self):
        return self.count

    def text(self, Py_ssize_t i):
        """The name of guard i in messages."""
        return self.texts[i]

    cdef Guard* add(self, GuardKind kind, holder, key, value, str text) except NULL:
        cdef void* memory
        cdef Guard* guard
        if self.count == self.room:
            memory = realloc(self.guards, (2 * self.room + 16) * sizeof(Guard))
            if memory is NULL:
                raise MemoryError
            self.guards, self.room = <Guard*>memory, 2 * self.room + 16
        guard = &self.guards[self.count]
        self.held.append((holder, key, value))
        self.texts.append(text)
        guard.kind, guard.holder, guard.key, guard.value = kind, <PyObject*>holder, <PyObject*>key, <PyObject*>value
        guard.number, guard.facts = 0, NULL
        self.count += 1
        return guard

    def name(self, namespace not None, key, str text):
        """The value of a key of a dictionary, or that there is none."""
        if not isinstance(namespace, dict):
            raise TypeError(f"expected a dictionary, got {type(namespace).__name__}")
        cdef PyObject* found = PyDict_GetItemWithError(namespace, key)
        cdef Guard* guard = self.add(NAME, namespace, key, None if found is NULL else <object>found, text)
        if found is NULL:
            guard.value = NULL

    def size(self, namespace not None, str text):
        """How many keys a dictionary has."""
        if not isinstance(namespace, dict):
            raise TypeError(f"expected a dictionary, got {type(namespace).__name__}")
        self.add(SIZE, namespace, None, None, text).number = PyDict_Size(namespace)

    def items(self, list items not None, str text):
        """The items of a list."""
        self.add(ITEMS, items, None, tuple(items), text)

    def cell(self, cell not None, str text):
        """What a variable of an enclosing function stands for."""
        if type(cell) is not CellType:
            raise TypeError(f"expected a cell, got {type(cell).__name__}")
        self.add(CELL, cell, None, cell.cell_contents, text)

    def attribute(self, holder, str name not None, str text):
        """The value of an attribute, however it is found; None if there is none."""
        self.add(ATTRIBUTE, holder, name, getattr(holder, name, None), text)

    def kind(self, holder, str text):
        """The class of an object."""
        self.add(KIND, holder, None, type(holder), text)

    def trained(self, status not None, str text):
        """Whether a parameter is trained."""
        if type(status) is not Status:
            raise TypeError(f"expected a Status, got {type(status).__name__}")
        cdef Guard* guard = self.add(TRAINED, status, None, None, text)
        guard.facts, guard.number = <Facts*><size_t>status.address, status.requires_grad

    def reached(self, status not None, bint value, str text):
        """Whether a parameter has a gradient."""
        if type(status) is not Status:
            raise TypeError(f"expected a Status, got {type(status).__name__}")
        cdef Guard* guard = self.add(HAS_GRAD, status, None, None, text)
        guard.facts, guard.number = <Facts*><size_t>status.address, value

    def value(self, function not None, str text):
        """What a function of no arguments gives, by ==."""
        self.add(VALUE, function, None, function(), text)

    def place(self, array not None, str text):
        """The address and the strides of an array."""
        if type(array) is not NDARRAY:
            raise TypeError(f"expected an array, got {type(array).__name__}")
        self.add(LIES, array, None, (array.shape, array.strides), text).number = <Py_ssize_t>(
            <ArrayHead*><PyObject*>array).data

    def content(self, array not None, str text):
        """The elements of an array, bit for bit."""
        if type(array) is not NDARRAY:
            raise TypeError(f"expected an array, got {type(array).__name__}")
        self.add(CONTENT, array, None, (array.shape, array.dtype, array.tobytes()), text)

    def take(self, Guards others not None):
        """Add the guards of others."""
        cdef Py_ssize_t i
        cdef Guard* guard
        for i in range(others.count):
            holder, key, value = others.held[i]
            guard = self.add(others.guards[i].kind, holder, key, value, others.texts[i])
            guard[0] = others.guards[i]

    cdef inline bint stands(self, const Guard* guard) except -1:
        cdef Py_ssize_t i
        cdef tuple were
        if guard.kind == NAME:
            return PyDict_GetItemWithError(<object>guard.holder, <object>guard.key) == guard.value
        if guard.kind == SIZE:
            return PyDict_Size(<object>guard.holder) == guard.number
        if guard.kind == ITEMS:
            were = <tuple>guard.value
            if len(<list>guard.holder) != len(were):
                return False
            for i in range(len(were)):
                if PyList_GET_ITEM(<list>guard.holder, i) != <PyObject*>were[i]:
                    return False
            return True
        if guard.kind == CELL:
            return PyCell_GET(<object>guard.holder) == guard.value
        if guard.kind == KIND:
            return type(<object>guard.holder) is <object>guard.value
        if guard.kind == TRAINED:
            return guard.facts.trained == guard.number
        if guard.kind == HAS_GRAD:
            return guard.facts.has_grad == guard.number
        holder = <object>guard.holder
        if guard.kind == ATTRIBUTE:
            return getattr(holder, <str>guard.key, None) is <object>guard.value
        if guard.kind == VALUE:
            now = holder()
            return type(now) is type(<object>guard.value) and now == <object>guard.value
        if guard.kind == LIES:
            return (<Py_ssize_t>(<ArrayHead*>guard.holder).data == guard.number
                    and (holder.shape, holder.strides) == <object>guard.value)
        return (holder.shape, holder.dtype, holder.tobytes()) == <object>guard.value

    cpdef Py_ssize_t changed(self) except -2:
        """The first guard of something that has changed, or -1."""
        cdef Py_ssize_t i
        for i in range(self.count):
            if not self.stands(&self.guards[i]):
                return i
        return -1

    def renew(self, Py_ssize_t i, bint whatever=False):
        """Let guard i expect the present object, if it is a number or a string of the same type and value; else False.

        whatever : let it expect any object.
        """
        cdef Guard* guard = &self.guards[i]
        holder, key, before = self.held[i]
        if guard.value is NULL or (guard.kind == NAME and not dict.__contains__(holder, key)):
            return False
        if guard.kind == NAME:
            now = dict.get(holder, key)
        elif guard.kind == CELL:
            now = holder.cell_contents
        elif guard.kind == ATTRIBUTE:
            now = getattr(holder, key, None)
        else:
            return False
        if not whatever and (type(now) is not type(before) or repr(now) != repr(before) or type(now) not in (
                int, float, str, bool, bytes, complex)):
            return False
        self.held[i] = holder, key, now
        guard.value = <PyObject*>now
        return True


cdef inline double number_at(const Instruction* ins) noexcept:
    return ins.source[0] if ins.source_is_double else (<const float*>ins.source)[0]


cdef const Table* table_of(capsule, dtype) except NULL:
    """The table in a capsule of this element type. ImportError for one of another build."""
    cdef const Table* table = <const Table*>PyCapsule_GetPointer(
        capsule, "minidl.kernels.table of doubles" if numpy.dtype(dtype) == DOUBLE else
        "minidl.kernels.table of floats")
    if table.call_bytes != sizeof(Call):
        raise ImportError("minidl's kernels are not all of one build: build them again")
    return table


cdef tuple owner_kept(array):
    """References to an array and to the owner of its memory, which then cannot be resized in place."""
    owner = array
    while isinstance(owner.base, NDARRAY):
        owner = owner.base
    return array, PyWeakref_NewRef(owner, None)


cdef bint gather_rows(
    const Py_ssize_t* index, Py_ssize_t rows, Py_ssize_t samples, Py_ssize_t count, const Py_buffer* views,
    const Py_ssize_t* row_bytes, char** to
) noexcept:
    """Copy these rows of each array; False for one that is not there."""
    cdef Py_ssize_t i, j, row
    for j in range(rows):
        row = index[j]
        if not 0 <= row < samples:
            return False
        for i in range(count):
            memcpy(to[i] + j * row_bytes[i], <char*>views[i].buf + row * row_bytes[i], row_bytes[i])
    return True


ctypedef fused floating:
    float
    double


cdef Py_ssize_t misclassified(
    const floating[:, ::1] z, const int64_t[::1] truth, double threshold, const Py_ssize_t* index, Py_ssize_t rows
) noexcept:
    """The rows whose class is not the first of the largest outputs or, of one, the side of the threshold."""
    cdef Py_ssize_t i, j, found, wrong = 0
    for i in range(rows):
        found = z[i, 0] > <floating>threshold if z.shape[1] == 1 else 0
        for j in range(1, z.shape[1]):
            if z[i, j] > z[i, found]:
                found = j
        wrong += found != truth[index[i]]
    return wrong


cdef object tensor_type = None


def set_tensor_type(type kind not None):
    """The class whose ``_data`` is the array of an argument."""
    global tensor_type
    tensor_type = kind


cdef class Replay:
    """The program of a recorded step.

    Replay(tables): for each element type the table of the target, a capsule. ``guards`` say whether it may run.
    Methods append an instruction each.
    """

    cdef Instruction* code
    cdef Py_ssize_t count, room
    cdef dict operations
    cdef object tables
    cdef list functions, references, inputs, outside
    cdef dict owners
    cdef readonly Guards guards
    cdef readonly bint running, stopped
    cdef list labels_of, label_checks
    cdef Py_ssize_t given[MOST_GIVEN]
    cdef Py_ssize_t given_labels  # how many instructions ``given`` holds, which check arguments; -1: not yet known
    cdef Py_ssize_t work
    cdef public Py_ssize_t replays, next_check

    def __cinit__(self, dict tables not None):
        cdef const Table* table
        cdef int i
        self.tables, self.operations = tables, {}
        for dtype, capsule in tables.items():
            table = table_of(capsule, dtype)
            for i in range(table.operation_count):
                self.operations[dtype, table.operations[i].name.decode()] = <size_t>&table.operations[i]
        self.functions, self.references, self.inputs, self.labels_of, self.label_checks = [], [], [], [], []
        self.given_labels = -1
        self.outside, self.owners = [], {}
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

    cdef void forget_from(self, Py_ssize_t begin) noexcept:
        """Remove the last instruction."""
        self.count = begin
        del self.functions[begin:], self.labels_of[begin:]
        while self.label_checks and <Py_ssize_t>self.label_checks[len(self.label_checks) - 1] >= begin:
            self.label_checks.pop()

    cdef int bind(self, Matrix* matrix, array, dtype, Py_ssize_t rows, Py_ssize_t cols, bint written) except -1:
        """Point the matrix to this array of exactly rows x cols."""
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
        matrix.at, matrix.s0, matrix.s1 = <real*>(<ArrayHead*><PyObject*>array).data, s0 // size, s1 // size
        owner = array
        while isinstance(owner.base, NDARRAY):
            owner = owner.base
        self.references.append(array)
        if id(owner) not in self.owners:
            self.owners[id(owner)] = owner
            if owner.flags.owndata:  # it may be resized in place, unless there is a weak reference to it
                self.outside.append(owner)
        return 0

    def kernel(self, str name not None, dtype not None, out, a=None, b=None, c=None, double setting=0,
               bint accumulates=False, number=None, setting_from=None, str who="loss", tuple geometry=None,
               tuple settings=(), bias=None):
        """Run the operation of this name and element type. Its matrices have the shapes that its registration says:

        elementwise     out, a and b (rows, cols); of a comparison out is of bool
        where           the same, and c, the condition, of bool
        to_double       out of float64, from_double a of float64
        add_integer     out and a of int64; setting: what is added, a whole number
        linear, matmul  out (rows, cols), a (rows, depth), b (depth, cols), c a row (1, cols) where sums begin;
                        accumulates: the sums begin at out
        column_sum      out (1, cols), a (rows, cols); row_sum: out (1, rows)
        total, ...      number (1, 1) of float64, a and b (rows, cols), labels c (1, rows)
        with labels     the same and out (rows, cols); who: what an error for labels out of range begins with
        over windows    a, b where there is one, and out, as large as the geometry says; c a row, the bias; setting:
                        whether ReLU follows convolution, or its derivative that of max_pool
        turned          out and a (rows, cols); setting: the rows of each matrix
        bmm             out (B, rows, cols), a (B, rows, depth), b (B, depth, cols)
        take_rows       out (rows, cols), a (V, cols), labels c (1, rows); add_rows: out (V, cols), a (rows, cols)
        layer_norm, ... see normalization.pxi; a x, or g with b x; c the weight, and the bias, (1, cols) or None
        recurrent       see recurrent.pxi; a (T N, ...), b W^T, c the bias or None, out the work (1, size), and of a
                        derivative b W and c the work; settings: T, whether backwards, whether relu
        setting_from    a number (1, 1) that is read as the setting when the instruction runs
        """
        cdef size_t address = self.operations[numpy.dtype(dtype), name]
        cdef const Operation* operation = <const Operation*>address
        cdef Instruction* ins
        cdef Matrix labels
        cdef int flags = operation.flags
        cdef Py_ssize_t rows, cols, depth = 0
        real_type = numpy.dtype(dtype)
        if flags & STACK:
            self.product_of_stacks(operation, real_type, out, a, b)
            return
        if flags & TABLE_ROWS:
            self.table_rows(operation, name, real_type, out, a, c, setting, who)
            return
        if flags & NORMALIZES:
            self.normalization(operation, name, real_type, out, a, b, c, bias, setting)
            return
        if flags & RECURRENT:
            self.recurrent(operation, name, real_type, out, a, b, c, settings)
            return
        rows, cols = (a if out is None or name in ("column_sum", "row_sum") or flags & WINDOWS else out).shape
        cdef Py_ssize_t begin = self.count
        try:
            if flags & HAS_LABELS:  # directly before they are used: no Python runs in between
                self.check_before(c, cols, who)
            if setting_from is not None:
                self.number_from(self.append(SETTING, None), setting_from)
            ins = self.append(KERNEL, None)
            ins.call.run, ins.rows, ins.call.cols, ins.call.settings.value = operation.run, rows, cols, setting
            if flags & PRODUCT:
                depth = a.shape[1]
                ins.call.depth = depth
                self.bind(&ins.call.out, out, real_type, rows, cols, True)
                self.bind(&ins.call.a, a, real_type, rows, depth, False)
                self.bind(&ins.call.b, b, real_type, depth, cols, False)
                if c is not None:
                    self.bind(&ins.call.start, c, real_type, 1, cols, True)
                    ins.call.start.s0 = 0
                elif accumulates:
                    ins.call.start = ins.call.out
            elif flags & WINDOWS:
                depth = self.bind_windows(ins, name, real_type, out, a, b, c, geometry)
                ins.call.overwrite = not accumulates
            elif name == "turned":
                depth = <Py_ssize_t>setting
                if depth < 1 or cols % depth:
                    raise ValueError(f"expected rows of whole matrices of {depth} rows, got {cols} numbers")
                self.bind(&ins.call.out, out, real_type, rows, cols, True)
                self.bind(&ins.call.a, a, real_type, rows, cols, False)
                if ins.call.a.s1 != 1:
                    raise ValueError("turned: expected rows of stride one")
                ins.call.depth, depth = depth, 1
            elif name in ("column_sum", "row_sum"):
                self.bind(&ins.call.out, out, real_type, 1, cols if name == "column_sum" else rows, True)
                self.bind(&ins.call.a, a, real_type, rows, cols, False)
                ins.call.overwrite = not accumulates
            elif name == "zero":
                self.bind(&ins.call.out, out, real_type, rows, cols, True)
            elif name in ("to_double", "from_double"):
                self.bind(&ins.call.out, out, DOUBLE if name == "to_double" else real_type, rows, cols, True)
                self.bind(&ins.call.a, a, DOUBLE if name == "from_double" else real_type, rows, cols, False)
            elif name == "add_integer":
                if not -MOST_ADDED <= setting <= MOST_ADDED:
                    raise ValueError(f"expected a number of at most {MOST_ADDED}, got {setting}")
                self.bind(&ins.call.out, out, INT64, rows, cols, True)
                self.bind(&ins.call.a, a, INT64, rows, cols, False)
            elif name == "add_at_labels":
                self.bind(&ins.call.out, out, real_type, rows, cols, True)
                ins.call.overwrite, ins.call.divide = not accumulates, BY_NOTHING
            elif flags & BY_NAME and name != "where":
                raise KeyError(name)
            else:
                if out is not None:
                    self.bind(&ins.call.out, out, BOOL if flags & GIVES_BYTES else real_type, rows, cols, True)
                if name == "where":
                    self.bind(&ins.call.start, c, BOOL, rows, cols, False)
                self.bind(&ins.call.a, a, real_type, rows, cols, False)
                if flags & HAS_B or name == "where":
                    self.bind(&ins.call.b, b, real_type, rows, cols, False)
                if (out is None) != (not flags & (HAS_OUTPUT | GIVES_BYTES | BY_NAME)):
                    raise ValueError(f"{name}: expected an output where there is one")
            if flags & GIVES_NUMBER:
                self.bind(&labels, number, DOUBLE, 1, 1, True)
                ins.call.number = <double*>labels.at
            if flags & HAS_LABELS:
                self.bind(&labels, c, INT64, 1, rows, True)
                ins.call.labels = <const int64_t*>labels.at
        except BaseException:
            self.forget_from(begin)
            raise
        ins.work = rows * cols * (depth if depth else 4)
        ins.sharing = sharing_of(flags, name, &ins.call, rows, numpy.dtype(dtype).itemsize)
        self.work += ins.work

    cdef Py_ssize_t bind_windows(self, Instruction* ins, str name, dtype, out, a, b, c, tuple geometry) except -1:
        """Bind the arrays of an operation over windows, each dense; how many multiply-adds an element of a meets."""
        cdef Geometry g
        cdef Matrix* matrices[3]
        cdef Py_ssize_t i = 0
        matrices[0], matrices[1], matrices[2] = &ins.call.a, &ins.call.b, &ins.call.out
        read_geometry(&g, geometry)
        held = numpy.array(geometry, numpy.intp)  # this program's own: nobody else can write there
        check_parts(&g, name, (a.shape, out.shape) if b is None else (a.shape, b.shape, out.shape))
        for array in (a, b, out):
            if array is not None:
                self.bind(matrices[i], array, dtype, array.shape[0], array.shape[1], array is out)
                if matrices[i].s1 != 1 or matrices[i].s0 != <Py_ssize_t>array.shape[1]:
                    raise ValueError(f"{name}: expected arrays that lie row by row")
            i += 1
        if c is not None:
            if name != "convolution":
                raise ValueError(f"{name}: expected no bias")
            self.bind(&ins.call.start, c, dtype, 1, g.out_channels, True)
            ins.call.start.s0 = 0
        self.references.append(held)
        ins.call.geometry, ins.call.cols = <const Geometry*><size_t>held.ctypes.data, out.shape[1]
        ins.call.depth = out.shape[0]
        return g.kernel_height * g.kernel_width * g.out_channels // g.groups

    cdef int bind_rows(self, Matrix* matrix, array, dtype, Py_ssize_t rows, Py_ssize_t cols) except -1:
        """Let the matrix be this array, which is read, in rows of stride one."""
        self.bind(matrix, array, dtype, rows, cols, False)
        if matrix.s1 != 1:
            raise ValueError("expected an array whose columns have stride one")
        return 0

    cdef int product_of_stacks(self, const Operation* operation, dtype, out, a, b) except -1:
        """Multiply matrix by matrix."""
        cdef Instruction* ins = self.append(KERNEL, None)
        cdef Py_ssize_t count, rows, cols, depth, begin = self.count - 1
        try:
            count, rows, cols = out.shape
            depth = a.shape[2]
            ins.call.run, ins.rows, ins.call.cols, ins.call.depth = operation.run, rows, cols, depth
            ins.call.settings.stack.count = count
            ins.call.settings.stack.out = self.bind_stack(&ins.call.out, out, dtype, count, rows, cols, True)
            ins.call.settings.stack.a = self.bind_stack(&ins.call.a, a, dtype, count, rows, depth, False)
            ins.call.settings.stack.b = self.bind_stack(&ins.call.b, b, dtype, count, depth, cols, False)
        except BaseException:
            self.forget_from(begin)
            raise
        self.work += count * rows * cols * depth
        return 0

    cdef Py_ssize_t bind_stack(self, Matrix* matrix, array, dtype, Py_ssize_t count, Py_ssize_t rows, Py_ssize_t cols,
                               bint written) except? -1:
        """Let the matrix be the first of exactly ``count`` in this array; the elements from one to the next."""
        if type(array) is not NDARRAY or array.shape != (count, rows, cols) or not count:
            raise ValueError(f"expected an array of shape {(count, rows, cols)}, got {getattr(array, 'shape', None)}")
        cdef Py_ssize_t size = dtype.itemsize, step = array.strides[0]
        if step % size:
            raise ValueError("expected strides of whole elements, and these aligned")
        self.bind(matrix, array[0], dtype, rows, cols, written)
        self.references.append(array)
        return step // size if count > 1 else 0

    cdef int table_rows(self, const Operation* operation, str name, dtype, out, a, labels, double setting,
                        str who) except -1:
        """Take rows of a table by their labels, or add to them."""
        cdef Py_ssize_t begin = self.count, rows = labels.shape[1], cols = out.shape[1]
        cdef bint adds = name == "add_rows"
        cdef Instruction* ins
        cdef Matrix places
        table = out if adds else a
        try:
            self.check_before(labels, table.shape[0], who)
            ins = self.append(KERNEL, None)
            ins.call.run, ins.rows, ins.call.cols, ins.call.settings.value = operation.run, rows, cols, setting
            self.bind(&ins.call.out, out, dtype, table.shape[0] if adds else rows, cols, True)
            self.bind(&ins.call.a, a, dtype, rows if adds else table.shape[0], cols, False)
            self.bind(&places, labels, INT64, 1, rows, True)
            ins.call.labels = <const int64_t*>places.at
        except BaseException:
            self.forget_from(begin)
            raise
        self.work += rows * cols
        return 0

    cdef int normalization(self, const Operation* operation, str name, dtype, out, a, b, weight, bias,
                           double eps) except -1:
        """Normalise rows or columns."""
        cdef Instruction* ins = self.append(KERNEL, None)
        cdef Py_ssize_t rows, cols, begin = self.count - 1
        cdef bint back = name.endswith("_backward")
        try:
            rows, cols = a.shape
            ins.call.run, ins.rows, ins.call.cols, ins.call.settings.value = operation.run, rows, cols, eps
            self.bind(&ins.call.out, out, dtype, rows if name == "layer_norm" else rows + 2, cols, True)
            self.bind_rows(&ins.call.a, a, dtype, rows, cols)
            if back:
                self.bind_rows(&ins.call.b, b, dtype, rows, cols)
            if weight is not None:
                self.bind_rows(&ins.call.start, weight, dtype, 1, cols)
            if bias is not None and not back:
                self.bind_rows(&ins.call.bias_gradient, bias, dtype, 1, cols)
        except BaseException:
            self.forget_from(begin)
            raise
        self.work += 8 * rows * cols
        return 0

    cdef int recurrent(self, const Operation* operation, str name, dtype, out, a, b, c, tuple settings) except -1:
        """Run a whole sequence."""
        cdef Instruction* ins = self.append(KERNEL, None)
        cdef Py_ssize_t i, n, h, width, begin = self.count - 1
        try:
            n, h, width, of_a, of_b, of_work, of_out = recurrent_shapes(name, a.shape[0], b.shape, settings)
            ins.call.run, ins.rows, ins.call.depth, ins.call.cols = operation.run, n, h, width
            for i in range(len(settings)):
                ins.call.settings.all[i] = settings[i]
            self.bind_rows(&ins.call.a, a, dtype, of_a[0], of_a[1])
            self.bind(&ins.call.b, b, dtype, of_b[0], of_b[1], False)
            self.bind(&ins.call.out, out, dtype, of_out[0], of_out[1], True)
            if name.endswith("_backward"):
                if ins.call.a.s0 != h or ins.call.out.s0 != of_out[1]:
                    raise ValueError(f"{name}: expected matrices whose rows lie end to end")
                self.bind_rows(&ins.call.start, c, dtype, 1, of_work[1])
            elif c is not None:
                self.bind_rows(&ins.call.start, c, dtype, 1, width)
                ins.call.start.s0 = 0
        except BaseException:
            self.forget_from(begin)
            raise
        self.work += of_a[0] * of_a[1] * h
        return 0

    cdef int number_from(self, Instruction* ins, array) except -1:
        """Let the instruction read this number (1, 1) of float32 or float64."""
        cdef Matrix number
        if type(array) is not NDARRAY or array.dtype not in (SINGLE, DOUBLE):
            raise TypeError("expected an array of float32 or float64")
        self.bind(&number, array, array.dtype, 1, 1, False)
        ins.source, ins.source_is_double = <double*>number.at, array.dtype == DOUBLE
        return 0

    cdef int check_before(self, labels, Py_ssize_t classes, str who) except -1:
        """Raise ValueError unless these labels (1, rows), which the program alone writes, lie in 0..classes-1."""
        cdef Instruction* ins = self.append(LABELS, None)
        cdef Matrix row
        self.labels_of[self.count - 1] = who
        self.label_checks.append(self.count - 1)
        self.bind(&row, labels, INT64, 1, labels.shape[1], True)
        ins.call.labels, ins.rows, ins.call.cols = <const int64_t*>row.at, labels.shape[1], classes
        return 0

    def finite(self, array):
        """End here unless this number (1, 1) is finite."""
        cdef Instruction* ins = self.append(FINITE, None)
        try:
            self.number_from(ins, array)
        except BaseException:
            self.forget_from(self.count - 1)
            raise

    def call(self, function not None):
        """Call a Python function of no arguments."""
        self.append(PYTHON, function)

    def mark(self, str kind not None, status not None):
        """"reached", "cleared" or "changed", of a parameter."""
        if type(status) is not Status:
            raise TypeError(f"expected a Status, got {type(status).__name__}")
        cdef Instruction* ins = self.append({"reached": REACHED, "cleared": CLEARED, "changed": CHANGED}[kind], None)
        ins.source = <double*><size_t>status.address
        self.references.append(status)

    def argument(self, array):
        """Add an argument: the array of this program into which it is copied, or a static one as (value,)."""
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

    cdef bint take(self, tuple args) except -1:
        """Copy the arguments in; False if the program was not recorded for arguments of their kind."""
        cdef Py_ssize_t i, j
        cdef Py_buffer buffer
        cdef tuple entry
        cdef bint fits
        if len(args) != len(self.inputs):
            return False
        for i in range(len(args)):
            entry = <tuple>PyList_GET_ITEM(self.inputs, i)
            given = args[i]
            if len(entry) == 1:
                if given is not entry[0] and (type(given) not in PLAIN or type(given) is not type(entry[0])
                                              or repr(given) != repr(entry[0])):
                    return False
                continue
            if type(given) is tensor_type:
                given = given._data
            if type(given) is not NDARRAY or given.dtype != entry[1] or given.shape != entry[0].shape:
                return False
        for i in range(len(args)):
            entry = <tuple>PyList_GET_ITEM(self.inputs, i)
            if len(entry) == 1:
                continue
            given = args[i]._data if type(args[i]) is tensor_type else args[i]
            PyObject_GetBuffer(given, &buffer, PyBUF_STRIDED_RO)
            fits, size = True, buffer.itemsize
            for j in range(buffer.ndim - 1, -1, -1):
                fits = fits and (buffer.strides[j] == size or buffer.shape[j] == 1)
                size *= buffer.shape[j]
            fits = fits and buffer.len == <Py_ssize_t>entry[3]
            if fits:
                memcpy(<void*><size_t>entry[2], buffer.buf, buffer.len)
            PyBuffer_Release(&buffer)
            if not fits:
                (<object>entry[0])[...] = given
        return True

    cpdef bint due(self):
        """Whether the next replay is checked against Python."""
        return self.replays + 1 == self.next_check

    cpdef replayed(self, tuple args, result):
        """Take the arguments, run, and give result(); UNFIT, and nothing done, if they are not of the recorded kind."""
        if self.running:
            raise RuntimeError(
                "capture: this step is running already: it was called again from within it, or by another thread")
        self.running = True
        try:
            if not self.take(args) or self.for_python():
                return UNFIT
            self.replays += 1
            self.run_all()
            return result()
        finally:
            self.running = False

    def steps(self, tuple arrays not None, order, Py_ssize_t batch, double total, loss, interrupt, output=None,
              truth=None, double threshold=0):
        """A replay for each ``batch`` rows of the order, taken from arrays of all rows: (losses, total, wrong).

        loss : the program's array of it. total, output, truth, threshold : as Program.steps() takes them.

        There are fewer losses than batches where a guard fails, a replay is due to be checked, labels are Python's to
        judge, a loss is not finite, ``interrupt.requested``, or the last batch is shorter; none for other arrays.
        """
        cdef Py_buffer views[MOST_ARRAYS]
        cdef Py_ssize_t row_bytes[MOST_ARRAYS]
        cdef char* to[MOST_ARRAYS]
        cdef const Py_ssize_t[::1] index = order
        cdef const float[:, ::1] single
        cdef const double[:, ::1] twice
        cdef const int64_t[::1] classes
        cdef Py_ssize_t i, count = 0, samples = 0, begin = 0, wrong = 0
        cdef tuple entry
        cdef double value
        cdef bint counts = truth is not None, is_single = counts and output.dtype == SINGLE
        losses = []
        if self.running:
            raise RuntimeError(
                "capture: this step is running already: it was called again from within it, or by another thread")
        if len(arrays) != len(self.inputs) or not 0 < len(arrays) <= MOST_ARRAYS:
            return losses, total, wrong
        for given in (order, truth) if counts else (order,):
            if type(given) is not NDARRAY or not given.flags.aligned:
                return losses, total, wrong
        _locks = [owner_kept(given) for given in (*arrays, order, truth) if type(given) is NDARRAY]
        if counts:
            classes = truth
            if is_single:
                single = output
            else:
                twice = output
        self.running = True
        try:
            for i in range(len(arrays)):
                entry = <tuple>PyList_GET_ITEM(self.inputs, i)
                given = arrays[i]
                if (batch < 1 or len(entry) == 1 or type(given) is not NDARRAY or given.dtype != entry[1]
                        or given.shape[1:] != entry[0].shape[1:] or entry[0].shape[:1] != (batch,)):
                    return losses, total, wrong
                if not given.flags.c_contiguous or len(given) != len(arrays[0]):
                    return losses, total, wrong
                PyObject_GetBuffer(given, &views[i], PyBUF_STRIDED_RO)
                count += 1
                to[i], row_bytes[i] = <char*><size_t>entry[2], <Py_ssize_t>entry[3] // batch
            samples = len(arrays[0])
            if counts and (classes.shape[0] != samples or output.shape[0] != batch):
                return losses, total, wrong
            while begin + batch <= index.shape[0] and not (recordings or self.due() or self.guards.changed() >= 0):
                if not gather_rows(&index[begin], batch, samples, count, views, row_bytes, to) or self.for_python():
                    break
                self.replays += 1
                self.run_all()
                value = loss.item()
                losses.append(value)
                if not isfinite(value):
                    break
                total += value * <double>batch
                if counts and is_single:
                    wrong += misclassified(single, classes, threshold, &index[begin], batch)
                elif counts:
                    wrong += misclassified(twice, classes, threshold, &index[begin], batch)
                begin += batch
                PyErr_CheckSignals()
                if interrupt.requested:
                    break
            return losses, total, wrong
        finally:
            self.running = False
            for i in range(count):
                PyBuffer_Release(&views[i])

    cdef bint run_all(self) except -1:
        _locks = [PyWeakref_NewRef(owner, None) for owner in self.outside] if self.outside else None
        return self.run_between(0, self.count)

    cdef bint run_between(self, Py_ssize_t i, Py_ssize_t end) except -1:
        """Run the instructions from i up to the end; False where the program ends before it."""
        cdef Instruction* ins
        cdef Facts* facts
        cdef bint large = self.work > WORK_TO_RELEASE
        while i < end:
            ins = &self.code[i]
            if ins.kind == KERNEL:
                if large:
                    with nogil:
                        while i < end and self.code[i].kind == KERNEL:
                            ins = &self.code[i]
                            run_shared(&ins.call, ins.rows, ins.work, &ins.sharing)
                            i += 1
                    continue
                ins.call.run(&ins.call, ins.rows)
            elif ins.kind == SETTING:
                if i + 1 < self.count:
                    self.code[i + 1].call.settings.value = number_at(ins)
            elif ins.kind == PYTHON:
                self.functions[i]()
            elif ins.kind == LABELS:
                self.check_labels(ins, i)
            elif ins.kind == FINITE:
                if not isfinite(number_at(ins)):
                    return False
            else:
                facts = <Facts*>ins.source
                if ins.kind == CHANGED:
                    facts.version += 1
                else:
                    facts.has_grad = ins.kind == REACHED
            i += 1
        return True

    def clocked(self, tuple args not None):
        """Run all instructions, and return the seconds that each took, zero behind the end of the program.

        UNFIT for arguments of another kind.
        """
        cdef double[::1] seconds = numpy.zeros(self.count)
        cdef Py_ssize_t i
        cdef double begin
        cdef bint going_on
        if self.running:
            raise RuntimeError("capture: this step is running already")
        self.running = True
        try:
            if not self.take(args):
                return UNFIT
            for i in range(self.count):
                begin = now()
                going_on = self.run_between(i, i + 1)
                seconds[i] = now() - begin
                if not going_on:
                    break
        finally:
            self.running = False
        return numpy.asarray(seconds)

    cdef int find_given_labels(self) except -1:
        """Note which labels are arguments, each once; of more than there is room for, the first."""
        cdef size_t at
        cdef Py_ssize_t i, j
        self.given_labels = 0
        for i in self.label_checks:
            at = <size_t>self.code[i].call.labels
            known = any([at == <size_t>self.code[self.given[j]].call.labels for j in range(self.given_labels)])
            inside = any([entry[2] <= at < entry[2] + entry[3] for entry in self.inputs if len(entry) > 1])
            if inside and not known and self.given_labels < MOST_GIVEN:
                self.given[self.given_labels] = i
                self.given_labels += 1
        return 0

    cdef bint for_python(self) except -1:
        """Whether a label among the arguments is below zero: one to be ignored, or wrong; Python tells which."""
        cdef Instruction* ins
        cdef Py_ssize_t i, j
        if self.given_labels < 0:
            self.find_given_labels()
        for i in range(self.given_labels):
            ins = &self.code[self.given[i]]
            for j in range(ins.rows):
                if ins.call.labels[j] < 0:
                    return True
        return False

    cdef int check_labels(self, const Instruction* ins, Py_ssize_t number) except -1:
        cdef Py_ssize_t i
        cdef const int64_t* labels = ins.call.labels
        for i in range(ins.rows):
            if not 0 <= labels[i] < ins.call.cols:
                if self.labels_of[number] == "embedding":
                    raise IndexError(f"embedding: expected indices from 0 to {ins.call.cols - 1}, got {labels[i]}")
                raise ValueError(
                    f"{self.labels_of[number]}: expected labels from 0 to {ins.call.cols - 1}, got {labels[i]}")
        return 0


def peak(capsule, dtype):
    """Operations per second of one core with multiply-adds in registers alone: the best of ten measurements."""
    cdef const Table* table = table_of(capsule, dtype)
    cdef Call call
    cdef double start, best = 1e9
    cdef int _turn
    cdef Py_ssize_t rows = 100_000
    halves, out = numpy.full(16, 0.5, dtype), numpy.zeros(16, dtype)
    call.a.at, call.out.at = <real*><size_t>halves.ctypes.data, <real*><size_t>out.ctypes.data
    for _turn in range(10):
        start = now()
        table.peak(&call, rows)
        best = min(best, now() - start)
    return rows * table.peak_operations / best


cdef extern from "Python.h":
    ctypedef struct PyFrameObject
    ctypedef struct PyCodeObject
    ctypedef int (*Py_tracefunc)(PyObject* me, PyFrameObject* frame, int what, PyObject* arg) except -1
    PyCodeObject* PyFrame_GetCode(PyFrameObject* frame) noexcept
    void PyEval_SetProfile(Py_tracefunc function, PyObject* me) noexcept
    const int PyTrace_CALL, PyTrace_C_CALL
    void Py_DECREF(PyObject* o) noexcept
    bint PyCFunction_CheckExact(object function) noexcept
    PyObject* PyCFunction_GetSelf(object function) noexcept

cdef object BUILTINS = builtins


cdef enum:
    CALLED = 4  # a flag of interest: code that called() has looked at


cdef inline bint is_builtin(PyObject* function) noexcept:
    """Whether it is a function of the module builtins, such as len."""
    return PyCFunction_CheckExact(<object>function) and PyCFunction_GetSelf(<object>function) == <PyObject*>BUILTINS


cdef class Profiler:
    """Calls ``called(frame)`` and ``called_in_c(frame, function)`` for the calls that this thread makes.

    called() gives whether it has looked at the frame: if begun ``again``, it is not told of the same code once more.

    interest(code) says for which: 1 where code is called, 2 where it calls C, 3 both, 0 neither. It is called once for
    each code object, and code without interest costs no Python. Calls in C of Python's builtins are not told.
    """

    cdef object interest, called, called_in_c
    cdef bint again             # without the code that was called before
    cdef dict known             # by the address of the code: the interest, and the code; then those asked last
    cdef PyObject* codes[1024]
    cdef int interests[1024]

    def __cinit__(self, interest not None, called not None, called_in_c not None):
        self.interest, self.called, self.called_in_c, self.known = interest, called, called_in_c, {}

    cdef int interest_in(self, PyObject* code) except -1:
        cdef size_t place = (<size_t>code >> 5) % 1024
        if self.codes[place] != code:
            found = self.known.get(<size_t>code)
            if found is None:
                found = self.known[<size_t>code] = self.interest(<object>code), <object>code  # held: it stays alive
            self.codes[place], self.interests[place] = code, <int>(<tuple>found)[0]
        return self.interests[place]

    cdef int tell(self, frame, PyObject* code) except -1:
        """That this code is called."""
        cdef int interest = self.interest_in(code)
        if not interest & CALLED or not self.again:
            if self.called(frame) and not interest & CALLED:
                self.known[<size_t>code] = interest | CALLED, <object>code
                self.interests[(<size_t>code >> 5) % 1024] = interest | CALLED
                self.codes[(<size_t>code >> 5) % 1024] = code
        return 0

    def __call__(self, frame, event, arg):
        """Called once by sys.setprofile, where it has been removed and put back."""
        code = frame.f_code
        cdef int interest = self.interest_in(<PyObject*>code)
        self.begin(self.again)
        if event == "call" and interest & 1:
            self.tell(frame, <PyObject*>code)
        elif event == "c_call" and interest & 2:
            self.called_in_c(frame, arg)

    def begin(self, bint again=False):
        """Begin to profile; sys.setprofile ends it. again: without the code that was looked at before."""
        self.again = again
        PyEval_SetProfile(on_event, <PyObject*>self)


cdef int on_event(PyObject* me, PyFrameObject* frame, int what, PyObject* arg) except -1:
    if what != PyTrace_CALL and what != PyTrace_C_CALL:
        return 0
    cdef Profiler self = <Profiler>me
    cdef PyObject* code = <PyObject*>PyFrame_GetCode(frame)  # which the frame keeps alive
    Py_DECREF(code)
    cdef int interest = self.interest_in(code)
    if what == PyTrace_CALL:
        if interest & 1:
            self.tell(<object><PyObject*>frame, code)
    elif interest & 2 and not is_builtin(arg):
        self.called_in_c(<object><PyObject*>frame, <object>arg)
    return 0


cdef int recordings = 0  # that are running, in any thread


def recording_begins():
    """Count a recording: while there is one, each replay checks whether its thread is being recorded."""
    global recordings
    recordings += 1


def recording_ends():
    global recordings
    recordings -= 1


cdef class ReplayedCall:
    """A callable that calls the program that ran last directly, and Python where that program does not fit.

    A subclass defines ``slow(args, named)``, and sets ``program`` and ``result``, which makes the output.
    """

    cdef public Replay program
    cdef public object result

    def __call__(self, *args, **named):
        cdef Replay program = self.program
        if (program is not None and not named and recordings == 0 and not program.due() and not program.running
                and program.guards.changed() < 0):
            output = program.replayed(args, self.result)
            if output is not UNFIT:
                return output
        return self.slow(args, named)

    def slow(self, args, named):
        """The output where the program does not fit."""
        raise NotImplementedError(f"{type(self).__name__}.slow: expected a subclass to define it")
