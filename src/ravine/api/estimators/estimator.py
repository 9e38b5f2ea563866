"""What `Classifier` and `Regressor` share: their parameters, what they learn, how they are shown."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state, estimator_html_repr
from sklearn.utils.validation import check_is_fitted

from ravine.api.estimators.examples import Raw, new_examples
from ravine.api.estimators.grid import Wanted
from ravine.data.arrays import without_test
from ravine.data.spec import Task
from ravine.grid import Grid
from ravine.messages import whole_number

if TYPE_CHECKING:
    from ravine.outcomes.runs import Cell
    from ravine.predictors.predictor import Predictions, Predictor

# Of a row of results: in the table of members, rule is the first column.
_UNSHOWN = ("run", "seed", "status", "seconds", "rule", "train_loss", "train_accuracy")
_SEEDS = 2**31 - 2**20  # so that further seeds fit behind the first


class Estimator(BaseEstimator):  # type: ignore[misc]
    """A study as an estimator; abstract.

    Args:
        model, rules, runs, epochs, batch_size, augment, loss, label_smoothing, stop, precision, size,
            validation_fraction, budget, random_state, device, backend, verbose: see `ravine.Classifier`.
    """

    predictor_: Predictor
    results_: list[dict[str, Cell]]
    ensemble_: dict[str, float]
    runs_: int
    n_features_in_: int

    def __init__(
        self,
        model: Any = "auto",
        *,
        rules: Any = "auto",
        runs: int = 24,
        epochs: Any = "auto",
        batch_size: Any = "auto",
        augment: Any = None,
        loss: Any = None,
        label_smoothing: Any = 0.0,
        stop: Any = None,
        precision: str | None = None,
        size: int = 10,
        validation_fraction: float = 0.2,
        budget: str | float | None = None,
        random_state: Any = 0,
        device: str = "auto",
        backend: str = "auto",
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.rules = rules
        self.runs = runs
        self.epochs = epochs
        self.batch_size = batch_size
        self.augment = augment
        self.loss = loss
        self.label_smoothing = label_smoothing
        self.stop = stop
        self.precision = precision
        self.size = size
        self.validation_fraction = validation_fraction
        self.budget = budget
        self.random_state = random_state
        self.device = device
        self.backend = backend
        self.verbose = verbose

    def _fit(
        self,
        raw: Raw,
        y: npt.NDArray[Any],
        task: Task,
        class_names: tuple[str, ...] = (),
        weights: npt.NDArray[Any] | None = None,
    ) -> None:
        """Train, choose, and keep what predicts."""
        began = time.perf_counter()
        size = whole_number("size", self.size, 1)
        seed = int(check_random_state(self.random_state).randint(_SEEDS))
        data = without_test(
            raw,
            y,
            task=task,
            name="fit",
            validation=self.validation_fraction,
            split_seed=seed,
            class_names=class_names,
            missing="impute",
            weights=weights,
        )
        wanted = Wanted(
            model=self.model,
            rules=self.rules,
            epochs=self.epochs,
            batch_size=self.batch_size,
            augment=self.augment,
            loss=self.loss,
            label_smoothing=self.label_smoothing,
            stop=self.stop,
            precision=self.precision,
            seed=seed,
        )
        from ravine.api.estimators.fitting import fit

        found = fit(
            data,
            wanted,
            began=began,
            runs=self.runs,
            budget=self.budget,
            size=size,
            device=self.device,
            backend=self.backend,
            verbose=bool(self.verbose),
        )
        self.predictor_ = found.predictor
        self.runs_ = found.runs
        self.results_ = found.table
        self.ensemble_ = dict(found.predictor.pool.weights)

    def _predicted(self, x: Any) -> Predictions:
        check_is_fitted(self)
        return self.predictor_.predict(new_examples(self, x))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags

    def grid(self) -> Grid:
        """The members of the ensemble as a small table.

        Raises:
            NotFittedError: it has not been fitted.
        """
        check_is_fitted(self)
        members = [row for row in self.results_ if row["weight"]]
        columns = [name for name in members[0] if name not in _UNSHOWN]
        return Grid(
            title=f"{type(self).__name__}: {len(members)} of {self.runs_} runs",
            columns=("rule", *(name.removeprefix("model.").replace("_", " ") for name in columns)),
            rows=tuple((str(row["rule"]), *(_text(row[name]) for name in columns)) for row in members),
            left=("rule",),
        )

    def _repr_html_(self) -> str:
        """How a notebook shows it: the parameters, and once it is fitted, what it found."""
        html: str = estimator_html_repr(self)
        return f"{html}{self.grid().html()}" if hasattr(self, "results_") else html

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def _text(value: Cell) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
