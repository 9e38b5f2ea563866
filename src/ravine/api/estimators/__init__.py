"""A study as an estimator of scikit-learn."""

from ravine.api.estimators.classifier import Classifier
from ravine.api.estimators.regressor import Regressor

__all__ = ["Classifier", "Regressor"]
