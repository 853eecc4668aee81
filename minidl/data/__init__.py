"""Data: the reports' disk, MNIST, IDX files, splits and batches."""
from .batches import Batches
from .disk import disk
from .idx import read_idx, write_idx
from .mnist import mnist, scaled
from .split import Normalizer, one_hot, split

__all__ = ["Batches", "Normalizer", "disk", "mnist", "one_hot", "read_idx", "scaled", "split", "write_idx"]
