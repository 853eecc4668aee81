# The operations of a target, found by name in the table of its module.

from cpython.pycapsule cimport PyCapsule_GetPointer


@cython.binding(False)
cdef class Operations:
    """The table of a target's module, a capsule. ImportError for that of another build."""

    cdef object capsule
    cdef const Table* table
    cdef dict places, rules

    def __cinit__(self, capsule):
        cdef int i
        self.capsule = capsule
        self.table = <const Table*>PyCapsule_GetPointer(
            capsule,
            "minidl.kernels.table of doubles" if sizeof(real) == 8 else "minidl.kernels.table of floats")
        if self.table.call_bytes != sizeof(Call):
            raise ImportError("minidl's kernels are not all of one build: build them again")
        self.places = {self.table.operations[i].name.decode(): i for i in range(self.table.operation_count)}
        self.rules = {self.table.rules[i].optimizer.decode(): i for i in range(self.table.rule_count)}

    cdef const Operation* find(self, str name) except NULL:
        """KeyError for a name that there is not."""
        cdef int i = self.places[name]
        return &self.table.operations[i]

    cdef const Rule* rule(self, str optimizer) except NULL:
        cdef int i = self.rules[optimizer]
        return &self.table.rules[i]


cdef inline void begin(Call* call, action run) noexcept nogil:
    """A call with nothing in it but its action. Field by field: to clear it all takes as long as a small kernel."""
    call.run, call.then, call.overwrite, call.settings.value = run, NULL, False, 0
    call.a.at = call.b.at = call.out.at = call.start.at = call.bias_gradient.at = NULL
    call.labels, call.number, call.divide, call.batch_rows = NULL, NULL, EXACT, 0
    call.geometry, call.first = NULL, 0
    call.state[0] = call.state[1] = NULL
