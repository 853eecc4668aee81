"""repr: every setting of every module that is not the default is told, and PyTorch's text is ours where it can be."""
import inspect

import pytest
from test_summary import CASES

from minidl import nn

UNTOLD = {"dtype", "device", "generator",
          "inplace",          # changes nothing
          "weight", "pos_weight",  # of losses: arrays, which are buffers
          "init",             # of PReLU: the weight's first value
          "padding_mode"}     # has one value
OTHERS = {"mode": "sum", "nonlinearity": "relu", "reduction": "sum", "activation": "gelu", "approximate": "tanh",
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


SAME = {"GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell", "Conv1d", "Conv2d", "Embedding", "EmbeddingBag",
        "Flatten", "Unflatten", "ZeroPad2d", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "PReLU", "Threshold", "Softmax",
        "GELU", "ELU", "Softplus", "Hardtanh", "LeakyReLU"}


@pytest.mark.parametrize("name", sorted(SAME))
def test_the_text_is_pytorchs(name):
    torch = pytest.importorskip("torch")
    for arguments, settings, _ in CASES[name]:
        ours, theirs = (getattr(library, name)(*arguments, **settings) for library in (nn, torch.nn))
        assert repr(ours) == repr(theirs)


def test_what_pytorch_tells_of_other_settings():
    torch = pytest.importorskip("torch")
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
