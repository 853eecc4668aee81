"""Embeddings, bags, convolutions, dropout and casts at the last value that they take, and the first they refuse."""
from __future__ import annotations

import re

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl.autograd import grad
from minidl.functional import images

TABLE = np.arange(1.0, 13.0).reshape(4, 3)
INDEX = np.array([3, 0, 0, 2])
LINE = np.array([[[1.0, 5.0, 2.0, 4.0, 3.0]]])
IMAGE = np.arange(24.0).reshape(1, 2, 3, 4)
ONE, TAPS = np.ones((1, 1, 1)), np.array([[[1.0, 10.0, 100.0]]])
SQUARE = np.ones((2, 1, 2, 2))


def plain(x):
    return np.asarray(x.data if isinstance(x, minidl.Tensor) else x)


def bag(index, *args, weight=TABLE, **named):
    return F.embedding_bag(np.array(index), weight, *args, **named)


def rows(*numbers):
    return TABLE[list(numbers)]


TAKEN = [  # the call, what it gives
    # Rows
    (lambda: F.embedding(INDEX, TABLE), TABLE[INDEX]),
    (lambda: F.embedding(INDEX.astype(np.uint8), TABLE), TABLE[INDEX]),
    (lambda: F.embedding(INDEX[:0], TABLE), TABLE[:0]), (lambda: F.embedding(np.array(3), TABLE), TABLE[3]),
    (lambda: F.embedding(3, TABLE), TABLE[3]), (lambda: F.embedding(np.int64(3), minidl.tensor(TABLE)), TABLE[3]),
    *[(lambda k=k: F.embedding(INDEX, TABLE, k), TABLE[INDEX]) for k in (None, 0, 3, -1, -4)],
    # Bags
    (lambda: bag([[0, 1], [2, 2]]), [rows(0, 1).mean(0), TABLE[2]]),
    (lambda: bag([[0, 1], [2, 2]], mode="sum"), [rows(0, 1).sum(0), 2 * TABLE[2]]),
    (lambda: bag([[0, 1], [2, 2]], mode="max"), [TABLE[1], TABLE[2]]),
    (lambda: bag([[0, 1], [0, 0]], padding_idx=0), [TABLE[1], [0, 0, 0]]),
    (lambda: bag([[0, 1], [0, 0]], mode="sum", padding_idx=0), [TABLE[1], [0, 0, 0]]),
    (lambda: bag([[3, 1], [1, 2]], padding_idx=-1), [TABLE[1], rows(1, 2).mean(0)]),
    (lambda: bag(INDEX, np.array([0, 1])), [TABLE[3], rows(0, 0, 2).mean(0)]),
    (lambda: bag(INDEX, np.array([0, 1]), "mean", None, False, 0), [TABLE[3], TABLE[2]]),
    (lambda: bag(INDEX, [0, 1]), [TABLE[3], rows(0, 0, 2).mean(0)]),
    (lambda: bag(INDEX, np.array([0, 1]), padding_idx=3), [[0, 0, 0], rows(0, 0, 2).mean(0)]),
    (lambda: bag(INDEX, np.array([0, 1]), padding_idx=2), [TABLE[3], TABLE[0]]),
    (lambda: bag(INDEX, np.array([0]), "sum"), [rows(3, 0, 0, 2).sum(0)]),
    (lambda: bag(INDEX, np.array([0, 0, 4]), "sum"), [[0, 0, 0], rows(3, 0, 0, 2).sum(0), [0, 0, 0]]),
    (lambda: bag(INDEX, np.array([0, 0, 4])), [[0, 0, 0], rows(3, 0, 0, 2).mean(0), [0, 0, 0]]),
    (lambda: bag(INDEX, np.array([0, 3, 4], np.uint8), "sum", None, True), [rows(3, 0, 0).sum(0), TABLE[2]]),
    (lambda: bag(INDEX[:0], np.array([], int), "sum"), np.zeros((0, 3))),
    (lambda: bag(INDEX[:0], np.array([0]), "mean"), np.zeros((1, 3))),
    (lambda: bag(INDEX, np.array([0, 2]), "sum", np.array([1.0, 2, 3, 4])), [TABLE[3] + 2 * TABLE[0],
                                                                            3 * TABLE[0] + 4 * TABLE[2]]),
    (lambda: bag(INDEX, np.array([0, 2]), "sum", np.array([1.0, 2, 3, 4]), padding_idx=0), [TABLE[3], 4 * TABLE[2]]),
    (lambda: bag([[3, 0]], None, "sum", np.array([[2.0, 5.0]])), [2 * TABLE[3] + 5 * TABLE[0]]),
    # Convolutions
    (lambda: F.conv1d(LINE, TAPS), [[[251, 425, 342]]]), (lambda: F.conv1d(LINE[0], TAPS), [[251, 425, 342]]),
    (lambda: F.conv1d(LINE, TAPS, np.array([0.5])), [[[251.5, 425.5, 342.5]]]),
    (lambda: F.conv1d(LINE, TAPS, stride=2), [[[251, 342]]]), (lambda: F.conv1d(LINE, TAPS, stride=3), [[[251]]]),
    (lambda: F.conv1d(LINE, TAPS, padding=1), [[[510, 251, 425, 342, 34]]]),
    (lambda: F.conv1d(LINE, TAPS, padding=[2], stride=[4]), [[[100, 342]]]),
    (lambda: F.conv1d(LINE, TAPS, padding="same"), [[[510, 251, 425, 342, 34]]]),
    (lambda: F.conv1d(LINE, TAPS[..., :2], padding="same"), [[[51, 25, 42, 34, 3]]]),  # one more behind
    (lambda: F.conv1d(LINE, TAPS[..., :2], padding="same", dilation=3), [[[20, 41, 35, 2, 4]]]),
    (lambda: F.conv1d(LINE, ONE), LINE),
    (lambda: F.conv1d(LINE, TAPS, padding="valid", dilation=2), [[[1 + 20 + 300]]]),
    (lambda: F.conv1d(LINE, TAPS, dilation=np.int64(2)), [[[321]]]),
    (lambda: F.conv1d(LINE, np.ones((1, 1, 5))), [[[15]]]), (lambda: F.conv1d(LINE, TAPS, padding=0, groups=1),
                                                           [[[251, 425, 342]]]),
    (lambda: F.conv2d(IMAGE, SQUARE, groups=2), [[[[10, 14, 18], [26, 30, 34]], [[58, 62, 66], [74, 78, 82]]]]),
    (lambda: F.conv2d(IMAGE, SQUARE, groups=np.int64(2), stride=(1, 2)),
     [[[[10, 18], [26, 34]], [[58, 66], [74, 82]]]]),
    (lambda: F.conv2d(IMAGE[0], SQUARE, groups=2, stride=[2, 1]), [[[10, 14, 18]], [[58, 62, 66]]]),
    (lambda: F.conv2d(IMAGE[:, :1], SQUARE[:1], dilation=(2, 1)), [[[[18, 22, 26]]]]),
    (lambda: F.conv2d(IMAGE[:, :1], SQUARE[:1], stride=[2], padding=[1], dilation=[2]), [[[[5, 12], [5, 12]]]]),
    (lambda: F.conv2d(IMAGE[:, :1], SQUARE[:1], dilation=(1, 3)), [[[[14], [30]]]]),
    (lambda: F.conv2d(IMAGE[:, :1], SQUARE[:1], None, 2, (1, 0)), [[[[1, 5], [26, 34]]]]),
    (lambda: F.conv2d(IMAGE[:, :1], SQUARE[:1], padding="same"), [[[[10, 14, 18, 10], [26, 30, 34, 18],
                                                                  [17, 19, 21, 11]]]]),
    (lambda: F.conv2d(IMAGE[:0], np.ones((5, 2, 1, 1))).shape, (0, 5, 3, 4)),
    # Casts and dropout
    (lambda: minidl.tensor(LINE).to("cpu", np.float32, True).dtype == np.float32, True),
    (lambda: minidl.tensor(LINE).to(LINE.astype(np.float32)).dtype == np.float32, True),
    (lambda: minidl.tensor(LINE).to(minidl.tensor([1])).dtype == np.int64, True),
    (lambda: minidl.tensor(LINE).to(dtype=np.int32, device="cpu").dtype == np.int32, True),
    (lambda: F.dropout(LINE, 1.0), 0 * LINE), (lambda: F.dropout(LINE, 1), 0 * LINE),
    (lambda: F.dropout(LINE, 0), LINE),
    *[(lambda p=p: F.dropout(LINE, p, generator=4), LINE * (np.random.default_rng(4).random(LINE.shape) >= p) / (1 - p))
      for p in (0.25, 0.5, 0.9)],
]


@pytest.mark.parametrize("call, expected", TAKEN)
def test_it_is_taken(call, expected):
    got = plain(call())
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert got.shape == np.shape(expected)


def offsets(*given, dtype=int):
    return lambda: bag(INDEX, np.array(given, dtype))


OFFSETS = "embedding_bag: expected offsets that begin at 0 and rise up to 4, got"
REFUSED = [  # the call, the exception, how its message begins
    (lambda: F.embedding(INDEX.astype(float), TABLE), TypeError,
     "embedding: expected indices of an integer dtype, got"),
    (lambda: F.embedding(INDEX > 0, TABLE), TypeError, "embedding: expected indices of an integer dtype, got bool"),
    (lambda: F.embedding(INDEX + 1, TABLE), IndexError, "embedding: expected indices from 0 to 3, got 1 to 4"),
    (lambda: F.embedding(INDEX - 1, TABLE), IndexError, "embedding: expected indices from 0 to 3, got -1 to 2"),
    *[(lambda k=k: F.embedding(INDEX, TABLE, k), ValueError, f"embedding: expected padding_idx within 4 rows, got {k}")
      for k in (4, -5, 9)],
    (offsets(1, 2), ValueError, OFFSETS), (offsets(0, 1, 5), ValueError, OFFSETS),
    (offsets(0, 5), ValueError, OFFSETS), (offsets(0, 3, 2), ValueError, OFFSETS),
    (offsets(0, 2, dtype=float), ValueError, OFFSETS), (offsets([0, 1]), ValueError, OFFSETS),
    (offsets(0, -1), ValueError, OFFSETS), (offsets(-1, 0), ValueError, OFFSETS), (offsets(0, dtype=bool), ValueError,
                                                                                   OFFSETS),
    (lambda: bag(INDEX, np.array([0]), "median"), ValueError,
     "embedding_bag: expected mode 'sum', 'mean' or 'max', got 'median'"),
    *[(lambda mode=mode: bag([[0]], None, mode, np.ones((1, 1))), ValueError,
       f"embedding_bag: expected per_sample_weights with mode 'sum' alone, got '{mode}'") for mode in ("mean", "max")],
    # Convolutions
    (lambda: F.conv1d(LINE, np.ones((1, 1, 6))), ValueError,
     "conv1d: the window reaches over 6, more than the 5 of the padded input of shape (1, 1, 5)"),
    (lambda: F.conv1d(LINE, TAPS, dilation=4, padding=1), ValueError,
     "conv1d: the window reaches over 9, more than the 7 of the padded input of shape (1, 1, 5)"),
    (lambda: F.conv1d(LINE, TAPS[0]), ValueError, "conv1d: expected a weight of 3 axes, got shape (1, 3)"),
    (lambda: F.conv2d(IMAGE, TAPS), ValueError, "conv2d: expected a weight of 4 axes, got shape (1, 1, 3)"),
    *[(lambda given=given: F.conv1d(LINE, TAPS, stride=given), ValueError,
       f"conv1d: expected stride as an integer or 1 of them, got {given!r}") for given in (
           1.0, True, "1", (1, 1), (), [True])],
    (lambda: F.conv2d(IMAGE, SQUARE, groups=2, dilation=(1, 1, 1)), ValueError,
     "conv2d: expected dilation as an integer or 2 of them, got (1, 1, 1)"),
    (lambda: F.conv1d(LINE, TAPS, stride=0), ValueError, "conv1d: expected stride of at least 1, got 0"),
    (lambda: F.conv1d(LINE, TAPS, dilation=0), ValueError, "conv1d: expected dilation of at least 1, got 0"),
    (lambda: F.conv2d(IMAGE, SQUARE, groups=2, padding=(1, -1)), ValueError,
     "conv2d: expected padding of at least 0, got (1, -1)"),
    (lambda: F.conv1d(LINE, TAPS, padding="full"), ValueError,
     "conv1d: expected padding 'same', 'valid' or integers, got 'full'"),
    (lambda: F.conv2d(IMAGE, SQUARE, padding="same", stride=(1, 2), groups=2), ValueError,
     "conv2d: padding 'same' needs a stride of 1, got (1, 2)"),
    *[(lambda groups=groups: F.conv2d(IMAGE, SQUARE, groups=groups), ValueError,
       f"conv2d: expected groups that divide the 2 outputs, got {groups}") for groups in (0, -1, 2.0, 3, 4)],
    (lambda: F.conv2d(IMAGE, SQUARE), ValueError,
     "conv2d: expected input of shape (N, 1, H, W) or (1, H, W), got (1, 2, 3, 4)"),
    (lambda: F.conv1d(LINE[0, 0], TAPS), ValueError, "conv1d: expected input of shape (N, 1, L) or (1, L), got (5,)"),
    (lambda: F.conv1d(LINE[None], TAPS), ValueError, "conv1d: expected input of shape (N, 1, L) or (1, L), got (1, "),
    (lambda: F.conv2d(IMAGE[0, 0], SQUARE[:, :, 0]), ValueError, "conv2d: expected a weight of 4 axes"),
    *[(lambda bias=bias: F.conv1d(LINE, TAPS, bias), ValueError,
       f"conv1d: expected a bias of shape (1,), got {bias.shape}")
      for bias in (np.ones(2), np.ones((1, 1)), np.array(1.0))],
    *[(lambda x=x, w=w, b=b: F.conv1d(LINE.astype(x), TAPS.astype(w), np.ones(1, b)), TypeError,
       f"conv1d: expected one float dtype, got {np.dtype(found)} beside {np.dtype(w)}") for x, w, b, found in (
           ("f", "d", "d", "f"), ("d", "f", "f", "d"), ("d", "d", "f", "f"), ("e", "e", "e", "e"),
           ("i", "i", "i", "i"))],
    # Casts and dropout
    *[(lambda p=p: F.dropout(LINE, p), ValueError, f"dropout: expected a probability 0 <= p <= 1, got {p}")
      for p in (-0.01, 1.01, float("nan"))],
    (lambda: F.dropout(LINE, -1, False), ValueError, "dropout: expected a probability"),
    (lambda: minidl.tensor(LINE).to(device="cuda"), (ValueError, RuntimeError, AssertionError), ""),
    (lambda: minidl.tensor(LINE).to("cuda:0"), TypeError, "to: expected a dtype or the device 'cpu', got 'cuda:0'"),
]


@pytest.mark.parametrize("call, kind, message", REFUSED)
def test_it_is_refused(call, kind, message):
    with pytest.raises(kind, match=f"^{re.escape(message)}"):
        call()


@pytest.mark.parametrize("padding", [None, 0, 2, -1])
def test_derivatives_of_rows(padding):
    """Twice: d/dg of the gradient is the row itself, and 0 where it is the padding's."""
    weight = minidl.tensor(TABLE.copy(), requires_grad=True)
    g = minidl.tensor(np.arange(12.0).reshape(4, 3) + 1, requires_grad=True)
    dw, = grad(F.embedding(INDEX, weight, padding), weight, g, create_graph=True)
    skipped = -1 if padding is None else padding % 4
    expected = np.zeros((4, 3))
    for i, row in enumerate(INDEX):
        expected[row] += 0 if row == skipped else g.data[i]
    np.testing.assert_array_equal(dw.data, expected)
    v = np.arange(1.0, 13.0).reshape(4, 3) ** 2
    dg, = grad(dw, g, minidl.tensor(v))
    np.testing.assert_array_equal(dg.data, np.where(np.equal(INDEX, skipped)[:, None], 0, v[INDEX]))


def test_images_lie_with_their_channels_last():
    for dtype in (np.float32, np.float64, np.int64):
        for x in (IMAGE.astype(dtype), LINE.astype(dtype), IMAGE.astype(dtype)[..., ::-1], IMAGE[:0].astype(dtype)):
            y = images.channels_last(x)
            np.testing.assert_array_equal(y, x)
            assert images.are_images(y) and images.channels_last(y) is y and y.dtype == dtype
            tensor = images.channels_last(minidl.tensor(x))
            np.testing.assert_array_equal(tensor.data, x)
            assert images.are_images(tensor.data) and images.channels_last(tensor) is tensor
    assert not images.are_images(np.ones((2, 3))) and not images.are_images(np.ones((2, 3, 4)))
    assert images.are_images(np.ones((2, 1, 4)))
    axes = images.axes_as_they_lie(4)
    assert axes == (0, 2, 3, 1)
    x = minidl.tensor(IMAGE.copy(), requires_grad=True)
    images.channels_last(x).backward(IMAGE * 2)
    np.testing.assert_array_equal(x.grad, IMAGE * 2)


def test_weights_as_matrices():
    weight = np.arange(48.0).reshape(2, 4, 3, 2)  # O, C, kh, kw
    matrix = images.matrix_of_weight(weight)
    np.testing.assert_array_equal(matrix, weight.transpose(2, 3, 1, 0).reshape(24, 2))
    np.testing.assert_array_equal(images.weight_of_matrix(matrix, weight.shape), weight)
    made = images.new_weight(weight.shape, np.float32)
    assert made.shape == weight.shape and made.dtype == np.float32 and not made.any()
    assert np.shares_memory(images.matrix_of_weight(made), made)
    axes = images.weight_axes(4), images.weight_axes(3)
    assert axes == ((2, 3, 1, 0), (2, 1, 0))
    np.testing.assert_array_equal(images.matrix_of(IMAGE), IMAGE.transpose(0, 2, 3, 1).reshape(1, 24))


def test_the_numbers_of_a_geometry():
    found = images.Geometry(*images.geometry((9, 4, 7, 8), (9, 6, 3, 2), (3, 5), (2, 1), (1, 0)))._asdict()
    assert found == {"height": 7, "width": 8, "channels": 4, "out_height": 3, "out_width": 2, "out_channels": 6,
                     "kernel_height": 3, "kernel_width": 5, "stride_y": 2, "stride_x": 1, "dilation_y": 1,
                     "dilation_x": 1, "groups": 1, "top": 1, "left": 0, "divisor": 1}
    line = images.geometry((9, 4, 7), (9, 6, 3), (3,), (2,), (5,), (4,), 2, -1)
    assert line == (1, 7, 4, 1, 3, 6, 1, 3, 1, 2, 1, 4, 2, 0, 5, -1)
    assert images.Geometry(*range(10))[10:] == (1, 1, 1, 0, 0, 1)


def test_a_cast_or_the_tensor_itself():
    x = minidl.tensor(LINE.copy(), requires_grad=True)
    for same in (x.to(np.float64), x.to("cpu"), x.to(), x.to(True), x.to(x), x.to(dtype=np.float64, copy=False)):
        assert same is x
    for copy in (x.to(np.float64, copy=True), x.to(copy=True), x.to("cpu", copy=True)):
        assert copy is not x and not np.shares_memory(copy.data, x.data) and copy.requires_grad
    assert x.to(np.float32).requires_grad and not x.to(np.int64).requires_grad and not x.to(bool).requires_grad
    x.to(np.float32).backward(np.full(LINE.shape, 3, np.float32))
    assert x.grad.dtype == np.float64 and (x.grad == 3).all()


def test_dropout_keeps_what_is_drawn_as_p_itself():
    drawn = np.random.default_rng(3).random(5)
    for place, p in enumerate(drawn):
        y = F.dropout(np.ones(5), float(p), generator=3)
        np.testing.assert_array_equal(y != 0, drawn >= drawn[place])


VIEWS = {"contiguous": lambda x: x.contiguous(), "detach": lambda x: x.detach(), "reshape": lambda x: x.reshape(3, 1),
         "expand": lambda x: F.expand(x, 2, -1)}


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("back", [False, True])
def test_a_change_of_a_view_is_a_change_of_the_tensor_and_back(name, back):
    x = minidl.tensor(np.arange(3.0), requires_grad=True) * 2
    y = VIEWS[name](x).requires_grad_()
    read, changed = (y, x) if back else (x, y)
    if not changed.data.flags.writeable:
        return
    squares = (read * read).sum()
    with minidl.no_grad():
        changed.mul_(3.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        squares.backward()


@pytest.mark.parametrize("p", [0.25, 0.9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_scales_what_it_keeps(p, dtype):
    x = minidl.tensor(np.full((4, 5), 2, dtype), requires_grad=True)
    kept = np.random.default_rng(7).random((4, 5), dtype=dtype) >= p
    y = F.dropout(x, p, generator=7)
    assert y.dtype == dtype and kept.any() and not kept.all()
    np.testing.assert_allclose(y.data, 2 * kept / (1 - p), rtol=1e-6)
    y.backward(np.full((4, 5), 3, dtype))
    np.testing.assert_allclose(x.grad, 3 * kept / (1 - p), rtol=1e-6)
    assert F.dropout(x, p, False) is x and F.dropout(x, 0.0) is x


@pytest.mark.parametrize("name, x, w, settings", [
    ("conv1d", (2, 3, 7), (4, 3, 2), {"stride": 2, "padding": 1}), ("conv1d", (2, 4, 8), (4, 2, 3), {"groups": 2}),
    ("conv1d", (3, 7), (2, 3, 2), {"dilation": 2, "padding": "same"}), ("conv2d", (2, 3, 4, 5), (2, 3, 3, 1), {}),
    ("conv2d", (2, 2, 5, 6), (4, 1, 2, 3), {"stride": (2, 1), "padding": (0, 1), "dilation": (1, 2), "groups": 2})])
def test_a_convolution_is_linear_in_the_image_and_in_the_weight(name, x, w, settings):
    """So <g, y> has as slopes what goes with each direction; and these are linear again."""
    rng = np.random.default_rng(0)
    image, weight, v, u, more_v, more_u = (rng.normal(size=shape) for shape in (x, w, x, w, x, w))
    bias = rng.normal(size=w[0])

    def y(image, weight):
        return getattr(F, name)(image, weight, **settings)

    leaves = [minidl.tensor(part.copy(), requires_grad=True) for part in (image, weight, bias)]
    output = getattr(F, name)(*leaves, **settings)
    g = rng.normal(size=output.shape)
    start = minidl.tensor(g, requires_grad=True)
    spread = bias.reshape(-1, *[1] * (len(w) - 2))
    np.testing.assert_allclose(output.data, y(image, weight) + spread, rtol=1e-12)
    dx, dw, db = grad(output, leaves, start, create_graph=True)
    channels = tuple(i for i in range(g.ndim) if i != g.ndim - len(w) + 1)
    np.testing.assert_allclose(db.data, g.sum(channels), rtol=1e-12)
    np.testing.assert_allclose((dx.data * v).sum(), (g * y(v, weight)).sum(), rtol=1e-10)
    np.testing.assert_allclose((dw.data * u).sum(), (g * y(image, u)).sum(), rtol=1e-10)
    ddg, ddx, ddw = grad((dx * v).sum() + (dw * u).sum(), [start, *leaves[:2]])
    np.testing.assert_allclose(ddg.data, y(v, weight) + y(image, u), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose((ddx.data * more_v).sum(), (g * y(more_v, u)).sum(), rtol=1e-10)
    np.testing.assert_allclose((ddw.data * more_u).sum(), (g * y(v, more_u)).sum(), rtol=1e-10)
    parameters = [minidl.Parameter(part.copy()) for part in (weight, bias)]
    for _ in range(2):  # added to what is there
        getattr(F, name)(leaves[0], *parameters, **settings).backward(g)
    np.testing.assert_allclose(parameters[0].grad, 2 * dw.data, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(parameters[1].grad, 2 * db.data, rtol=1e-10, atol=1e-12)
