# The update of a parameter group: the calls that it makes, and the Python objects that they depend on.

from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject

from minidl.kernels.memory import Counts

cdef enum:
    MOST_SETTINGS = 8

cdef extern from "memory.h":
    bint is_writeable "array_is_writeable" (PyObject* array) noexcept

cdef struct Moving:  # what a step changes beside the arrays, for steps without Python between them
    const Rule* rule
    const double* numbers
    Py_ssize_t size
    const Py_ssize_t* leaders
    Facts** facts
    long long* counts
    bint stateful


cdef inline void set_numbers(const Moving* moving, const double* numbers, Call* call) noexcept nogil:
    """Set the settings of a call for the present step, by the number of its update."""
    moving.rule.prepare(numbers, call.seen[0] + 1, &call.settings)


cdef inline void count_update(const Moving* moving) noexcept nogil:
    """Count the step: values change, and the state has seen one more update."""
    cdef Py_ssize_t i
    for i in range(moving.size):
        if moving.leaders[i] >= 0:
            moving.facts[i].version += 1
            if moving.stateful:
                moving.counts[i] += 1


cdef struct Setting:  # the object that was read last; Update.read holds it
    PyObject* name
    PyObject* value


@cython.binding(False)
cdef class Update:
    """The calls that update one parameter group, and the Python objects that hold their settings.

    Update(optimizer, group, flat): the optimizer is one of minidl.optim's, the flat its Flat for the group.
    """

    cdef object optimizer, flat, group
    cdef const Rule* rule
    cdef action run            # the rule's operation
    cdef list references, read
    cdef tuple setting_names
    cdef Setting settings[MOST_SETTINGS]
    cdef int setting_count
    cdef bint stateful
    cdef double numbers[MOST_SETTINGS]
    cdef Py_ssize_t size
    cdef Facts** facts
    cdef long long* counts
    cdef char* written        # whether the program's calls write its gradient
    cdef Py_ssize_t* leaders  # for each parameter the first one in its call; -1: it is not updated
    cdef long long generation
    cdef object state         # the state's dictionary, its names, and the arrays that the calls use
    cdef tuple names
    cdef list arrays

    def __cinit__(self, Operations operations, optimizer, group not None, flat):
        cdef Py_ssize_t i
        self.optimizer, self.group, self.flat, self.arrays, self.names = optimizer, group, flat, [], ()
        if not isinstance(group, dict):
            raise TypeError(f"expected a parameter group, got {type(group).__name__}")
        self.rule = operations.rule(type(optimizer).__name__)
        self.run = operations.find(self.rule.operation.decode()).run
        counts, statuses = flat.counts, flat.statuses
        if type(counts) is not Counts or len(statuses) != counts.size:
            raise TypeError("expected a Flat of this group")
        self.size, self.counts = counts.size, <long long*><size_t>counts.address
        self.references, self.read = [counts, *statuses], []
        self.facts = <Facts**>calloc(max(self.size, 1), sizeof(Facts*))
        self.leaders = <Py_ssize_t*>calloc(max(self.size, 1), sizeof(Py_ssize_t))
        self.written = <char*>calloc(max(self.size, 1), sizeof(char))
        if self.facts is NULL or self.leaders is NULL or self.written is NULL:
            raise MemoryError
        for i in range(self.size):
            if type(statuses[i]) is not Status:
                raise TypeError("expected a Flat of this group")
            self.facts[i], self.leaders[i] = <Facts*><size_t>statuses[i].address, -2
        self.setting_names = tuple(self.rule.settings.decode().split())
        if len(self.setting_names) > MOST_SETTINGS:
            raise TypeError(f"expected at most {MOST_SETTINGS} settings, got {self.setting_names}")
        self.setting_count = len(self.setting_names)
        for i in range(self.setting_count):
            self.settings[i].name, self.settings[i].value = <PyObject*>self.setting_names[i], NULL

    def __dealloc__(self):
        free(self.facts)
        free(self.leaders)
        free(self.written)

    cdef bint settings_stand(self) except -1:
        """Whether the settings are still the objects that were read last."""
        cdef int i
        for i in range(self.setting_count):
            if self.settings[i].value is NULL or PyDict_GetItemWithError(
                    self.group, <object>self.settings[i].name) != self.settings[i].value:
                return False
        return True

    cdef int read_settings(self) except -1:
        """Read and check the settings, which may run a user's Python."""
        cdef int i
        for i in range(self.setting_count):
            self.settings[i].value = NULL
        # Read once, before they are checked, so that what is compared later is what was checked.
        values = [dict.get(self.group, name) for name in self.setting_names]
        settings = self.optimizer.settings(self.group)
        self.stateful = self.optimizer.keeps_state(settings)
        numbers = []
        for name in self.setting_names:
            value = settings[name]
            numbers += value if type(value) is tuple else [value]
        if len(numbers) > MOST_SETTINGS:
            raise TypeError(f"expected at most {MOST_SETTINGS} numbers, got {numbers}")
        for i in range(len(numbers)):
            self.numbers[i] = numbers[i]
        self.read = values
        for i in range(self.setting_count):  # objects of other types may change their value in place
            if type(values[i]) in (float, int, bool, tuple):
                self.settings[i].value = <PyObject*>values[i]
        return 0

    cdef inline bint moves(self, Py_ssize_t i, bint by_flags) noexcept:
        """Whether parameter i is to be updated: trained, with a gradient by its flag or by the program's calls."""
        return self.facts[i].trained and (self.facts[i].has_grad if by_flags else self.written[i])

    cdef bint calls_fit(self, bint by_flags) except -1:
        """Whether the present calls update exactly the parameters that are to be updated now."""
        cdef Py_ssize_t i, leader
        cdef PyObject* array
        if self.generation != self.counts[self.size]:
            return False
        for i in range(len(self.arrays)):
            array = PyDict_GetItemWithError(self.state, self.names[i])
            if array != <PyObject*>self.arrays[i] or not is_writeable(array):
                return False
        for i in range(self.size):
            leader = self.leaders[i]
            if self.moves(i, by_flags) != (leader >= 0) or leader >= 0 and self.counts[i] != self.counts[leader]:
                return False
        return True

    cdef list chosen(self, bint by_flags):
        """The parameters that are to be updated."""
        cdef Py_ssize_t i
        return [i for i in range(self.size) if self.moves(i, by_flags)]

    cdef Moving moving(self) noexcept:
        """What a step with the present settings changes; it stays valid as long as the calls fit."""
        return Moving(self.rule, &self.numbers[0], self.size, self.leaders, self.facts, self.counts, self.stateful)

    cdef bint note_settings(self, double* numbers) except -1:
        """Write down the numbers of the settings; False if the calls of the last step do not fit these."""
        cdef int i
        cdef bint stateful = self.stateful
        if not self.settings_stand():
            self.read_settings()
            if self.stateful != stateful:
                self.stateful, self.settings[0].value = stateful, NULL  # to be read again
                return False
        for i in range(MOST_SETTINGS):
            numbers[i] = self.numbers[i]
        return True
