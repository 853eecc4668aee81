"""The operations under PyTorch's name for them: ``import minidl.nn.functional as F``."""

from ..functional import *  # noqa: F403
from ..functional import __all__  # noqa: F401
