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
from .autograd.tape import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .autograd.tensor import Tensor, tensor
from .checkpoint import load, save
from .compiled.capture import capture
from .compiled.errors import CaptureError
from .compiled.prediction import predict
from .creation import (
    allclose,
    arange,
    as_tensor,
    empty,
    empty_like,
    equal,
    eye,
    float32,
    float64,
    from_numpy,
    full,
    full_like,
    int32,
    int64,
    is_tensor,
    linspace,
    long,
    meshgrid,
    normal,
    ones,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    uint8,
    zeros,
)
from .functional import *  # noqa: F403
from .functional.elementwise import ones_like, zeros_like
from .nn.fold import fold
from .random import Generator, manual_seed
from .training import Evaluation, evaluate, fit

inf, nan, pi = float("inf"), float("nan"), 3.141592653589793

# Found when asked for: PyTorch's names for dtypes that are built-in names, too; packages that few scripts need;
# models in other forms.
_DTYPES = {"bool": "bool_", "double": "float64", "float": "float32", "int": "int32"}
_PACKAGES = ("distributions", "utils")
_LATER = {"Ensemble": "training.ensemble", "ExportError": "export.recording",
          "cross_val_score": "training.cross_validation", "export_c": "export.c_file", "fit_many": "training.many",
          "from_onnx": "export.onnx_module", "from_torch": "export.pytorch", "to_onnx": "export.onnx_file",
          "to_torch": "export.pytorch"}

# The public names; the package's other attributes are the modules that they come from.
__all__ = sorted([
    "autograd", "cuda", "data", "distributions", "functional", "kernels", "nn", "optim", "training", "utils",
    "CaptureError", "Evaluation", "Generator", "Parameter", "Tensor",
    "capture", "device", "evaluate", "fit", "fold", "get_num_threads", "load", "manual_seed", "predict", "save",
    "set_num_threads", "tensor",
    "enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled",
    "allclose", "arange", "as_tensor", "empty", "empty_like", "equal", "eye", "from_numpy", "full", "full_like",
    "is_tensor", "linspace", "meshgrid", "normal", "ones", "ones_like", "rand", "rand_like", "randint", "randn",
    "randn_like", "randperm", "zeros", "zeros_like",
    "float32", "float64", "int32", "int64", "long", "uint8", "inf", "nan", "pi",
    *functional.__all__, *_LATER,
])


def __getattr__(name: str):
    from importlib import import_module

    if name in _PACKAGES:
        return import_module(f".{name}", __name__)
    if name in _DTYPES:
        return getattr(import_module("numpy"), _DTYPES[name])
    if name in _LATER:
        value = globals()[name] = getattr(import_module(f".{_LATER[name]}", __name__), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
