"""The configs of a study: which values each rule is tried with, and how many combinations that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ravine.errors import StudyError
from ravine.messages import count, lacking
from ravine.schedules import ScheduleSpec
from ravine.schedules.spec import Constant
from ravine.study.block import RuleBlock, block_of
from ravine.study.fields import BatchSize
from ravine.study.parts import Part
from ravine.study.search import MOST_RUNS, Search
from ravine.study.stages import DROPOUT
from ravine.study.values import Range, Values, options


class Declared(Protocol):
    """What of a study says which configs it has."""

    @property
    def rules(self) -> tuple[RuleBlock, ...]:
        """The update rules."""

    @property
    def schedule(self) -> tuple[ScheduleSpec, ...]:
        """The schedules."""

    @property
    def batch_size(self) -> tuple[BatchSize, ...]:
        """The batch sizes."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of each config."""

    @property
    def search(self) -> Search:
        """How configs are drawn."""

    @property
    def tune(self) -> str:
        """Whether there is a second stage."""

    @property
    def factors(self) -> Mapping[str, Values]:
        """The values of each hyper beside the rules' own."""

    @property
    def rates_left(self) -> tuple[float, ...]:
        """The rates of dropout that a second stage tries."""

    @property
    def parts(self) -> Sequence[Part[Any]]:
        """What of it has one model each."""

    @property
    def num_runs(self) -> int:
        """How many runs it is."""


def axes_of(study: Declared, block: RuleBlock) -> dict[str, Any]:
    """What a rule's configs are made of, by name: tuples of values, in random search ranges too."""
    grid = study.search.kind == "grid"
    axes: dict[str, Any] = {name: options(v, grid=grid) for name, v in block.complete()[1].items()}
    axes |= {name: options(values, grid=grid) for name, values in study.factors.items()}
    if study.rates_left:
        axes[DROPOUT] = (0.0,)
    schedules = (Constant(),) if study.tune == "staged" else study.schedule
    return {**axes, "schedule": schedules, "batch_size": study.batch_size}


def num_configs(study: Declared, block: RuleBlock) -> int:
    """How many configs a rule gets; random search gives none twice, so there may be fewer than trials."""
    if len(study.parts) > 1:
        return sum(num_configs(part.study, block_of(part.study.rules, block.label)) for part in study.parts)
    axes = axes_of(study, block)
    trials = study.search.trials
    if trials is not None and any(isinstance(axis, Range) for axis in axes.values()):
        return trials
    all_of_them = math.prod(len(axis) for axis in axes.values())
    return all_of_them if trials is None else min(trials, all_of_them)


def check_size(study: Declared) -> None:
    """Every range in a grid has ``num``, and the whole is not too much."""
    if study.search.kind == "grid":
        of_rules = {
            f"rules.{i}.{key}": v for i, rule in enumerate(study.rules) for key, v in rule.hypers.items()
        }
        for where, values in {**of_rules, **study.factors}.items():
            if isinstance(values, Range) and values.num is None:
                raise lacking(
                    f"{where}.num",
                    "missing: a grid needs to know how many values; only "
                    'search = { kind = "random", trials = 30 } does without',
                )
    if study.num_runs > MOST_RUNS:
        raise StudyError(
            f"rules, seeds: this study is {study.num_runs:,} runs, {count(len(study.seeds), 'seed')} of each config; "
            f"at most {MOST_RUNS:,} are allowed",
            at=[("rules",), ("seeds",)],
        )
