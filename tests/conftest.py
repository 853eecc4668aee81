"""For all tests."""
import gc
import os

import pytest

# The tests start Python in the source folder, whose minidl/ has no kernels after a regular install: no
# process that they start shall look there for modules.
os.environ["PYTHONSAFEPATH"] = "1"


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """What is collected stays until the end: the garbage collector need not look at it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture
def calls(monkeypatch):
    """The rows that each compiled call of many steps has trained; one thread again afterwards."""
    import minidl
    from minidl.training import stretches

    made = []
    run = stretches.Stretches.run

    def counting(self, order, size):
        rows = run(self, order, size)
        made.extend([rows] if rows else [])
        return rows

    monkeypatch.setattr(stretches.Stretches, "run", counting)
    yield made
    minidl.set_num_threads(1)
