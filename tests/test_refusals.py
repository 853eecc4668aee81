"""What is refused, one call after the other: the exception, and how its message begins.

For checks that no other test meets: a check that is gone must not go unnoticed, here where its mistake would otherwise
show in a later, more obscure error, or not at all.
"""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import data, distributions, nn, optim, training
from minidl import functional as F
from minidl.kernels.memory import Counts, Memory
from minidl.kernels.replay import Guards

KERNELS = minidl.kernels.of(np.float32)
SCHEDULES = optim.lr_scheduler


def ones(*shape, **more):
    return minidl.ones(shape, **more)


def array(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def labels(*shape):
    return np.zeros(shape, np.int64)


def sgd(momentum=0.0):
    return optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1, momentum=momentum)


def averaged():
    return optim.swa_utils.AveragedModel(nn.Linear(2, 2))


def with_gradient():
    model = nn.Linear(2, 2)
    model(ones(1, 2)).sum().backward()
    return model.parameters()


def taken(module):
    """A Module with an attribute that is none of its members."""
    module.taken = 3
    return module


def geometry(**changed):
    """That of a kernel over windows of two by two, with some numbers changed."""
    fields = {"height": 4, "width": 4, "channels": 2, "out_height": 3, "out_width": 3, "out_channels": 2,
              "kernel_height": 2, "kernel_width": 2, "stride_y": 1, "stride_x": 1, "dilation_y": 1, "dilation_x": 1,
              "groups": 1, "top": 0, "left": 0, "divisor": 1}
    return tuple({**fields, **changed}.values())


def pool(**changed):
    return lambda: KERNELS.average_pool(array(1, 32), array(1, 18), geometry(**changed))


def stacks(*shapes, dtypes=(np.float32,) * 3):
    return lambda: KERNELS.bmm(*[array(*shape, dtype=dtype) for shape, dtype in zip(shapes, dtypes, strict=True)])


CASES = {
    # Tensors and functions
    "matmul, inner sizes": (lambda: minidl.matmul(ones(2, 3), ones(2, 3)), ValueError, r"matmul: expected shapes"),
    "matmul, vectors": (lambda: minidl.arrays.matmul(array(3), array(3, 2)), ValueError, r"matmul: expected shapes"),
    "numpy() with a gradient": (lambda: ones(2, requires_grad=True).numpy(), RuntimeError, r"numpy\(\): this Tensor"),
    "a value of more axes": (lambda: ones(2).copy_(ones(3, 2)), ValueError, "expected values that fit into a Tensor"),
    "meshgrid": (lambda: minidl.meshgrid(ones(2), indexing="yx"), ValueError, "meshgrid: expected indexing"),
    "attention, sizes": (lambda: F.scaled_dot_product_attention(ones(2, 3), ones(2, 4), ones(2, 4)), ValueError,
                         "scaled_dot_product_attention: expected query"),
    "attention, vectors": (lambda: F.scaled_dot_product_attention(ones(3), ones(2, 3), ones(2, 3)), ValueError,
                           "scaled_dot_product_attention: expected query"),
    "bags in rows, offsets": (lambda: F.embedding_bag(labels(2, 2), ones(3, 2), labels(2)), ValueError,
                              "embedding_bag: expected no offsets"),
    "largest of bags, padding": (lambda: F.embedding_bag(labels(2, 2), ones(3, 2), mode="max", padding_idx=0),
                                 ValueError, "embedding_bag: expected no padding_idx"),
    "largest of bags, offsets": (lambda: F.embedding_bag(labels(2), ones(3, 2), labels(1), mode="max"), ValueError,
                                 "embedding_bag: expected bags as rows"),
    "bags in three axes": (lambda: F.embedding_bag(labels(2, 1, 1), ones(3, 2)), ValueError,
                           "embedding_bag: expected bags as rows"),
    "bags without offsets": (lambda: F.embedding_bag(labels(2), ones(3, 2)), ValueError,
                             "embedding_bag: expected bags as rows"),
    "batch_norm, no statistics": (lambda: F.batch_norm(ones(2, 3), None, None), ValueError,
                                  "batch_norm: expected running_mean and running_var"),
    "batch_norm, no variance": (lambda: F.batch_norm(ones(2, 3), ones(3), None), ValueError,
                                "batch_norm: expected running_mean and running_var"),
    "pad, mode": (lambda: F.pad(ones(2, 3), (1, 1), "mirror"), ValueError, "pad: expected mode as one of"),
    "pad, value": (lambda: F.pad(ones(1, 2, 3), (1, 1), "reflect", 2.0), ValueError, "pad: expected no value with"),
    "one_hot of floats": (lambda: F.one_hot(ones(2), 3), TypeError, "one_hot: expected integers"),
    # Modules
    "a name with a dot": (lambda: nn.Sequential({"a.b": nn.ReLU()}), KeyError, "expected names without dots"),
    "a name of no letters": (lambda: nn.Sequential({"": nn.ReLU()}), KeyError, "expected names without dots"),
    "padding mode": (lambda: nn.Conv2d(1, 1, 1, padding_mode="mirror"), ValueError, "expected padding_mode as one of"),
    "frequencies": (lambda: nn.Embedding(2, 2, scale_grad_by_freq=True), ValueError, "Embedding: gradients are not"),
    "a buffer's name": (lambda: taken(nn.ReLU()).register_buffer("taken", ones(1)), KeyError, "has an attribute"),
    "a parameter's name": (lambda: taken(nn.ReLU()).register_parameter("taken", nn.Parameter(array(1))), KeyError,
                           "has an attribute"),
    "no such module": (lambda: nn.Sequential(nn.ReLU()).get_submodule("0.inner"), AttributeError,
                       "ReLU has no module 'inner', of '0.inner'"),
    "no such buffer": (lambda: nn.Linear(2, 2).get_buffer("weight"), AttributeError, "Linear has no buffer 'weight'"),
    "a parameter is no buffer": (lambda: nn.BatchNorm1d(2).get_buffer("bias"), AttributeError, "has no buffer 'bias'"),
    "norm below zero": (lambda: nn.utils.clip_grad_norm_(with_gradient(), -1.0), ValueError,
                        "clip_grad_norm_: expected max_norm >= 0"),
    "norm NaN": (lambda: nn.utils.clip_grad_norm_(with_gradient(), np.nan), ValueError,
                 "clip_grad_norm_: expected max_norm >= 0"),
    "values below zero": (lambda: nn.utils.clip_grad_value_(with_gradient(), -1.0), ValueError,
                          "clip_grad_value_: expected clip_value >= 0"),
    "LayerNorm over nothing": (lambda: nn.LayerNorm(0), ValueError, "LayerNorm: expected normalized_shape"),
    "RMSNorm over less": (lambda: nn.RMSNorm((2, -1)), ValueError, "RMSNorm: expected normalized_shape"),
    "summary of no rows": (lambda: nn.Linear(2, 2).summary((0, 2)), ValueError, "summary: expected a shape of sizes"),
    # Data
    "RandomAffine, scale": (lambda: data.RandomAffine(0, scale=(2, 1)), ValueError, "RandomAffine: expected scale"),
    "RandomAffine, no scale": (lambda: data.RandomAffine(0, scale=(0, 1)), ValueError, "RandomAffine: expected scale"),
    "RandomAffine, degrees": (lambda: data.RandomAffine((3, 1)), ValueError,
                              r"RandomAffine: expected degrees as \(low, high\)"),
    "random_split": (lambda: data.random_split(data.TensorDataset(array(3, 1)), [4, -1]), ValueError,
                     "random_split: expected lengths >= 0"),
    "workers": (lambda: data.DataLoader(data.TensorDataset(array(3, 1)), num_workers=1), ValueError,
                "DataLoader: expected num_workers=0"),
    "rsample": (lambda: distributions.Categorical(ones(2)).rsample(), NotImplementedError, "Categorical has no"),
    "log_prob": (lambda: distributions.Distribution().log_prob(0), NotImplementedError, "has no log_prob"),
    "entropy": (lambda: distributions.Distribution().entropy(), NotImplementedError, "has no entropy"),
    # Training
    "line search": (lambda: optim.LBFGS(nn.Linear(2, 2).parameters(), line_search_fn="armijo"), ValueError,
                    "'strong_wolfe', got 'armijo'"),
    "milestones": (lambda: SCHEDULES.MultiStepLR(sgd(), "12"), TypeError, "to be a list of ints"),
    "no state of a group": (lambda: sgd().load_state_dict({"param_groups": [], "state": []}), ValueError,
                            "SGD.load_state_dict: expected param_groups and state of 1 groups"),
    "half a wave of no steps": (lambda: SCHEDULES.CosineAnnealingLR(sgd(), 0), ValueError, "T_max"),
    "a projection to less than nothing": (lambda: nn.LSTM(2, 3, proj_size=-1), ValueError, "proj_size"),
    "halving by one": (lambda: training.SuccessiveHalving(factor=1), ValueError, "expected a factor from 2"),
    "a model that is none": (lambda: minidl.fit_many([3], nn.MSELoss(), [sgd()], (array(2, 2), array(2, 2))), TypeError,
                             "fit_many: expected Modules as models"),
    "averages of others": (lambda: training.WeightAveraging(averaged()).load_state_dict({}), ValueError,
                           "WeightAveraging.load_state_dict: expected averaged"),
    "a history's columns": (lambda: training.History.of({"losses": []}), ValueError, "expected columns among"),
    "a history of a list": (lambda: training.History.of([]), ValueError, "expected columns among"),
    # Kernels
    "stack, axes": (stacks((2, 3), (1, 3, 2), (1, 2, 2)), ValueError, "expected stacks of matrices"),
    "stack, axes of b": (stacks((1, 2, 3), (3, 2), (1, 2, 2)), ValueError, "expected stacks of matrices"),
    "stack, axes of the output": (stacks((1, 2, 3), (1, 3, 2), (2, 2)), ValueError, "expected a stack of matrices"),
    "stack, dtype": (stacks((1, 2, 3), (1, 3, 2), (1, 2, 2), dtypes=(np.float32, np.float64, np.float32)), ValueError,
                     "expected a stack of float32"),
    "stack, integers": (stacks((1, 2, 3), (1, 3, 2), (1, 2, 2), dtypes=(np.int32, np.float32, np.float32)), ValueError,
                        "expected a stack of float32"),
    "stack, number": (stacks((2, 2, 3), (1, 3, 2), (2, 2, 2)), ValueError, "expected a stack of 2 matrices, got 1"),
    "adaptive gaps, y": (pool(divisor=-2, dilation_y=2), ValueError, "expected adaptive windows without gaps"),
    "adaptive gaps, x": (pool(divisor=-2, dilation_x=2), ValueError, "expected adaptive windows without gaps"),
    "groups": (pool(groups=2, channels=3), ValueError, "expected channels that 2 groups can share"),
    "groups of outputs": (pool(groups=2, out_channels=3), ValueError, "expected channels that 2 groups can share"),
    "a large number": (pool(left=1 << 30), ValueError, "expected a geometry of moderate numbers"),
    "a small number": (pool(left=-(1 << 30)), ValueError, "expected a geometry of moderate numbers"),
    "no divisor": (pool(divisor=-3), ValueError, "expected sizes of at least one"),
    "memory, none": (lambda: Memory(-1), MemoryError, "cannot have -1 bytes"),
    "memory, all": (lambda: Memory(2**63 - 1), MemoryError, "cannot have 9223372036854775807 bytes"),
    "memory, most": (lambda: Memory(2**63 - 200), MemoryError, "cannot have"),
    "counts, none": (lambda: Counts(-1), MemoryError, "cannot count -1 parameters"),
    "counts, all": (lambda: Counts(2**63 - 1), MemoryError, "cannot count"),
    **{f"guard of a {what}": ((lambda call=call: call(Guards())), TypeError, message) for what, call, message in (
        ("name", lambda guards: guards.name([], "a", "x"), "expected a dictionary, got list"),
        ("size", lambda guards: guards.size([], "x"), "expected a dictionary, got list"),
        ("cell", lambda guards: guards.cell([], "x"), "expected a cell, got list"),
        ("trained parameter", lambda guards: guards.trained([], "x"), "expected a Status, got list"),
        ("gradient", lambda guards: guards.reached([], True, "x"), "expected a Status, got list"),
        ("place", lambda guards: guards.place([], "x"), "expected an array, got list"),
        ("content", lambda guards: guards.content([], "x"), "expected an array, got list"))},
    "threads, none": (lambda: minidl.set_num_threads(0), ValueError, "expected 1 to 64 threads, got 0"),
    "threads, too many": (lambda: minidl.set_num_threads(65), ValueError, "expected 1 to 64 threads, got 65"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused(case):
    call, kind, message = CASES[case]
    with pytest.raises(kind, match=message) as caught:
        call()
    assert type(caught.value) is kind or kind is AttributeError
