"""Gradients cut to a size, in place, over the flat buffers: in a captured step as kernels."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from ... import functional as F
from ...autograd import storage
from ...autograd.parameter import Parameter
from ...autograd.tape import active_recorder, no_grad
from ...autograd.tensor import Tensor, as_array


@np.errstate(all="ignore")  # a norm that is not finite is returned as it is
@no_grad()
def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0,
                    error_if_nonfinite: bool = False) -> Tensor:
    """Multiply all gradients by max_norm / (norm + 1e-6) where that is below 1; returns the norm before.

    The norm is that of all gradients as one vector: (Σ |g|^p)^(1/p) with p = ``norm_type``, the largest |g| for
    infinity, the number of those that are not zero for 0. Parameters without a gradient are left alone.

    Raises RuntimeError for a norm that is not finite, with ``error_if_nonfinite``, which a captured step cannot look
    at (CaptureError); ValueError for a negative max_norm.
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: expected max_norm >= 0, got {max_norm}")
    gradients = _gradients("clip_grad_norm_", parameters)
    if not gradients:
        return Tensor(0.0)
    total = _norm([gradient for gradient, _ in gradients], float(norm_type))
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {total.item()}; they are as they were")
    factor = max_norm / (total + 1e-6)
    factor = F.where(factor > 1, 1.0, factor)  # NaN stays
    for gradient, write in gradients:
        write(gradient * (factor if factor.dtype == gradient.dtype else factor.to(gradient.dtype)))
    return total


@np.errstate(all="ignore")
@no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Cut each element of the gradients to [-clip_value, clip_value]; NaN stays. ValueError for a negative one."""
    if not clip_value >= 0:
        raise ValueError(f"clip_grad_value_: expected clip_value >= 0, got {clip_value}")
    value = float(clip_value)
    for gradient, write in _gradients("clip_grad_value_", parameters):
        write(F.where(gradient > value, value, F.where(gradient < -value, -value, gradient)))


def _norm(gradients: list[Tensor], p: float) -> Tensor:
    """The norm of all of them as one vector."""
    if p == math.inf:
        parts = [F.abs(gradient).max() for gradient in gradients]
    elif p == -math.inf:
        parts = [F.abs(gradient).min() for gradient in gradients]
    elif p == 0:
        parts = [F.where(gradient != 0, F.ones_like(gradient), F.zeros_like(gradient)).sum() for gradient in gradients]
    elif p == 1:
        parts = [F.abs(gradient).sum() for gradient in gradients]
    else:
        parts = [(gradient * gradient if p == 2 else F.abs(gradient) ** p).sum() for gradient in gradients]
    total = parts[0]
    for part in parts[1:]:
        part = part if part.dtype == total.dtype else part.to(total.dtype)
        if math.isinf(p):
            total = F.where(total * math.copysign(1, p) < part * math.copysign(1, p), part, total)
            total = F.where(part != part, part, total)
        else:
            total = total + part
    if p == 2:
        return F.sqrt(total)
    return total if p in (0, 1) or math.isinf(p) else total ** (1 / p)


def _gradients(who: str, parameters) -> list[tuple[Tensor, Callable[[Tensor], None]]]:
    """The gradients that there are, those of neighbouring Parameters as one; with what writes each of them."""
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for one in given:
        if not isinstance(one, Tensor):
            raise TypeError(f"{who}: expected Tensors, such as model.parameters(), got {type(one).__name__}")
    found = [one for one in given if one.grad is not None]
    recorder = active_recorder()
    own = [one for one in found if isinstance(one, Parameter)]
    others = [one for one in found if not isinstance(one, Parameter)]
    if recorder is not None:
        if others:
            recorder.only_plain(f"{who} cuts the gradient of a Tensor that is no Parameter")
        recorder.add_parameters(own)

    def written(array: np.ndarray) -> Callable[[Tensor], None]:
        def write(values: Tensor) -> None:
            array[...] = values._data
            if recorder is not None:
                recorder.overwrite_array(array, values)
        return write

    arrays = [gradients for _, gradients in storage.spans(own)] + [as_array(one.grad) for one in others]
    return [(Tensor(array), written(array)) for array in arrays]
