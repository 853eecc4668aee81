"""Tensors, the tape that they are recorded on, and the derivatives that it gives."""

from .gradients import grad
from .parameter import Parameter
from .tape import active_recorder, no_grad, recording_into
from .tensor import Tensor, tensor
