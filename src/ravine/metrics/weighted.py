"""A metric with the weights of examples: what scikit-learn's `sample_weight` gives.

Of an accuracy it is sum_i w_i s_i / sum_i w_i; of any other metric the formula in which each example counts w_i times
(`means.py`). An example contributes psi_i = theta + w_i / mean(w) * influence of example i on theta, where influences
are those on the metric of the weighted examples. The mean of all psi is theta, and their spread is that of the metric
over other examples with their weights (the delta method for a ratio of two means).
"""

from __future__ import annotations

from dataclasses import replace

from ravine.metrics.metric import Metric


def weighted(metric: Metric, task: str) -> Metric:
    """A metric with the weights of examples.

    Args:
        metric: one with weights is returned as it is, and so is one of another task.
        task: of the data.

    Example:
        >>> from ravine.metrics import metric_named
        >>> weighted(metric_named("accuracy"), "classification").title
        'weighted accuracy'
    """
    if metric.of or task not in metric.formulas:
        return metric
    return replace(
        metric,
        name=f"weighted_{metric.name}",
        title=f"weighted {metric.title}",
        short=f"weighted {metric.short}",
        formulas={task: metric.formulas[task]},
        binary=False,
        called=f"weighted_{metric.called}" if metric.called else "",
        of=metric.name,
    )


def unweighted(metric: Metric) -> Metric:
    """The same metric of examples that all count alike.

    Example:
        >>> from ravine.metrics import metric_named
        >>> unweighted(weighted(metric_named("f1"), "classification")).title
        'F1'
    """
    if not metric.of:
        return metric
    return replace(
        metric,
        name=metric.of,
        title=metric.title.removeprefix("weighted "),
        short=metric.short.removeprefix("weighted "),
        called=metric.called.removeprefix("weighted_"),
        of="",
    )
