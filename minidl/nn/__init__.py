"""Modules: layers, containers, losses, and their initial values."""

from ..autograd.parameter import Parameter
from . import activations, functional, init, losses, piecewise, smooth, utils
from .activations import *  # noqa: F403
from .batchnorm import BatchNorm1d
from .containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from .convolution import Conv1d, Conv2d
from .dropout import Dropout
from .linear import Linear
from .losses import *  # noqa: F403
from .module import Module
from .piecewise import *  # noqa: F403
from .pooling import AdaptiveAvgPool1d, AdaptiveAvgPool2d, AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d
from .shape import Flatten, Identity, Unflatten, ZeroPad2d
from .smooth import *  # noqa: F403

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AvgPool1d", "AvgPool2d", "BatchNorm1d", "Conv1d", "Conv2d",
    "Dropout", "Flatten", "Identity", "Linear", "MaxPool1d", "MaxPool2d", "Module", "ModuleDict", "ModuleList",
    "Parameter", "ParameterDict", "ParameterList", "Sequential", "Unflatten", "ZeroPad2d", "functional", "init",
    "utils",
]
__all__ += activations.__all__
__all__ += losses.__all__
__all__ += piecewise.__all__
__all__ += smooth.__all__
