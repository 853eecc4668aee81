"""The experiments of the reports, a file each, by the names that ``minidl reproduce`` knows."""
from . import disk_2018, disk_2019, disk_batch_size, disk_modules
from .experiment import Experiment, Result, measured
from .reproduce import available, reproduce

EXPERIMENTS: dict[str, Experiment] = {
    module.EXPERIMENT.name: module.EXPERIMENT
    for module in (disk_2018, disk_modules, disk_2019, disk_batch_size)}

__all__ = ["EXPERIMENTS", "Experiment", "Result", "available", "measured", "reproduce"]
