"""scikit-learn's estimators: MLPClassifier and MLPRegressor, with its parameters, attributes and behaviour.

They need scikit-learn, the extra ``minidl[sklearn]``.
"""
try:
    import sklearn
except ModuleNotFoundError as error:
    if error.name != "sklearn":
        raise
    raise ImportError("minidl.estimators needs scikit-learn: pip install 'minidl[sklearn]'") from error

from .classifier import MLPClassifier
from .regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
