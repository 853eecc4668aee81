"""Training: fit and evaluate, what they record, and what may watch them."""
from .callbacks import Callback, EarlyStopping, Progress
from .criterion import Criterion
from .epoch_mean import Evaluation
from .evaluate import evaluate
from .fit import fit
from .history import History
