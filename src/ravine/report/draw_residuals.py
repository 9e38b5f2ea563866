"""Figure ``residuals``: of a regression, how far the chosen configs are off against what they predict."""

from __future__ import annotations

import numpy as np

from ravine.messages import count
from ravine.outcomes.deviations import Deviations
from ravine.outcomes.results import Results
from ravine.report.chart import Json, layout, line, number, short
from ravine.report.palette import look
from ravine.report.views import Chip, Figure, View, command

_MOST = 2000  # points of a panel: more than it has room for
_TREND, _POINTS = "mean by tenths", "examples"


def draw_residuals(results: Results) -> Figure:
    """Residuals of the best rule's chosen config against its predictions, on test and on validation."""
    views = []
    if results.has_mistakes and results.is_regression:
        for split in ("test",) if results.folds is not None else ("test", "validation"):
            found = results.mistakes(split=split, num=0)
            if found.targets is None:
                assert found.deviations is not None, "a regression has residuals"
                views.append(_view(split.capitalize(), found.deviations))
            else:
                views += [_view(f"{name}: {split}", each) for name, each in found.targets.targets.items()]
    caption = (
        f"A point is an example: the right value less the mean prediction of the best {results.noun}'s chosen config"
        " over its seeds, against that prediction. Above 0 the prediction is too low. The line is the mean in each"
        " tenth of the predictions: where it leaves 0, predictions of that size are wrong on average; where points"
        " spread, they are unsure."
    )
    return Figure(
        name="residuals",
        title="Residuals against predictions",
        caption=caption
        if views
        else "Nothing to draw: residuals are of a regression with a run that finished.",
        command=command(results, "residuals"),
        views=tuple(views),
    )


def _view(label: str, found: Deviations) -> View:
    predicted, residuals = found.predicted, found.residuals
    kept = np.arange(len(predicted))
    if len(kept) > _MOST:  # evenly over the predictions
        order = np.argsort(predicted, kind="stable")
        kept = np.sort(order[np.linspace(0, len(order) - 1, _MOST).round().astype(int)])
    hover = [
        f"example {place}<br>predicted {number(float(predicted[place]))}, right {number(float(found.answers[place]))}"
        for place in kept
    ]
    points = line(
        _POINTS, look(0), predicted[kept].tolist(), residuals[kept].tolist(), hover, mode="markers", sizes=5
    )
    points["marker"]["opacity"] = 0.55
    middle = _trend(found)
    words = [f"mean residual {number(y)}" for _, y in middle]
    trend = line(_TREND, look(1), [x for x, _ in middle], [y for _, y in middle], words)
    chips = tuple(
        Chip(key=name, label=name, swatch=look(place).swatch())
        for place, name in enumerate((_POINTS, _TREND))
    )
    zero: Json = {"zeroline": True, "zerolinecolor": "#9aa3ab", "zerolinewidth": 1}
    panel = {
        "data": [points, trend],
        "layout": layout("Right − predicted (target units)", "predicted (target units)", {}, zero),
    }
    note = f"{count(len(predicted), 'example')}, {count(found.num_runs, 'seed')}."
    return View(label=label, panels=(panel,), chips=chips, note=note)


def _trend(found: Deviations) -> list[tuple[float, float]]:
    """The mean prediction and the mean residual in each tenth of the predictions."""
    order = np.argsort(found.predicted, kind="stable")
    groups = [rows for rows in np.array_split(order, 10) if len(rows)]
    means = [(found.predicted[rows].mean(), found.residuals[rows].mean()) for rows in groups]
    return [(short(float(x)) or 0.0, float(y)) for x, y in means]
