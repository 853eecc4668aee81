"""For all tests."""
import os

# The tests start Python in the source folder, whose minidl/ has no kernels after a regular install: no
# process that they start shall look there for modules.
os.environ["PYTHONSAFEPATH"] = "1"
