"""from_torch and to_torch: a module as the other library's of its name, with its settings and its state.

The settings of a class are the arguments of minidl's constructor; most are attributes of the same name on both sides.
SETTINGS says where the others stand.
"""
from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import nn
from ..arrays import FLOATS
from .recording import ExportError

WITHOUT_MEANING = {  # arguments that are no settings of the arithmetic, or are deprecated
    "args", "device", "dtype", "enable_nested_tensor", "generator", "inplace", "init", "kwargs", "mask_check",
    "max_value", "min_value", "reduce", "settings", "size_average"}
THEIRS_ALONE = {"proj_size": 0, "scale_grad_by_freq": False, "sparse": False}  # and the value that minidl has
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _there(name: str) -> Callable:
    """Whether an attribute, of a dotted name, is not None."""
    return lambda module: _attribute(module, name) is not None


def _attribute(module, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part)
    return module


def _activation(module) -> str:
    name = getattr(module.activation, "__name__", getattr(module.activation, "name", ""))
    if name not in ("relu", "gelu"):
        raise ExportError(f"{type(module).__name__}: expected the activation relu or gelu, got {module.activation!r}")
    return name


# What is no attribute of the same name: a dotted name, or a function of the module
SETTINGS: dict[str, dict[str, str | Callable]] = {
    "MultiheadAttention": {"bias": _there("in_proj_bias"), "add_bias_kv": _there("bias_k")},
    "TransformerEncoderLayer": {
        "d_model": "self_attn.embed_dim", "nhead": "self_attn.num_heads", "dim_feedforward": "linear1.out_features",
        "dropout": "dropout.p", "layer_norm_eps": "norm1.eps", "batch_first": "self_attn.batch_first",
        "bias": _there("linear1.bias"), "activation": _activation},
    "PairwiseDistance": {"p": lambda module: getattr(module, "norm", None) or module.p},
}


def common() -> dict[str, tuple[type, type]]:
    """The modules that both libraries have, by name: ours and PyTorch's."""
    import torch

    found = {}
    for name in nn.__all__:
        ours, theirs = getattr(nn, name), getattr(torch.nn, name, None)
        if isinstance(ours, type) and issubclass(ours, nn.Module) and theirs is not None and name != "Module":
            found[name] = ours, theirs
    return found


def from_torch(module) -> nn.Module:
    """The PyTorch module as minidl's: the same classes, settings, weights, buffers, modes and frozen parameters.

    Containers are converted with all that is in them; a module that stands in several places stays one. Weights are
    copied, hooks and gradients are not. Outputs are equal but for rounding.

    Raises ExportError (a ValueError) that names the module: for a class that minidl has not, as one of your own (write
    it with minidl.nn, and give its ``load_state_dict`` the arrays), for settings that minidl has not, hooks, parameters
    that several modules share, and dtypes other than float32 and float64. Needs PyTorch.
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"from_torch: expected a torch.nn.Module, got {type(module).__name__}")
    return _FromTorch().converted(module, "")


def to_torch(module: nn.Module):
    """The minidl module as PyTorch's: see from_torch, whose reverse it is."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"to_torch: expected a minidl module, got {type(module).__name__}")
    return _ToTorch().converted(module, "")


class _Converter:
    """What both ways share; a subclass says which library is the source."""

    who: str
    source: int  # which of the pair of common()

    def __init__(self):
        self.common = common()
        self.done: dict[int, Any] = {}
        self.owners: dict[int, Any] = {}  # of parameters

    def converted(self, module, place: str):
        """The module in the other library, and what is in it."""
        if id(module) in self.done:
            return self.done[id(module)]
        name = type(module).__name__
        pair = self.common.get(name)
        if pair is None or pair[self.source] is not type(module):
            raise self.refusal(module, place, f"a {name} is no module that both libraries have")
        if any(getattr(module, hooks, None) for hooks in HOOKS):
            raise self.refusal(module, place, "it has hooks")
        target = pair[1 - self.source]
        if name in ("Sequential", "ModuleList", "ModuleDict"):
            below = {key: self.converted(child, f"{place}.{key}" if place else key)
                     for key, child in self.members(module)}
            if name == "ModuleDict":
                made = target(below)
            else:
                made = target(*below.values()) if name == "Sequential" else target(list(below.values()))
        else:
            made = self._leaf(module, target, place)
        self.done[id(module)] = made
        self._modes(module, made)
        return made

    def refusal(self, module, place: str, why: str) -> ExportError:
        return ExportError(f"{self.who}: {type(module).__name__}{f' at {place!r}' if place else ''}: {why}")

    def _leaf(self, module, target: type, place: str):
        for parameter in module.parameters():
            if self.owners.setdefault(id(parameter), module) is not module:
                raise self.refusal(module, place, "it shares a parameter with another module")
        try:
            made = self._built(module, target, place)
            self._load(module, made, place)
        except ExportError:
            raise
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise self.refusal(module, place, str(error)) from error
        return made

    def _built(self, module, target: type, place: str):
        if type(module).__name__ in ("ParameterList", "ParameterDict"):
            return self._parameters(module, target)
        return target(**self.settings(module, place), **self.dtype(module))

    def settings(self, module, place: str) -> dict[str, Any]:
        """The arguments that the other class is made with."""
        parameters = inspect.signature(self.common[type(module).__name__][0]).parameters
        found: dict[str, Any] = {}
        for name, default in THEIRS_ALONE.items():
            if name not in parameters and getattr(module, name, default) != default:
                raise self.refusal(module, place, f"{name}={getattr(module, name)} is no setting of minidl's")
        elsewhere = SETTINGS.get(type(module).__name__, {})
        for name in parameters:
            if name in WITHOUT_MEANING or (self.source == 0 and not self._kept(module, elsewhere, name)):
                continue
            where = elsewhere.get(name, name)
            if type(module).__name__ == "TransformerEncoder":
                found[name] = self._of_encoder(module, name, place)
            else:
                value = where(module) if callable(where) else self._value(module, where)
                found[name] = value is not None if name == "bias" and not isinstance(value, bool) else value
        if "dim" in found and found["dim"] is None:
            raise self.refusal(module, place, "expected a dim, got None")
        return found

    @staticmethod
    def _kept(module, elsewhere: dict, name: str) -> bool:
        """Whether a module of ours keeps a setting; one that it does not keep has its default alone."""
        return name in elsewhere or hasattr(module, name) or name in getattr(module, "settings", ()) or (
            type(module).__name__ == "TransformerEncoder")

    def _value(self, module, name: str):
        settings = vars(module).get("settings")
        if isinstance(settings, dict) and name in settings:
            return settings[name]
        return self.plain(_attribute(module, name))

    def _of_encoder(self, module, name: str, place: str):
        """Its parts are made by a converter of their own, since their parameters are the encoder's, too."""
        if name == "encoder_layer":
            return type(self)().converted(module.layers[0], f"{place}.layers.0")
        if name == "norm":
            return None if module.norm is None else type(self)().converted(module.norm, f"{place}.norm")
        return module.num_layers

    def _modes(self, module, made) -> None:
        """Training or evaluation, and which parameters are frozen, for the module and all below."""
        others = dict(made.named_modules())
        for name, one in module.named_modules():
            if name in others:
                others[name].training = one.training
        parameters = dict(made.named_parameters())
        for name, parameter in module.named_parameters():
            parameters[name].requires_grad = parameter.requires_grad

    # What a subclass says

    def members(self, module):
        """(name, module) of all that a container holds, under each of its names."""
        return module.named_children()

    def plain(self, value):
        """A setting's value for the other library."""
        raise NotImplementedError

    def dtype(self, module) -> dict:
        raise NotImplementedError

    def _parameters(self, module, target: type):
        raise NotImplementedError

    def _load(self, module, made, place: str) -> None:
        raise NotImplementedError


class _FromTorch(_Converter):
    who, source = "from_torch", 1

    def members(self, module):
        return module._modules.items()  # named_children has each once

    def plain(self, value):
        import torch

        return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value

    def dtype(self, module) -> dict:
        found = {str(value.dtype).removeprefix("torch.") for value in module.state_dict().values()
                 if value.is_floating_point()}
        if not found <= {"float32", "float64"} or len(found) > 1:
            raise TypeError(f"expected float32 or float64, got {', '.join(sorted(found))}")
        takes = "dtype" in inspect.signature(self.common[type(module).__name__][0]).parameters
        return {"dtype": np.dtype(found.pop())} if found and takes else {}

    def _parameters(self, module, target):
        if type(module).__name__ == "ParameterList":
            return target([nn.Parameter(self.plain(value)) for value in module])
        return target({name: nn.Parameter(self.plain(value)) for name, value in module.items()})

    def _load(self, module, made, place):
        state = {name: value.detach().cpu().numpy() for name, value in module.state_dict().items()}
        if state.keys() != made.state_dict().keys():
            raise self.refusal(module, place, f"expected a state of {sorted(made.state_dict())}, got {sorted(state)}")
        made.load_state_dict(state)


class _ToTorch(_Converter):
    who, source = "to_torch", 0

    def plain(self, value):
        import torch

        data = getattr(value, "_data", value)
        return torch.from_numpy(data.copy()) if isinstance(data, np.ndarray) else value

    def dtype(self, module) -> dict:
        import torch

        found = {value.dtype for value in module.state_dict().values() if value.dtype in FLOATS}
        takes = "dtype" in inspect.signature(self.common[type(module).__name__][1]).parameters or (
            type(module).__name__ in ("RNN", "LSTM", "GRU"))
        return {"dtype": getattr(torch, found.pop().name)} if found and takes else {}

    def _parameters(self, module, target):
        import torch

        if type(module).__name__ == "ParameterList":
            return target([torch.nn.Parameter(self.plain(value)) for value in module])
        return target({name: torch.nn.Parameter(self.plain(value)) for name, value in module.items()})

    def _load(self, module, made, place):
        import torch

        state = {name: torch.from_numpy(np.array(value)) for name, value in module.state_dict().items()}
        if state.keys() != made.state_dict().keys():
            raise self.refusal(module, place, f"expected a state of {sorted(made.state_dict())}, got {sorted(state)}")
        made.load_state_dict(state)
