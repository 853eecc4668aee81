"""The error of a step that cannot be recorded."""


class CaptureError(RuntimeError):
    """The function does something that a recorded step cannot repeat; the message says what, and the ways out."""
