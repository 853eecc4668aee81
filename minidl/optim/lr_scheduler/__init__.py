"""Schedules: what the learning rate becomes after an epoch, or after an iteration."""
from .combined import ChainedScheduler, SequentialLR
from .constant_lr import ConstantLR
from .cosine_annealing_lr import CosineAnnealingLR
from .cosine_annealing_warm_restarts import CosineAnnealingWarmRestarts
from .cyclic_lr import CyclicLR
from .decay_on_rise import DecayOnRise
from .exponential_lr import ExponentialLR
from .lambda_lr import LambdaLR, MultiplicativeLR
from .linear_lr import LinearLR
from .multi_step_lr import MultiStepLR
from .one_cycle_lr import OneCycleLR
from .polynomial_lr import PolynomialLR
from .reduce_lr_on_plateau import ReduceLROnPlateau
from .scheduler import LRScheduler
from .step_lr import StepLR

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "DecayOnRise",
    "ExponentialLR", "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR",
    "PolynomialLR", "ReduceLROnPlateau", "SequentialLR", "StepLR",
]
