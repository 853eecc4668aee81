"""Optimizers, and the schedules of their learning rates."""
from . import functions, lr_scheduler
from .adadelta import Adadelta
from .adam import Adam
from .adamw import AdamW
from .optimizer import Optimizer
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = ["SGD", "Adadelta", "Adam", "AdamW", "Optimizer", "RMSprop", "functions", "lr_scheduler"]
