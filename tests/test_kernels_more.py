"""What is not in the table of test_kernels.py: kernels of several steps, those of labels, outputs made."""
from importlib import import_module

import numpy as np
import pytest

from minidl import capture, kernels, nn, optim, reference

every_target = pytest.mark.parametrize("target", kernels.targets())
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda dtype: dtype.__name__)


@every_target
@every_dtype
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_gradients_are_those_of_the_two_kernels(target, dtype, order, bias):
    module, rng = kernels.load(target, dtype), np.random.default_rng(0)
    for n, i, o in [(1, 1, 1), (0, 3, 2), (17, 9, 33), (100, 25, 25)]:
        x, dy = rng.normal(size=(n, i)).astype(dtype), rng.normal(size=(n, o)).astype(dtype)
        dweight, db = np.array(rng.normal(size=(o, i)), dtype, order=order), rng.normal(size=o).astype(dtype)
        both, b = dweight.copy(order="K"), db.copy()
        module.linear_gradients(x, dy, both, b if bias else None)
        module.linear_weight_gradient(x, dy, dweight)
        if bias:
            module.column_sum(dy, db)
        np.testing.assert_array_equal(both, dweight)
        np.testing.assert_array_equal(b, db)


@every_target
def test_linear_gradients_with_a_bias_that_does_not_fit_change_nothing(target):
    dweight, db = np.ones((2, 3), np.float32), np.ones(3, np.float32)
    with pytest.raises(ValueError, match=r"expected an array of shape \(2,\), got \(3,\)"):
        kernels.load(target, np.float32).linear_gradients(
            np.ones((4, 3), np.float32), np.ones((4, 2), np.float32), dweight, db)
    assert (dweight == 1).all()
    assert (db == 1).all()


@every_target
@every_dtype
@pytest.mark.parametrize("n, c", [(0, 3), (1, 1), (17, 2), (100, 10)])
def test_label_kernels_are_their_twins(target, dtype, n, c):
    module, rng = kernels.load(target, dtype), np.random.default_rng(n)
    z, labels = rng.normal(size=(n, c)).astype(dtype), rng.integers(0, c, n)
    assert module.gather_labels_total(z, labels) == reference.gather_labels_total(z, labels)
    assert module.gather_labels_total(z[::-1], labels) == reference.gather_labels_total(z[::-1], labels)
    ours, twins = z.copy(), z.copy()
    module.add_at_labels(ours, labels, -0.1)
    reference.add_at_labels(twins, labels, -0.1)
    np.testing.assert_array_equal(ours, twins)


@every_target
@pytest.mark.parametrize("labels", [[0, 3], [0, -1], [0], [0, 1, 2], [2**40, 0]])
def test_labels_that_do_not_fit_change_nothing(target, labels):
    module, z = kernels.load(target, np.float32), np.ones((2, 3), np.float32)
    labels = np.array(labels, np.int64)
    with pytest.raises(ValueError, match="expected labels"):
        module.gather_labels_total(z, labels)
    with pytest.raises(ValueError, match="expected labels"):
        module.add_at_labels(z, labels, 1.0)
    with pytest.raises(ValueError, match="expected labels"):
        module.cross_entropy(np.zeros_like(z), labels, z)
    with pytest.raises(ValueError, match="expected labels"):
        module.cross_entropy_gradient(np.zeros_like(z), labels, z, 1.0)
    assert (z == 1).all()


@every_target
@every_dtype
@pytest.mark.parametrize("n, c", [(0, 3), (1, 1), (17, 2), (100, 10), (1000, 33)])
@pytest.mark.parametrize("lies", [lambda z: z, lambda z: z[::-1].copy()[::-1], np.asfortranarray],
                         ids=["C", "backwards", "F"])
def test_cross_entropy_is_its_steps(target, dtype, n, c, lies):
    module, rng = kernels.load(target, dtype), np.random.default_rng(n)
    z, labels = lies(rng.normal(size=(n, c)).astype(dtype)), rng.integers(0, c, n)
    log_p, dz = np.empty((n, c), dtype), np.empty((n, c), dtype)
    module.log_softmax(z, log_p)
    module.exp(log_p, dz)
    module.add_at_labels(dz, labels, -1)
    dz *= dtype(0.3)
    ours = np.empty((n, c), dtype)
    assert module.cross_entropy(z, labels, ours) == -module.gather_labels_total(log_p, labels)
    np.testing.assert_array_equal(ours, log_p)
    assert module.cross_entropy_gradient(lies(log_p), labels, ours, 0.3) is None
    np.testing.assert_array_equal(ours, dz)


@every_target
@every_dtype
def test_cross_entropy_computes_what_its_twin_says(target, dtype):
    module, rng = kernels.load(target, dtype), np.random.default_rng(0)
    z, labels = rng.normal(size=(100, 10)).astype(dtype), rng.integers(0, 10, 100)
    ours, twins = np.empty_like(z), np.empty_like(z)
    near = {"rtol": 30 * np.finfo(dtype).eps, "atol": 30 * np.finfo(dtype).eps}
    np.testing.assert_allclose(
        module.cross_entropy(z, labels, ours), reference.cross_entropy(z, labels, twins), **near)
    np.testing.assert_allclose(ours, twins, **near)
    log_p = twins.copy()
    module.cross_entropy_gradient(log_p, labels, ours, 0.01)
    reference.cross_entropy_gradient(log_p, labels, twins, 0.01)
    np.testing.assert_allclose(ours, twins, **near)


UPDATES = {
    "sgd": [(0.1, 0, 1, 0, 0, 0), (0.1, 0.9, 0.7, 0.01, 0, 0), (0.1, 0.9, 1, 0.01, 1, 0), (0.1, 0.9, 1, -0.01, 0, 1)],
    "adam": [(0.01, 0.3, 1e-8, 0.9, 0.1, 0.999, 0.001, 0, 1), (0.01, 0.3, 1e-8, 0.9, 0.1, 0.999, 0.001, 0.02, 0.98)],
    "adadelta": [(1.0, 0.9, 0.1, 1e-6, 0.01)],
}


@every_target
@every_dtype
@pytest.mark.parametrize("name, settings", [(name, one) for name, many in UPDATES.items() for one in many])
def test_updates_are_their_twins_to_the_bit(target, dtype, name, settings):
    rng = np.random.default_rng(0)
    for size in (0, 1, 7, 8, 9, 15, 16, 17, 33, 1000):
        g, *ours = (rng.normal(size=size).astype(dtype) for _ in range(3 if name == "sgd" else 4))
        ours[1:] = (abs(state) for state in ours[1:])
        before, theirs = g.copy(), [array.copy() for array in ours]
        getattr(kernels.load(target, dtype), name)(g, *ours, *settings)
        getattr(reference, name)(g, *theirs, *settings)
        for got, want in zip((g, *ours), (before, *theirs), strict=True):
            np.testing.assert_array_equal(got, want)


@every_target
def test_updates_refuse_what_does_not_fit(target):
    module, w = kernels.load(target, np.float32), np.ones(5, np.float32)
    for name, (settings, *_) in UPDATES.items():
        arrays = [w] * (3 if name == "sgd" else 4)
        with pytest.raises(TypeError, match="settings"):
            getattr(module, name)(*arrays, *settings[1:])
        for i in range(len(arrays)):
            with pytest.raises(ValueError, match="expected an array of shape"):
                getattr(module, name)(*arrays[:i], np.ones(6, np.float32), *arrays[i + 1:], *settings)
    assert (w == 1).all()


@every_target
@every_dtype
@pytest.mark.parametrize("n, c", [(1, 1), (17, 2), (100, 10)])
def test_losses_are_their_twins(target, dtype, n, c):
    module, rng = kernels.load(target, dtype), np.random.default_rng(n)
    z, t, labels = rng.normal(size=(n, c)).astype(dtype), rng.random((n, c)).astype(dtype), rng.integers(0, c, n)
    ours, twins = np.empty_like(z), np.empty_like(z)
    assert module.squared_error(z, t, ours) == reference.squared_error(z, t, twins)
    np.testing.assert_array_equal(ours, twins)
    assert module.soft_cross_entropy(z, t) == reference.soft_cross_entropy(z, t)
    assert module.negative_log_likelihood(z, labels) == reference.negative_log_likelihood(z, labels)
    z[::3, -1] = np.nan
    assert module.wrong(z, labels) == reference.wrong(z, labels)


@every_target
@every_dtype
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (17, 9)])
def test_an_output_of_none_is_made(target, dtype, shape):
    module, rng = kernels.load(target, dtype), np.random.default_rng(0)
    x = rng.uniform(0.1, 1, shape).astype(dtype)
    for name in [name for name in module.OPERATIONS if f"{name}_backward" in module.OPERATIONS
                 and getattr(module, name).__doc__.startswith(f"{name}(const real[:, :] x not None, real[:, ::1] y")]:
        settings = (1.3,) if "double setting" in getattr(module, name).__doc__ else ()
        for kernel, inputs in ((name, (x,)), (f"{name}_backward", (x, x))):
            given = np.empty_like(x)
            getattr(module, kernel)(*inputs, given, *settings)
            made = getattr(module, kernel)(*inputs, None, *settings)
            assert made.dtype == dtype
            assert made.flags.c_contiguous
            np.testing.assert_array_equal(made, given)
    labels, given = np.zeros(len(x), np.int64), np.empty_like(x)
    if x.shape[1]:
        total = module.cross_entropy(x, labels, given)
        assert module.cross_entropy(x, labels, None)[0] == total
        np.testing.assert_array_equal(module.cross_entropy(x, labels, None)[1], given)
        module.cross_entropy_gradient(x, labels, given, 0.1)
        np.testing.assert_array_equal(module.cross_entropy_gradient(x, labels, None, 0.1), given)


@every_target
@every_dtype
def test_the_module_of_a_target_is_a_table(target, dtype):
    suffix = {np.float32: "f32", np.float64: "f64"}[dtype]
    module = import_module(f"minidl.kernels.{target}_{suffix}")
    assert [name for name in vars(module) if name[0] != "_"] == ["table"]
    other = import_module(f"minidl.kernels.{'f64' if suffix == 'f32' else 'f32'}")
    for table in (module.table, None, object(), 1):
        with pytest.raises(ValueError, match="PyCapsule_GetPointer"):
            other.bound(table)


def packed(rows, cols):
    """A matrix whose rows are not a whole number of elements apart."""
    record = np.zeros(rows, [("tag", "u1"), ("x", np.float32, cols)])
    record["x"] = np.random.default_rng(0).normal(size=(rows, cols))
    return record["x"]


@every_target
def test_strides_of_no_whole_elements_are_refused(target):
    x = packed(3, 4)
    assert x.strides[0] % 4
    with pytest.raises(ValueError, match="strides of whole elements"):
        kernels.load(target, np.float32).tanh(x, np.zeros((3, 4), np.float32))


def test_linear_takes_an_array_whose_address_is_no_multiple_of_an_element():
    values, layer = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32), nn.Linear(4, 3, generator=0)
    x = np.frombuffer(b"xyz" + values.tobytes(), np.float32, offset=3).reshape(5, 4)
    assert not x.flags.aligned and x.strides == (16, 4)
    np.testing.assert_array_equal(layer.forward(x), layer.forward(values))
    gradient = np.frombuffer(b"x" + values[:, :3].tobytes(), np.float32, offset=1).reshape(5, 3)
    np.testing.assert_array_equal(layer.backward(gradient), layer.backward(gradient.copy()))


def test_linear_takes_a_field_of_a_packed_record():
    x, layer = packed(5, 4), nn.Linear(4, 3, generator=0)
    np.testing.assert_array_equal(layer.forward(x), layer.forward(np.ascontiguousarray(x)))
    step = capture(nn.Sequential(layer), nn.CrossEntropyLoss(), optim.SGD(layer.parameters(), lr=0))
    assert step(x, np.zeros(5, np.int64)) == step(np.ascontiguousarray(x), np.zeros(5, np.int64))


@every_target
@every_dtype
@pytest.mark.parametrize("n, c", [(1, 1), (16, 15), (17, 16), (5, 17), (33, 40)])
def test_rows_longer_than_what_a_strip_keeps(target, dtype, n, c):
    """A row function's columns give the same bits wherever they are kept from one pass to the next."""
    module, rng = kernels.load(target, dtype), np.random.default_rng(c)
    x = rng.normal(size=(n, c)).astype(dtype)
    wide = np.concatenate([x, np.full((n, 40), -np.inf, dtype)], axis=1)  # which add nothing to a sum
    wide[:, [0, -1]] = wide[:, [-1, 0]]  # the first of x comes last: another order of the sum
    for name in ("softmax", "log_softmax"):
        y, over_wide, last = np.empty_like(x), np.empty_like(wide), np.empty_like(x)
        getattr(module, name)(x, y)
        getattr(module, name)(wide, over_wide)
        getattr(module, name)(np.roll(x, -1, axis=1), last)
        np.testing.assert_array_equal(over_wide[:, 1:c], last[:, :c - 1])
        np.testing.assert_array_equal(over_wide[:, -1], last[:, -1])
        getattr(module, name)(np.asfortranarray(x), last)
        np.testing.assert_array_equal(last, y)


@every_dtype
@pytest.mark.parametrize("c", [1, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65, 300])
def test_a_row_has_one_softmax_on_every_target_alone_or_not_and_strided(dtype, c):
    rng = np.random.default_rng(c)
    x, g = (3 * rng.normal(size=(35, c)).astype(dtype) for _ in range(2))
    x[3, c // 2], x[5] = -np.inf, 0
    for name, given in (("softmax", (x,)), ("log_softmax", (x,)), ("softmax_backward", (g, abs(x))),
                        ("log_softmax_backward", (g, -abs(x)))):
        bits = set()
        for target in kernels.targets():
            run = getattr(kernels.load(target, dtype), name)
            y, strided, alone = np.empty_like(x), np.empty_like(x), np.empty_like(x)
            run(*given, y)
            run(*[np.asfortranarray(a) for a in given], strided)
            for i in range(len(x)):
                run(*[a[i:i + 1] for a in given], alone[i:i + 1])
            assert y.tobytes() == strided.tobytes() == alone.tobytes()
            bits |= {y.tobytes()} if target != "generic" else set()  # which has no fused multiply-add
        assert len(bits) <= 1, name
