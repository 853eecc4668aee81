"""Any network, loss, optimizer and run of batches: the captured step has the bits of the plain one."""
from __future__ import annotations

import array
import sys

import numpy as np
import pytest
from module_cases import ACTIVATIONS
from twins import LOSSES, OPTIMIZERS, Twins, target_for

from minidl import capture, nn

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

sizes = st.integers(1, 40)
seeds = st.integers(0, 2**16)


@st.composite
def architectures(draw):
    """The widths, and between them what is not Linear; whether the layers are nested."""
    widths = draw(st.lists(sizes, min_size=2, max_size=5))
    between = st.lists(st.one_of(
        st.sampled_from(ACTIVATIONS), st.sampled_from([("Dropout", {"p": 0.0}), ("Dropout", {"p": 0.4})]),
        st.sampled_from([("Flatten", {}), ("Identity", {})])), max_size=2)
    others = [draw(between) for _ in widths]
    return widths, others, draw(st.booleans()), draw(st.booleans())


def built(widths, others, bias, nested, dtype) -> nn.Sequential:
    """others[0], Linear, others[1], Linear, ..."""
    layers = [[getattr(nn, name)(**settings) for name, settings in others[0]]]
    for before, after, following in zip(widths, widths[1:], others[1:], strict=False):
        layers.append([nn.Linear(before, after, bias=bias, dtype=dtype),
                       *(getattr(nn, name)(**settings) for name, settings in following)])
    if nested:
        return nn.Sequential([nn.Sequential(group) for group in layers])
    return nn.Sequential([layer for group in layers for layer in group])


@settings(max_examples=400, derandomize=True, deadline=None, database=None)
@given(architecture=architectures(), loss=st.sampled_from(sorted(LOSSES)), reduction=st.sampled_from(["mean", "sum"]),
       optimizer=st.sampled_from(sorted(OPTIMIZERS)), dtype=st.sampled_from([np.float32, np.float64]),
       rows=st.lists(sizes, min_size=1, max_size=4), picked=st.booleans(), seed=seeds)
def test_any_training(architecture, loss, reduction, optimizer, dtype, rows, picked, seed):
    kind, soft = LOSSES[loss]

    def make():
        model = built(*architecture, dtype)
        rule = OPTIMIZERS[optimizer](model.parameters())
        rule.lr *= 1e-2  # so that nothing diverges
        return model, kind(reduction=reduction), rule

    twins, rng = Twins(make), np.random.default_rng(seed)
    widths = architecture[0]
    for count in rows:
        x = rng.standard_normal((count, widths[0])).astype(dtype)
        y = target_for(twins.plain[1], count, widths[-1], dtype, rng, soft)
        twins.train(x, y, rng.integers(0, count, rng.integers(1, 50)) if picked else None)
    twins.check()


HIDDEN = {
    "an array of array": (array.array("d", [1.0]), lambda held: held[0], lambda held, n: held.__setitem__(0, n)),
    "bytes": (bytearray([1]), lambda held: float(held[0]), lambda held, n: held.__setitem__(0, int(n))),
    "a setting of Python": (None, lambda held: sys.getswitchinterval(), lambda held, n: sys.setswitchinterval(n / 500)),
}


@pytest.mark.parametrize("often", [1, 3])
@pytest.mark.parametrize("what", HIDDEN)
def test_what_changes_unseen_is_noticed_by_the_checks_and_then_the_function_runs_plain(what, often):
    """Each call whose replay is checked, and all later ones, give what Python does, those between what was recorded."""
    held, read, change = HIDDEN[what]
    before, x = sys.getswitchinterval(), np.ones(2, np.float32)
    step = capture(lambda x: x * read(held))
    try:
        given = []
        for call in range(40):
            if call % often == 0:
                change(held, call + 1.0)
            output, expected = step(x).data.tolist(), (x * np.float32(read(held))).tolist()
            given.append(output == expected)
            assert output == expected or often > 1
            if step.reason:
                break
        assert given[-1] and "does not do the same at each call" in step.reason
        assert (step(x).data == x * np.float32(read(held))).all()
    finally:
        sys.setswitchinterval(before)
