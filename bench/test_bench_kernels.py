"""Every compiled kernel beside its NumPy twin and PyTorch's function of the same meaning."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np
import pytest
from rival_pytorch import torch

from minidl import kernels, reference

# Of inputs, of outputs, of classes, of all parameters; N is the size of the batch
WIDTH = {"I": 256, "O": 256, "C": 10, "P": 65536}


@dataclass(frozen=True)
class Kernel:
    """A kernel: the axes of its arguments in order, and PyTorch's way to the result.

    "N" alone is labels, unless there are ``dtypes``: of the arguments, where not all are float32.
    ``written`` are the arguments that hold the results (none: it is returned), ``product`` the axes of
    the multiply-adds; inputs are uniform in [low, 1).
    """
    name: str
    arguments: str
    torch: Callable
    settings: tuple[float, ...] = ()
    written: tuple[int, ...] = (-1,)
    product: str = ""
    low: float = -1
    dtypes: str = ""  # "f" float32, "d" float64, "l" int64, "?" booleans


def unary(name: str, function: Callable, *settings: float, **more) -> Kernel:
    return Kernel(name, "NO NO", lambda x, y, *s: function(x, *s), settings, **more)


def binary(name: str, function: Callable, **more) -> Kernel:
    return Kernel(name, "NO NO NO", lambda a, b, c: function(a, b, out=c), **more)


def derivative(name: str, function: Callable, *settings: float) -> Kernel:
    return Kernel(f"{name}_backward", "NO NO NO", lambda dy, x, dx, *s: function(dy, x, *s), settings)


def torch_sgd(g, w, v, lr, momentum, gain, decay, nesterov, maximize):
    v.mul_(momentum).add_(g.add(w, alpha=decay), alpha=gain)
    w.sub_(v, alpha=lr)
    return w, v


def torch_adam(g, w, m, v, rate, root, eps, beta1, rest1, beta2, rest2, decay, shrink):
    m.mul_(beta1).add_(g, alpha=rest1)
    v.mul_(beta2).addcmul_(g, g, value=rest2)
    w.addcdiv_(m, v.sqrt().div_(root).add_(eps), value=-rate)
    return w, m, v


def torch_adadelta(g, w, v, u, lr, rho, rest, eps, decay):
    v.mul_(rho).addcmul_(g, g, value=rest)
    step = u.add(eps).sqrt_().div_(v.add(eps).sqrt_()).mul_(g)
    u.mul_(rho).addcmul_(step, step, value=rest)
    w.sub_(step, alpha=lr)
    return w, v, u


KERNELS = {kernel.name: kernel for kernel in (
    Kernel("matmul", "NI IO NO", lambda a, b, c: torch.mm(a, b, out=c), product="NIO"),
    Kernel("linear", "NI OI O NO", lambda x, w, b, y: torch.nn.functional.linear(x, w, b), product="NIO"),
    Kernel("linear_input_gradient", "NO OI NI", lambda dy, w, dx: torch.mm(dy, w, out=dx), product="NIO"),
    Kernel("linear_weight_gradient", "NI NO OI", lambda x, dy, dw: dw.addmm_(dy.T, x), product="NIO"),
    Kernel("linear_gradients", "NI NO OI O", lambda x, dy, dw, db: (dw.addmm_(dy.T, x), db.add_(dy.sum(0))),
           written=(-2, -1), product="NIO"),
    Kernel("column_sum", "NO O", lambda dy, db: db.add_(dy.sum(0))),
    Kernel("total", "NO", lambda x: x.sum(dtype=torch.float64), written=()),
    Kernel("gather_labels_total", "NC N", lambda z, t: z.gather(1, t[:, None]).sum(dtype=torch.float64), written=()),
    Kernel("add_at_labels", "NC N", lambda z, t, v: z.scatter_add_(1, t[:, None], torch.full((len(t), 1), v)),
           (0.5,), written=(0,)),
    unary("exp", lambda x: torch.exp(x)),
    unary("log", lambda x: torch.log(x), low=0.1),
    unary("erf", lambda x: torch.erf(x)),
    unary("relu", lambda x: torch.relu(x)),
    unary("leaky_relu", lambda x, slope: torch.nn.functional.leaky_relu(x, slope), 0.01),
    unary("elu", lambda x, alpha: torch.nn.functional.elu(x, alpha), 1.3),
    unary("selu", lambda x: torch.selu(x)),
    unary("tanh", lambda x: torch.tanh(x)),
    unary("sigmoid", lambda x: torch.sigmoid(x)),
    derivative("relu", lambda dy, x: torch.ops.aten.threshold_backward(dy, x, 0)),
    derivative("leaky_relu", lambda dy, x, slope: torch.ops.aten.leaky_relu_backward(
        dy, x, slope, False), 0.01),
    derivative("elu", lambda dy, x, alpha: torch.ops.aten.elu_backward(dy, alpha, 1, 1, False, x), 1.3),
    derivative("selu", lambda dy, x: torch.ops.aten.elu_backward(
        dy, reference.SELU_ALPHA, reference.SELU_SCALE, 1, False, x)),
    derivative("tanh", lambda dy, y: torch.ops.aten.tanh_backward(dy, y)),
    derivative("sigmoid", lambda dy, y: torch.ops.aten.sigmoid_backward(dy, y)),
    unary("softplus", lambda x, threshold: torch.nn.functional.softplus(x, 1, threshold), 20),
    derivative("softplus", lambda dy, x, threshold: torch.ops.aten.softplus_backward(dy, x, 1, threshold), 20),
    unary("copy", lambda x: x.clone()),
    unary("negative", lambda x: torch.neg(x)),
    unary("absolute", lambda x: torch.abs(x)),
    unary("sqrt", lambda x: torch.sqrt(x), low=0),
    unary("square", lambda x: torch.square(x)),
    unary("sign", lambda x: torch.sign(x)),
    unary("to_double", lambda x: x.double(), dtypes="fd"),
    unary("from_double", lambda x: x.float(), dtypes="df"),
    unary("add_integer", lambda x, value: x + int(value), 3, dtypes="ll"),
    binary("add", lambda *given, **out: torch.add(*given, **out)),
    binary("subtract", lambda *given, **out: torch.sub(*given, **out)),
    binary("divide", lambda *given, **out: torch.div(*given, **out), low=0.1),
    binary("less", lambda *given, **out: torch.lt(*given, **out), dtypes="ff?"),
    binary("less_equal", lambda *given, **out: torch.le(*given, **out), dtypes="ff?"),
    binary("equal", lambda *given, **out: torch.eq(*given, **out), dtypes="ff?"),
    binary("not_equal", lambda *given, **out: torch.ne(*given, **out), dtypes="ff?"),
    Kernel("where", "NO NO NO NO", lambda condition, a, b, y: torch.where(condition, a, b, out=y), dtypes="?fff"),
    Kernel("row_sum", "NO N", lambda x, y: torch.sum(x, 1, out=y), dtypes="ff"),
    Kernel("softmax", "NC NC", lambda x, y: torch.softmax(x, 1, out=y)),
    Kernel("softmax_backward", "NC NC NC", lambda dy, y, dx: torch.ops.aten._softmax_backward_data(
        dy, y, 1, y.dtype)),
    Kernel("log_softmax", "NC NC", lambda x, y: torch.log_softmax(x, 1, out=y)),
    Kernel("log_softmax_backward", "NC NC NC", lambda dy, y, dx: torch.ops.aten._log_softmax_backward_data(
        dy, y, 1, y.dtype)),
    Kernel("cross_entropy", "NC N NC", lambda z, t, log_p: torch.nn.functional.cross_entropy(z, t, reduction="sum")),
    Kernel("cross_entropy_gradient", "NC N NC", lambda log_p, t, dz, factor: torch.exp(log_p).scatter_add_(
        1, t[:, None], torch.full((len(t), 1), -1.0)).mul_(factor), (0.01,)),
    Kernel("negative_log_likelihood", "NC N", lambda z, t: -z.gather(1, t[:, None]).sum(dtype=torch.float64),
           written=()),
    Kernel("soft_cross_entropy", "NC NC", lambda log_p, t: -(log_p * t).sum(), written=()),
    Kernel("soft_cross_entropy_gradient", "NC NC NC", lambda log_p, t, dz, factor: torch.exp(log_p).mul_(
        t.sum(1, keepdim=True)).sub_(t).mul_(factor), (0.01,)),
    Kernel("squared_error", "NC NC NC", lambda z, t, d: (
        torch.nn.functional.mse_loss(z, t, reduction="sum"), torch.sub(z, t, out=d))),
    Kernel("wrong", "NC N", lambda z, t: (z.argmax(1) != t).sum(), written=()),
    Kernel("zero", "NO", lambda y: y.zero_()),
    Kernel("multiply", "NO NO NO", lambda a, b, c: torch.mul(a, b, out=c)),
    unary("scale", lambda x, factor: x * factor, 1.3),
    unary("dropout_mask", lambda u, p: (u >= p).to(u.dtype).mul_(1 / (1 - p)), 0.3),
    Kernel("sgd", "P P P", torch_sgd, (0.1, 0.9, 1, 0.01, 0, 0), written=(1, 2)),
    Kernel("adam", "P P P P", torch_adam, (0.01, 0.3, 1e-8, 0.9, 0.1, 0.999, 0.001, 0, 1), written=(1, 2, 3), low=0.1),
    Kernel("adadelta", "P P P P", torch_adadelta, (1, 0.9, 0.1, 1e-6, 0), written=(1, 2, 3), low=0.1),
)}
RIVALS = {
    "minidl": lambda kernel: getattr(kernels.of(np.float32), kernel.name),
    "NumPy": lambda kernel: getattr(reference, kernel.name),
}
if torch:
    RIVALS["PyTorch"] = lambda kernel: kernel.torch


def arguments(kernel: Kernel, size: int, transposed: bool = False) -> list[np.ndarray]:
    """The arrays of a call; a weight (O, I) lies in memory as (I, O) if ``transposed``."""
    rng, axes = np.random.default_rng(0), WIDTH | {"N": size}
    made = []
    for number, letters in enumerate(kernel.arguments.split()):
        shape = [axes[letter] for letter in letters]
        x = rng.uniform(kernel.low, 1, shape)
        dtype = kernel.dtypes[number] if kernel.dtypes else "f"
        x = x > 0 if dtype == "?" else x.astype(dtype)
        if letters == "N" and not kernel.dtypes:
            x = rng.integers(0, axes["C"], shape)
        made.append(x.T.copy().T if letters == "OI" and transposed else x)
    return made


def results(kernel: Kernel, arrays: list[np.ndarray], returned) -> list:
    """What a call returned; minidl and NumPy return nothing, or a number alone, where they wrote to its arguments."""
    if isinstance(returned, tuple):
        return list(returned)
    if isinstance(returned, float) and kernel.name == "squared_error":
        return [returned, *(arrays[i] for i in kernel.written)]
    return [returned] if returned is not None else [arrays[i] for i in kernel.written]


def right_results(kernel: Kernel, size: int) -> list:
    """What the twin says in float64."""
    wide = [x.astype(np.float64) if x.dtype == np.float32 else x for x in arguments(kernel, size)]
    return results(kernel, wide, getattr(reference, kernel.name)(*wide, *kernel.settings))


@pytest.mark.parametrize("rival", RIVALS)
@pytest.mark.parametrize("size", [4, 16, 128])
@pytest.mark.parametrize("name", KERNELS)
def test_kernel(timed, name, size, rival):
    kernel = KERNELS[name]
    arrays = arguments(kernel, size, transposed=rival == "minidl")  # each as it keeps its weights
    taken = [torch.from_numpy(x) for x in arrays] if rival == "PyTorch" else arrays
    call = partial(RIVALS[rival](kernel), *taken, *kernel.settings)
    for result, right in zip(results(kernel, arrays, call()), right_results(kernel, size), strict=True):
        np.testing.assert_allclose(result, right, rtol=1e-4, atol=1e-4)
    flops = 2 * prod((WIDTH | {"N": size})[axis] for axis in kernel.product) if kernel.product else 0
    timed(call, group=f"{name}, batch {size}", samples=size, flops=flops,
          elements=0 if flops else arrays[0].size)


SEQUENCES = {"bmm", "take_rows", "add_rows", *(
    f"{name}{part}" for name in ("rnn", "lstm", "gru", "layer_norm", "batch_norm") for part in ("", "_backward"))}


def test_no_kernel_is_left_out():
    """Those of images are timed within LeNet-5's step, bench.images, those of sequences in bench.sequences."""
    module = kernels.of(np.float32)
    windows = {name for name in module.OPERATIONS if "geometry" in getattr(module, name).__doc__}
    assert set(module.OPERATIONS) - windows - SEQUENCES - {"turned", "affine_sample"} == set(KERNELS)
