"""`ravine.Classifier`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from ravine.api.estimators.estimator import Estimator
from ravine.api.estimators.examples import Raw, sample_weights, training_examples
from ravine.errors import DataError


class Classifier(ClassifierMixin, Estimator):  # type: ignore[misc]
    """An ensemble of neural networks, as a classifier of scikit-learn.

    `fit` runs a study: it sets a part of the examples aside for validation, trains ``runs`` networks at once, each with
    other hyperparameters, and chooses an ensemble of them on validation, greedily and with weights (Caruana et al.,
    2004). The ensemble predicts the mean of its members' probabilities, at a temperature that is fitted on validation.

    Inputs are numbers in an array (N, features), or a frame: its columns of names are one-hot encoded, empty cells are
    imputed, and features are standardized, all by the training part. For a convolutional model, inputs are pictures
    (N, C, H, W), or bytes (N, H, W) or (N, H, W, C). `sample_weight` weights the loss of training, and not the choice
    on validation.

    Args:
        model: as in a study: a kind, a table with ``kind``, ``"package.module:Name"``, or a module class; "auto": an
            mlp for the data.
        rules: as in a study, or one rule: whose ranges are drawn from; "auto": AdamW, lr and weight decay from ranges.
        runs: how many networks are trained. More are the same ones and others.
        epochs: passes over the training part; "auto": about 2,000 steps, but 25 to 100 passes.
        batch_size: examples of a batch, at most all, or "full"; "auto": 64, or fewer of a small data set.
        augment: how training examples are changed, as in a study: ``{"flip": 0.5, "crop": 4}`` for pictures,
            ``{"noise": 0.1}`` for tables. Lists and ranges are drawn from.
        loss: what training makes small, as in a study: ``{"kind": "cross_entropy", "class_weights": "balanced"}``,
            ``"focal"``, or a function. The ensemble is chosen by log loss or squared error all the same.
        label_smoothing: how much of an answer's weight is on all classes alike; a list or a range is drawn from.
        stop: when networks stop early: ``{"patience": 5}``, after so many of 20 evaluations in a row without a gain.
            Each has its best weights then.
        precision: what training computes in: "float64", say; None: float32, or float64 where the parameters of a
            module of yours are.
        size: members of the ensemble, at most.
        validation_fraction: share of the examples that networks are chosen on, every class in proportion.
        budget: a time, such as "60s", "5 min" or a number of seconds, in place of ``runs``. It is converted to a number
            of runs before the start; ``runs_`` is that number, and ``runs=runs_`` trains the same again.
        random_state: decides the validation part, initial weights and the order of batches; None: anew in every fit.
        device: "auto", "cpu", "cuda" or "mps".
        backend: as in `ravine.run`.
        verbose: show the plan and a bar on stderr.

    Attributes:
        classes_: the classes, as given, sorted; of labels the numbers of their columns.
        n_features_in_: how many features.
        feature_names_in_: their names, where the inputs had names.
        runs_: how many networks were trained: ``runs``, or a little fewer, so that all rules have equally many.
        results_: a row for each, a dict: rule, hyperparameters, scores on training and validation part, and its weight
            in the ensemble. Members come first.
        ensemble_: weights of the members, by run.
        predictor_: what predicts.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> x, y = load_iris(return_X_y=True)
        >>> model = Classifier(runs=4, epochs=30).fit(x, y)
        >>> model.predict_proba(x[:2]).shape, len(model.results_), bool(model.score(x, y) > 0.9)
        ((2, 3), 4, True)
    """

    classes_: npt.NDArray[Any]
    _labels: bool

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Classifier:
        """Train, and choose the ensemble.

        Args:
            X: (N, features) array, or a frame.
            y: (N,) classes: texts, whole numbers or bools; or (N, K) 0 or 1, labels of which an example may have any.
            sample_weight: (N,) how much each example counts in the loss of training, at least 0; None: all alike.

        Returns:
            Itself.

        Raises:
            DataError: the data cannot be used as they are.
            InputError: a parameter is wrong.
        """
        raw, target = training_examples(self, X, y, numeric=False)
        check_classification_targets(target)
        kind = type_of_target(target)
        if kind.startswith("multiclass-multioutput"):
            raise ValueError(f"Unknown label type: {kind}: several targets must be 0 or 1")
        self._labels = kind == "multilabel-indicator"
        if self._labels:
            dense = target.toarray() if hasattr(target, "toarray") else np.asarray(target)
            return self._fit_labels(raw, dense, sample_weights(raw, sample_weight))
        self.classes_, indices = np.unique(target, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(f"y has only one class, {self.classes_.tolist()[0]!r}: there is nothing to learn")
        weights = sample_weights(raw, sample_weight)
        self._fit(raw, indices, "classification", tuple(map(str, self.classes_)), weights)
        return self

    def _fit_labels(self, raw: Raw, target: npt.NDArray[Any], weights: npt.NDArray[Any] | None) -> Classifier:
        self.classes_ = np.arange(target.shape[1])
        self._fit(raw, target, "multilabel", tuple(map(str, self.classes_)), weights)
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The most probable class of each example, (N,); of labels (N, K), 1 where one is more probable than not."""
        found = self._predicted(X)
        if self._labels:
            return np.asarray(found.predicted, dtype=np.int64)
        return np.asarray(self.classes_[found.predicted])

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Probabilities, (N, classes), in the order of ``classes_``; of labels the probability of each, (N, K)."""
        return self._predicted(X).p

    def predict_log_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Logarithms of the probabilities, (N, classes)."""
        found = self._predicted(X).log_p
        assert found is not None, "a classifier has probabilities"
        return found
