"""A study that trains one config of another study for longer, its schedule stretched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ravine.errors import StudyError
from ravine.messages import shown
from ravine.schedules import parse_schedule
from ravine.schedules.spec import ScheduleSpec
from ravine.study.block import block_of
from ravine.study.phases import NOT_FOR_HEAD, Phase
from ravine.study.recipe import Recipe
from ravine.study.search import Search
from ravine.study.spec import Study
from ravine.study.stages import Regularize
from ravine.study.stop import PATIENCE

# Of schedules: steps where they are whole numbers, else fractions.
_LENGTHS = ("warmup", "every", "half", "peak")


def longer(
    study: Study,
    label: str,
    recipe: Mapping[str, Any],
    seeds: Sequence[int],
    times: int,
    name: str,
    chosen: Mapping[str, float | str],
) -> Study:
    """The study of one config, so many times as long.

    Args:
        study: which has the config.
        label: of its rule.
        recipe: of one of its runs, as a store has it.
        seeds: that are trained.
        times: how many times as long.
        name: of the new study.
        chosen: what the study chose for that run.

    Raises:
        StudyError: the study has no such rule or model any more, or the new one would be too long.
    """
    own = Recipe.of(recipe)
    if all(each.label != label for each in study.rules):
        raise StudyError(f"study {study.name!r}: it has no rule {shown(label)} any more; run it again")
    part = next((each for each in study.parts if each.chosen.items() <= chosen.items()), None)
    if part is None:
        raise StudyError(f"study {study.name!r}: it has not the model of that run any more; run it again")
    block = block_of(part.study.rules, label)
    rates = {rate: own.hypers.get(f"model.{rate}", 0.0) for rate in part.study.rates}
    phases = tuple(_longer(phase, times) for phase in part.study.phases)
    hypers = {key: own.hypers.get(key, NOT_FOR_HEAD.get(key, 0.0)) for key in ("lr", *block.hypers)}
    if phases:  # whose factors come on top of the rule's own
        hypers["lr"] = float(chosen["lr"])
    length = {"phases": phases} if phases else {"steps": own.steps * times}
    return replace(
        part.study,
        name=name,
        rules=(replace(block, hypers=hypers),),
        **length,
        batch_size=("full" if own.full_batch else own.batch_size,),
        seeds=tuple(seeds),
        schedule=(stretched(_schedule(part.study, own), times),),
        rates=rates,
        label_smoothing=own.hypers.get("label_smoothing", 0.0),
        augment=None if part.study.augment is None else part.study.augment.at(own.hypers),
        stop=None
        if part.study.stop is None
        else replace(part.study.stop, patience=own.hypers.get(PATIENCE, 0.0)),
        search=Search(),
        tune="joint",
        regularize=Regularize(),
        compare="rule",
        variants=(),
        keep=None,
        averages=None,
        test_time=None,
    )


def _longer(phase: Phase, times: int) -> Phase:
    return replace(
        phase,
        epochs=None if phase.epochs is None else phase.epochs * times,
        steps=None if phase.steps is None else phase.steps * times,
        schedule=None if phase.schedule is None else stretched(phase.schedule, times),
    )


def _schedule(study: Study, recipe: Recipe) -> ScheduleSpec:
    """That of a run's phases that have none of their own."""
    for phase, each in zip(study.phases, recipe.chain, strict=False):
        if phase.schedule is None:
            return parse_schedule(each.schedule)
    return study.schedule[0] if study.phases else parse_schedule(recipe.schedule)


def stretched(schedule: ScheduleSpec, times: int) -> ScheduleSpec:
    """A schedule for a run so many times as long: lengths in steps grow with it, fractions stay.

    Example:
        >>> stretched(parse_schedule({"kind": "cosine", "warmup": 10}), 3)
        Cosine(warmup=30, kind='cosine', final=0.0)
    """
    lengths = {name: getattr(schedule, name, 0.0) for name in _LENGTHS}
    return schedule.but(
        **{name: times * value for name, value in lengths.items() if isinstance(value, int) and value}
    )
