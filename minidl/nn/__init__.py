"""Modules: layers, containers, losses, and their initial values."""

from ..autograd.parameter import Parameter
from . import activations, functional, init, losses
from .activations import *  # noqa: F403
from .attention import MultiheadAttention
from .batchnorm import BatchNorm1d, BatchNorm2d
from .cells import GRUCell, LSTMCell, RNNCell
from .containers import ModuleDict, ModuleList, Sequential
from .dropout import Dropout
from .embedding import Embedding, EmbeddingBag
from .linear import Linear
from .losses import *  # noqa: F403
from .module import Module
from .normalization import GroupNorm, LayerNorm, RMSNorm
from .recurrent import GRU, LSTM, RNN
from .shape import Flatten, Identity
from .transformer import TransformerEncoder, TransformerEncoderLayer

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "BatchNorm1d",
    "BatchNorm2d",
    "Dropout",
    "Embedding",
    "EmbeddingBag",
    "Flatten",
    "GRUCell",
    "GroupNorm",
    "Identity",
    "LSTMCell",
    "LayerNorm",
    "Linear",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "Parameter",
    "RMSNorm",
    "RNNCell",
    "Sequential",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "functional",
    "init",
]
__all__ += activations.__all__
__all__ += losses.__all__
