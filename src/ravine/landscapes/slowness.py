"""How long training takes at each rate of a stochastic layer, and what its masks do: plain data, without PyTorch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from ravine.errors import InputError, choices
from ravine.grid import Grid
from ravine.messages import count
from ravine.outcomes.runs import plain
from ravine.outcomes.words import NOTHING
from ravine.store import RunRecord

START, END = "start", "end"
Curve = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRate:
    """The runs of one rate that come soonest to the loss.

    Args:
        rate: of the layers.
        records: a run for each seed, all of one config.
        steps: after how many steps each came to the loss; None where it never did.
    """

    rate: float
    records: tuple[RunRecord, ...]
    steps: tuple[int | None, ...]

    @property
    def typical(self) -> float:
        """The median over seeds; infinite where half of them never came to the loss."""
        return float(median(math.inf if step is None else float(step) for step in self.steps))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Runs at several rates that differ in nothing else but what was tuned.

    Args:
        study: their study.
        rule: their rule.
        hyper: the rate, as a recipe calls it.
        loss: the validation loss that they are to come to.
        rates: ascending.
    """

    study: str
    rule: str
    hyper: str
    loss: float
    rates: tuple[AtRate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AtPoint:
    """What a rate does to the gradient of a minibatch, at the weights of one seed.

    Args:
        point: "start", the initial weights, or "end", those of the run with the lowest rate.
        seed: of the weights, the batch and the masks.
        rate: of the layers.
        share: of (example, hidden unit) pairs whose gradient is not 0.
        noise: variance of the gradient over masks, by the square of its mean.
        sampling: likewise over minibatches, without masks.
    """

    point: str
    seed: int
    rate: float
    share: float
    noise: float
    sampling: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slowness:
    """Why training takes longer at higher rates.

    Args:
        chosen: the runs, and how long they took.
        points: for each rate, seed and point what the masks do.
        draws: masks that each was measured with.
    """

    chosen: Chosen
    points: tuple[AtPoint, ...]
    draws: int

    def mean(self, what: str, point: str, rate: float) -> float:
        """The mean over seeds of ``share``, ``noise`` or ``sampling``."""
        values = [getattr(each, what) for each in self.points if (each.point, each.rate) == (point, rate)]
        found: float = sum(values) / len(values)
        return found

    def json(self) -> dict[str, Any]:
        """As plain data; numbers that are not finite as None."""
        return {
            "study": self.chosen.study,
            "rule": self.chosen.rule,
            "rate": self.chosen.hyper,
            "loss": self.chosen.loss,
            "draws": self.draws,
            "rates": [
                {
                    "rate": each.rate,
                    "hypers": {name: plain(value) for name, value in each.records[0].hypers.items()},
                    "steps": list(each.steps),
                    "median_steps": plain(each.typical),
                    **{
                        f"{what}_{point}": plain(self.mean(what, point, each.rate))
                        for point in (START, END)
                        for what in ("share", "noise", "sampling")
                    },
                }
                for each in self.chosen.rates
            ],
        }

    def grid(self) -> Grid:
        """A row for each rate."""
        chosen = self.chosen
        rows = []
        for each in chosen.rates:
            shares = [f"{100 * self.mean('share', point, each.rate):.1f} %" for point in (START, END)]
            noises = [f"{self.mean('noise', point, each.rate):.3g}" for point in (START, END)]
            lr = each.records[0].hypers.get("lr")
            steps = NOTHING if math.isinf(each.typical) else f"{each.typical:,.0f}"
            rows.append((f"{each.rate:g}", *shares, *noises, f"{lr:.3g}" if lr else NOTHING, steps))
        sampling = ", ".join(
            f"{self.mean('sampling', point, chosen.rates[0].rate):.3g} at the {point}"
            for point in (START, END)
        )
        return Grid(
            title=f"{chosen.rule} of study {chosen.study}, by {chosen.hyper.removeprefix('model.')}",
            columns=(
                "rate",
                "units, start",
                "end",
                "noise, start",
                "end",
                "lr",
                f"steps to {chosen.loss:.3g}",
            ),
            rows=tuple(rows),
            after=(
                "units: share of hidden units that get a gradient from an example. noise: variance of a minibatch's "
                f"gradient over {count(self.draws, 'draw')} of the masks, by its squared mean; over minibatches "
                f"without masks it is {sampling}. steps: to that validation loss, of the lr that came there first.",
            ),
        )


def choose(
    records: Sequence[RunRecord],
    curves: Mapping[str, Curve],
    name: str,
    *,
    rule: str,
    rate: str | None,
    loss: float | None,
) -> Chosen:
    """The runs of a rule at each of several rates, those of the config that comes soonest to a loss.

    Args:
        records: of the study.
        curves: validation losses, by run.
        name: of the study.
        rule: whose runs.
        rate: name of the rate, such as "dropout"; None: the one that varies.
        loss: to come to; None: the lowest that some config of each rate comes to with all of its seeds.

    Raises:
        InputError: nothing varies, or several rates do and none is named.
    """
    own = [
        each for each in records if each.rule == rule and each.status == "done" and len(curves[each.id][0])
    ]
    if not own:
        raise InputError(f"rule = {rule!r}: in study {name!r} no run of it has finished with a finite loss")
    hyper = _varying(own, name, rate)
    configs: dict[float, dict[str, list[RunRecord]]] = {}
    for record in own:
        of_rate = configs.setdefault(float(record.recipe["hypers"].get(hyper, 0.0)), {})
        of_rate.setdefault(record.config, []).append(record)
    if loss is None:
        lowest = {run: float(np.nanmin(values)) for run, (_, values) in curves.items() if len(values)}
        loss = max(
            min(max(lowest[each.id] for each in seeds) for seeds in of_rate.values())
            for of_rate in configs.values()
        )
    rates = []
    for value in sorted(configs):
        tried = [
            AtRate(
                rate=value, records=tuple(seeds), steps=tuple(_first(curves[each.id], loss) for each in seeds)
            )
            for seeds in configs[value].values()
        ]
        rates.append(min(tried, key=lambda each: (each.typical, each.records[0].id)))
    return Chosen(study=name, rule=rule, hyper=hyper, loss=loss, rates=tuple(rates))


def _varying(records: Sequence[RunRecord], name: str, rate: str | None) -> str:
    values: dict[str, set[float]] = {}
    for record in records:
        for key, value in record.hypers.items():
            if key.startswith("model.") and isinstance(value, int | float):
                values.setdefault(key.removeprefix("model."), set()).add(float(value))
    several = [key for key, found in values.items() if len(found) > 1]
    if rate is not None and rate not in several:
        raise InputError(f"rate = {rate!r}: does not vary in study {name!r}; {choices(rate, several)}")
    if not several:
        raise InputError(
            f"study {name!r}: no rate of its model varies; give it several, such as dropout = [0.0, 0.2, 0.5]"
        )
    if rate is None and len(several) > 1:
        raise InputError(f"rate: several vary in study {name!r}; {choices('', several)}")
    return f"model.{rate or several[0]}"


def _first(curve: Curve, loss: float) -> int | None:
    """The first step at which a curve is as low as a loss."""
    steps, values = curve
    below = np.flatnonzero(values <= loss)
    return int(steps[below[0]]) if len(below) else None
