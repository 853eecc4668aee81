"""Data: the reports' disk, MNIST, IDX files, splits, batches, PyTorch's data sets and loaders, random changes."""
from .augment import RandomAffine, RandomCrop
from .batches import Batches
from .datasets import Dataset, Subset, TensorDataset, random_split
from .disk import disk
from .folds import folds
from .idx import read_idx, write_idx
from .loader import DataLoader, default_collate
from .mnist import mnist, scaled
from .split import Normalizer, one_hot, split

__all__ = [
    "Batches", "DataLoader", "Dataset", "Normalizer", "RandomAffine", "RandomCrop", "Subset",
    "TensorDataset", "default_collate", "disk", "folds", "mnist", "one_hot", "random_split", "read_idx", "scaled",
    "split", "write_idx",
]
