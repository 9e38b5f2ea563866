"""Figure ``sharpness``: how sharp the minimum of every run is against its test gap."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.errors import with_article
from ravine.messages import count
from ravine.outcomes.results import Results
from ravine.report.chart import Json, layout, line, log_axis, number, percent, short, text, visible
from ravine.report.palette import Look, looks
from ravine.report.sharp import MEASURES, SharpPoint, correlation, correlations, sharp_points
from ravine.report.views import Figure, View, chips, command, loss_unit

_AXES = {
    "top": "largest eigenvalue of the Hessian",
    "trace": "trace of the Hessian",
    "rise": "rise of the loss at distance {rho:g}, along the gradient",
    "adaptive_rise": "rise of the loss, weights moved in proportion to their size",
}


def draw_sharpness(results: Results) -> Figure:
    """A point per run: a measure of its sharpness, and how much better it is on training data than on test data."""
    points = sharp_points(results)
    views = [view for measure in MEASURES for view in _view(results, points, measure)]
    noun = results.noun
    caption = (
        "Each point is a run whose sharpness was measured on training data. Large points are the seeds of the config"
        f" that was chosen for their {noun}; pale points get some training examples wrong (classification only). Minima"
        " are sharper to the right, and the gap between training and test data is larger above. This figure asks"
        " whether sharp minima generalize worse; it does not assume it. A correlation over all runs may come from runs"
        f" that learned little, or from {with_article(noun)} or lr that changes both, so look at the runs that get all"
        f" training examples right, and at one {noun} at a time. Rescaling weights without changing the function"
        " changes every measure but the adaptive rise. Test data were read for all of these runs, so do not choose"
        " anything by this figure."
    )
    if not points:
        caption = (
            f"Nothing to draw: no sharpness was measured. `ravine sharpness {results.name}` measures it."
        )
    return Figure(
        name="sharpness",
        title="Sharpness",
        caption=caption,
        command=command(results, "sharpness"),
        views=tuple(views),
    )


def _view(results: Results, points: Sequence[SharpPoint], measure: str) -> list[View]:
    shown = [point for point in points if 0 < point.measure(measure) < float("inf")]
    if not shown:
        return []
    gaps = [gap for gap in ("accuracy", "loss") if gap in shown[0].gaps]
    sentences = [_ranked(points, measure, gap) for gap in gaps]
    lost = len(points) - len(shown)
    if lost:
        runs = f"{count(lost, 'run')} {'is' if lost == 1 else 'are'}"
        sentences.append(f"{runs} not drawn because the measure is not above 0.")
    return [
        View(
            label=MEASURES[measure],
            panels=tuple(_panel(results, shown, measure, gap) for gap in gaps),
            chips=chips(results),
            note=" ".join(filter(None, sentences)),
        )
    ]


def _ranked(points: Sequence[SharpPoint], measure: str, gap: str) -> str:
    """The rank correlations with a gap, as a sentence."""
    found = correlations(points, measure, gap)
    if "" not in found:
        return ""
    value, num = found.pop("")
    by_rule = ", ".join(f"{rule} {_signed(each)}" for rule, (each, _) in found.items())
    within = f"; within a rule: {by_rule}" if len(found) > 1 else ""
    fitted = [point for point in points if point.fitted]
    one = correlation(fitted, measure, gap) if len(fitted) < len(points) else None
    right = (
        "" if one is None else f"; {_signed(one[0])} over the {one[1]} that get all training examples right"
    )
    return f"Rank correlation with the {gap} gap: {_signed(value)} over {num} runs{right}{within}."


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _panel(results: Results, points: Sequence[SharpPoint], measure: str, gap: str) -> Json:
    look = looks(results.rules)
    data = [
        _cloud(look[rule], [point for point in points if point.rule == rule], measure, gap)
        for rule in results.rules
        if any(point.rule == rule for point in points)
    ]
    x = log_axis([point.measure(measure) for point in points], pad=0.03)
    y: Json = {"zeroline": True, "zerolinecolor": "#9aa3ab", "zerolinewidth": 1}
    if gap == "loss":
        sizes = [abs(point.gaps[gap]) for point in points]
        most = max(visible(sizes), default=0.0)
        kept = [point.gaps[gap] for point in points if abs(point.gaps[gap]) <= most]
        room = 0.06 * (max(kept) - min(kept)) or 0.1
        y |= {"range": [short(min(kept) - room), short(max(kept) + room)]}
        title = f"Test − training loss ({loss_unit(results)})"
    else:
        title = "Training − test accuracy (percentage points)"
    return {"data": data, "layout": layout(title, _AXES[measure].format(rho=points[0].found.rho), x, y)}


def _opacity(point: SharpPoint) -> float:
    if point.chosen:
        return 0.95
    return 0.65 if point.fitted or point.found.test_accuracy is None else 0.25


def _cloud(look: Look, points: Sequence[SharpPoint], measure: str, gap: str) -> Json:
    hover = []
    for point in points:
        found = point.found
        words = f"<b>{text(point.rule)}</b>, lr {point.lr:.4g}, seed {point.seed}"
        if point.hypers:
            words += f"<br>{text(point.hypers)}"
        words += (
            f"<br>eigenvalues {number(found.top[0])} to {number(found.lowest)}"
            f"<br>trace {number(found.trace)} ± {number(found.trace_error)}"
            f"<br>rise {number(found.rise)}, adaptive {number(found.adaptive_rise)}"
            f"<br>training loss {number(found.loss)}, gradient {number(found.gradient_norm)}"
        )
        size = percent(point.gaps[gap]) if gap == "accuracy" else number(point.gaps[gap])
        words += f"<br>{gap} gap {size}<br>run {text(point.run)}"
        hover.append(words + ("<br>chosen config" if point.chosen else ""))
    scale = 100 if gap == "accuracy" else 1
    trace = line(
        points[0].rule,
        look,
        [short(point.measure(measure)) or 0.0 for point in points],
        [scale * point.gaps[gap] for point in points],
        hover,
        mode="markers",
        sizes=[11 if point.chosen else 5.5 for point in points],
    )
    trace["marker"]["opacity"] = [_opacity(point) for point in points]
    if not look.symbol.endswith("-open"):  # a white rim keeps overlapping points apart
        trace["marker"]["line"] = {"color": "#fff", "width": 0.6}
    return trace
