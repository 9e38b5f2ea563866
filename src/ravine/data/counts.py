"""Counts to predict: of their rate a network says the logarithm, so they are scaled and never shifted."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from ravine.data.answers import NumberTarget
from ravine.data.dataset import Dataset, Folds
from ravine.data.deal_folds import FoldOf
from ravine.data.examples import Examples
from ravine.data.preparation import Preparation
from ravine.errors import StudyError

_ROUNDED = 1e-5  # of a deviation: what standardizing leaves of a 0


def counted(data: Dataset) -> Dataset:
    """The same data, with counts in units of their mean in training: a network whose outputs are 0 predicts it.

    Args:
        data: a regression with one target.
    """
    mean, scale = data.target_mean, data.target_scale
    assert not isinstance(mean, tuple), "one target"
    assert not isinstance(scale, tuple), "one target"

    def part(examples: Examples) -> Examples:
        counts = np.maximum(np.asarray(examples.y, dtype=np.float64) * scale + mean, 0.0)
        return examples.but(y=(counts / mean).astype(np.float32))

    return replace(
        data,
        train=part(data.train),
        validation=part(data.validation),
        test=part(data.test),
        target_mean=0.0,
        target_scale=mean,
        counts=True,
        folds=None
        if data.folds is None
        else Folds(sizes=data.folds.sizes, rows=data.folds.rows, make=partial(_counted_fold, data.folds)),
    )


def _counted_fold(folds: Folds, part: FoldOf) -> Dataset:
    return counted(folds.of(part))


def counted_preparation(preparation: Preparation) -> Preparation:
    """What was done to raw values, where outputs are logarithms of rates."""
    target = preparation.target
    assert isinstance(target, NumberTarget), "one target"
    return replace(preparation, target=replace(target, mean=0.0, scale=target.mean, counts=True))


def check_counts(data: Dataset) -> None:
    """See that a target can be counts.

    Raises:
        StudyError: it is several, or one is negative.
    """
    mean, scale = data.target_mean, data.target_scale
    if isinstance(mean, tuple) or isinstance(scale, tuple):
        words = f"{data.name} has {len(data.targets)} targets; counts are one"
        raise StudyError(f"loss = 'poisson': {words}", at=[("loss",)])
    for name, examples in (("training", data.train), ("validation", data.validation), ("test", data.test)):
        counts = np.asarray(examples.y, dtype=np.float64) * scale + mean
        if len(counts) and counts.min() < -_ROUNDED * max(scale, abs(mean)):
            words = f"{data.name} has the target {counts.min():.6g} in its {name} part; counts are at least 0"
            raise StudyError(f"loss = 'poisson': {words}", at=[("loss",)])
