"""Tensors, the tape that records what is done to them, and derivatives."""

from .gradients import grad
from .parameter import Parameter
from .tape import active_recorder, no_grad, recording_into
from .tensor import Tensor, tensor
