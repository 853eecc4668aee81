"""Random changes of images: what they compute, what they draw, and where fit applies them."""
from __future__ import annotations

import numpy as np
import pytest
from module_cases import numbers
from theirs import torch

import minidl
from minidl import data, nn, optim
from minidl.arrays import affine_sample

IMAGES = numbers((5, 9, 6))
IDENTITY = np.tile(np.array([[1.0, 0, 0], [0, 1, 0]]), (5, 1, 1))


def shifted(x: int, y: int) -> np.ndarray:
    matrices = IDENTITY.copy()
    matrices[:, :, 2] = x, y
    return matrices


def test_a_map_that_changes_nothing_gives_the_same_bits():
    np.testing.assert_array_equal(affine_sample(IMAGES, IDENTITY), IMAGES)
    colours = np.stack([IMAGES, 2 * IMAGES], 1)
    np.testing.assert_array_equal(affine_sample(colours, IDENTITY), colours)


def test_a_shift_by_whole_pixels_moves_them_and_fills_the_rest():
    moved = affine_sample(IMAGES, shifted(2, -1), fill=7.0)
    np.testing.assert_array_equal(moved[:, 1:, :-2], IMAGES[:, :-1, 2:])
    np.testing.assert_array_equal(moved[:, 0], 7)
    np.testing.assert_array_equal(moved[:, :, -2:], 7)


def test_a_quarter_turn():
    squares = IMAGES[:, :6]
    turn = np.tile(np.array([[0.0, 1, 0], [-1, 0, 0]]), (5, 1, 1))
    np.testing.assert_allclose(affine_sample(squares, turn), np.rot90(squares, -1, (1, 2)), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_as_pytorch_samples(dtype):
    images = numbers((4, 3, 8, 8)).astype(dtype)
    matrices = np.random.default_rng(0).normal(0, 0.5, (4, 2, 3)) + shifted(0, 0)[:4]
    half = (8 - 1) / 2  # PyTorch's coordinates run from -1 to 1
    theirs = matrices.copy()
    theirs[:, :, 2] /= half
    grid = torch.nn.functional.affine_grid(torch.tensor(theirs.astype(dtype)), images.shape, align_corners=True)
    expected = torch.nn.functional.grid_sample(torch.tensor(images), grid, align_corners=True).numpy()
    got = affine_sample(images, matrices)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, atol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("shape", [(300, 8, 8), (300, 2, 8, 8)])
def test_a_crop_shifts_each_image_by_a_draw_of_its_own(shape):
    images = numbers(shape)
    cropped = data.RandomCrop(2, generator=0)(images)
    assert cropped.shape == shape and cropped.dtype == images.dtype
    shifts = set()
    for before, after in zip(images, cropped, strict=True):
        padded = np.pad(before, [(0, 0)] * (before.ndim - 2) + [(2, 2), (2, 2)])
        found = [(i, j) for i in range(5) for j in range(5)
                 if np.array_equal(padded[..., i:i + 8, j:j + 8], after)]
        assert len(found) == 1
        shifts.add(found[0])
    assert len(shifts) == 25


def test_an_affine_map_draws_within_its_ranges():
    centre = np.zeros((2000, 21, 21), np.float32)
    centre[:, 10, 10] = 1
    moved = data.RandomAffine(translate=(0.1, 0.3), generator=0)(centre)
    y, x = (np.einsum("nhw,hw->n", moved, grid) / moved.sum((1, 2)) - 10 for grid in np.mgrid[:21, :21])
    assert 2 < np.abs(x).max() < 2.2 and 6.2 < np.abs(y).max() < 6.4
    assert abs(x.mean()) < 0.1 and abs(y.mean()) < 0.25

    bar = np.zeros((500, 21, 21), np.float32)
    bar[:, 10, 12:18] = 1  # to the right of the centre
    turned = data.RandomAffine((30, 60), generator=0)(bar)
    y, x = (np.einsum("nhw,hw->n", turned, grid) / turned.sum((1, 2)) - 10 for grid in np.mgrid[:21, :21])
    angles = np.rad2deg(np.arctan2(y, x))
    assert 27 < angles.min() < 33 and 57 < angles.max() < 63

    disc = (np.hypot(*(np.mgrid[:41, :41] - 20)) < 8).astype(np.float32)
    areas = data.RandomAffine(scale=(0.5, 1.5), generator=0)(np.tile(disc, (500, 1, 1))).sum((1, 2)) / disc.sum()
    assert 0.22 < areas.min() < 0.3 and 2.1 < areas.max() < 2.4

    sheared = data.RandomAffine(shear=(45, 45), generator=0)(bar[:1].swapaxes(1, 2))
    y, x = (np.einsum("nhw,hw->n", sheared, grid) / sheared.sum((1, 2)) - 10 for grid in np.mgrid[:21, :21])
    np.testing.assert_allclose(np.abs(x), np.abs(y), atol=0.2)


def test_nothing_is_drawn_where_nothing_may_change():
    np.testing.assert_allclose(data.RandomAffine(generator=0)(IMAGES), IMAGES, atol=1e-6)


@pytest.mark.parametrize("make, message", [
    (lambda: data.RandomCrop(0), "expected padding >= 1"),
    (lambda: data.RandomAffine(-1), "expected degrees of 0 or more"),
    (lambda: data.RandomAffine((3, 1)), "expected degrees as"),
    (lambda: data.RandomAffine(translate=(0.5, 2)), "expected translate between 0 and 1"),
    (lambda: data.RandomAffine(scale=(0, 1)), "expected scale"),
    (lambda: data.RandomAffine(scale=(1, np.nan)), "expected scale to be two finite numbers"),
    (lambda: data.RandomAffine(1)(np.zeros((3, 4))), r"expected images of shape .* got \(3, 4\)"),
    (lambda: data.RandomCrop(1)([[[1.0]]]), "got list"),
])
def test_what_does_not_fit_is_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# In fit

X, LABELS = numbers((40, 6, 6)), np.arange(40) % 3


class Doubles(data.augment.Augmentation):
    """Doubles what it sees, and counts it."""

    seen = 0

    def changed(self, images, generator):
        self.seen += len(images)
        return images + generator.random(dtype=np.float32)


def trained(augment, captured=True, **named):
    minidl.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    history = minidl.fit(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), (X, LABELS),
                         validation=(X, LABELS), epochs=2, batch_size=16, augment=augment, captured=captured,
                         progress=False, **named)
    return model, history


def test_training_batches_alone_are_augmented():
    augment = Doubles(None)
    trained(augment, seed=3)
    assert augment.seen == 2 * len(X) and augment.generator is None


@pytest.mark.parametrize("make", [lambda: data.RandomCrop(1), lambda: data.RandomAffine(20, (0.1, 0.1), (0.9, 1.1))])
def test_the_same_seed_gives_the_same_bits_compiled_and_plain(make):
    bits = {tuple(p.data.tobytes() for p in trained(make(), captured, seed=3)[0].parameters())
            for captured in (True, False, True)}
    others = tuple(p.data.tobytes() for p in trained(make(), seed=4)[0].parameters())
    assert len(bits) == 1 and others not in bits


def test_it_comes_after_the_transform_and_in_the_models_dtype():
    seen = []

    def transform(batch):
        assert batch.dtype == np.float32 or batch.dtype == np.uint8
        return batch / np.float64(2)

    def augment(batch):
        seen.append(batch)
        return batch

    trained(augment, seed=3, transform=transform)
    assert len(seen) == 2 * 3
    assert all(batch.dtype == np.float32 for batch in seen)
    order = np.random.default_rng(3).permutation(np.arange(40, dtype=np.intp))
    np.testing.assert_array_equal(seen[0].reshape(-1, 36), X[order[:16]].reshape(-1, 36) / 2)


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match=r"^augment: expected a function of the arrays of a batch, got str"):
        trained("shift", seed=3)
    with pytest.raises(TypeError, match=r"^transform: expected a function of the arrays of a batch, got int"):
        trained(None, seed=3, transform=2)
