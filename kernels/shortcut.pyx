"""A callable that goes straight to compiled code, and to Python only where that refuses."""


class Refusal(Exception):
    """A program does not take a batch, or one of its guards fails; nothing has been called or changed yet."""


cdef class Shortcut:
    """``self(x, y, index)`` is ``compiled(x, y, index)``, or what ``fallback`` makes of it; so is ``run``, which goes
    to ``tolerant``.

    A subclass of Python that has no __call__ of its own costs no Python frame: a tenth of a microsecond.
    """

    cdef public object compiled, tolerant

    def __call__(self, x, y, index=None):
        """The step; FloatingPointError for a loss that is not finite."""
        try:
            return self.compiled(x, y, index)
        except Refusal:
            return self.fallback("step", x, y, index)

    def run(self, x, y, index=None):
        """A call of the step, but a loss that is not finite is returned, too. Nothing was updated then."""
        try:
            return self.tolerant(x, y, index)
        except Refusal:
            return self.fallback("run", x, y, index)

    def fallback(self, name, x, y, index):
        """The result of "step" or "run" all the same, or the error in the caller's words."""
        raise NotImplementedError(f"{type(self).__name__}.fallback: expected a subclass to define it")
