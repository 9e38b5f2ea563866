"""Cohorts: runs that are trained by one program, in segments that share a rule."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from ravine.rules import shaped
from ravine.rules.averages import averaged
from ravine.rules.base import Rule
from ravine.rules.clip import CLIPS
from ravine.rules.regularize import REGULARIZERS, regularize
from ravine.study import Recipe, Run, content_id
from ravine.study.averages import Averages


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Neighbouring runs of a cohort with the same rule and the same exclusion from its penalties.

    Args:
        rule: with the penalties that any of its runs uses, and the averages of the cohort.
        exclude: pattern of parameter names without weight decay; None: biases and norms.
        start, stop: rows of the cohort.
        noisy: whether any of its runs has noise added to its gradients.
        averages: names of the averages of the weights.
        clips: out of `ravine.rules.clip.CLIPS`, those that any of its runs uses.
        anchored: whether any of its runs is pulled towards the weights that it was made with.
    """

    rule: Rule
    exclude: str | None
    start: int
    stop: int
    noisy: bool = False
    averages: tuple[str, ...] = ()
    clips: tuple[str, ...] = ()
    anchored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Runs of one structure: same model, batch size, number of steps, data. Folds of the data may differ.

    Args:
        runs: segment by segment.
        segments: they cover the runs, in order.
        averages: the averages of the weights that are kept along the way; None: none.
    """

    runs: tuple[Run, ...]
    segments: tuple[Segment, ...]
    averages: Averages | None = None

    @staticmethod
    def of(runs: Sequence[Run], averages: Averages | None = None) -> Cohort:
        """A cohort of runs of one structure, in an order that depends on the runs alone."""
        names = averages.tracked if averages else ()
        structures = {run.recipe.together for run in runs}
        assert len(structures) == 1, f"a cohort has one structure, not {len(structures)}"
        ordered = sorted(runs, key=_place)
        segments, start = [], 0
        for _, members in groupby(ordered, key=lambda run: _kind(run.recipe)):
            recipes = [run.recipe for run in members]
            active = {name for r in recipes for name in REGULARIZERS if r.hypers.get(name, 0.0) != 0.0}
            segments.append(
                Segment(
                    rule=averaged(regularize(shaped(recipes[0].rule, recipes[0].hypers), active), names),
                    exclude=recipes[0].exclude,
                    start=start,
                    stop=start + len(recipes),
                    noisy=any(r.hypers.get("noise", 0.0) > 0.0 for r in recipes),
                    averages=names,
                    clips=tuple(name for name in CLIPS if any(r.hypers.get(name) for r in recipes)),
                    anchored=any(r.hypers.get("anchor", 0.0) > 0.0 for r in recipes),
                )
            )
            start += len(recipes)
        return Cohort(runs=tuple(ordered), segments=tuple(segments), averages=averages)

    @property
    def id(self) -> str:
        """Hash of its runs' ids."""
        return content_id({"runs": [run.id for run in self.runs]})

    @property
    def recipe(self) -> Recipe:
        """Of its first run, to read what all of them share."""
        return self.runs[0].recipe

    @property
    def seeds(self) -> tuple[int, ...]:
        """Its seeds, each once, in ascending order."""
        return tuple(sorted({run.seed for run in self.runs}))

    @property
    def searches(self) -> bool:
        """Whether its rules look for their steps: all of them or none, since they have programs of their own."""
        return self.segments[0].rule.search is not None

    @property
    def first_step(self) -> int:
        """How many steps its runs have had in the phases before."""
        return self.recipe.first_step

    @property
    def num_scheduled(self) -> int:
        """How many numbers change from step to step: the learning rate, and the share of each average."""
        return 1 + len(self.segments[0].averages)

    @property
    def ascends(self) -> bool:
        """Whether its runs take their gradient where the loss is highest nearby (SAM): all do, or none."""
        return bool(self.recipe.hypers.get("sam_radius"))


def by_cohort(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Groups of runs that can be trained as one cohort: those of one structure, whatever fold is theirs."""
    ordered = sorted(runs, key=lambda run: run.recipe.together)
    for _, members in groupby(ordered, key=lambda run: run.recipe.together):
        yield list(members)


def split(runs: Iterable[Run], size: int) -> list[list[Run]]:
    """Runs in groups that can be cohorts of at most ``size`` runs, all of one structure about equally large.

    Runs of one rule stay together: fewer segments make a smaller program.
    """
    groups = []
    for _, members in groupby(sorted(runs, key=_place), key=lambda run: run.recipe.together):
        same = list(members)
        num = -(-len(same) // size)
        groups += [same[len(same) * i // num : len(same) * (i + 1) // num] for i in range(num)]
    return groups


def _kind(recipe: Recipe) -> tuple[str, str | None]:
    return recipe.rule, recipe.exclude


def _place(run: Run) -> tuple[str, str, str, str, int]:
    recipe = run.recipe
    return recipe.together, json.dumps(_kind(recipe)), f"{recipe.hypers['lr']:.17g}", recipe.id, run.seed
