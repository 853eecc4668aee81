"""minidl: a small deep-learning framework for small and medium networks on a CPU."""

__version__ = "0.1.0"

try:
    from .kernels import get_num_threads, set_num_threads
except ModuleNotFoundError as error:
    if not (error.name or "").startswith(f"{__name__}.kernels"):
        raise
    raise ImportError(
        f"minidl's compiled kernels are not here ({__path__[0]}). Run 'pip install .' in the source folder "
        "and start Python elsewhere, or 'pip install -e .' to work on the source in place."
    ) from error

from . import autograd, cuda, data, functional, kernels, nn, optim, training
from .autograd.device import device
from .autograd.parameter import Parameter
from .autograd.tape import no_grad
from .autograd.tensor import Tensor, tensor
from .checkpoint import load, save
from .compiled.capture import capture
from .compiled.errors import CaptureError
from .compiled.prediction import predict
from .creation import (
    arange,
    eye,
    float32,
    float64,
    from_numpy,
    full,
    full_like,
    int64,
    linspace,
    long,
    ones,
    rand,
    rand_like,
    randn,
    randn_like,
    zeros,
)
from .functional import *  # noqa: F403
from .functional.elementwise import ones_like, zeros_like
from .nn.fold import fold
from .random import Generator, manual_seed
from .training import Evaluation, evaluate, fit

_LATER = {  # read when they are asked for
    "ExportError": "export.recording", "export_c": "export.c_file", "from_onnx": "export.onnx_module",
    "from_torch": "export.pytorch", "to_onnx": "export.onnx_file", "to_torch": "export.pytorch"}


def __getattr__(name: str):
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f".{_LATER[name]}", __name__), name)
    return value


# The public names; the package's other attributes are the modules that they come from.
__all__ = sorted([
    "autograd", "cuda", "data", "functional", "kernels", "nn", "optim", "training",
    "CaptureError", "Evaluation", "Generator", "Parameter", "Tensor",
    "capture", "device", "evaluate", "fit", "float32", "float64", "fold", "from_numpy", "get_num_threads", "int64",
    "load",
    "long", "manual_seed", "no_grad", "ones", "predict", "randn", "save", "set_num_threads", "tensor", "zeros",
    "arange", "eye", "full", "full_like", "linspace", "ones_like", "rand", "rand_like", "randn_like", "zeros_like",
    *functional.__all__, *_LATER,
])


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
