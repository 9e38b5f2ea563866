"""Figure ``cost``: what a prediction costs, in networks that are evaluated, against how good it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles import words
from ravine.ensembles.cells import Cells
from ravine.ensembles.held_out import held_out
from ravine.ensembles.losses import Losses
from ravine.ensembles.selection import greedy, heaviest, top
from ravine.grid import Grid
from ravine.outcomes.member import Member
from ravine.outcomes.results import Results
from ravine.outcomes.runs import describe, final
from ravine.report.chart import Json, accuracy_axis, error, layout, line, log_axis, number, percent, text
from ravine.report.draw_gain import RIVAL_LOOK, members_axis, score_title, scores_alone
from ravine.report.palette import Look, look
from ravine.report.pooled import Members
from ravine.report.trivial_mark import OF_POOLS, about, height, mark, reaching
from ravine.report.views import Chip, Figure, View, command
from ravine.store import average_of, kind_of

Array = NDArray[np.float64]

ALONE, SEEDS, CONFIGS, GREEDY, AVERAGES, LONG = "alone", "seeds", "configs", "greedy", "averages", "long"
_LABELS = {
    SEEDS: "seeds of the winner",
    CONFIGS: "best configs",
    GREEDY: "greedy selection",
    AVERAGES: "averages of the weights",
    LONG: "one long run",
    ALONE: "single runs",
}
_LOOKS = {
    SEEDS: look(0),
    CONFIGS: look(1),
    GREEDY: look(2),
    AVERAGES: look(3),
    LONG: RIVAL_LOOK,
    ALONE: Look(colour="#7a848d", symbol="circle-open", dash="solid"),
}
_METRICS = {"nll": "validation_loss", "accuracy": "validation_accuracy"}
_SIZES = (1, 2, 3, 5, 7, 10)
_BAGS = 5  # of greedy selection: a quarter of the time, for a figure
_FEWEST_EXAMPLES = 50  # of which a choice is made on folds


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A predictor.

    Args:
        kind: of it.
        name: for people.
        passes: networks that are evaluated for each example.
        scores: on validation: ``nll`` and ``accuracy``, or ``mse``.
    """

    kind: str
    name: str
    passes: int
    scores: Mapping[str, float]


def offers(results: Results, members: Members) -> tuple[Offer, ...]:
    """What runs can be made into, and single runs; those of one kind by their cost."""
    long = (
        Offer(
            kind=LONG,
            name=f"one run {times} times as long",
            passes=1,
            scores={
                score: float(values.mean())
                for score, values in scores_alone(outputs_RN, members.answers).items()
                if score != "brier"
            },
        )
        for times, outputs_RN in members.longer.items()
    )
    return (*_seeds(members), *_selected(members), *_averages(results, members), *long, *_alone(members))


def draw_cost(results: Results, members: Members) -> Figure:
    """Each score against the number of networks that a prediction takes."""
    found = offers(results, members)
    kinds = [kind for kind in _LABELS if any(each.kind == kind for each in found)]
    scores = ("mse",) if members.is_regression else ("nll", "accuracy")
    return Figure(
        name="cost",
        title="Score against cost of a prediction",
        lead=_lead(found),
        caption=(
            "Cost is the number of networks that are evaluated for an example; all networks of a study have the same"
            " size. Better and cheaper is to the left, at the good end. Configs and the greedy selection (Caruana et"
            f" al., 2004, in {_BAGS} bags) are chosen without each of five folds of the validation examples, and scored"
            " on it. Which runs there were to choose from was decided on all of them, so both are a little flattered."
            " An average of the weights costs no more than a run; shown is the mean over the winner's seeds. Snapshots"
            f" along a run have no stored predictions: `ravine ensemble {results.name} --members snapshots` evaluates"
            " them."
            f"{about(results.trivial)}"
        ),
        command=command(results, "cost"),
        views=(
            View(
                label="Cost",
                panels=tuple(_panel(results, members, found, score) for score in scores),
                chips=tuple(
                    Chip(key=kind, label=_LABELS[kind], swatch=_LOOKS[kind].swatch()) for kind in kinds
                ),
            ),
        ),
        group=members.group,
        table=_table(found, scores, members.cells),
    )


def _seeds(members: Members) -> list[Offer]:
    return [
        Offer(
            kind=SEEDS,
            name=f"{each.members:,} seed{'s' * (each.members > 1)} of the winner",
            passes=each.members,
            scores={name: value.value for name, value in each.scores.items() if name != "brier"},
        )
        for each in members.curve
    ]


def _selected(members: Members) -> list[Offer]:
    """The best configs with equal weights, and greedy selection among them and the winner's seeds."""
    known = {each.run for each in members.configs}
    every = [*members.configs, *(each for each in members.seeds if each.run not in known)]
    if len(members.configs) < 2 or members.num_examples < _FEWEST_EXAMPLES:
        return []
    alike = [size for size in _SIZES if size <= len(members.configs)]
    weighed = [size for size in _SIZES[1:] if size <= len(every)]
    return [
        *_held_out(
            members, CONFIGS, members.configs, alike, lambda losses: [top(losses, size) for size in alike]
        ),
        *_held_out(members, GREEDY, every, weighed, lambda losses: _trimmed(losses, weighed)),
    ]


def _held_out(
    members: Members,
    kind: str,
    candidates: Sequence[Member],
    sizes: Sequence[int],
    choose: Callable[[Losses], list[Array]],
) -> list[Offer]:
    """Choices of several sizes, scored on folds that they were not made with."""
    scores = held_out(members.of(candidates), members.answers, members.losses(candidates), choose)
    return [
        Offer(
            kind=kind,
            name=_name(kind, size),
            passes=size,
            scores={name: float(values.mean()) for name, values in each.items()},
        )
        for size, each in zip(sizes, scores, strict=True)
    ]


def _name(kind: str, size: int) -> str:
    if kind == CONFIGS:
        return "the best config" if size == 1 else f"the {size} best configs"
    return f"{size} runs chosen greedily"


def _trimmed(losses: Losses, sizes: Sequence[int]) -> list[Array]:
    """The heaviest members of one greedy selection."""
    weights = greedy(losses, num_bags=_BAGS)
    return [heaviest(losses, weights, size) for size in sizes]


def _averages(results: Results, members: Members) -> list[Offer]:
    """What each average reaches, as the mean over the winner's seeds that have it."""
    seeds = {each.run for each in members.seeds}
    runs = [run for run in results.runs if run.id in seeds]
    names = sorted({average_of(name) for run in runs for name in run.metrics} - {""})
    metrics = {"mse": "validation_loss"} if members.is_regression else _METRICS
    found = []
    for name in names:
        values = {
            score: [value for run in runs if (value := final(run, kind_of(name, metric))) is not None]
            for score, metric in metrics.items()
        }
        if all(values.values()):
            scores = {score: float(np.mean(each)) for score, each in values.items()}
            found.append(Offer(kind=AVERAGES, name=name, passes=1, scores=scores))
    return found


def _alone(members: Members) -> list[Offer]:
    """The best runs of the best configs."""
    regression = members.is_regression
    outputs, solo = members.of(members.configs), members.losses(members.configs).solo
    found = []
    for each, output, loss in zip(members.configs, outputs, solo, strict=True):
        scores = {"mse" if regression else "nll": float(loss)}
        if not regression:
            scores["accuracy"] = float((output.argmax(axis=1) == members.answers).mean())
        name = f"{each.rule}, {describe(each.hypers, each.hypers)}, seed {each.seed}"
        found.append(Offer(kind=ALONE, name=name, passes=1, scores=scores))
    return found


def _lead(found: Sequence[Offer]) -> str:
    """What as many networks as there are seeds reach, by kind, and what one does."""
    score = "mse" if "mse" in found[0].scores else "nll"
    title = "MSE" if score == "mse" else "NLL"
    most = max(each.passes for each in found if each.kind == SEEDS)
    size = max((each.passes for each in found if each.kind == GREEDY and each.passes <= most), default=most)
    many = [each for each in found if each.passes == size and each.kind in (SEEDS, CONFIGS, GREEDY)]
    one = [each for each in found if each.kind == SEEDS and each.passes == 1]
    averages = sorted((each for each in found if each.kind == AVERAGES), key=lambda each: each.scores[score])
    parts = [f"{each.name} reach {number(each.scores[score])}" for each in many]
    words = f"Mean {title} of one network: {number(one[0].scores[score])} for a seed of the winner"
    if averages:
        words += f", {number(averages[0].scores[score])} for its average {averages[0].name}"
    for each in found:
        if each.kind == LONG:
            words += f", {number(each.scores[score])} for {each.name}"
    return f"{words}. For {size} networks: {', '.join(parts)}."


def _panel(results: Results, members: Members, found: Sequence[Offer], score: str) -> Json:
    percents, floor = score == "accuracy", results.error_floor

    def y(each: Offer) -> float:
        return error(each.scores[score], floor) if percents else each.scores[score]

    show = percent if percents else number
    data: list[Json] = []
    values: list[float] = []
    for kind in reversed(_LABELS):  # single runs below all others
        own = [each for each in found if each.kind == kind]
        if not own:
            continue
        hover = [f"<b>{text(each.name)}</b><br>{show(each.scores[score])}" for each in own]
        alone = kind in (ALONE, AVERAGES, LONG)
        trace = line(
            kind,
            _LOOKS[kind],
            [each.passes for each in own],
            [y(each) for each in own],
            hover,
            mode="markers" if alone else "lines+markers",
            sizes=5.5 if kind == ALONE else 10 if alone else 7,
        )
        data.append(trace)
        if kind != ALONE:
            values += [y(each) for each in own]
    worst, best = max(values), min(values)
    values += [value for each in found if (value := y(each)) <= worst + (worst - best)]
    metric, least = OF_POOLS[score], floor if percents else None
    values = reaching(values, height(results.trivial, metric, least))
    axis = accuracy_axis(values) if percents else log_axis(values)
    most = max(each.passes for each in found)
    panel = {
        "data": data,
        "layout": layout(
            score_title(score, members.cells), "networks evaluated for an example", members_axis(most), axis
        ),
    }
    return mark(results.trivial, panel, metric, least)


def _table(found: Sequence[Offer], scores: Sequence[str], cells: Cells) -> Grid:
    titles = {score: f"val {words.title_of(score, cells)}" for score in scores}
    return Grid(
        columns=("", "networks", *(titles[score] for score in scores)),
        rows=tuple(
            (
                each.name,
                str(each.passes),
                *(
                    percent(each.scores[score]) if score == "accuracy" else number(each.scores[score])
                    for score in scores
                ),
            )
            for each in found
            if each.kind != ALONE
        ),
        left=("",),
    )
