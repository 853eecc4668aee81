# What the update of a parameter group needs to know of its Python objects before each step.

cdef enum Rule:
    SGD
    ADAM
    ADAMW
    ADADELTA

cdef dict RULES = {"SGD": SGD, "Adam": ADAM, "AdamW": ADAMW, "Adadelta": ADADELTA}


cdef class Update:
    """The calls that update one parameter group, and the Python objects that their settings live in."""

    cdef dict group
    cdef object flat, bound
    cdef list held  # the arrays of the state that the calls point into
    cdef Rule rule
    cdef tuple names
    cdef Py_ssize_t first, count  # of its calls

    def __init__(self, str kind, group, flat, tuple names):
        self.rule, self.group, self.flat, self.names, self.bound = RULES[kind], <dict>group, flat, names, None

    cdef int settle(self, Call** calls) except -1:
        """Count the step, and write the group's settings of now into its calls, which are among these."""
        cdef double s[10]
        cdef double lr, step, beta1, beta2
        cdef Py_ssize_t i, start = 0
        cdef Call* call
        cdef dict group = self.group
        cdef bint first = False, stateful = True
        flat = self.flat
        flat.step += 1
        lr = group["lr"]
        if self.rule == SGD:
            s[1], s[3] = group["momentum"], group["weight_decay"]
            s[4], s[5] = <bint>group["nesterov"], <bint>group["maximize"]
            stateful = s[1] != 0
            first = stateful and "momentum_buffer" not in flat.state
            s[0], s[2] = lr, 1
            if stateful and not first:
                s[2] = 1 - <double>group["dampening"]
        elif self.rule == ADADELTA:
            s[1] = group["rho"]
            s[0], s[2], s[3], s[4] = lr, 1 - s[1], group["eps"], group["weight_decay"]
        else:
            beta1, beta2 = group["betas"]
            step, s[2] = flat.step, group["eps"]
            s[0], s[1] = lr / (1 - power(beta1, step)), square_root(1 - power(beta2, step))
            s[3], s[4], s[5], s[6] = beta1, 1 - beta1, beta2, 1 - beta2
            if self.rule == ADAMW:
                s[7], s[8] = 0, 1 - lr * <double>group["weight_decay"]
            else:
                s[7], s[8] = group["weight_decay"], 1
        cdef bint bind = stateful and self.bound is not flat.state
        if bind:
            flat.blocks(*self.names)  # which makes what is missing
            self.bound, self.held = flat.state, [flat.state[name] for name in self.names]
        for i in range(self.first, self.first + self.count):
            call = calls[i]
            memcpy(call.s, s, sizeof(s))
            if bind:
                call.y2 = <real*>address_of(self.held[0]) + start
                if len(self.names) > 1:
                    call.y3 = <real*>address_of(self.held[1]) + start
                start += call.cols
        return 0


cdef void* address_of(array) except? NULL:
    """Where an array begins; whoever asks keeps it alive."""
    return <void*><size_t>array.ctypes.data
