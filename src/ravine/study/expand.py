"""From a study to its runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ravine.data import Dataset
from ravine.errors import StudyError
from ravine.rules import RULES
from ravine.rules.base import Hyper
from ravine.rules.regularize import REGULARIZERS
from ravine.schedules import label as schedule_label
from ravine.study.model import structure_of
from ravine.study.recipe import Recipe, Run, content_id
from ravine.study.spec import RuleBlock, Study
from ravine.study.values import draw_of, grid_of

DROPOUT = Hyper(about="probability of dropping a unit", default=0.0, low=0.0, high=1.0, high_open=True)


def runs_of(study: Study, data: Dataset, search: Path | None = None) -> list[Run]:
    """All runs of a study, rule by rule, in the order in which they stand in it.

    Args:
        study: what to try.
        data: the loaded data set: its size decides how many steps an epoch has, its fingerprint the ids.
        search: folder of the study file, where a user's module is looked for.

    Raises:
        StudyError: a hyper is out of its range, a batch is larger than the training set, a range has no ``num``.
    """
    model = structure_of(study.model, search)
    runs = [
        run for number, block in enumerate(study.rules) for run in _runs_of_rule(study, data, model, number, block)
    ]
    seen: dict[str, str] = {}
    for run in runs:
        if seen.setdefault(run.id, run.label) != run.label:
            raise StudyError(f"rules: {seen[run.id]!r} and {run.label!r} hold the same run {dict(run.chosen)}")
    return runs


def base_of(study: Study, data: Dataset, search: Path | None = None) -> str:
    """Hash of what must not change under one name; rules, values, schedules and seeds may be added."""
    return content_id(
        {
            "data": data.fingerprint,
            "model": structure_of(study.model, search),
            "epochs": study.epochs,
            "steps": study.steps,
            "evaluations": study.evaluations,
        }
    )


def _runs_of_rule(
    study: Study, data: Dataset, model: Mapping[str, Any], number: int, block: RuleBlock
) -> Iterator[Run]:
    where = f"rules.{number}"
    kind, hypers = block.complete()
    for config in _configs(study, where, kind, hypers):
        schedule, batch_size = config.pop("schedule"), config.pop("batch_size")
        recipe = _recipe(study, data, model, block, kind, config, schedule, batch_size)
        chosen: dict[str, float | str] = {name: config[name] for name in config if name in block.hypers or name == "lr"}
        if config["model.dropout"] or not isinstance(study.dropout, float):
            chosen["model.dropout"] = config["model.dropout"]
        if len(study.schedule) > 1:
            chosen["schedule"] = schedule_label(schedule)
        if len(study.batch_size) > 1:
            chosen["batch_size"] = str(batch_size)
        for seed in study.seeds:
            yield Run(recipe=recipe, seed=seed, label=block.label, chosen=chosen)


def _configs(study: Study, where: str, kind: str, hypers: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every combination of values, or as many random ones as asked for."""
    known = {**RULES[kind].hypers, **REGULARIZERS, "model.dropout": DROPOUT}
    axes: dict[str, Any] = {**hypers, "model.dropout": study.dropout}
    at = {name: "model.dropout" if name == "model.dropout" else f"{where}.{name}" for name in axes}
    listed = {"schedule": study.schedule, "batch_size": study.batch_size}
    if study.search.kind == "grid":
        grid = {name: grid_of(values, at[name]) for name, values in axes.items()}
        combinations = itertools.product(*grid.values(), *listed.values())
    else:
        draws = [draw_of(values, at[name]) for name, values in axes.items()]
        draws += [lambda u, items=items: items[min(int(u * len(items)), len(items) - 1)] for items in listed.values()]  # type: ignore[misc]
        combinations = iter(
            tuple(draw(u) for draw, u in zip(draws, point, strict=True))
            for point in _sobol(len(draws), study.search.trials or 1, study.search.seed)
        )
    for combination in combinations:
        config = dict(zip([*axes, *listed], combination, strict=True))
        for name in axes:
            known[name].check(name, config[name], at[name])
        yield config


def _sobol(dimensions: int, num: int, seed: int) -> list[list[float]]:
    """Scrambled Sobol points: they cover a box more evenly than independent draws (Sobol 1967, Owen 1998)."""
    from torch.quasirandom import SobolEngine

    points: list[list[float]] = SobolEngine(dimensions, scramble=True, seed=seed).draw(num).tolist()
    return points


def _recipe(
    study: Study,
    data: Dataset,
    model: Mapping[str, Any],
    block: RuleBlock,
    kind: str,
    config: Mapping[str, float],
    schedule: Any,
    batch_size: int | str,
) -> Recipe:
    num_train = len(data.train.y)
    size = num_train if batch_size == "full" else int(batch_size)
    if size > num_train:
        raise StudyError(f"batch_size = {size}: the training set has only {num_train} examples; write \"full\" for all")
    steps = study.steps if study.steps is not None else max(1, round((study.epochs or 0) * (num_train // size)))
    return Recipe(
        data=data.fingerprint,
        model=model,
        rule=kind,
        hypers=config,
        exclude=block.exclude,
        schedule=schedule.model_dump(mode="json"),
        steps=steps,
        batch_size=size,
        evaluate_every=max(1, -(-steps // study.evaluations)),
        full_batch=batch_size == "full",
    )
