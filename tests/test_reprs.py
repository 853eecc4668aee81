"""repr: every setting of every module that is not the default is told, and PyTorch's text is ours where it can be."""
import ast
import inspect

import pytest
from test_summary import CASES
from theirs import torch

from minidl import nn

UNTOLD = {"dtype", "device", "generator",
          "inplace",          # changes nothing
          "weight", "pos_weight",  # of losses: arrays, which are buffers
          "init",             # of PReLU: the weight's first value
          "sparse",           # changes nothing
          "scale_grad_by_freq"}  # has one value
OTHERS = {"mode": "sum", "nonlinearity": "relu", "padding_mode": "reflect",
          "reduction": "sum", "activation": "gelu", "approximate": "tanh",
          "padding_idx": 1, "kdim": 4, "vdim": 4, "eps": 1e-3, "stride": 3, "divisor_override": 3, "max_norm": 1.0}


def another(parameter: inspect.Parameter):
    """A value that is not the default."""
    value = parameter.default
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return value / 2 + 0.1
    return value + 1 if isinstance(value, int) else OTHERS[parameter.name]


SETTINGS = [(name, parameter.name) for name in CASES
            for parameter in inspect.signature(getattr(nn, name)).parameters.values()
            if parameter.default is not inspect.Parameter.empty and parameter.name not in UNTOLD]


@pytest.mark.parametrize(("name", "setting"), SETTINGS)
def test_a_setting_that_is_not_the_default_is_told(name, setting):
    kind = getattr(nn, name)
    arguments, _, _ = CASES[name][0]
    signature = inspect.signature(kind)
    settings = {"num_layers": 2} if setting == "dropout" and name in ("RNN", "LSTM", "GRU") else {}
    settings |= {"dim": 1} if "dim" in signature.parameters and name in ("Softmax", "LogSoftmax") else {}
    given = signature.bind(*arguments, **settings)
    before = repr(kind(*given.args, **given.kwargs))
    given.arguments[setting] = (another(signature.parameters[setting]) if setting not in given.arguments
                                else given.arguments[setting] + 1)
    assert repr(kind(*given.args, **given.kwargs)) != before


ALWAYS = {  # what PyTorch tells of a module whatever its value is; "*" for all settings
    **dict.fromkeys(["AvgPool1d", "AvgPool2d", "MaxPool1d", "MaxPool2d", "Flatten", "PReLU", "CosineSimilarity",
                     "PairwiseDistance", "TripletMarginLoss", "CosineEmbeddingLoss", "KLDivLoss", "ELU", "LeakyReLU",
                     "Softmax", "LogSoftmax", "Softplus", "Hardtanh", "GELU", "SmoothL1Loss", "HuberLoss"], "*"),
    **{name: {"eps", "momentum", "affine", "track_running_stats"}
       for name in ("BatchNorm1d", "BatchNorm2d", "InstanceNorm1d", "InstanceNorm2d")},
    "GroupNorm": {"eps", "affine"},
    "LayerNorm": {"eps", "elementwise_affine"}, "RMSNorm": {"eps", "elementwise_affine"},
    "Conv1d": {"kernel_size", "stride"}, "Conv2d": {"kernel_size", "stride"}, "Dropout": {"p"},
    "EmbeddingBag": {"mode"}, "MultiheadAttention": {"dropout", "batch_first"},
}


def told(module) -> dict[str, object]:
    """The settings that the first line of a repr tells by their names, as values where they are such."""
    text = repr(module).splitlines()[0]
    call = ast.parse(text if text.endswith(")") else text.rstrip("(") + ("()" if text.endswith("(") else ")")).body[0]
    return {setting.arg: getattr(setting.value, "id", None) or ast.literal_eval(setting.value)
            for setting in call.value.keywords}


@pytest.mark.parametrize("name", CASES)
def test_a_setting_that_is_the_default_is_not_told(name):
    """But for those that PyTorch always tells; then with the value that it has."""
    kind, always = getattr(nn, name), ALWAYS.get(name, set())
    parameters = inspect.signature(kind).parameters
    for arguments, settings, _ in CASES[name]:
        bound = inspect.signature(kind).bind(*arguments, **settings)
        bound.apply_defaults()
        for setting, value in told(kind(*arguments, **settings)).items():
            given, default = bound.arguments[setting], parameters[setting].default
            assert always == "*" or setting in always or given != default, setting
            assert value in (given, (given,), (given, given)) or given is None, setting  # a number may stand for a pair


@pytest.mark.parametrize("name", sorted(set(CASES) - {"MultiheadAttention", "TransformerEncoderLayer"}))
def test_the_text_makes_the_same_module(name):
    for arguments, settings, _ in CASES[name]:
        text = repr(getattr(nn, name)(*arguments, **settings))
        assert repr(eval(text, vars(nn).copy())) == text


SAME = {"GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell", "Conv1d", "Conv2d", "Embedding", "EmbeddingBag",
        "Flatten", "Unflatten", "ZeroPad2d", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "PReLU", "Threshold", "Softmax",
        "GELU", "ELU", "Softplus", "Hardtanh", "LeakyReLU"}


@pytest.mark.parametrize("name", sorted(SAME))
def test_the_text_is_pytorchs(name):
    for arguments, settings, _ in CASES[name]:
        ours, theirs = (getattr(library, name)(*arguments, **settings) for library in (nn, torch.nn))
        assert repr(ours) == repr(theirs)


def test_what_pytorch_tells_of_other_settings():
    for name, arguments, settings in [
            ("RNNCell", (3, 5), {"nonlinearity": "relu"}), ("EmbeddingBag", (5, 3), {"mode": "sum"}),
            ("Conv2d", (4, 6, 3), {"dilation": 2, "bias": False, "stride": 2, "padding": "valid"}),
            ("LSTM", (3, 5), {"dropout": 0.3, "num_layers": 2, "bias": False}),
            ("Embedding", (5, 3), {"padding_idx": 1}), ("Hardtanh", (-2.0, 2.0), {}),
            ("AdaptiveAvgPool2d", ((None, 3),), {})]:
        ours, theirs = (getattr(library, name)(*arguments, **settings) for library in (nn, torch.nn))
        assert repr(ours) == repr(theirs)


def test_a_layer_tells_its_activation():
    layer = nn.TransformerEncoderLayer(4, 2, activation="gelu", norm_first=True)
    assert repr(layer).startswith("TransformerEncoderLayer(activation=gelu, norm_first=True\n")
    assert "activation=" not in repr(nn.TransformerEncoderLayer(4, 2, activation=nn.Tanh()))
    assert "activation=<lambda>" in repr(nn.TransformerEncoderLayer(4, 2, activation=lambda x: x))
