"""Every problem of a study: with its keys, its data and its model, found without training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ravine.backbones.about import about
from ravine.data import Dataset, load
from ravine.engine.plan import plan
from ravine.errors import InputError
from ravine.free_memory import memory_errors
from ravine.launch.averages import check_averages, without_lines
from ravine.launch.checked import check_test_time
from ravine.launch.room import AveragesRoom, room_of
from ravine.launch.rounds import rounds_of
from ravine.launch.subject import Subject, by_structure
from ravine.messages import count
from ravine.nn.spec import MLP, Backbone, ConvNet, ResNet
from ravine.study import Run, Study
from ravine.study.cost import cost_lines
from ravine.study.folds import folds_in
from ravine.study.ladder import first_draw, parts_in
from ravine.study.model import structure_of
from ravine.study.precision import lines_of
from ravine.study.problems import faults_of
from ravine.study.reading import read_data
from ravine.study.trust import trusting


def problems(
    content: Mapping[str, Any], search: Path | None = None, trust: Sequence[str] = ()
) -> list[InputError]:
    """What is wrong with a study: one error per problem, and none that only follows from another.

    Args:
        content: a study file's keys and values.
        search: the file's folder, where data and modules are looked for.
        trust: installed packages all of whose functions may be a model's target.
    """
    faults, study, parts = faults_of(content, search)
    if study is None:
        return faults
    study = trusting(study, trust)
    loaded: list[Dataset] = []
    own: list[InputError] = []
    if "model" not in parts:
        own = list(_faults(lambda: [structure_of(model, search) for model in study.models]))
    if "data" not in parts:
        # A backbone's weights say how pictures are read, where there are such weights.
        faults += _faults(lambda: loaded.append(_blank(study, search, as_the_model_wants=not own)))
    faults += own
    if not faults:  # of folds, what is refused depends on what each has for training
        faults += _faults(lambda: list(parts_in(loaded[0], None)))
    if not faults:  # only then is it known which model is to be tried on which data
        faults += _faults(lambda: _try(study, loaded[0], search))
    return faults


def remarks(study: Study, search: Path | None = None) -> list[str]:
    """Lines about a sound study: the disk space of the weights and averages that it keeps, and outputs that look wrong.

    Args:
        study: the study.
        search: its file's folder.

    Raises:
        InputError: it is not sound.
    """
    own = not all(isinstance(model, MLP | ConvNet | ResNet) for model in study.models)
    asked = (
        study.keep,
        study.averages,
        study.test_time,
        study.ladder,
        study.phases or None,
        folds_in(study.data) or None,
    )
    if all(each is None for each in asked) and not own:
        return lines_of(study.precision)
    subject = replace(Subject.of(study, data=_blank(study, search), search=search), blank=True)
    runs = subject.runs()
    lines = lines_of(study.precision)
    lines += size_lines(study, runs) + cost_lines(study, runs, len(subject.data.test))
    if study.keep is not None:
        lines += room_of(study.keep, runs, subject).lines()
    if study.averages is not None:
        lines += AveragesRoom.of(study.averages, runs, subject.network).lines(study.averages)
        lines += without_lines(study, runs, len(subject.data.train))
    lines += subject.views_lines(runs)
    lines += check_test_time(study, subject, runs)
    for model in study.models:
        if isinstance(model, Backbone):
            lines += about(model, subject.data.input_shape, subject.data.num_outputs, search)
    if own:
        found = dict.fromkeys(subject.network(same).remark for same in by_structure(first_draw(runs)))
        lines += [f"! {remark}" for remark in found if remark]
    return lines


def size_lines(study: Study, runs: Sequence[Run]) -> list[str]:
    """How many runs there are, where a study file does not show it: of a ladder, and where runs have several phases."""
    before = rounds_of(runs, None)
    if study.ladder is None and not study.phases and not before:
        return []
    parts = [count(len(runs), "run")]
    if before:
        going = [run for run in runs if run.recipe.before is not None]
        num = before[0].num_phases
        of = "" if len(going) == len(runs) else f", {len(going):,} of them"
        parts[0] += f"{of} of {f'up to {num}' if _mixed(going) else num} phases"
    return ["; ".join((*parts, *(each.line for each in before)))]


def _mixed(runs: Sequence[Run]) -> bool:
    """Whether some runs have more phases than others."""
    return len({len(run.recipe.chain) for run in runs}) > 1


def _faults(what: Callable[[], object]) -> Iterable[InputError]:
    try:
        what()
    except InputError as error:
        return error.each or [error]
    return []


def _blank(study: Study, search: Path | None, *, as_the_model_wants: bool = True) -> Dataset:
    """The data set without the pixels of image files."""
    if as_the_model_wants:
        return read_data(study, search, blank=True)
    return load(study.data, base=search, blank=True)


def _try(study: Study, data: Dataset, search: Path | None) -> None:
    """Plan the training of every run, which tries the model with a few examples.

    In PyTorch: whatever cannot be trained fails there too, and machine code takes a minute to make for large networks.
    """
    subject = replace(Subject.of(study, data=data, search=search), blank=True)
    check_averages(study, subject.runs(), len(data.train))
    check_test_time(study, subject, subject.runs())
    with memory_errors("model"):
        for same in by_structure(first_draw(subject.runs())):
            plan(same, subject.network(same), subject.data_of(same), subject.device, "serial")
