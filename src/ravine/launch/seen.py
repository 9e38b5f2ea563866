"""What training sees of one example, epoch after epoch: the very numbers of its batches.

Shapes: C channel, H W space, D column, B example of a batch, S seed, K class.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ravine.augment.mix import Mixture, drawn_mixture
from ravine.augment.numbers import Words, example_key
from ravine.augment.spec import MIXING, Augment
from ravine.data import Dataset
from ravine.engine.augmenting import Augmenting
from ravine.engine.batches import Order, views_at
from ravine.engine.cohort import Cohort
from ravine.engine.state import Data
from ravine.errors import InputError
from ravine.features.views import SEED
from ravine.launch.subject import Subject, by_structure
from ravine.messages import whole_number
from ravine.study import Run
from ravine.study.augment import VIEWS, num_views, strength, techniques
from ravine.study.naming import naming

MOST_SETTINGS = 48
MOST_EPOCHS = 100

_NO_LABEL = "no label"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """An example in one epoch.

    Args:
        epoch: counted from 0.
        x: what training sees, standardized, (C, H, W) or (D,); None: the epoch leaves the example out.
        answer: its class, or the classes that it is mixed of with their weights, the heavier first; of a regression
            one number, as the data write it.
        share: what mixing keeps of the example; None: nothing is mixed, or x is None.
        partner: the example that it is mixed with; None: none.
    """

    epoch: int
    x: np.ndarray | None
    answer: tuple[tuple[str, float], ...] = ()
    share: float | None = None
    partner: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """An example under some strengths.

    Args:
        strengths: those above 0, by name.
        looks: one of each epoch.
    """

    strengths: Mapping[str, float]
    looks: tuple[Look, ...]

    @property
    def words(self) -> str:
        """The strengths, for people."""
        return ", ".join(f"{name} {value:g}" for name, value in self.strengths.items())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """What training sees of an example.

    Args:
        study: name of the study.
        data: its data set.
        seed: of the runs.
        example: its number in the training part.
        clean: the example as it is, standardized.
        answer: its class, or its number as the data write it.
        settings: of the study's runs, in its order.
        left_out: how many further settings are not shown.
    """

    study: str
    data: Dataset
    seed: int
    example: int
    clean: np.ndarray
    answer: str
    settings: tuple[Setting, ...]
    left_out: int = 0

    @property
    def is_picture(self) -> bool:
        """Whether it can be looked at."""
        return self.clean.ndim == 3


def seen(subject: Subject, *, seed: int, example: int, epochs: int) -> Seen:
    """What training sees of an example of a study, under each of its strengths.

    Args:
        subject: the study.
        seed: of the runs; any, whether the study trains it or not.
        example: number in the training part, from 0.
        epochs: how many are looked at, or as many as a run has.

    Raises:
        InputError: an argument is out of range, or the study changes no example.
    """
    study, data = subject.study, subject.data
    whole_number("seed", seed, 0, 2**31 - 1)
    whole_number("epochs", epochs, 1, MOST_EPOCHS)
    whole_number("example", example, 0, len(data.train) - 1)
    runs = _one_of_each(subject.runs())
    if not runs:
        with naming(study.origin):
            raise InputError(
                "augment: no technique has a strength above 0, so training sees the examples as they are; write "
                "augment = { flip = 0.5 }, for example"
            )
    train = Data.of(data.train, subject.device)
    found: dict[str, Setting] = {}
    for same in by_structure([replace(run, seed=seed) for run in runs[:MOST_SETTINGS]]):
        for run, setting in zip(same, _settings(same, data, train, example, epochs), strict=True):
            found[run.recipe.id] = setting
    return Seen(
        study=study.name,
        data=data,
        seed=seed,
        example=example,
        clean=data.train.some([example])[0],
        answer=_answer(data, train.y[example].cpu().numpy()),
        settings=tuple(found[run.recipe.id] for run in runs[:MOST_SETTINGS]),
        left_out=max(0, len(runs) - MOST_SETTINGS),
    )


def _one_of_each(runs: Sequence[Run]) -> list[Run]:
    """A run of each setting that changes examples, of the study's first batch size."""
    first, known = runs[0].recipe, dict[str, Run]()
    for run in runs:
        recipe = run.recipe
        names = techniques([recipe.hypers])
        if not names or (recipe.batch_size, recipe.full_batch) != (first.batch_size, first.full_batch):
            continue
        key = json.dumps([recipe.augment, [[name, strength(recipe.hypers, name)] for name in names]])
        known.setdefault(key, run)
    return list(known.values())


def _settings(
    runs: Sequence[Run], data: Dataset, train: Data, example: int, epochs: int
) -> Iterator[Setting]:
    """The settings of runs of one structure and one seed, in their order."""
    cohort = Cohort.of(runs)
    recipe, (seed,) = cohort.recipe, cohort.seeds
    num = num_views(recipe.augment)
    drawn = replace(cohort, runs=tuple(map(_as_drawn, cohort.runs))) if num else cohort
    augmenting = Augmenting.of(
        drawn, data, train, drawn.seeds, several=False, num_threads=torch.get_num_threads()
    )
    assert augmenting is not None, "only runs that change examples are looked at"
    order = Order((seed,), len(data.train), recipe.batch_size, train.x.device)
    groups = augmenting.groups.of_run_R.tolist()
    looks: dict[str, list[Look]] = {run.id: [] for run in runs}
    for epoch in range(min(epochs, -(-recipe.steps // order.batches_per_epoch))):
        step, place, rows_SB = _step_of(example, epoch, order, recipe.full_batch)
        if step is None or step >= recipe.steps:
            for run in runs:
                looks[run.id].append(Look(epoch=epoch, x=None))
            continue
        if num:  # the view that the epoch has is the draw of another epoch
            view = int(views_at(torch.tensor([seed]), epoch, len(data.train), num)[0, example])
            step = view * order.batches_per_epoch
        batch = augmenting.at(rows_SB, step)
        for run, group in zip(cohort.runs, groups, strict=True):
            mixture = _mixture(run, epoch, rows_SB[0], data)
            y = batch.y[group, place].cpu().numpy()
            share = None if mixture is None else float(mixture.lam[place])
            partner = None if mixture is None else int(rows_SB[0, int(mixture.partner[place])])
            looks[run.id].append(
                Look(
                    epoch=epoch,
                    x=batch.x[group, place].cpu().numpy().copy(),
                    answer=_answers(data, y),
                    share=share,
                    partner=None if share in (None, 1.0) else partner,
                )
            )
    for run in runs:
        names = techniques([run.recipe.hypers])
        strengths = {name: strength(run.recipe.hypers, name) for name in names}
        yield Setting(strengths=strengths, looks=tuple(looks[run.id]))


def _as_drawn(run: Run) -> Run:
    """The run that sees a run's views in its epochs; see `ravine.features.views`."""
    options = {name: value for name, value in (run.recipe.augment or {}).items() if name != VIEWS}
    return replace(run, recipe=replace(run.recipe, augment=options or None), seed=SEED)


def _step_of(example: int, epoch: int, order: Order, full: bool) -> tuple[int | None, int, torch.Tensor]:
    """The step of an epoch that has an example in its batch, None if none has; its place there; the batch's rows."""
    first = epoch * order.batches_per_epoch
    if full:
        return first, example, torch.arange(order.num_examples)[None]
    rows_TSB = order.rows(first)
    at = (rows_TSB == example).nonzero()
    if not len(at):
        return None, 0, rows_TSB[0]
    batch, _, place = at[0].tolist()
    return first + batch, place, rows_TSB[batch]


def _mixture(run: Run, epoch: int, rows_B: torch.Tensor, data: Dataset) -> Mixture | None:
    """How a batch is mixed; None: it is not."""
    names = techniques([run.recipe.hypers])
    if not any(name in names for name in MIXING):
        return None
    rows_B = rows_B.cpu()
    strengths = {name: torch.tensor(strength(run.recipe.hypers, name)) for name in names}
    words = Words(example_key(run.seed, epoch), rows_B)
    shape = data.input_shape
    size = (shape[-2], shape[-1]) if len(shape) == 3 else None
    options = Augment.of(run.recipe.augment or {})
    return drawn_mixture(words, strengths, len(rows_B), size, options)


def _answer(data: Dataset, y: np.ndarray) -> str:
    if data.targets:
        values = zip(data.targets, data.in_own_units(y), strict=True)
        return ", ".join(f"{name} {float(value):.4g}" for name, value in values)
    if data.task == "multilabel":
        return ", ".join(data.classes[int(k)] for k in np.flatnonzero(y > 0)) or _NO_LABEL
    return data.classes[int(y)] if data.task == "classification" else f"{float(data.in_own_units(y)):.4g}"


def _answers(data: Dataset, y: np.ndarray) -> tuple[tuple[str, float], ...]:
    """A class, a number, several numbers, or the classes of a mixed answer; labels, each with its share."""
    if data.task == "multilabel":
        return tuple((data.classes[int(k)], float(y[k])) for k in np.flatnonzero(y > 0)) or (
            (_NO_LABEL, 1.0),
        )
    if y.ndim == 0 or data.targets:
        return ((_answer(data, y), 1.0),)
    heaviest = np.argsort(-y, kind="stable")[:2]
    return tuple((data.classes[int(k)], float(y[k])) for k in heaviest if y[k] > 0)
