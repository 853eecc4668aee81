"""Training: fit and evaluate, the History that they record, and callbacks."""
from .callbacks import Callback, EarlyStopping, ModelCheckpoint, Progress, WeightAveraging
from .criterion import Criterion
from .epoch_mean import Evaluation
from .evaluate import evaluate
from .fit import fit
from .history import History
