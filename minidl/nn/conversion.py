"""A module's numbers in another dtype, in place; and the one device that there is."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrays import FLOATS
from ..autograd.device import is_cpu
from ..autograd.parameter import Parameter
from ..autograd.tape import active_recorder
from ..autograd.tensor import Tensor

if TYPE_CHECKING:
    from .module import Module


def asked_for(who: str, given: tuple, dtype, device) -> np.dtype | None:
    """The dtype that the arguments of to() ask for, or None; they may name the CPU, too, or be a Tensor like which.

    Raises TypeError for a dtype that no Parameter has, and for another device.
    """
    for x in (*given, dtype, device):
        if x is None or is_cpu(x):
            continue
        dtype = x.dtype if isinstance(x, Tensor) else x
        try:
            dtype = np.dtype(dtype)
        except TypeError:
            raise TypeError(f"{who}.to: expected float32, float64 or the device 'cpu', got {x!r}") from None
        if dtype not in FLOATS:
            raise TypeError(f"{who}.to: expected float32 or float64, got {dtype}")
    return dtype


def convert(module: Module, dtype: np.dtype) -> None:
    """Parameters, their gradients and buffers of floats in this dtype; Parameters stay the objects that they are."""
    parameters = [parameter for parameter in module.parameters() if parameter.dtype != dtype]
    buffers = [buffer for buffer in module.buffers() if buffer.dtype in FLOATS and buffer.dtype != dtype]
    recorder = active_recorder()
    if recorder is not None and (parameters or buffers):
        recorder.only_plain(f"{type(module).__name__}.to() changes the dtype of parameters")
    for parameter in parameters:
        parameter.convert(dtype)
    for buffer in buffers:
        buffer._data = buffer._data.astype(dtype)
    for one in module.modules():
        own = vars(one)
        if not isinstance(own.get("dtype"), (Parameter, Tensor)) and own.get("dtype") in FLOATS:
            own["dtype"] = dtype
        for name in ("saved", "_predictors", "_kernels"):  # made for the arrays that there were
            own.pop(name, None)
