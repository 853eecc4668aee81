"""The parameters of a model as one vector, and back."""
from __future__ import annotations

from collections.abc import Iterable

from ... import functional as F
from ...autograd.parameter import Parameter
from ...autograd.tape import no_grad
from ...autograd.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All their elements in one new Tensor of one axis, each parameter row by row as in PyTorch; differentiable.

    (``model.flat_parameters`` is the model's own memory, in which a Linear's weight lies by columns.)
    """
    parts = [parameter.reshape(-1) for parameter in parameters]
    if not parts:
        raise ValueError("parameters_to_vector: expected at least one parameter, got none")
    return F.cat(parts)


@no_grad()
def vector_to_parameters(vec: Tensor, parameters: Iterable[Parameter]) -> None:
    """Copy the elements of a vector into the parameters, in the order of parameters_to_vector.

    Raises TypeError for what is no Tensor, and ValueError for one of another length; nothing has changed then.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: expected vec to be a Tensor, got {type(vec).__name__}")
    parameters = list(parameters)
    size = sum(parameter.numel() for parameter in parameters)
    if vec.shape != (size,):
        raise ValueError(f"vector_to_parameters: expected a vector of shape ({size},), got {vec.shape}")
    begin = 0
    for parameter in parameters:
        end = begin + parameter.numel()
        parameter.copy_(vec[begin:end].reshape(*parameter.shape))
        begin = end
