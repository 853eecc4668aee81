"""Averages of a model's weights over its training: of all of them alike, or exponential."""
from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import functional as F
from ..autograd.tape import no_grad
from ..autograd.tensor import Tensor
from ..nn.module import Module
from .lr_scheduler.swa_lr import SWALR as SWALR


def get_ema_avg_fn(decay: float = 0.999) -> Callable:
    """avg ← decay avg + (1 - decay) p, for ``AveragedModel(model, avg_fn=...)``."""
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Tensor) -> Tensor:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable:
    """The same over lists, in place, for ``AveragedModel(model, multi_avg_fn=...)``."""
    return _multi(get_ema_avg_fn(decay))


def get_swa_avg_fn() -> Callable:
    """avg ← avg + (p - avg) / (n + 1): the mean of all that came, of which n are in it (Izmailov et al. 2018)."""
    @no_grad()
    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Tensor) -> Tensor:
        dtype = averaged_param.dtype if averaged_param.dtype.kind == "f" else np.float64
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1).to(dtype)

    return swa_update


def get_swa_multi_avg_fn() -> Callable:
    """The same over lists, in place."""
    return _multi(get_swa_avg_fn())


def _multi(one: Callable) -> Callable:
    @no_grad()
    def update(averaged: Iterable[Tensor], current: Iterable[Tensor], num_averaged: Tensor) -> None:
        for mean, parameter in zip(averaged, current, strict=True):
            mean.copy_(one(mean, parameter, num_averaged))

    return update


def _check_decay(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ValueError(f"expected a decay in [0, 1], got {decay}")


class AveragedModel(Module):
    """A copy of the model whose parameters are the averages of the model's: ``averaged.update_parameters(model)``.

    avg_fn : (average, parameter, n) -> the new average, on Tensors, where n, an integer as a Tensor, are in it.
    multi_avg_fn : the same for lists, in place. By default the average is the equal one, of get_swa_avg_fn;
        get_ema_avg_fn and get_ema_multi_avg_fn give exponential ones. The first update copies.
    use_buffers : average the buffers, too; without it they are copied.

    An update may stand in a captured step, which runs it compiled.
    """

    n_averaged: Tensor

    def __init__(self, model: Module, device=None, avg_fn: Callable | None = None,
                 multi_avg_fn: Callable | None = None, use_buffers: bool = False):
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: expected avg_fn or multi_avg_fn, got both")
        self.module = copy.deepcopy(model).to(device=device)
        self.register_buffer("n_averaged", Tensor(np.array(0)))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *inputs):
        return self.module(*inputs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the model's parameters into the averages. ValueError for a model with others."""
        mine, theirs = (one.parameters() + (one.buffers() if self.use_buffers else [])
                        for one in (self.module, model))
        if [x.shape for x in mine] != [x.shape for x in theirs]:
            raise ValueError(f"AveragedModel: expected a model like {type(self.module).__name__}, of which it is a "
                             f"copy, got {type(model).__name__} with other parameters")
        count = self.n_averaged
        first = count == 0
        if self.multi_avg_fn is None:
            new = [(self.avg_fn or get_swa_avg_fn())(mean, x, count) for mean, x in zip(mine, theirs, strict=True)]
        else:
            self.multi_avg_fn(mine, theirs, count)
            new = list(mine)
        for mean, x, average in zip(mine, theirs, new, strict=True):
            mean.copy_(F.where(first, x, average.to(x.dtype)))
        if not self.use_buffers:
            for mean, x in zip(self.module.buffers(), model.buffers(), strict=True):
                mean.copy_(x)
        count.add_(1)


@no_grad()
def update_bn(loader: Iterable, model: Module, device=None) -> None:
    """Compute the running statistics of the model's BatchNorms anew, as the means over the loader's batches.

    A batch is the input, or a list or tuple whose first item is.
    """
    norms: list[Any] = [module for module in model.modules() if vars(module).get("running_mean") is not None]
    if not norms:
        return
    before, trained = [module.momentum for module in norms], model.training
    try:
        for module in norms:
            module.momentum = None
            module.running_mean.zero_()
            module.running_var.fill_(1)
            module.num_batches_tracked.zero_()
        model.train()
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if isinstance(x, Tensor) else Tensor(x))
    finally:
        for module, momentum in zip(norms, before, strict=True):
            module.momentum = momentum
        model.train(trained)
