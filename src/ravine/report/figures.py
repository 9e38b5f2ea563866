"""The report's figures by name, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ravine.errors import InputError, choices
from ravine.outcomes.results import Results
from ravine.report.draw_averages import draw_averages
from ravine.report.draw_budget import draw_budget
from ravine.report.draw_curves import draw_curves, draw_regimes
from ravine.report.draw_gap import draw_gap
from ravine.report.draw_lr import draw_lr
from ravine.report.views import Figure


def _draw_sharpness(results: Results) -> Figure:
    from ravine.report.draw_sharpness import draw_sharpness

    return draw_sharpness(results)


FIGURES: Mapping[str, Callable[[Results], Figure]] = MappingProxyType(
    {
        "lr": draw_lr,
        "curves": draw_curves,
        "regimes": draw_regimes,
        "averages": draw_averages,
        "gap": draw_gap,
        "sharpness": _draw_sharpness,
        "budget": draw_budget,
    }
)


def figure(results: Results, name: str) -> Figure:
    """One figure by name.

    Args:
        results: the study.
        name: ``lr``, ``curves``, ``regimes``, ``averages``, ``gap``, ``sharpness`` or ``budget``.

    Raises:
        InputError: there is no figure of that name.
    """
    if name not in FIGURES:
        raise InputError(f"--figure {name}: no such figure; {choices(name, FIGURES)}")
    return FIGURES[name](results)


def figures(results: Results) -> tuple[Figure, ...]:
    """All figures, in the order of the report; those of sharpness and averages only where there are any."""
    measured = results.source.sharpness.read([run.id for run in results.runs])
    drawn = [draw(results) for name, draw in FIGURES.items() if measured or name != "sharpness"]
    return tuple(each for each in drawn if each.views or each.name not in ("sharpness", "averages"))
