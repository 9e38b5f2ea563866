"""Counts: their rate's logarithm is learned, and rates come back in own units, wherever predictions are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import PoissonRegressor

import ravine
from ravine.data import Dataset, from_arrays
from ravine.errors import InputError
from ravine.outcomes.trials import Predicted
from ravine.store import Store
from ravine.study import Study, runs_of

X = np.random.default_rng(0).normal(size=(400, 3))
RATES = np.exp(2.0 + X @ np.array([0.5, -0.3, 0.1]))
COUNTS = np.random.default_rng(1).poisson(RATES)


def linear() -> Any:
    from torch import nn

    return nn.Linear(3, 1)


def study(**changes: Any) -> Study:
    fields: dict[str, Any] = {
        "name": "counts",
        "data": from_arrays(X, COUNTS.astype(float), task="regression"),
        "model": linear,
        "rules": ["lbfgs"],
        "batch_size": "full",
        "steps": 60,
        "seeds": 1,
        "loss": "poisson",
    }
    return Study(**{**fields, **changes})


@pytest.mark.parametrize("backend", ["native", pytest.param("serial", marks=pytest.mark.slow)])
def test_a_linear_network_is_scikit_learns_poisson_regressor(tmp_path: Path, backend: str) -> None:
    made = study()
    results = ravine.run(made, store=tmp_path, backend=backend, quiet=True)
    data = made.data
    assert isinstance(data, Dataset)
    counts = np.rint(data.in_own_units(data.train.y))
    theirs = PoissonRegressor(alpha=0.0, tol=1e-10).fit(data.train.x, counts)
    wanted = theirs.predict(data.test.x)
    run = results.runs[0].id
    stored = Predicted(store=Store(tmp_path), labels=results.labels)
    np.testing.assert_allclose(stored.outputs("test", [run])[run], wanted, rtol=2e-3)
    assert data.preparation is not None
    found = ravine.predict(results, X[:5], model=linear)
    wanted = theirs.predict(data.preparation.inputs.apply(X[:5]))
    np.testing.assert_allclose(np.asarray(found.predicted, dtype=float), wanted, rtol=2e-3)


def test_the_ids_of_other_runs_stay_and_losses_can_be_compared(tmp_path: Path) -> None:
    rules = [{"kind": "adam", "lr": 0.01}]
    both = study(model="mlp", rules=rules, steps=100, variants=[{}, {"loss": "mse"}])
    data = both.data
    assert isinstance(data, Dataset)
    plain = runs_of(study(model="mlp", rules=rules, steps=100, loss=None), data)
    assert {run.id for run in plain} < {run.id for run in runs_of(both, data)}
    results = ravine.run(both, store=tmp_path, quiet=True)
    stored = Predicted(store=Store(tmp_path), labels=results.labels)
    truth = np.rint(data.in_own_units(data.validation.y))
    for run in results.runs:
        predicted = stored.outputs("validation", [run.id])[run.id]
        squares = np.square(predicted.astype(float) - truth).mean()
        assert run.metrics["validation_loss"] == pytest.approx(squares, rel=1e-3)
        assert squares < truth.var()


def test_negative_counts_are_refused_in_a_line() -> None:
    data = from_arrays(X, COUNTS - 1.0, task="regression")
    with pytest.raises(
        InputError, match=r"^loss = 'poisson': arrays has the target -1 in its training part; counts"
    ):
        runs_of(study(data=data), data)
