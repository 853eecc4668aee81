"""The flag of an array that programs read in NumPy's own structure."""
import numpy as np
import pytest

from minidl.kernels.memory import writeable


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((2, 3), "f4")[:, 1:], np.array(1), np.zeros(0, ">i2")])
def test_the_flag_is_numpys(array):
    for flag in (True, False, True):
        array.flags.writeable = flag
        assert writeable(array) is flag
    assert writeable(np.broadcast_to(array, (2, *array.shape))) is False
    with pytest.raises(TypeError):
        writeable(1)
