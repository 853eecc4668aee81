"""Modules: layers, containers, losses, and their initial values."""

from ..autograd.parameter import Parameter
from . import functional, init
from .activations import ELU, SELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from .containers import ModuleDict, ModuleList, Sequential
from .dropout import Dropout
from .linear import Linear
from .losses import CrossEntropyLoss, Loss, MSELoss, NLLLoss
from .module import Module
from .shape import Flatten, Identity

__all__ = [
    "ELU", "SELU", "CrossEntropyLoss", "Dropout", "Flatten", "Identity", "LeakyReLU", "Linear", "LogSoftmax",
    "Loss", "MSELoss", "Module", "ModuleDict", "ModuleList", "NLLLoss", "Parameter", "ReLU", "Sequential",
    "Sigmoid", "Softmax", "Tanh", "functional", "init",
]
