"""Which networks an estimator tries where its user does not say: the default grid, made for the data at hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from ravine.data import Dataset
from ravine.errors import InputError
from ravine.messages import whole_number
from ravine.rules import Rule
from ravine.study import Study
from ravine.study.configs import num_configs

NAME = "fit"  # of the study
MOST_RUNS = 10_000
_EVALUATIONS = 5  # along a run: where it has diverged, it ends
_EVALUATIONS_TO_STOP = 20  # where it may end earlier: patience counts them

# Chosen on validation: see benchmarks/estimators.md.
_LARGE = 5000  # training examples, from which on the network is deeper, and faster rates are tried
_BATCH, _FEW_BATCHES = 64, 20
_STEPS, _EPOCHS = 2000, (25, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the user of an estimator asked for; "auto" where the data decide.

    Args:
        model, rules, epochs, batch_size: as a study takes them, or "auto".
        augment, loss, label_smoothing, stop, precision: as a study takes them.
        seed: of the first run of each config.
    """

    model: Any
    rules: Any
    epochs: Any
    batch_size: Any
    augment: Any = None
    loss: Any = None
    label_smoothing: Any = 0.0
    stop: Any = None
    precision: str | None = None
    seed: int

    def study(self, data: Dataset, runs: int) -> Study:
        """The study that is as many runs as this, or as few less as fill all rules evenly.

        Points of a range are those of one sequence, however many there are: more runs are the same runs and others.

        Args:
            data: its data set.
            runs: at least one for each rule.

        Raises:
            InputError: too few runs, or something that no study takes.
        """
        some = self.model if isinstance(self.model, list | tuple) else [self.model]
        if any(_kind(each) == "backbone" for each in some):
            raise InputError(
                "model: kind = 'backbone': an estimator has no phases, which say what of a backbone is trained; give "
                "ravine.run a Study"
            )
        if _kind(self.loss) == "quantile":
            raise InputError(
                "loss: kind = 'quantile': an estimator chooses its ensemble by the squared error, which is least at "
                "the mean; give ravine.run a Study with metric = 'pinball_...'"
            )
        many = self._of(data, runs, 1)
        most = [num_configs(many, block) for block in many.rules]
        if len(most) > runs:
            raise InputError(f"runs = {runs}: each of the {len(most)} rules needs one at least")
        trials = max(t for t in range(1, runs + 1) if t == 1 or sum(min(t, each) for each in most) <= runs)
        seeds = runs // sum(min(trials, each) for each in most)
        return self._of(data, trials, max(1, seeds))

    def fewest_runs(self, data: Dataset) -> int:
        """One for each rule."""
        rules = self._rules_for(data)
        return len(rules) if isinstance(rules, Sequence) else 1

    def _rules_for(self, data: Dataset) -> Any:
        if _is_auto(self.rules):
            return _default(data).rules
        return [self.rules] if isinstance(self.rules, str | Mapping | Rule) else self.rules

    def _of(self, data: Dataset, trials: int, num_seeds: int) -> Study:
        size = batch_size(self.batch_size, len(data.train))
        return Study(
            name=NAME,
            data=data,
            model=_default(data).model if _is_auto(self.model) else self.model,
            rules=self._rules_for(data),
            epochs=default_epochs(len(data.train), size) if _is_auto(self.epochs) else self.epochs,
            batch_size=size,
            seeds=[self.seed + number for number in range(num_seeds)],
            schedule="cosine",
            search={"kind": "random", "trials": trials},
            evaluations=_EVALUATIONS if self.stop is None else _EVALUATIONS_TO_STOP,
            augment=self.augment,
            loss=self.loss,
            label_smoothing=self.label_smoothing,
            stop=self.stop,
            precision=self.precision,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Defaults:
    """What is tried on data of some size.

    Args:
        model: as a study takes it; each run has one of its rates.
        rules: whose ranges are drawn from.
    """

    model: Mapping[str, Any]
    rules: Sequence[Mapping[str, Any]]


_FEW = _Defaults(
    model={"kind": "mlp", "hidden": (128,), "dropout": (0.0, 0.1, 0.25, 0.5)},
    rules=({"kind": "adamw", "lr": {"log": [2e-4, 2e-2]}, "weight_decay": {"log": [1e-3, 3.0]}},),
)
_MANY = _Defaults(
    model={"kind": "mlp", "hidden": (128, 128), "dropout": (0.0, 0.1, 0.25)},
    rules=({"kind": "adamw", "lr": {"log": [5e-4, 3e-2]}, "weight_decay": {"log": [1e-3, 3.0]}},),
)


def _kind(model: Any) -> Any:
    """The kind that something of a study names, or is."""
    if isinstance(model, str):
        return model
    return model.get("kind") if isinstance(model, Mapping) else getattr(model, "kind", None)


def _default(data: Dataset) -> _Defaults:
    return _FEW if len(data.train) < _LARGE else _MANY


def batch_size(wanted: Any, num_train: int) -> Any:
    """Examples of a batch: at most all; "auto": 64, or fewer where an epoch would have fewer than 20 batches."""
    if _is_auto(wanted):
        few = 2 ** round(math.log2(max(1, num_train / _FEW_BATCHES)))
        return min(num_train, _BATCH, max(8, few))
    whole = _whole(wanted)
    return wanted if whole is None else min(whole, num_train)


def default_epochs(num_train: int, size: Any) -> int:
    """Passes over the training part: about 2,000 steps, but from 25 to 100 passes."""
    examples = num_train if size == "full" else _whole(size) or _BATCH
    steps = max(1, num_train // examples)
    low, high = _EPOCHS
    return min(max(round(_STEPS / steps), low), high)


def checked_runs(value: Any) -> int:
    """A number of runs.

    Raises:
        InputError: it is none.
    """
    return whole_number("runs", value, 1, MOST_RUNS)


def _whole(value: Any) -> int | None:
    """A number of examples; None for what is none, which a study refuses."""
    fine = isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0
    return int(value) if fine else None


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"
