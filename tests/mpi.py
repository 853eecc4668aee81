"""Starts Python on several MPI ranks of this machine, where mpi4py and mpiexec are installed."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# A container's root may start ranks, more of them than it has cores, and they talk through memory alone.
OPEN_MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "OMPI_MCA_btl": "self,sm"}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def mpiexec(ranks, *arguments, timeout=60):
    """The standard output of ``mpiexec -n ranks python arguments``. Skips the test where it cannot."""
    pytest.importorskip("mpi4py")
    beside = Path(sys.executable).with_name("mpiexec")  # where a wheel of MPI puts it
    program = str(beside) if beside.exists() else shutil.which("mpiexec")
    if program is None:
        pytest.skip("mpiexec is not installed")
    done = subprocess.run([program, "-n", str(ranks), sys.executable, *arguments], timeout=timeout,
                          capture_output=True, text=True, env=os.environ | OPEN_MPI | ONE_THREAD)
    assert done.returncode == 0, done.stderr
    return done.stdout
