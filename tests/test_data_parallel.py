"""examples/data_parallel.py: two ranks, each with half of every batch, are one rank with the whole."""
import re
from pathlib import Path

import numpy as np
import pytest
from mpi import mpiexec

from minidl import checkpoint

EXAMPLE = str(Path(__file__).parents[1] / "examples" / "data_parallel.py")


def trained(ranks, folder):
    """(standard output, weights) of the example."""
    out = mpiexec(ranks, EXAMPLE, "--save", str(folder / f"{ranks}.npz"))
    return out, checkpoint.load(folder / f"{ranks}.npz")


@pytest.mark.parametrize("ranks", [2, 3])
def test_several_ranks_give_the_weights_of_one(ranks, tmp_path):
    _, one = trained(1, tmp_path)
    out, several = trained(ranks, tmp_path)
    for name, weights in one.items():
        np.testing.assert_allclose(several[name], weights, rtol=1e-4, atol=1e-4, err_msg=name)
    digests = re.findall(r"[0-9a-f]{16}", out)
    assert len(digests) == ranks and len(set(digests)) == 1  # every rank holds the same bits
    error = float(re.search(r"test error ([\d.]+) %", out)[1])
    assert error < 8
