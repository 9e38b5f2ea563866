"""Figure ``disagreement``: how often two members choose other classes, or how far their values are apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles import disagreement, words
from ravine.ensembles.cells import Cells
from ravine.errors import with_article
from ravine.grid import Grid
from ravine.messages import plural
from ravine.outcomes.member import Member
from ravine.outcomes.results import Results
from ravine.outcomes.runs import describe
from ravine.outcomes.words import NOTHING
from ravine.report.chart import Json, layout, log_ticks, number, short, text
from ravine.report.pooled import MOST_CONFIGS, Members
from ravine.report.views import Figure, View, command

Array = NDArray[np.float64]

_MOST_LABELS = 12  # members that are named one by one at the axes; of more only their rules
_MOST_WRITTEN = 8  # members whose numbers are written into the cells
_HEIGHT = 470  # px
_SCALE = [[0.0, "#f4f7fa"], [0.35, "#a9cbe2"], [0.7, "#2f7fb5"], [1.0, "#0b2f4f"]]  # darker: further apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Members, and how far each two are apart.

    Args:
        title: what they are.
        members: those of a rule next to each other.
        apart: (M, M): shares of examples on which classes differ, or root mean square differences of values.
        alone: the loss of each member.
    """

    title: str
    members: tuple[Member, ...]
    apart: Array
    alone: Array

    def mean(self, *, same_rule: bool | None = None) -> float:
        """The mean over pairs: of all, of those that share a rule, or of those that do not; NaN without any."""
        rules = np.array([each.rule for each in self.members])
        pairs = ~np.eye(len(rules), dtype=bool)
        if same_rule is not None:
            pairs &= (rules[:, None] == rules) == same_rule
        return float(self.apart[pairs].mean()) if pairs.any() else math.nan


def matrices(results: Results, members: Members) -> tuple[Matrix, ...]:
    """The best runs of the best configs, if there are two, and the seeds of the winner."""
    place = {rule: i for i, rule in enumerate(results.rules)}

    def of(title: str, given: Sequence[Member]) -> Matrix:
        order = sorted(
            given, key=lambda each: (place[each.rule], float(each.hypers["lr"]), each.config, each.seed)
        )
        outputs = members.of(order)
        apart = (
            disagreement.of_values(outputs)
            if members.is_regression
            else disagreement.of_classes([each.argmax(axis=1) for each in outputs])
        )
        return Matrix(title=title, members=tuple(order), apart=apart, alone=members.losses(order).solo)

    num = len(members.configs)
    configs = [of(f"The best runs of {num} configs", members.configs)] if num > 1 else []
    shown = members.seeds[:MOST_CONFIGS]
    return (*configs, of(f"{len(shown)} seeds of the winner", shown))


def draw_disagreement(results: Results, members: Members) -> Figure:
    """The matrices side by side, with the same colours."""
    found = matrices(results, members)
    regression, num_examples = members.is_regression, len(members.answers)
    ends = _ends(np.concatenate([_pairs(each.apart) for each in found]), 0.5 / num_examples)
    unit = f"units of {members.cells.error_unit}" if members.cells.error_unit else "the target's unit"
    what = (
        f"the root mean square difference of two runs' predictions, in {unit}"
        if regression
        else "on how many validation examples two runs choose other classes"
        if not members.cells.labels
        else "for how many of the labels of validation examples two runs decide otherwise"
    )
    return Figure(
        name="disagreement",
        title="Disagreement between members",
        lead=_lead(members, found),
        caption=(
            f"Each cell shows {what}: the darker, the further apart; the scale is logarithmic. Members that agree"
            f" everywhere gain nothing together. Runs are grouped by {results.noun}, and by learning rate within"
            f" {with_article(results.noun)}; white lines separate the {plural(results.noun)}. Of the configs the better"
            f" half by validation loss is shown (at least ten, at most {MOST_CONFIGS}), each by its best seed. A run"
            " may differ from all others because it is worse: compare the losses in the numbers below."
        ),
        command=command(results, "disagreement"),
        views=(
            View(
                label="Disagreement",
                panels=tuple(_panel(each, ends, regression=regression) for each in found),
                chips=(),
            ),
        ),
        group=members.group,
        table=_table(found, members.noun, members.cells),
    )


def _ends(amounts: Array, nothing: float) -> tuple[float, float]:
    """Of the colours' logarithmic scale.

    Args:
        amounts: of all pairs.
        nothing: where there is no amount above 0.
    """
    positive = amounts[amounts > 0.0]
    if not len(positive):
        return nothing, 4 * nothing
    high = float(positive.max())
    return min(float(positive.min()), high / 4), high  # so that small differences look small


def _pairs(apart: Array) -> Array:
    return apart[~np.eye(len(apart), dtype=bool)]


def _amount(value: float, *, regression: bool) -> str:
    if math.isnan(value):
        return NOTHING
    return number(value) if regression else f"{100 * value:.1f} %"


def _lead(members: Members, found: Sequence[Matrix]) -> str:
    def show(value: float) -> str:
        return _amount(value, regression=members.is_regression)

    verb, of = "choose other classes for", " of the examples"
    if members.cells.labels:
        verb, of = "differ on", " of the labels"
    elif members.is_regression:
        verb, of = "differ by", f" of {members.cells.error_unit}" if members.cells.error_unit else ""
    parts = [f"Two seeds of {members.winner} {verb} {show(found[-1].mean())}{of} on average"]
    if len(found) > 1:
        within, between = (found[0].mean(same_rule=same) for same in (True, False))
        more = [
            f"{show(value)} for two configs of {which}"
            for value, which in (
                (within, f"one {members.noun}"),
                (between, f"different {plural(members.noun)}"),
            )
            if not math.isnan(value)
        ]
        parts += [f", against {' and '.join(more)}"]
    return "".join(parts) + "."


def _panel(found: Matrix, ends: tuple[float, float], *, regression: bool) -> Json:
    num, (low, high) = len(found.members), ends
    own = ~np.eye(num, dtype=bool)
    logs = np.log10(np.clip(found.apart, low, high))
    z = [
        [short(float(value)) if shown else None for value, shown in zip(row, mask, strict=True)]
        for row, mask in zip(logs, own, strict=True)
    ]
    names = [_name(each, found.members) for each in found.members]
    hover = [
        [
            f"<b>{text(a)}</b><br>{text(b)}<br>{_amount(float(value), regression=regression)}"
            if a != b
            else text(a)
            for b, value in zip(names, row, strict=True)
        ]
        for a, row in zip(names, found.apart, strict=True)
    ]
    ticks = log_ticks(low, high) if regression else [t / 100 for t in log_ticks(100 * low, 100 * high)]
    trace: Json = {
        "type": "heatmap", "z": z, "zmin": short(math.log10(low)), "zmax": short(math.log10(high)),
        "hoverinfo": "text", "hovertext": hover, "hoverongaps": False, "colorscale": _SCALE,
        "xgap": 1 if num <= _MOST_LABELS else 0, "ygap": 1 if num <= _MOST_LABELS else 0,
        "colorbar": {
            "thickness": 10, "len": 0.9, "outlinewidth": 0, "tickfont": {"size": 11},
            "tickvals": [short(math.log10(tick)) for tick in ticks],
            "ticktext": [f"{tick:g}" if regression else f"{100 * tick:g} %" for tick in ticks],
        },
        "meta": "ground",
    }  # fmt: skip
    if num <= _MOST_WRITTEN:
        trace["text"] = [
            ["" if i == j else f"{v:.3g}" if regression else f"{100 * v:.1f}" for j, v in enumerate(row)]
            for i, row in enumerate(found.apart.tolist())
        ]
        trace["texttemplate"] = "%{text}"
        trace["textfont"] = {"size": 11}
    made = layout(found.title, "", {}, {}, _HEIGHT)
    blocks = _blocks(found.members)
    at, labels = _labels(found.members, blocks)
    shared: Json = {
        "tickvals": at, "ticktext": [text(label) for label in labels], "range": [-0.5, num - 0.5],
        "showgrid": False, "showline": False, "ticks": "", "constrain": "domain", "tickfont": {"size": 11},
    }  # fmt: skip
    made["xaxis"] |= {**shared, "tickangle": -45 if len(labels) > 1 else 0}
    made["yaxis"] |= {**shared, "range": [num - 0.5, -0.5], "scaleanchor": "x"}
    made["meta"] = "square"
    made["shapes"] = [
        {"type": "line", "xref": "x", "yref": "y", "x0": x0, "x1": x1, "y0": y0, "y1": y1,
         "line": {"color": "#fff", "width": 3}}
        for end in [start - 0.5 for _, start, _ in blocks[1:]]
        for x0, x1, y0, y1 in ((end, end, -0.5, num - 0.5), (-0.5, num - 0.5, end, end))
    ]  # fmt: skip
    return {"data": [trace], "layout": made}


def _name(member: Member, among: Sequence[Member]) -> str:
    """A member for people: its rule, what varies among them, its seed."""
    varied = [name for name in member.hypers if len({str(each.hypers.get(name)) for each in among}) > 1]
    return ", ".join(filter(None, (member.rule, describe(member.hypers, varied), f"seed {member.seed}")))


def _blocks(members: Sequence[Member]) -> list[tuple[str, int, int]]:
    """Rule, first place and number of members of each block."""
    found: list[tuple[str, int, int]] = []
    for place, each in enumerate(members):
        if found and found[-1][0] == each.rule:
            found[-1] = (each.rule, found[-1][1], found[-1][2] + 1)
        else:
            found.append((each.rule, place, 1))
    return found


def _labels(
    members: Sequence[Member], blocks: Sequence[tuple[str, int, int]]
) -> tuple[list[float], list[str]]:
    """Places along an axis, and what they are called."""
    if len({each.config for each in members}) == 1:
        places = range(0, len(members), -(-len(members) // _MOST_LABELS))
        return list(places), [f"seed {members[place].seed}" for place in places]
    if len(members) > _MOST_LABELS:
        return [start + (size - 1) / 2 for _, start, size in blocks], [rule for rule, _, _ in blocks]
    several = len(blocks) > 1
    names = [
        ", ".join(filter(None, (each.rule if several else "", f"{float(each.hypers['lr']):.4g}")))
        for each in members
    ]
    return list(range(len(members))), names


def _table(found: Sequence[Matrix], noun: str, cells: Cells) -> Grid:
    """Of few members the whole matrix; of many a row each."""
    first, regression = found[0], cells.regression
    names = [_name(each, first.members) for each in first.members]
    if len(names) <= _MOST_LABELS:
        grid = words.matrix_grid(first.members, first.apart, cells)
        rows = tuple((name, *row[1:]) for name, row in zip(names, grid.rows, strict=True))
        return replace(grid, columns=("", *(each.short for each in first.members)), rows=rows)
    rows = tuple(_row(first, place, name, names, regression=regression) for place, name in enumerate(names))
    loss = "MSE" if regression else "NLL"
    return Grid(
        before=(f"{first.title}: how far each is from the others, mean over pairs.",),
        columns=("run", f"val {loss}", f"from its {noun}", f"from other {plural(noun)}", "nearest"),
        rows=rows,
        left=("run", "nearest"),
    )


def _row(found: Matrix, place: int, name: str, names: Sequence[str], *, regression: bool) -> tuple[str, ...]:
    rules = np.array([each.rule for each in found.members])
    row = found.apart[place]
    others = np.arange(len(row)) != place
    same, different = (others & (rules == rules[place])), rules != rules[place]
    nearest = int(np.where(others, row, np.inf).argmin())
    means = [float(row[mask].mean()) if mask.any() else math.nan for mask in (same, different)]
    return (
        name,
        words.number(float(found.alone[place])),
        *(_amount(value, regression=regression) for value in means),
        f"{names[nearest]} ({_amount(float(row[nearest]), regression=regression)})",
    )
