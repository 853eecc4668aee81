"""A callable that calls compiled code directly, and Python only where that refuses."""


class Refusal(Exception):
    """A program does not take a batch, or one of its guards fails; nothing has been called or changed yet."""


cdef class Shortcut:
    """``self(x, y, index)`` is ``compiled(x, y, index)``, and ``run`` is ``tolerant``; where these refuse, ``fallback``
    gives the result.

    A Python subclass without a __call__ of its own is called without a Python frame, which saves 0.1 µs.
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
        """The result of "step" or "run" in another way, or the error in the caller's words."""
        raise NotImplementedError(f"{type(self).__name__}.fallback: expected a subclass to define it")
