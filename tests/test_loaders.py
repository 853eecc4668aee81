"""Data sets and loaders with PyTorch's names; fit on them."""
from __future__ import annotations

import pickle
from collections import namedtuple

import numpy as np
import pytest
from theirs import torch

import minidl
from minidl import nn, optim
from minidl.data import Batches, DataLoader, Dataset, Subset, TensorDataset, default_collate, random_split

X = np.random.default_rng(0).standard_normal((23, 4)).astype(np.float32)
Y = np.arange(23) % 3


def dataset():
    return TensorDataset(minidl.from_numpy(X), Y)


class Squares(Dataset):
    def __len__(self):
        return 7

    def __getitem__(self, i):
        return {"x": np.full(2, i, np.float32), "y": i * i, "name": str(i), "half": i / 2, "pair": (i, np.int64(i))}


def arrays(batches):
    return [[x.numpy() for x in batch] for batch in batches]


def test_samples():
    data = dataset()
    assert len(data) == 23 and len(data.tensors) == 2
    x, y = data[5]
    assert isinstance(x, minidl.Tensor) and y.item() == 2
    np.testing.assert_array_equal(x.numpy(), X[5])
    some = Subset(data, [3, 1])
    assert len(some) == 2 and some[1][1].item() == 1
    np.testing.assert_array_equal(Subset(some, [1])[0][0].numpy(), X[1])


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("size", [1, 5, 23, 30])
def test_every_sample_once(size, shuffle, drop_last):
    if drop_last and size > 23:
        with pytest.raises(ValueError, match="expected batch_size <= count with drop_last"):
            DataLoader(dataset(), size, drop_last=True)
        return
    loader = DataLoader(dataset(), batch_size=size, shuffle=shuffle, drop_last=drop_last, generator=3)
    batches = Batches(23, size, shuffle=shuffle, drop_last=drop_last, generator=3)
    for _ in range(2):  # two epochs, of two orders
        found = arrays(loader)
        assert len(found) == len(loader) == len(batches)
        for (x, y), rows in zip(found, batches, strict=True):
            np.testing.assert_array_equal(x, X[rows])
            np.testing.assert_array_equal(y, Y[rows])
            assert x.dtype == np.float32 and x.base is not X


def test_samplers_and_subsets():
    backwards = range(22, -1, -1)
    loader = DataLoader(dataset(), batch_size=5, sampler=backwards, drop_last=True)
    assert len(loader) == 4 == len(list(loader))
    np.testing.assert_array_equal(next(iter(loader))[1].numpy(), Y[::-1][:5])
    loader = DataLoader(dataset(), batch_sampler=[[1, 2], [0]])
    assert len(loader) == 2 and [len(x) for x, _ in loader] == [2, 1]
    loader = DataLoader(Subset(Subset(dataset(), range(10, 20)), [9, 0]), batch_size=2)
    np.testing.assert_array_equal(next(iter(loader))[0].numpy(), X[[19, 10]])
    assert [y.item() for _, y in DataLoader(dataset(), batch_size=None)] == Y.tolist()


def test_collating():
    first, second = list(DataLoader(Squares(), batch_size=4))
    assert first["x"].shape == (4, 2) and first["x"].dtype == np.float32
    assert first["y"].dtype == np.int64 and second["y"].tolist() == [16, 25, 36]
    assert first["half"].dtype == np.float64 and first["name"] == ["0", "1", "2", "3"]
    assert [part.tolist() for part in first["pair"]] == [[0, 1, 2, 3]] * 2
    assert list(DataLoader(Squares(), batch_size=3, collate_fn=len)) == [3, 3, 1]
    Pair = namedtuple("Pair", "a b")
    made = default_collate([Pair(1, True), Pair(2, False)])
    assert type(made) is Pair and made.b.dtype == bool
    with pytest.raises(TypeError, match="got object; give a collate_fn"):
        default_collate([object()])


def test_random_split():
    parts = random_split(dataset(), [13, 10], generator=1)
    assert [len(part) for part in parts] == [13, 10]
    assert sorted(parts[0].indices + parts[1].indices) == list(range(23))
    assert parts[0].indices == random_split(dataset(), [13, 10], generator=np.random.default_rng(1))[0].indices
    assert parts[0].indices == random_split(dataset(), [13, 10], minidl.Generator().manual_seed(1))[0].indices
    assert [len(part) for part in random_split(dataset(), [0.5, 0.3, 0.2])] == [12, 7, 4]
    assert [len(part) for part in random_split(dataset(), [23, 0])] == [23, 0]
    for lengths in ([13, 9], [0.5, 0.4], [24, -1], [1.5, 21.5]):
        with pytest.raises(ValueError, match="random_split: expected"):
            random_split(dataset(), lengths)


@pytest.mark.filterwarnings("ignore:Length of split:UserWarning")
def test_the_splits_are_pytorchs():
    for count in (10, 23, 100):
        data = TensorDataset(np.zeros(count))
        for lengths in ([0.5, 0.5], [0.8, 0.1, 0.1], [1 / 3, 1 / 3, 1 / 3], [count, 0]):
            mine = [len(part) for part in random_split(data, lengths)]
            assert mine == [len(part) for part in torch.utils.data.random_split(range(count), lengths)]


def test_a_generator():
    one, two = minidl.Generator().manual_seed(5), np.random.default_rng(5)
    assert one.random() == two.random() and pickle.loads(pickle.dumps(one)).random() == two.random()
    with pytest.raises(ValueError, match="Generator: expected the device 'cpu', got 'cuda'"):
        minidl.Generator("cuda")


def model():
    return nn.Sequential(nn.Linear(4, 8, generator=0), nn.Tanh(), nn.Linear(8, 3, generator=1))


@pytest.mark.parametrize("settings", [{"shuffle": True}, {"shuffle": False}, {"shuffle": True, "drop_last": True}])
@pytest.mark.parametrize("part", [False, True])
def test_fit_has_the_bits_of_the_loop(settings, part):
    data = Subset(dataset(), range(1, 20)) if part else dataset()
    nets = [model(), model()]
    optimizers = [optim.Adam(net.parameters(), lr=0.01) for net in nets]
    criterion = nn.CrossEntropyLoss()
    history = minidl.fit(nets[0], criterion, optimizers[0], DataLoader(data, 6, generator=7, **settings), epochs=3,
                         validation=data, progress=False)
    assert history.path == "compiled"
    loader = DataLoader(data, batch_size=6, generator=7, **settings)
    for _ in range(3):
        for x, y in loader:
            optimizers[1].zero_grad()
            criterion(nets[1](x), y).backward()
            optimizers[1].step()
    assert nets[0].flat_parameters.tobytes() == nets[1].flat_parameters.tobytes()
    assert history.validation_loss[-1] == minidl.evaluate(nets[1], criterion, loader).loss


def test_fit_on_a_tensor_dataset_is_fit_on_its_arrays():
    nets = [model(), model()]
    for net, data in zip(nets, (dataset(), (X, Y)), strict=True):
        minidl.fit(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.1), data, seed=3, batch_size=8,
                   progress=False)
    assert nets[0].flat_parameters.tobytes() == nets[1].flat_parameters.tobytes()


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: TensorDataset(), ValueError, "TensorDataset: expected Tensors of one length"),
    (lambda: TensorDataset(X, Y[:3]), ValueError, "TensorDataset: expected Tensors of one length"),
    (lambda: TensorDataset([1, 2]), TypeError, "TensorDataset: expected Tensors or arrays, got list"),
    (lambda: DataLoader(dataset(), num_workers=2), ValueError, "expected num_workers=0"),
    (lambda: DataLoader(dataset(), 0), ValueError, "DataLoader: expected batch_size >= 1, got 0"),
    (lambda: DataLoader(dataset(), shuffle=True, sampler=[1]), ValueError, "a sampler or shuffle, got both"),
    (lambda: DataLoader(dataset(), 3, batch_sampler=[[1]]), ValueError, "expected a batch_sampler, or batch_size"),
    (lambda: DataLoader(dataset(), None, drop_last=True), ValueError, "expected a batch_size with drop_last"),
    (lambda: Dataset()[0], NotImplementedError, "Dataset defines no __getitem__"),
    *[(lambda data=data: minidl.fit(m := model(), nn.CrossEntropyLoss(), optim.SGD(m.parameters()), data,
                                    progress=False), TypeError, "fit: data: expected arrays, a TensorDataset")
      for data in (Squares(), DataLoader(Squares()), DataLoader(dataset(), sampler=[1]),
                   DataLoader(dataset(), collate_fn=list))],
])
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_captured_model_takes_a_loaders_tensors():
    nets = [model(), model()]
    optimizers = [optim.Adam(net.parameters(), lr=0.01) for net in nets]
    steps = [minidl.capture(net, nn.CrossEntropyLoss(), optimizer)
             for net, optimizer in zip(nets, optimizers, strict=True)]
    for x, y in DataLoader(dataset(), batch_size=5):
        assert steps[0](x, y) == steps[1](x.numpy(), y.numpy())
    with pytest.raises(TypeError, match="capture: expected x as a NumPy array, got Tensor"):
        steps[0](minidl.tensor(X, requires_grad=True), Y)
