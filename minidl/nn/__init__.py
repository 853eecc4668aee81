"""Modules: layers, containers, losses, and their initial values."""

from ..autograd.parameter import Parameter
from . import activations, distances, element_losses, functional, init, losses, piecewise, smooth, utils
from .activations import *  # noqa: F403
from .attention import MultiheadAttention
from .batchnorm import BatchNorm1d, BatchNorm2d
from .cells import GRUCell, LSTMCell, RNNCell
from .containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from .convolution import Conv1d, Conv2d
from .distances import *  # noqa: F403
from .dropout import Dropout
from .element_losses import *  # noqa: F403
from .embedding import Embedding, EmbeddingBag
from .instancenorm import InstanceNorm1d, InstanceNorm2d
from .linear import Linear
from .losses import *  # noqa: F403
from .module import Module
from .normalization import GroupNorm, LayerNorm, RMSNorm
from .piecewise import *  # noqa: F403
from .pooling import AdaptiveAvgPool1d, AdaptiveAvgPool2d, AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d
from .recurrent import GRU, LSTM, RNN
from .shape import Flatten, Identity, Unflatten, ZeroPad2d
from .smooth import *  # noqa: F403
from .transformer import TransformerEncoder, TransformerEncoderLayer

__all__ = [
    "GRU", "LSTM", "RNN", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AvgPool1d", "AvgPool2d", "BatchNorm1d",
    "BatchNorm2d", "Conv1d", "Conv2d", "Dropout", "Embedding", "EmbeddingBag", "Flatten", "GRUCell", "GroupNorm",
    "Identity", "InstanceNorm1d", "InstanceNorm2d", "LSTMCell", "LayerNorm", "Linear", "MaxPool1d", "MaxPool2d",
    "Module", "ModuleDict", "ModuleList", "MultiheadAttention", "Parameter", "ParameterDict", "ParameterList",
    "RMSNorm", "RNNCell", "Sequential", "TransformerEncoder", "TransformerEncoderLayer", "Unflatten", "ZeroPad2d",
    "functional", "init", "utils",
]
__all__ += activations.__all__
__all__ += distances.__all__
__all__ += element_losses.__all__
__all__ += losses.__all__
__all__ += piecewise.__all__
__all__ += smooth.__all__
