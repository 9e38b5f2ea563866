"""`ravine.Regressor`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin
from sklearn.utils import Tags

from ravine.api.estimators.estimator import Estimator
from ravine.api.estimators.examples import sample_weights, training_examples


class Regressor(RegressorMixin, Estimator):  # type: ignore[misc]
    """An ensemble of neural networks, as a regressor of scikit-learn.

    As `ravine.Classifier`, whose parameters and attributes it has (but ``classes_``). Networks learn the standardized
    target, by squared error or another `loss`; the ensemble predicts the weighted mean of its members, in the target's
    own units. Of several targets (N, T) each is standardized by itself, and networks have an output for each.

    Example:
        >>> from sklearn.datasets import load_diabetes
        >>> x, y = load_diabetes(return_X_y=True)
        >>> model = Regressor(runs=4, epochs=20).fit(x, y)
        >>> model.predict(x[:2]).shape, bool(model.score(x, y) > 0.4)
        ((2,), True)
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Regressor:
        """Train, and choose the ensemble.

        Args:
            X: (N, features) array, or a frame.
            y: (N,) numbers, or (N, T) several for each example.
            sample_weight: (N,) how much each example counts in the loss of training, at least 0; None: all alike.

        Returns:
            Itself.

        Raises:
            DataError: the data cannot be used as they are.
            InputError: a parameter is wrong.
        """
        raw, target = training_examples(self, X, y, numeric=True)
        self._fit(raw, np.asarray(target), "regression", weights=sample_weights(raw, sample_weight))
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """A value for each example, (N,), or several, (N, T)."""
        return np.asarray(self._predicted(X).predicted, dtype=np.float64)
