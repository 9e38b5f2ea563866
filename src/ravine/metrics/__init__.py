"""Metrics: one number for a run, and what each example contributed to it. NumPy alone.

`registry` names them, `metric` says what one is, `given` works out once what several need. `counts`, `ranking`,
`probabilities`, `labels` and `numbers` are their formulas; `own` is a user's. `batch` computes them for many runs.
docs/metrics.md says what each is.
"""

from ravine.metrics.batch import parts_of, values_of
from ravine.metrics.metric import Formula, Metric
from ravine.metrics.own import own_metric
from ravine.metrics.registry import DEFAULT, METRICS, check_answers, check_task, metric_named, names_of

__all__ = [
    "DEFAULT",
    "METRICS",
    "Formula",
    "Metric",
    "check_answers",
    "check_task",
    "metric_named",
    "names_of",
    "own_metric",
    "parts_of",
    "values_of",
]
