"""Names, order and defaults of arguments, which are PyTorch's where PyTorch has the thing."""
from __future__ import annotations

import inspect

import numpy as np
import pytest

import minidl
from minidl import data, functional, metrics, nn, optim, random
from minidl.nn import init
from minidl.optim import lr_scheduler
from minidl.recipe import Recipe
from minidl.sweep import sweep
from minidl.training import EarlyStopping, Progress

F4 = np.float32
REDUCTION = "(x, dim=None, keepdim=False, *, axis=None, keepdims=False)"

SIGNATURES = {
    minidl.Parameter: "(data, name='parameter', order='C', requires_grad=True)",
    minidl.Tensor: "(data, requires_grad=False)",
    minidl.Tensor.backward: "(self, gradient=None, retain_graph=None, create_graph=False)",
    minidl.Parameter.zero_grad: "(self, set_to_none=True)",
    minidl.tensor: "(data, requires_grad=False, dtype=None, device=None)",
    minidl.zeros: "(*size, dtype=None, device=None, requires_grad=False)",
    minidl.ones: "(*size, dtype=None, device=None, requires_grad=False)",
    minidl.randn: "(*size, generator=None, dtype=None, device=None, requires_grad=False)",
    minidl.fit: "(model, criterion, optimizer, data, *, validation=None, epochs=1, batch_size=32, seed=None, "
                "scheduler=None, callbacks=(), transform=None, augment=None, progress=True, captured=True, "
                "sample_weight=None, resume=None)",
    minidl.evaluate: "(model, criterion, data, *, batch_size=1024, transform=None, coding=None, "
                     "sample_weight=None)",
    functional.sum: REDUCTION, functional.mean: REDUCTION, functional.max: REDUCTION, functional.min: REDUCTION,
    functional.argmax: REDUCTION, functional.argmin: REDUCTION, functional.all: REDUCTION, functional.any: REDUCTION,
    functional.cat: "(tensors, dim=0, *, axis=None)",
    functional.stack: "(tensors, dim=0, *, axis=None)",
    functional.dropout: "(x, p=0.5, training=True, inplace=False, *, generator=None)",
    functional.flatten: "(x, start_dim=0, end_dim=-1)",
    functional.linear: "(x, weight, bias=None)",
    functional.squeeze: "(x, dim=None)",
    functional.transpose: "(x, dim0, dim1)",
    functional.unsqueeze: "(x, dim)",
    functional.matmul: "(a, b)",
    functional.conv2d: "(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)",
    functional.conv1d: "(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)",
    functional.max_pool2d: "(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, "
                           "return_indices=False)",
    functional.avg_pool2d: "(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, "
                           "divisor_override=None)",
    functional.adaptive_avg_pool2d: "(input, output_size)",
    nn.Conv2d: "(in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True, "
               "padding_mode='zeros', dtype=None, *, generator=None)",
    nn.Conv1d: "(in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True, "
               "padding_mode='zeros', dtype=None, *, generator=None)",
    nn.MaxPool2d: "(kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False)",
    nn.AvgPool2d: "(kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, "
                  "divisor_override=None)",
    nn.AdaptiveAvgPool2d: "(output_size)", nn.Unflatten: "(dim, unflattened_size)", nn.ZeroPad2d: "(padding)",
    nn.Linear: "(in_features, out_features, bias=True, dtype=None, *, generator=None)",
    nn.Dropout: "(p=0.5, inplace=False, *, generator=None)",
    nn.ReLU: "(inplace=False)", nn.SELU: "(inplace=False)", nn.ELU: "(alpha=1.0, inplace=False)",
    nn.LeakyReLU: "(negative_slope=0.01, inplace=False)", nn.Sigmoid: "()", nn.Tanh: "()",
    nn.GELU: "(approximate='none')", nn.SiLU: "(inplace=False)", nn.Mish: "(inplace=False)", nn.Softsign: "()",
    nn.LogSigmoid: "()", nn.Hardtanh: "(min_val=-1.0, max_val=1.0, inplace=False)", nn.ReLU6: "(inplace=False)",
    nn.Hardsigmoid: "(inplace=False)", nn.Hardswish: "(inplace=False)",
    nn.Threshold: "(threshold, value, inplace=False)", nn.PReLU: "(num_parameters=1, init=0.25, dtype=None)",
    nn.Softmax: "(dim=-1)", nn.LogSoftmax: "(dim=-1)",
    nn.BatchNorm2d: "(num_features, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True, dtype=None)",
    nn.LayerNorm: "(normalized_shape, eps=1e-05, elementwise_affine=True, bias=True, dtype=None)",
    nn.RMSNorm: "(normalized_shape, eps=None, elementwise_affine=True, dtype=None)",
    nn.GroupNorm: "(num_groups, num_channels, eps=1e-05, affine=True, dtype=None)",
    nn.Embedding: "(num_embeddings, embedding_dim, padding_idx=None, max_norm=None, norm_type=2.0, "
                  "scale_grad_by_freq=False, sparse=False, dtype=None, *, generator=None)",
    nn.RNN: "(input_size, hidden_size, num_layers=1, nonlinearity='tanh', bias=True, batch_first=False, dropout=0.0, "
            "bidirectional=False, dtype=None, *, generator=None)",
    nn.LSTM: "(input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False, "
             "proj_size=0, dtype=None, *, generator=None)",
    nn.GRUCell: "(input_size, hidden_size, bias=True, dtype=None, *, generator=None)",
    nn.MultiheadAttention: "(embed_dim, num_heads, dropout=0.0, bias=True, add_bias_kv=False, add_zero_attn=False, "
                           "kdim=None, vdim=None, batch_first=False, dtype=None, *, generator=None)",
    nn.TransformerEncoderLayer: "(d_model, nhead, dim_feedforward=2048, dropout=0.1, activation='relu', "
                                "layer_norm_eps=1e-05, batch_first=False, norm_first=False, bias=True, dtype=None, *, "
                                "generator=None)",
    nn.TransformerEncoder: "(encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True)",
    functional.layer_norm: "(x, normalized_shape, weight=None, bias=None, eps=1e-05)",
    functional.embedding: "(input, weight, padding_idx=None)",
    functional.scaled_dot_product_attention: "(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, "
                                             "scale=None, *, generator=None)",
    nn.Flatten: "(start_dim=1, end_dim=-1)",
    nn.Loss: "(reduction='mean')", nn.MSELoss: "(reduction='mean')",
    nn.CrossEntropyLoss: "(weight=None, *, ignore_index=-100, reduction='mean', label_smoothing=0.0)",
    nn.L1Loss: "(reduction='mean')", nn.SmoothL1Loss: "(reduction='mean', beta=1.0)",
    nn.BCELoss: "(weight=None, *, reduction='mean')", nn.KLDivLoss: "(reduction='mean', log_target=False)",
    nn.BCEWithLogitsLoss: "(weight=None, *, reduction='mean', pos_weight=None)",
    nn.CosineEmbeddingLoss: "(margin=0.0, *, reduction='mean')",
    nn.TripletMarginLoss: "(margin=1.0, p=2.0, eps=1e-06, swap=False, *, reduction='mean')",
    nn.NLLLoss: "(weight=None, *, ignore_index=-100, reduction='mean')", nn.Loss.backward: "(self, gradient=1.0)",
    nn.MSELoss.backward: "(self, gradient=1.0)",
    nn.ModuleList: "(modules=())", nn.ModuleDict: "(modules=())", nn.Sequential: "(*modules)",
    nn.ModuleList.pop: "(self, index=-1)",
    init.calculate_gain: "(nonlinearity, param=None)",
    init.constant_: "(parameter, val)", init.zeros_: "(parameter)", init.ones_: "(parameter)",
    init.uniform_: "(parameter, a=0.0, b=1.0, generator=None)",
    init.normal_: "(parameter, mean=0.0, std=1.0, generator=None)",
    init.xavier_normal_: "(parameter, gain=1.0, generator=None)",
    init.xavier_uniform_: "(parameter, gain=1.0, generator=None)",
    init.kaiming_normal_: "(parameter, a=0.0, mode='fan_in', nonlinearity='leaky_relu', generator=None)",
    init.kaiming_uniform_: "(parameter, a=0.0, mode='fan_in', nonlinearity='leaky_relu', generator=None)",
    optim.SGD: "(params, lr=0.001, momentum=0, dampening=0, weight_decay=0, nesterov=False, *, maximize=False)",
    optim.Adam: "(params, lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0, amsgrad=False, *, maximize=False)",
    optim.AdamW: "(params, lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01, amsgrad=False, *, "
                 "maximize=False)",
    optim.Adadelta: "(params, lr=1.0, rho=0.9, eps=1e-06, weight_decay=0, *, maximize=False)",
    optim.RMSprop: "(params, lr=0.01, alpha=0.99, eps=1e-08, weight_decay=0, momentum=0, centered=False, *, "
                   "maximize=False)",
    optim.Optimizer.zero_grad: "(self, set_to_none=True)",
    lr_scheduler.StepLR: "(optimizer, step_size, gamma=0.1)",
    lr_scheduler.DecayOnRise: "(optimizer, factor=0.5)",
    lr_scheduler.CyclicLR: "(optimizer, base_lr, max_lr, step_size_up=2000, step_size_down=None, mode='triangular', "
                           "gamma=1.0, cycle_momentum=True, base_momentum=0.8, max_momentum=0.9)",
    lr_scheduler.ReduceLROnPlateau: "(optimizer, mode='min', factor=0.1, patience=10, threshold=0.0001, "
                                    "threshold_mode='rel', cooldown=0, min_lr=0, eps=1e-08)",
    data.Batches: "(count, batch_size, *, shuffle=True, drop_last=False, generator=None)",
    data.disk: f"(n, *, seed=None, centre=(0.5, 0.5), radius={1 / np.sqrt(2 * np.pi)!s}, one_hot=False, dtype={F4})",
    data.one_hot: f"(labels, classes, dtype={F4})",
    data.split: "(*arrays, sizes, seed=None)",
    data.read_idx: "(path, *, max_bytes=None)",
    EarlyStopping: "(patience=10, monitor='validation_loss', min_delta=0.0, restore_best=True)",
    Progress: "(stream=None)",
    metrics.predicted: "(output, threshold=0.5)",
    metrics.error_rate: "(output, target, coding=None)",
    random.generator: "(source=None)",
    sweep: "(task, configurations, seeds=(0,), *, executor='processes', path=None, retry_failed=False, progress=True, "
           "together=None)",
    Recipe: "(inputs=2, hidden=(25, 25, 25), outputs=2, activation='tanh', output_activation=None, dropout=0.0, "
            "init='xavier_random_bias', loss='cross_entropy', optimizer='sgd', lr=None, momentum=0.0, "
            "scheduler='none', epochs=400, batch_size=100)",
}


def signature(function) -> str:
    """Without annotations; of a method that is wrapped, the one that is wrapped."""
    whole = inspect.signature(function)
    parameters = [p.replace(annotation=p.empty) for p in whole.parameters.values()]
    return str(whole.replace(parameters=parameters, return_annotation=whole.empty))


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda f: f.__qualname__)
def test_signature(function):
    assert signature(function) == SIGNATURES[function]


@pytest.mark.parametrize("function, module, shown", [
    (functional.elu, nn.ELU, -1.0), (functional.leaky_relu, nn.LeakyReLU, -0.01)])
def test_defaults_of_operations_are_those_of_modules(function, module, shown):
    """ELU(-30) is -alpha, LeakyReLU(-1) is -slope."""
    x = np.array([-30.0 if module is nn.ELU else -1.0])
    for y in (function(x), module()(x), function(minidl.tensor(x)).data):
        np.testing.assert_allclose(y, [shown], rtol=1e-7)
    given = {nn.ELU: [{"alpha": 2.0}, {}], nn.LeakyReLU: [{"negative_slope": 0.25}, {}]}[module][0]
    expected = -2.0 if module is nn.ELU else -0.25
    for y in (function(x, *given.values()), function(x, **given), module(**given)(x), module(*given.values())(x),
              function(minidl.tensor(x), *given.values(), True).data, function(x, **given, inplace=True)):
        np.testing.assert_allclose(y, [expected], rtol=1e-7)


@pytest.mark.parametrize("name", ["relu", "selu"])
def test_inplace_is_taken_and_changes_nothing(name):
    x = np.array([-1.0, 2.0])
    function = getattr(functional, name)
    expected = function(x)
    for y in (function(x, True), function(x, inplace=True), function(minidl.tensor(x), inplace=True).data,
              getattr(nn, {"relu": "ReLU", "selu": "SELU"}[name])(inplace=True)(x)):
        np.testing.assert_array_equal(y, expected)
    assert x.tolist() == [-1, 2]
