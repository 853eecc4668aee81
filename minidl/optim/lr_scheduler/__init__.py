"""Schedules: what the learning rate becomes after an epoch, or after an iteration."""
from .cyclic_lr import CyclicLR
from .decay_on_rise import DecayOnRise
from .reduce_lr_on_plateau import ReduceLROnPlateau
from .scheduler import LRScheduler
from .step_lr import StepLR

__all__ = ["CyclicLR", "DecayOnRise", "LRScheduler", "ReduceLROnPlateau", "StepLR"]
