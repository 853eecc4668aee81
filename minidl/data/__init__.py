"""Data: the reports' disk, MNIST, IDX files, splits, batches, and random changes of images."""
from .augment import RandomAffine, RandomCrop
from .batches import Batches
from .disk import disk
from .idx import read_idx, write_idx
from .mnist import mnist, scaled
from .split import Normalizer, one_hot, split

__all__ = ["Batches", "Normalizer", "RandomAffine", "RandomCrop", "disk", "mnist", "one_hot", "read_idx", "scaled",
           "split", "write_idx"]
