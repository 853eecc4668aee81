"""Tensors, the tape that records what is done to them, and derivatives."""

from .gradients import grad
from .parameter import Parameter
from .tape import active_recorder, enable_grad, no_grad, recording_into, set_grad_enabled
from .tensor import Tensor, tensor
