"""The report's figures by name, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ravine.errors import InputError, choices, with_article
from ravine.outcomes.results import Results
from ravine.report.draw_averages import draw_averages
from ravine.report.draw_budget import draw_budget
from ravine.report.draw_cost import draw_cost
from ravine.report.draw_coverage import draw_coverage
from ravine.report.draw_curves import draw_curves, draw_regimes
from ravine.report.draw_disagreement import draw_disagreement
from ravine.report.draw_folds import draw_folds
from ravine.report.draw_forest import draw_forest
from ravine.report.draw_gain import draw_gain
from ravine.report.draw_gap import draw_gap
from ravine.report.draw_head_gap import draw_head_gap
from ravine.report.draw_ladder import draw_ladder, draw_ladder_gap
from ravine.report.draw_lengths import draw_lengths
from ravine.report.draw_lr import draw_lr
from ravine.report.draw_reliability import draw_reliability
from ravine.report.draw_residuals import draw_residuals
from ravine.report.draw_test_time import draw_test_time
from ravine.report.pooled import Members, members_of
from ravine.report.views import Figure, command


def _draw_sharpness(results: Results) -> Figure:
    from ravine.report.draw_sharpness import draw_sharpness

    return draw_sharpness(results)


FIGURES: Mapping[str, Callable[[Results], Figure]] = MappingProxyType(
    {
        "forest": draw_forest,
        "lr": draw_lr,
        "curves": draw_curves,
        "regimes": draw_regimes,
        "averages": draw_averages,
        "averaging-length": draw_lengths,
        "test-time": draw_test_time,
        "gap": draw_gap,
        "head-gap": draw_head_gap,
        "sharpness": _draw_sharpness,
        "budget": draw_budget,
        "residuals": draw_residuals,
    }
)


POOLED: Mapping[str, Callable[[Results, Members], Figure]] = MappingProxyType(
    {
        "gain": draw_gain,
        "disagreement": draw_disagreement,
        "reliability": draw_reliability,
        "coverage": draw_coverage,
        "cost": draw_cost,
    }
)
LADDER: Mapping[str, Callable[[Results], Figure]] = MappingProxyType(
    {"ladder": draw_ladder, "ladder-gap": draw_ladder_gap}
)
"""The figures of a study that has a ladder. No other is of it: its arms have no one config."""
OWN_OF_FOLDS = "folds"
FOLDS: Mapping[str, Callable[[Results], Figure]] = MappingProxyType(
    {"forest": draw_forest, OWN_OF_FOLDS: draw_folds, "residuals": draw_residuals}
)
"""The figures of a study with folds. No other is of it: each fold has configs of its own."""
_OF_CLASSES = ("reliability",)
RARE = ("residuals", "forest", "head-gap", "sharpness", "averages", "averaging-length", "test-time")
"""Figures that are only in the report of a study that has something for them."""


def figure(results: Results, name: str) -> Figure:
    """One figure by name.

    Args:
        results: the study.
        name: one of `FIGURES`, `POOLED`, `LADDER` or `FOLDS`.

    Raises:
        InputError: there is no figure of that name.
    """
    if name in LADDER or name == OWN_OF_FOLDS:
        return (LADDER.get(name) or FOLDS[name])(results)
    if name not in FIGURES and name not in POOLED:
        raise InputError(
            f"--figure {name}: no such figure; {choices(name, (*FIGURES, *POOLED, *LADDER, OWN_OF_FOLDS))}"
        )
    if results.ladder is not None:
        return _nothing(
            results, name, f"{with_article(results.noun)} of a ladder has another config on each part"
        )
    if results.folds is not None and name not in FOLDS:
        return _nothing(results, name, f"{with_article(results.noun)} has another config in each fold")
    if name in FIGURES:
        return FIGURES[name](results)
    members = members_of(results)
    if members is None:
        return _nothing(
            results, name, "the winner has fewer than two seeds that finished, so there is no pool"
        )
    why = _meaningless(name, members)
    if why:
        return _nothing(results, name, why)
    return POOLED[name](results, members)


def figures(results: Results) -> tuple[Figure, ...]:
    """All figures, in the order of the report; those that not every study has only where there is something."""
    if results.ladder is not None:
        return tuple(draw(results) for draw in LADDER.values())
    if results.folds is not None:
        drawn = [draw(results) for draw in FOLDS.values()]
        return tuple(each for each in drawn if each.views or each.name not in RARE)
    measured = results.source.sharpness.read([run.id for run in results.runs])
    drawn = [draw(results) for name, draw in FIGURES.items() if measured or name != "sharpness"]
    members = members_of(results)
    if members is not None:
        drawn += [draw(results, members) for name, draw in POOLED.items() if not _meaningless(name, members)]
    return tuple(each for each in drawn if each.views or each.name not in RARE)


def _meaningless(name: str, members: Members) -> str:
    """Why a figure says nothing about what is predicted; empty where it does."""
    if name in _OF_CLASSES and members.is_regression:
        return "the target is a number, and its predictions have no probabilities"
    return ""


def _nothing(results: Results, name: str, why: str) -> Figure:
    return Figure(
        name=name,
        title=name.capitalize(),
        caption=f"Nothing to draw: {why}.",
        command=command(results, name),
        views=(),
    )
