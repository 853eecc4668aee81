# The step of one parameter group of an optimizer, by chains: Optimizer.step() without Python between its checks.
#
# All addresses point into arrays that are held here and cannot be resized. No Python runs in ready() and run().

from cpython.dict cimport PyDict_Size

from minidl.kernels.memory import ABSENT

cdef extern from "Python.h":
    object PyObject_GenericGetDict(object o, void* unused)
    ctypedef struct PyTypeObject:
        unsigned int tp_version_tag  # changes as soon as an attribute of the class changes; 0: not known

cdef struct Named:  # the value that a name of a dictionary must have; NULL: none
    PyObject* namespace  # NULL: the optimizer's own, which is not held: it holds this object
    PyObject* name
    PyObject* value

cdef struct Span:   # neighbouring parameters that one part of the group updates
    real* arrays[CHAIN_ARRAYS]
    Py_ssize_t size

cdef struct Member:  # a parameter
    Facts* facts
    const real* gradient
    Py_ssize_t size
    int part         # the part that updates it; -1: none

cdef struct Part:    # parameters that have seen the same number of updates
    PyObject* chain
    Py_ssize_t leader, begin, end  # its first parameter, and its spans


@cython.binding(False)
cdef class GroupStep:
    """The update of one parameter group by chains, which checks in each step that nothing it was made from has changed.

    kind : the type of the optimizer. names : (dictionary or None for the optimizer's own, name, value or ABSENT)
    that the parameters, the state and the rule depend on. lists : lists whose items they depend on. group,
    settings : the dictionary of the settings, and the objects that were read from it: (name, value). numbers : the
    floats among them.
    members : (status, flat gradient) of each parameter. parts : (indices, chain, spans), a span being its flat
    arrays. arrays : the state. gradients : the flat gradients of the whole group.
    """

    cdef object optimizer_type, group
    cdef unsigned int version
    cdef list references, arrays
    cdef Named* named
    cdef Py_ssize_t named_count, setting_count, member_count, part_count
    cdef Named* settings
    cdef list lists, gradients
    cdef Member* members
    cdef Part* parts
    cdef Span* spans
    cdef long long* counts
    cdef long long generation
    cdef bint stateful
    cdef list read        # the settings as they were read: (name, value)
    cdef object numbers
    cdef double* values   # the floats among them

    def __cinit__(self, kind not None, list names not None, list lists not None, group not None,
                  list settings not None, list numbers not None, counts not None, list members not None,
                  list parts not None, list arrays not None, list gradients not None, bint stateful):
        cdef Py_ssize_t i, j, span = 0
        cdef Chain chain
        if not isinstance(group, dict):
            raise TypeError(f"expected a parameter group, got {type(group).__name__}")
        self.optimizer_type, self.group, self.stateful = kind, group, stateful
        self.version = (<PyTypeObject*>kind).tp_version_tag
        self.references, self.gradients, self.arrays = [], [], arrays
        self.lists = [(items, list(items)) for items in lists]
        self.named = <Named*>calloc(len(names) + 1, sizeof(Named))
        self.settings = <Named*>calloc(len(settings) + 1, sizeof(Named))
        self.values = <double*>calloc(len(numbers) + 1, sizeof(double))
        self.members = <Member*>calloc(len(members) + 1, sizeof(Member))
        self.parts = <Part*>calloc(len(parts) + 1, sizeof(Part))
        self.spans = <Span*>calloc(sum([len(spans) for *_, spans in parts]) + 1, sizeof(Span))
        if (self.named is NULL or self.settings is NULL or self.values is NULL or self.members is NULL
                or self.parts is NULL or self.spans is NULL):
            raise MemoryError
        for i, (namespace, name, value) in enumerate(names):
            if namespace is not None and not isinstance(namespace, dict):
                raise TypeError(f"expected a dictionary, got {type(namespace).__name__}")
            self.references.append((namespace, name, value))
            self.named[i].namespace = NULL if namespace is None else <PyObject*>namespace
            self.named[i].name = <PyObject*>name
            self.named[i].value = NULL if value is ABSENT else <PyObject*>value
        self.named_count = len(names)
        self.setting_count = len(settings)
        self.numbers = numbers
        self.renew(settings, numbers)
        if type(counts) is not Counts or counts.size != len(members):
            raise TypeError("expected the counts of these parameters")
        self.references.append(counts)
        self.counts = <long long*><size_t>counts.address
        self.generation = self.counts[counts.size]
        for i, (status, gradient) in enumerate(members):
            if type(status) is not Status:
                raise TypeError(f"expected a Status, got {type(status).__name__}")
            self.references.append(status)
            self.members[i].facts, self.members[i].part = <Facts*><size_t>status.address, -1
            self.members[i].gradient, self.members[i].size = self.place(gradient, gradient.size), gradient.size
        self.member_count = len(members)
        for i, (indices, chain, spans) in enumerate(parts):
            if chain.settings != len(numbers):
                raise ValueError(f"expected a chain of {len(numbers)} settings, got {chain.settings}")
            self.references.append(chain)
            self.parts[i].chain, self.parts[i].leader, self.parts[i].begin = <PyObject*>chain, indices[0], span
            for index in indices:
                if not 0 <= index < self.member_count:
                    raise IndexError(index)
                self.members[<Py_ssize_t>index].part = i
            for members_arrays in spans:
                if len(members_arrays) != chain.arrays:
                    raise ValueError(f"expected {chain.arrays} arrays, got {len(members_arrays)}")
                self.spans[span].size = members_arrays[0].size
                for j, array in enumerate(members_arrays):
                    self.spans[span].arrays[j] = self.place(array, self.spans[span].size)
                span += 1
            self.parts[i].end = span
        self.part_count = len(parts)
        for gradient in gradients:
            self.gradients.append((<size_t>self.place(gradient, gradient.size), gradient.size))

    def __dealloc__(self):
        free(self.named)
        free(self.settings)
        free(self.values)
        free(self.members)
        free(self.parts)
        free(self.spans)

    cdef real* place(self, array, Py_ssize_t size) except NULL:
        """Where an array of exactly ``size`` elements begins; it is held, and cannot be resized."""
        cdef real[::1] view = array
        if view.shape[0] != size:
            raise ValueError(f"expected an array of {size} elements, got {view.shape[0]}")
        self.references.append(lock(array))
        return &view[0] if size else NOTHING

    def renew(self, list settings not None, list numbers not None):
        """Use these settings, and the numbers among them, from now on."""
        cdef Py_ssize_t i
        if len(settings) != self.setting_count or len(numbers) != len(self.numbers):
            raise ValueError("expected as many settings as before")
        self.read = settings
        for i, (name, value) in enumerate(settings):
            self.settings[i].name, self.settings[i].value = <PyObject*>name, <PyObject*>value
        for i, number in enumerate(numbers):
            self.values[i] = number

    def adopt(self):
        """Read the settings again. True if nothing has changed but floats, each of which the group has checked."""
        cdef list read = list(self.read), numbers = []
        checked = self.group.checked
        if PyDict_Size(self.group) != self.setting_count + 1:
            return False
        for i, (name, before) in enumerate(read):
            value = self.group.get(name)
            if value is not before:
                if type(value) is not float or type(before) is not float or checked.get(name) is not value:
                    return False
                read[i] = name, value
            if type(value) is float:
                numbers.append(value)
            elif type(value) is tuple:
                numbers += [number for number in value if type(number) is float]
        self.renew(read, numbers)
        return True

    cdef bint stands(self, optimizer) except -1:
        """Whether the parameters and the rule are unchanged."""
        cdef Py_ssize_t i
        cdef Named* entry
        cdef PyObject* namespace
        cdef list items, were
        own = PyObject_GenericGetDict(optimizer, NULL)
        for i in range(self.named_count):
            entry = &self.named[i]
            namespace = <PyObject*>own if entry.namespace is NULL else entry.namespace
            if PyDict_GetItemWithError(<object>namespace, <object>entry.name) != entry.value:
                return False
        for pair in self.lists:
            items, were = <list>(<tuple>pair)[0], <list>(<tuple>pair)[1]
            if len(items) != len(were):
                return False
            for i in range(len(were)):
                if PyList_GET_ITEM(items, i) != PyList_GET_ITEM(were, i):
                    return False
        return True

    cdef bint settings_stand(self) except -1:
        cdef Py_ssize_t i
        if PyDict_Size(self.group) != self.setting_count + 1:  # and "params"
            return False
        for i in range(self.setting_count):
            if PyDict_GetItemWithError(self.group, <object>self.settings[i].name) != self.settings[i].value:
                return False
        return True

    cdef bint moves(self, const Member* member) noexcept:
        """Whether the parameter is trained and has a gradient: its flag says so, or its gradient is not zero."""
        cdef Py_ssize_t i
        if not member.facts.trained or member.facts.has_grad:
            return member.facts.trained
        for i in range(member.size):
            if member.gradient[i] != 0:
                return True
        return False

    def ready(self, optimizer not None):
        """0 if run() does what the optimizer's step would do now; 1 if only settings have changed; 2 if more has."""
        cdef Py_ssize_t i
        cdef Member* member
        if (type(optimizer) is not self.optimizer_type or self.version == 0
                or (<PyTypeObject*>self.optimizer_type).tp_version_tag != self.version or not self.stands(optimizer)
                or self.generation != self.counts[self.member_count]):
            return 2
        for array in self.arrays:
            if not is_writeable(<PyObject*>array):
                return 2
        for i in range(self.member_count):
            member = &self.members[i]
            if self.moves(member) != (member.part >= 0):
                return 2
            if member.part >= 0 and self.counts[i] != self.counts[self.parts[member.part].leader]:
                return 2
        if not self.settings_stand():
            return 1
        for i in range(self.part_count):
            if not (<Chain>self.parts[i].chain).evaluate(self.values, <double>self.counts[self.parts[i].leader] + 1):
                return 2
        return 0

    def run(self):
        """Update the parameters, and count the update."""
        cdef Py_ssize_t i, j
        cdef Chain chain
        for i in range(self.part_count):
            chain = <Chain>self.parts[i].chain
            chain.evaluate(self.values, <double>self.counts[self.parts[i].leader] + 1)
            chain.set_numbers()
            for j in range(self.parts[i].begin, self.parts[i].end):
                chain.run(self.spans[j].arrays, self.spans[j].size)
        for i in range(self.member_count):
            if self.members[i].part >= 0:
                self.members[i].facts.version += 1
                if self.stateful:
                    self.counts[i] += 1

    def clear(self, optimizer not None):
        """Clear the gradients of the group. False, with nothing done, if its parameters have changed."""
        cdef Py_ssize_t i
        if not self.stands(optimizer):
            return False
        for i in range(self.member_count):
            self.members[i].facts.has_grad = False
        for address, size in self.gradients:
            memset(<void*><size_t>address, 0, <size_t>size * sizeof(real))
        return True
