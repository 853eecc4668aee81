"""minidl.data, where PyTorch's scripts look for it."""

from ...data import *  # noqa: F403
from ...data import __all__ as __all__
