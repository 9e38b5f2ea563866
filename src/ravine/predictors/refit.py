"""Trains the members of a choice again, on training and validation examples together, for the same number of epochs.

Nothing is left to judge them by, so that no score is claimed. They come from the same engine as all runs, and nothing
is stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ravine.data import Dataset
from ravine.data.dataset import fingerprint
from ravine.engine.beginning import End
from ravine.engine.cohort import Cohort, split
from ravine.engine.plan import plan
from ravine.engine.records import Finished
from ravine.engine.training import Training
from ravine.errors import InputError
from ravine.launch.rounds import parent_of, parents_of
from ravine.launch.subject import Subject, by_structure
from ravine.outcomes.member import Member
from ravine.predictors.choice import Choice
from ravine.store import RESTORED
from ravine.study import Recipe, Run, Study
from ravine.study.naming import naming

Weights = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Refitted:
    """Members that were trained again.

    Args:
        weights: by name of the member: tensors by name.
        examples: how many they were trained on.
        fingerprint: of these data.
        steps: how many each took in all of its phases, by name.
    """

    weights: Mapping[str, Weights]
    examples: int
    fingerprint: str
    steps: Mapping[str, int]


def refit(
    choice: Choice, study: Study, *, search: Path | None = None, device: str = "auto"
) -> Iterator[tuple[int, int] | Refitted]:
    """Train the members of a choice again.

    Args:
        choice: whose members.
        study: the study, for data and model.
        search: its file's folder.
        device: "auto", "cpu", "cuda" or "mps".

    Yields:
        Steps done and steps in all, over all members, and at the end what came of it.

    Raises:
        InputError: data or model have changed, a member diverges, or one is no run that can be trained again.
    """
    lost = next(
        (each for each in choice.members if each.step is not None or each.name in choice.weights), None
    )
    if lost is not None:
        raise InputError(
            f"refit: {choice.what} cannot be trained again: its weights are the mean of several runs'"
        )
    early = next((each for each in choice.runs.values() if RESTORED in each.metrics), None)
    if early is not None:
        raise InputError(
            f"refit: run {early.id} has the weights of step {early.weights_of:,} of {early.num_steps:,}, which its "
            "validation examples chose: with these in training nothing would choose; export without refit"
        )
    subject = Subject.of(study, search=search, device=device)
    with naming(study.origin):
        subject.check_same(list(choice.runs.values()))
    data = with_validation(subject.data)
    subject = replace(subject, data=data)
    runs = {
        record.id: Run(
            recipe=_longer(Recipe.of(record.recipe), choice.labels.sizes[0], data),
            seed=record.seed,
            label=record.rule,
            chosen=record.hypers,
        )
        for record in choice.runs.values()
    }
    needed = [each for each in choice.members if each.average]
    averages = study.averages if needed else None
    for each in needed:
        if averages is None or each.average not in averages.tracked:
            raise InputError(f"refit: average {each.average!r} is not among the study's [averages] any more")
    members = {run.id: run for run in runs.values()}
    every = [*parents_of(list(members.values())), *members.values()]
    parents = {parent.id for run in every if (parent := parent_of(run)) is not None}
    total, done = sum(run.recipe.steps for run in every), 0
    found: dict[tuple[str, str], Weights] = {}
    ends: dict[str, End] = {}
    for same in _rounds(every, members):
        own = averages if same[0].id in members else None
        network, data = subject.network(same), subject.data_of(same)
        chosen = plan(same, network, data, subject.device, "auto", len(own.tracked) if own else 0)
        for group in split(same, chosen.size):
            cohort, begun = Cohort.of(group, own), _begun(group, ends)
            training = Training(cohort, network, data, chosen.backend, subject.device, ends=begun)
            for record in training.records(ends=not parents.isdisjoint(run.id for run in group)):
                if isinstance(record, Finished):
                    _collect(record, found)
                    ends |= _ends(record)
                    done += sum(run.recipe.steps for run in group)
                    yield done, total
                else:
                    yield done + len(group) * record.step, total
    yield Refitted(
        weights={each.name: _of(each, runs, found) for each in choice.members},
        examples=len(subject.data.train),
        fingerprint=subject.data.fingerprint,
        steps={each.name: sum(of.steps for of in runs[each.run].recipe.chain) for each in choice.members},
    )


def with_validation(data: Dataset) -> Dataset:
    """The same data, with the validation examples behind those of training."""
    train = data.train.followed_by(data.validation)
    splits = (train, data.validation, data.test)
    return replace(
        data,
        train=train,
        fingerprint=fingerprint(
            data.task, splits, data.classes, data.target_mean, data.target_scale, targets=data.targets
        ),
    )


def _longer(recipe: Recipe, num_before: int, data: Dataset) -> Recipe:
    """The recipe for more examples: as many epochs as before in each phase, and no evaluation on the way."""
    num_train = len(data.train)
    size = num_train if recipe.full_batch else recipe.batch_size
    epochs = recipe.steps / max(1, num_before // recipe.batch_size)
    steps = max(1, round(epochs * (num_train // size)))
    before = None if recipe.parent is None else _longer(recipe.parent, num_before, data).content()
    return replace(
        recipe, data=data.fingerprint, batch_size=size, steps=steps, evaluate_every=steps, before=before
    )


def _rounds(runs: Sequence[Run], members: Collection[str]) -> Iterator[list[Run]]:
    """Runs that are trained at once: of one structure, members or not; those that others go on from come first."""
    for num in sorted({len(run.recipe.chain) for run in runs}):
        phase = [run for run in runs if len(run.recipe.chain) == num]
        yield from by_structure([run for run in phase if run.id not in members])
        yield from by_structure([run for run in phase if run.id in members])


def _begun(runs: Sequence[Run], ends: Mapping[str, End]) -> dict[str, End] | None:
    """The end that each run goes on from; None where they begin anew."""
    found = {run.id: ends[parent.id] for run in runs if (parent := parent_of(run)) is not None}
    return found or None


def _ends(record: Finished) -> dict[str, End]:
    """The ends of runs, for those that go on from them."""
    return {
        run: End(
            weights={name: array[place] for name, array in record.weights.items()},
            kept={name: array[place] for name, array in record.kept.items()},
        )
        for place, run in enumerate(record.runs)
    }


def _collect(record: Finished, found: dict[tuple[str, str], Weights]) -> None:
    if record.diverged:
        run, step = next(iter(record.diverged.items()))
        raise InputError(
            f"refit: run {run} diverged at step {step:,} when it was trained on training and validation examples; "
            "export without refit"
        )
    for place, run in enumerate(record.runs):
        found[run, ""] = {name: tensor[place] for name, tensor in record.weights.items()}
    for name, average in record.averages.items():
        for place, run in enumerate(average.runs):
            found[run, name] = {key: tensor[place] for key, tensor in average.weights.items()}


def _of(member: Member, runs: Mapping[str, Run], found: Mapping[tuple[str, str], Weights]) -> Weights:
    return found[runs[member.run].id, member.average]
