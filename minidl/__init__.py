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

from . import data, functional, nn, optim
from .autograd.parameter import Parameter
from .autograd.tape import no_grad
from .autograd.tensor import Tensor, tensor
from .capture import capture
from .checkpoint import load, save
from .compiled.errors import CaptureError
from .creation import float32, float64, from_numpy, int64, long, ones, randn, zeros
from .functional import *  # noqa: F403
from .prediction import predict
from .random import manual_seed
from .training import Evaluation, evaluate, fit
