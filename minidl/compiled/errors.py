"""The errors of captured steps."""


class CaptureError(RuntimeError):
    """The function does something that a recorded step cannot repeat; the message says what, and the ways out."""


class PlainOnly(CaptureError):
    """The function does what no recording can hold, and what no way around it would change: it runs plain."""
