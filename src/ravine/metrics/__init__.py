"""Metrics: one number for a run, and what each example contributed to it. NumPy alone.

`registry` names them, `metric` says what one is, `given` works out once what several need. `counts`, `ranking`,
`probabilities`, `labels` and `numbers` are their formulas; `own` is a user's. `weighted` is one with the weights of
examples, `means` how these count. `batch` computes them for many runs. docs/metrics.md says what each is.
"""

from ravine.metrics.batch import heaviest_of, parts_of, values_of
from ravine.metrics.means import as_weights, mean_over
from ravine.metrics.metric import Formula, Metric
from ravine.metrics.own import own_metric, title_of
from ravine.metrics.probabilities import NUM_BINS, brier_factor, signed_gaps, tied_means
from ravine.metrics.registry import (
    DEFAULT,
    METRICS,
    check_answers,
    check_task,
    lower_named,
    metric_named,
    names_of,
)
from ravine.metrics.weighted import unweighted, weighted

__all__ = [
    "DEFAULT",
    "METRICS",
    "NUM_BINS",
    "Formula",
    "Metric",
    "as_weights",
    "brier_factor",
    "check_answers",
    "check_task",
    "heaviest_of",
    "lower_named",
    "mean_over",
    "metric_named",
    "names_of",
    "own_metric",
    "parts_of",
    "signed_gaps",
    "tied_means",
    "title_of",
    "unweighted",
    "values_of",
    "weighted",
]
