"""Modules: layers, containers, losses, and their initial values."""

from ..autograd.parameter import Parameter
from . import activations, functional, init, losses, piecewise, smooth
from .activations import *  # noqa: F403
from .batchnorm import BatchNorm1d
from .containers import ModuleDict, ModuleList, Sequential
from .dropout import Dropout
from .linear import Linear
from .losses import *  # noqa: F403
from .module import Module
from .piecewise import *  # noqa: F403
from .shape import Flatten, Identity
from .smooth import *  # noqa: F403

__all__ = [
    "BatchNorm1d", "Dropout", "Flatten", "Identity", "Linear", "Module", "ModuleDict", "ModuleList", "Parameter",
    "Sequential", "functional", "init",
]
__all__ += activations.__all__
__all__ += losses.__all__
__all__ += piecewise.__all__
__all__ += smooth.__all__
