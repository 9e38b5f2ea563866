"""From a study to its runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ravine.data import Dataset
from ravine.data.parts import check_parts
from ravine.errors import StudyError
from ravine.messages import shown, wrong
from ravine.metrics import weighted
from ravine.schedules import ScheduleSpec
from ravine.schedules import label as schedule_label
from ravine.study.augment import check_augmentation
from ravine.study.block import RuleBlock, block_of
from ravine.study.boundary import boundary_mark, heads_alone
from ravine.study.configs import axes_of, num_configs
from ravine.study.fields import DEFAULT_BATCH, BatchSize
from ravine.study.heads import check_views, check_views_used
from ravine.study.ladder import Taught, check_weighed, parts_in, taught_of
from ravine.study.losses import check_loss
from ravine.study.metric import Judged, check_metric, judged_by_loss
from ravine.study.model import marks_of, structure_of
from ravine.study.naming import naming
from ravine.study.parts import Part
from ravine.study.phases import Phase, check_schedules
from ravine.study.precision import lines_of
from ravine.study.recipe import MARKS, Recipe, Run, content_id, lasting_hypers
from ravine.study.search import sobol
from ravine.study.spec import Study
from ravine.study.stages import DROPOUT
from ravine.study.stop import PATIENCE
from ravine.study.values import Range, plain
from ravine.study.variants import naming_variant

STAGE = "stage"  # what a staged study's runs have among their chosen values: "1" or "2"
_BLOCK = 256  # Sobol points that are drawn at a time


def runs_of(study: Study, data: Dataset, search: Path | None = None) -> list[Run]:
    """All runs of a study, rule by rule, in the study's order; of a staged study the first stage.

    Args:
        study: what to try.
        data: the loaded data set: its size decides how many steps an epoch has, its fingerprint the ids.
        search: folder of the study file, where a user's module is looked for.

    Raises:
        StudyError: a batch is larger than the training set, a warm-up longer than the run, or two rules contain
            the same run.
        ModelError: the user's module is not there.

    Example:
        >>> from ravine.data import load
        >>> rules = [{"kind": "sgd", "lr": [0.1, 1]}]
        >>> study = Study(name="s", data="iris", model="mlp", epochs=2, rules=rules)
        >>> [(run.label, run.chosen["lr"], run.seed) for run in runs_of(study, load(study.data))][:4]
        [('sgd', 0.1, 0), ('sgd', 0.1, 1), ('sgd', 0.1, 2), ('sgd', 1.0, 0)]
    """
    with naming(study.origin):
        for part in study.parts:
            with _naming(study, part):
                _check_task(part.study, data)
        if study.ladder is not None:
            check_parts(data, study.ladder.per_class)
            check_weighed(data, study.ladder)
        judged = judged_of(study)
        if judged is not None:
            metric = judged.metric(search)
            if data.score_weights is not None:
                metric = weighted(metric, data.task)
            for fold, cut in parts_in(data, study.ladder):
                answers = {"validation": cut.validation.y, "test": cut.test.y}
                weights = dict(zip(answers, cut.score_weights or (None, None), strict=True))
                check_metric(metric, data.task, data.classes, answers, fold, weights)
        structures = [structure_of(part.model, search) for part in study.parts]
        runs: list[Run] = []
        for block in study.rules:
            for part, model in zip(study.parts, structures, strict=True):
                with _naming(study, part):
                    own = block_of(part.study.rules, block.label)
                    for taught in taught_of(study.ladder, data):
                        runs += _runs_of_rule(part, taught, model, own)
        check_views_used(runs, [part.study.augment for part in study.parts])
        first: dict[str, Run] = {}
        for run in runs:
            other = first.setdefault(run.id, run)
            if other is not run:
                if other.label == run.label:
                    raise StudyError(_twice(other, run))
                raise StudyError(
                    f"rules: {other.label!r} and {run.label!r} contain the same run (lr = {run.chosen['lr']}, "
                    f"seed {run.seed}); leave it out of one of them"
                )
        return runs


def decayed_runs(study: Study, winners: Sequence[Run]) -> list[Run]:
    """The second stage of a staged study: each rule's winner again, with every decay and every seed.

    Args:
        study: whose decays and seeds.
        winners: a run of the config that each rule's first stage chose, of any seed.
    """
    return [
        Run(
            recipe=replace(winner.recipe, schedule=schedule.plain()),
            seed=seed,
            label=winner.label,
            chosen={**winner.chosen, "schedule": schedule_label(schedule), STAGE: "2"},
        )
        for winner in winners
        for schedule in study.decays
        for seed in study.seeds
    ]


def regularized_runs(study: Study, winners: Sequence[Run]) -> list[Run]:
    """The second stage of a study that regularizes: rules' winners again, with every rate of dropout and every seed.

    Args:
        study: whose rates and seeds.
        winners: a run of the config that a rule's first stage chose, of any seed.
    """
    found = []
    for winner in winners:
        part = next(each for each in study.parts if each.chosen.items() <= winner.chosen.items())
        structure = {key: value for key, value in winner.recipe.model.items() if key not in MARKS}
        for rate in part.study.rates_left:
            hypers = {**winner.recipe.hypers, DROPOUT: rate}
            model = {**structure, **marks_of(part.model, part.study.rates, hypers)}
            recipe = replace(winner.recipe, model=model, hypers=lasting_hypers(hypers))
            chosen = {**winner.chosen, DROPOUT: rate, STAGE: "2"}
            found += [
                Run(recipe=recipe, seed=seed, label=winner.label, chosen=chosen) for seed in study.seeds
            ]
    return found


def base_of(study: Study, data: Dataset, search: Path | None = None) -> str:
    """Hash of what must not change under one name.

    That is the data, the first model, the length, the evaluations, the first batch size and options of augmentation.
    Rules, values, seeds and schedules may be added, and further models, batch sizes and techniques.

    Args:
        study: what to try.
        data: the loaded data set.
        search: folder of the study file, where a user's module is looked for.

    Raises:
        ModelError: the user's module is not there.
    """
    with naming(study.origin):
        options = study.augment.options.changed() if study.augment is not None else {}
        return content_id(
            {
                **({"augment": options} if options else {}),
                "data": data.fingerprint,
                "model": structure_of(study.models[0], search),
                "epochs": study.epochs,
                "steps": study.steps,
                **({"phases": [each.content() for each in study.phases]} if study.phases else {}),
                "batch_size": _base_batch(study.batch_size[0], len(data.train)),
                "evaluations": study.evaluations,
                **({"ladder": study.ladder.least_steps} if study.ladder is not None else {}),
                **({"precision": study.precision} if study.precision not in (None, "float32") else {}),
            }
        )


def notes_of(study: Study, data: Dataset) -> tuple[str, ...]:
    """What a reader should know of how the study was fitted to its data, a sentence each."""
    notes = []
    if study.ladder is None and "auto" in study.batch_size and len(data.train) < DEFAULT_BATCH:
        size = len(data.train)
        notes.append(
            f"batch_size: {size}, all training examples: the default, {DEFAULT_BATCH}, is more than that"
        )
    return (*notes, *lines_of(study.precision))


def _naming(study: Study, part: Part[Study]) -> AbstractContextManager[None]:
    """Errors name the variant that they are in."""
    return naming_variant(study.variants, [part.chosen.get("variant")])


def judged_of(study: Study) -> Judged | None:
    """What a study is judged by: what it says, or what its loss asks for; None: what is usual for its task."""
    if study.metric is not None:
        return study.metric
    losses = [None if each.study.loss is None else each.study.loss.content() for each in study.parts]
    return judged_by_loss(losses[0]) if all(each == losses[0] for each in losses) else None


def _check_task(study: Study, data: Dataset) -> None:
    """See that what a study asks for has a meaning for the task of its data."""
    smoothing = study.label_smoothing
    what = "a regression" if data.task == "regression" else "a task of labels"
    if data.task != "classification" and smoothing not in (0.0, (0.0,)):
        words = f"{data.name} is {what}, and only classes are smoothed; leave it out"
        raise wrong("label_smoothing", plain(smoothing), words)
    check_loss(study.loss, study.augment, data)
    if study.tune == "regularize" and data.task != "classification":
        words = f"{data.name} is {what}, and overfitting is a gap of accuracies; allowed: joint, staged"
        raise wrong("tune", study.tune, words)
    if study.augment is not None:
        check_augmentation(study.augment, data)
    if data.task == "regression" and study.stop is not None and study.stop.metric == "accuracy":
        raise wrong("stop.metric", "accuracy", f"{data.name} is a regression, which has only a loss")


def _base_batch(size: BatchSize, num_train: int) -> int | str:
    """What of a batch size must not change under one name: "full" stays "full", whatever the number of examples."""
    return min(DEFAULT_BATCH, num_train) if size == "auto" else size


def _twice(first: Run, second: Run) -> str:
    """That two parts of a study have one run in common."""
    key = next((key for key in first.chosen if first.chosen[key] != second.chosen.get(key)), "model")
    both = " and ".join(shown(str(run.chosen.get(key))) for run in (first, second))
    return f"{key}: {both} contain the same run (lr = {first.chosen['lr']}, seed {first.seed}); leave one of them out"


def _runs_of_rule(
    part: Part[Study], taught: Taught, model: Mapping[str, Any], block: RuleBlock
) -> Iterator[Run]:
    study, (kind, _) = part.study, block.complete()
    only = taught.only_config(axes_of(study, block))
    for config in _configs(study, block) if only is None else [only]:
        schedule, batch_size = config.pop("schedule"), config.pop("batch_size")
        own = {**model, **marks_of(part.model, study.rates, config)}
        recipe = _recipe(study, taught, own, kind, block.exclude, config, schedule, batch_size)
        chosen: dict[str, float | str] = {"lr": config["lr"]}
        chosen |= {name: value for name, value in config.items() if name in block.hypers}
        chosen |= {name: config[name] for name, values in study.factors.items() if values != 0.0}
        if study.decays or len(study.schedule) > 1:
            chosen["schedule"] = schedule_label(schedule)
        if len(study.batch_size) > 1:
            chosen["batch_size"] = str(batch_size)
        if study.staged:
            chosen[STAGE] = "1"
        chosen |= {**part.chosen, **taught.chosen}
        for seed in study.seeds:
            yield Run(recipe=recipe, seed=seed, label=block.label, chosen=chosen)


def _configs(study: Study, block: RuleBlock) -> Iterator[dict[str, Any]]:
    """Every combination of values; in random search as many different ones as asked for, or as there are."""
    axes = axes_of(study, block)
    num = num_configs(study, block)
    has_range = any(isinstance(axis, Range) for axis in axes.values())
    if not has_range and num == math.prod(len(axis) for axis in axes.values()):
        for combination in itertools.product(*axes.values()):
            yield dict(zip(axes, combination, strict=True))
        return
    fixed = {name: axis[0] for name, axis in axes.items() if not isinstance(axis, Range) and len(axis) == 1}
    free = {name: axis for name, axis in axes.items() if name not in fixed}
    known: set[tuple[Any, ...]] = set()
    for start in range(0, 20 * num + 10_000, _BLOCK):
        for point in sobol(start, _BLOCK, list(free), study.search.seed).tolist():
            places = tuple(_place(axis, u) for axis, u in zip(free.values(), point, strict=True))
            if places in known:
                continue
            known.add(places)
            drawn = {
                name: place if isinstance(axis, Range) else axis[place]
                for (name, axis), place in zip(free.items(), places, strict=True)
            }
            yield {name: fixed[name] if name in fixed else drawn[name] for name in axes}
            if len(known) == num:
                return
    raise StudyError(
        f"rules: {block.label!r} has fewer than {num} different configs; "
        "widen a range or ask for fewer trials"
    )


def _place(axis: Range | tuple[Any, ...], fraction: float) -> float | int:
    """The value of a range, or the index of a choice, a fraction of the way along it."""
    return axis.at(fraction) if isinstance(axis, Range) else int(fraction * len(axis))


def _recipe(
    study: Study,
    taught: Taught,
    model: Mapping[str, Any],
    kind: str,
    exclude: str | None,
    hypers: Mapping[str, float],
    schedule: ScheduleSpec,
    batch_size: BatchSize,
) -> Recipe:
    num_train = taught.num_train
    size = num_train if batch_size == "full" else _base_batch(batch_size, num_train)
    assert isinstance(size, int), f"{size!r} is no number of examples"
    if size > num_train:
        raise StudyError(
            f'batch_size = {size}: {taught.words} has only {num_train} examples; write "full" for all'
        )
    # Examples that do not fill a last batch are left out: an epoch has a whole number of steps.
    per_epoch = num_train // size
    if study.phases:
        lengths = [phase.num_steps(per_epoch, taught.least_steps) for phase in study.phases]
        check_schedules(study.phases, lengths, schedule)
    else:
        lengths = [study.steps or max(taught.least_steps, round((study.epochs or 0.0) * per_epoch))]
        _check_warmup(study, schedule, lengths[0])
    before: Recipe | None = None
    trained: list[str] = []
    for number, (phase, steps) in enumerate(zip(study.phases or (Phase(),), lengths, strict=True)):
        last = number == len(lengths) - 1
        own = phase.hypers_of(hypers if last else {**hypers, PATIENCE: 0.0})
        trained.append(phase.train)
        before = Recipe(
            data=taught.fingerprint,
            model={**model, **boundary_mark(model, trained, own)},
            rule=kind,
            hypers=lasting_hypers(own),
            exclude=exclude,
            schedule=(phase.schedule or schedule).plain(),
            steps=steps,
            batch_size=size,
            evaluate_every=max(1, -(-steps // study.evaluations)),
            full_batch=batch_size == "full",
            augment=None
            if study.augment is None
            else study.augment.used(own, on_features=heads_alone(model, trained, own)),
            stop=((study.stop and study.stop.rest()) or None) if own[PATIENCE] else None,
            before=None if before is None else before.content(),
            train=phase.train,
            part=taught.content,
            precision=study.precision or "float32",
            loss=None if study.loss is None else study.loss.of_recipe(taught.task, taught.classes),
        )
    assert before is not None, "a run has a phase"
    check_views(before)
    return before


def _check_warmup(study: Study, schedule: ScheduleSpec, steps: int) -> None:
    for each in study.decays or (schedule,):
        if isinstance(each.warmup, int) and each.warmup >= steps:
            where = f"schedule.{study.schedule.index(each)}" if len(study.schedule) > 1 else "schedule"
            raise StudyError(f"{where}.warmup = {each.warmup}: must be fewer steps than the run's {steps}")
