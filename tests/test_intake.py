"""What fit, its validation, evaluate and predict are given: all that is numbers, on every path, to the same bits."""
from __future__ import annotations

import decimal
import fractions

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn, optim

pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")

N, WIDTH, CLASSES = 23, 6, 3
X = np.random.default_rng(0).integers(0, 200, (N, WIDTH)).astype(np.float32)  # in every dtype the same
LABELS = np.random.default_rng(1).integers(0, CLASSES, N)
ROWS = np.eye(CLASSES, dtype=np.float32)[LABELS]
VALUES = np.random.default_rng(2).integers(0, 5, (N, CLASSES)).astype(np.float32)


class Wrapped:
    """Has ``__array__``, as a pandas object does."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)


def record(array, before):
    """A field of packed records, behind so many bytes."""
    packed = np.zeros(len(array), [("tag", "u1", before), ("x", array.dtype, array.shape[1:])])
    packed["x"] = array
    return packed["x"]


def strided(array):
    wide = np.zeros((2 * len(array), *array.shape[1:]), array.dtype)
    wide[::2] = array
    return wide[::2]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def masked_nowhere(array):
    return np.ma.masked_array(array, np.zeros(array.shape, bool))


def objects(kind):
    return lambda array: np.array([kind(x) for x in array.ravel().tolist()], object).reshape(array.shape)


LAYOUTS = {
    "list": lambda a: a.tolist(), "tuple": lambda a: tuple(map(tuple, a.tolist())) if a.ndim > 1 else tuple(a.tolist()),
    "list of arrays": list, "wrapped": Wrapped, "tensor": minidl.tensor,
    "list of tensors": lambda a: list(map(minidl.tensor, a)),
    "strided": strided, "reversed": lambda a: a[::-1].copy()[::-1], "transposed": lambda a: np.asfortranarray(a),
    "read-only": read_only, "field of a record": lambda a: record(a, 1), "unaligned field": lambda a: record(a, 4),
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")), "unmasked": masked_nowhere, "memoryview": memoryview,
    "big-endian field": lambda a: record(a.astype(a.dtype.newbyteorder(">")), 3),
}
FLOATS = ["f2", "f4", "f8", "g", ">f2", ">f8"]
INTEGERS = ["u1", "i1", "u2", "i2", "i4", "u4", "i8", "u8", ">i4", ">u8"]
INPUTS = {
    **{name: lambda make=make: make(X) for name, make in LAYOUTS.items()},
    **{f"float64 {name}": lambda make=make: make(X.astype(np.float64)) for name, make in LAYOUTS.items()},
    **{f"uint8 {name}": lambda make=make: make(X.astype(np.uint8)) for name, make in LAYOUTS.items()},
    **{dtype: lambda dtype=dtype: X.astype(dtype) for dtype in FLOATS + INTEGERS if dtype != "i1"},
    "objects": lambda: objects(float)(X), "integer objects": lambda: objects(int)(X),
    "decimals": lambda: objects(decimal.Decimal)(X.astype(int)), "fractions": lambda: objects(fractions.Fraction)(X),
    "matrix": lambda: np.matrix(X), "matrix of integers": lambda: np.matrix(X.astype(int)),
}
CE, MSE = nn.CrossEntropyLoss, nn.MSELoss
TARGETS = {
    **{f"labels {name}": (CE, LABELS, lambda make=make: make(LABELS)) for name, make in LAYOUTS.items()},
    **{f"labels {dtype}": (CE, LABELS, lambda dtype=dtype: LABELS.astype(dtype)) for dtype in INTEGERS},
    "labels as objects": (CE, LABELS, lambda: objects(int)(LABELS)),
    "labels to a function": (lambda: F.cross_entropy, LABELS, lambda: LABELS.tolist()),
    **{f"values {name}": (MSE, VALUES, lambda make=make: make(VALUES.astype(int))) for name, make in LAYOUTS.items()},
    **{f"values {dtype}": (MSE, VALUES, lambda dtype=dtype: VALUES.astype(dtype)) for dtype in FLOATS + INTEGERS},
    "values to a function": (lambda: F.mse_loss, VALUES, lambda: VALUES.astype(int).tolist()),
    "values in a matrix": (MSE, VALUES, lambda: np.matrix(VALUES)),
    **{f"rows {name}": (CE, ROWS, lambda make=make: make(ROWS.astype(int))) for name, make in LAYOUTS.items()},
    "rows of booleans": (CE, ROWS, lambda: ROWS == 1),
    "booleans as labels": (nn.CrossEntropyLoss, (LABELS > 1).astype(int), lambda: LABELS > 1),
    "booleans as values": (nn.MSELoss, ROWS, lambda: ROWS == 1),
}


class Own(nn.Module):
    """A model that has no program."""

    def __init__(self, dtype):
        self.linear = nn.Linear(WIDTH, CLASSES, dtype=dtype, generator=0)

    def forward(self, x):
        return self.linear(x * 0.01)


def chain(dtype):
    return nn.Sequential(nn.Linear(WIDTH, 5, dtype=dtype, generator=0), nn.Tanh(),
                         nn.Linear(5, CLASSES, dtype=dtype, generator=1))


def everything(make_model, criterion, x, y, captured, dtype=np.float32):
    """What comes of fit, its validation, evaluate and predict, from the same beginning."""
    model = make_model(dtype)
    before = model.predict(x)
    history = minidl.fit(model, criterion(), optim.SGD(model.parameters(), lr=1e-3), (x, y), validation=(x, y),
                         epochs=2, batch_size=5, seed=0, progress=False, captured=captured)
    history.seconds.clear()
    return (before.tobytes(), history, minidl.evaluate(model, criterion(), (x, y), batch_size=7),
            model.predict(x).tobytes(), model.flat_parameters.tobytes())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("captured", [True, False])
@pytest.mark.parametrize("make_model", [chain, Own])
class TestEveryPath:
    @pytest.mark.parametrize("given", INPUTS)
    def test_inputs(self, given, make_model, captured, dtype):
        expected = everything(make_model, nn.CrossEntropyLoss, X.astype(dtype), LABELS, captured, dtype)
        assert everything(make_model, nn.CrossEntropyLoss, INPUTS[given](), LABELS, captured, dtype) == expected

    @pytest.mark.parametrize("given", TARGETS)
    def test_targets(self, given, make_model, captured, dtype):
        criterion, plain, make = TARGETS[given]
        if make_model is Own and given.startswith("rows"):  # or labels: what such a model puts out is not known
            with pytest.raises(TypeError, match=r"CrossEntropyLoss: expected probabilities of float.., got (int|bool)"):
                everything(make_model, criterion, X.astype(dtype), make(), captured, dtype)
            return
        plain = plain.astype(dtype) if plain.dtype.kind == "f" else plain
        expected = everything(make_model, criterion, X.astype(dtype), plain, captured, dtype)
        assert everything(make_model, criterion, X.astype(dtype), make(), captured, dtype) == expected


@pytest.mark.parametrize("make", [lambda x: x, list, np.asfortranarray, lambda x: record(x, 1), np.ma.masked_array])
@pytest.mark.parametrize("dtype", ["u1", "f8", "f4", ">f4"])
def test_images(make, dtype):
    images = X.reshape(N, 2, 3)

    def model(_):
        return nn.Sequential(nn.Flatten(), nn.Linear(WIDTH, CLASSES, generator=0))

    for captured in (True, False):
        expected = everything(model, nn.CrossEntropyLoss, images, LABELS, captured)
        assert everything(model, nn.CrossEntropyLoss, make(images.astype(dtype)), LABELS, captured) == expected


def test_a_column_in_a_matrix():
    y = np.matrix((LABELS > 1).astype(np.float64)).T
    for captured in (True, False):
        model = nn.Linear(WIDTH, 1, generator=0)
        history = minidl.fit(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=1e-6), (X, y), progress=False,
                             captured=captured)
        assert history.error[0] is not None
        assert minidl.evaluate(model, nn.MSELoss(), (X, y)).error == 100 * np.mean((model(X) > 0.5) != y)


@pytest.mark.parametrize("captured", [True, False])
@pytest.mark.parametrize("result", [lambda x: x, lambda x: x.astype(np.float64), lambda x: x.tolist(), list,
                                    lambda x: x.astype(np.float32)])
def test_a_transform_sees_what_was_given_and_its_result_is_cast(captured, result):
    seen = []

    def transform(x):
        seen.append((type(x), x.dtype))
        return result(x)

    for dtype in (np.uint8, np.float64, np.int16):
        for make_model in (chain, Own):
            expected, model = everything(make_model, nn.CrossEntropyLoss, X, LABELS, captured), make_model(np.float32)
            history = minidl.fit(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=1e-3),
                                 (X.astype(dtype), LABELS), validation=(X.astype(dtype), LABELS), epochs=2,
                                 batch_size=5, seed=0, progress=False, captured=captured, transform=transform)
            history.seconds.clear()
            assert history == expected[1] and model.flat_parameters.tobytes() == expected[4]
            assert minidl.evaluate(model, nn.CrossEntropyLoss(), (X.astype(dtype), LABELS), batch_size=7,
                                   transform=transform) == expected[2]
            assert set(seen) == {(np.ndarray, np.dtype(dtype))}
            seen.clear()


class LookedUp(nn.Module):
    """Rows of a table, by integers."""

    def __init__(self):
        self.linear = nn.Linear(4, CLASSES, generator=0)
        self.table = np.random.default_rng(0).standard_normal((200, 4)).astype(np.float32)

    def forward(self, x):
        return self.linear(minidl.tensor(self.table[x.data]))


@pytest.mark.parametrize("dtype", ["u1", "i8", ">i4"])
def test_a_model_that_wants_integers_gets_them(dtype):
    x = X[:, 0].astype(dtype)
    model = LookedUp()
    minidl.fit(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters()), (x, LABELS), progress=False,
               validation=(x, LABELS))
    twin = LookedUp()
    minidl.fit(twin, nn.CrossEntropyLoss(), optim.SGD(twin.parameters()), (x.tolist(), LABELS.tolist()), progress=False,
               seed=0)
    assert minidl.evaluate(model, nn.CrossEntropyLoss(), (x, LABELS)).loss > 0
    np.testing.assert_array_equal(model.predict(x), model(X[:, 0].astype(int)))


class Two(nn.Module):
    """Of two inputs, both of floats."""

    def __init__(self):
        self.left, self.right = nn.Linear(WIDTH, CLASSES, generator=0), nn.Linear(2, CLASSES, generator=1)

    def forward(self, a, b):
        return self.left(a * 0.01) + self.right(b)


@pytest.mark.parametrize("cast", [np.uint8, np.float64, ">i4", object])
@pytest.mark.parametrize("scaled", [False, True])
def test_several_inputs(cast, scaled):
    results = []
    for make in (lambda x: x, lambda x: x.astype(cast)):
        model = Two()
        data = make(X), make(X[:, :2]), LABELS.tolist()
        transform = (lambda x: x.astype(np.float64) / 2) if scaled else None
        history = minidl.fit(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=1e-4), data, seed=0,
                             validation=data, progress=False, transform=transform)
        results.append((history.loss, history.validation_loss, model.flat_parameters.tobytes()))
    assert results[0] == results[1]


def hidden(where=0):
    mask = np.zeros(X.shape, bool)
    mask[where] = True
    return np.ma.masked_array(np.where(mask, np.float32(-9e9), X), mask)


REFUSED = {
    "masked": (hidden, ValueError, f"expected X without masked values, got {WIDTH}: fill them or leave them out"),
    "masked integers": (lambda: np.ma.masked_equal(X.astype(int), int(X[0, 0])), ValueError,
                        "expected X without masked values"),
    "list of masked": (lambda: list(hidden()), ValueError, f"expected X without masked values, got {WIDTH}"),
    "strings": (lambda: X.astype(str), TypeError, "expected X of numbers, got dtype <U"),
    "list of strings": (lambda: X.astype(str).tolist(), TypeError, "expected X of numbers, got dtype <U"),
    "bytes": (lambda: X.astype(bytes), TypeError, r"expected X of numbers, got dtype \|S"),
    "complex": (lambda: X.astype(complex), TypeError, "expected X of numbers, got dtype complex128"),
    "complex list": (lambda: (X * 1j).tolist(), TypeError, "expected X of numbers, got dtype complex128"),
    "datetime": (lambda: X.astype("M8[s]"), TypeError, r"expected X of numbers, got dtype datetime64\[s\]"),
    "timedelta": (lambda: X.astype("m8[s]"), TypeError, r"expected X of numbers, got dtype timedelta64\[s\]"),
    "records": (lambda: np.zeros(N, "f4,f4"), TypeError, "expected X of numbers, got dtype "),
    "ragged": (lambda: [[1.0] * (2 + i % 2) for i in range(N)], ValueError,
               "expected X with rows of one length, got rows of several"),
    "ragged objects": (lambda: np.array([np.ones(2 + i % 2) for i in range(N)], object), ValueError,
                       "expected X with rows of one length"),
    "strings as objects": (lambda: np.array(X.astype(str), object), TypeError, "expected X of numbers, got dtype <U"),
    "a None": (lambda: [[1.0] * 5 + [None]] * N, TypeError, "expected X of numbers, got objects of type NoneType"),
    "dictionaries": (lambda: [{"a": 1}] * N, TypeError, "expected X of numbers, got objects of type dict"),
    "None": (lambda: None, TypeError, "expected X as an array or a list of numbers, got NoneType"),
    "a set": (lambda: {1, 2}, TypeError, "expected X as an array or a list of numbers, got set"),
    "a generator": (lambda: (x for x in X), TypeError, "expected X as an array or a list of numbers, got generator"),
    "a tensor with a gradient": (lambda: minidl.tensor(X, requires_grad=True), RuntimeError,
                                 "expected X without a gradient, got a Tensor that requires one"),
}


@pytest.mark.parametrize("captured", [True, False])
@pytest.mark.parametrize("make_model", [chain, Own])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case, make_model, captured):
    make, error, message = REFUSED[case]
    model = make_model(np.float32)
    before = model.flat_parameters.tobytes()
    optimizer, criterion = optim.SGD(model.parameters()), nn.CrossEntropyLoss()

    def fit(x, **options):
        minidl.fit(model, criterion, optimizer, (x, LABELS), progress=False, captured=captured, **options)

    for name, call in {
        "fit: data": lambda: fit(make()),
        "fit: data ": lambda: fit(make(), transform=lambda x: x),
        "fit: validation": lambda: fit(X, validation=(make(), LABELS)),
        "evaluate: data": lambda: minidl.evaluate(model, criterion, (make(), LABELS)),
        "predict": lambda: model.predict(make()),
        "predict ": lambda: (model.predict(X), model.predict(make())),
    }.items():
        with pytest.raises(error, match=f"^{name.strip()}: {message}"):
            call()
    assert model.flat_parameters.tobytes() == before


def test_masked_targets_are_refused():
    y = np.ma.masked_array(LABELS, LABELS == 1)
    model = chain(np.float32)
    with pytest.raises(ValueError, match=r"^fit: data: expected y without masked values"):
        minidl.fit(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters()), (X, y), progress=False)


@pytest.mark.parametrize("captured", [True, False])
@pytest.mark.parametrize("make_model", [chain, Own])
def test_a_large_unsigned_label_is_reported_as_it_is(make_model, captured):
    model = make_model(np.float32)
    labels = LABELS.astype(np.uint64)
    labels[3] = 2**64 - 1
    with pytest.raises(ValueError, match="CrossEntropyLoss: expected labels from 0 to 2, got 18446744073709551615"):
        minidl.fit(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters()), (X, labels), progress=False,
                   batch_size=4, captured=captured)
    with pytest.raises(ValueError, match="CrossEntropyLoss: expected labels from 0 to 2, got 18446744073709551615"):
        minidl.evaluate(model, nn.CrossEntropyLoss(), (X, labels))
