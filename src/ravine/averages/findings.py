"""An average that was made when a run was over: plain data, which prints as a table and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ravine.grid import Grid
from ravine.messages import count
from ravine.outcomes.runs import plain

_ROUNDING = 1e-9  # of profiles that are sums of many


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Made:
    """An average of one run, made out of what the run stored along its way. `ravine.average` makes one.

    Attributes:
        run, rule, seed: the run.
        average: what was asked for, such as "ema 0.999".
        steps: of the run.
        error: how far its profile is from the one asked for: the L2 norm of the difference, by that of the latter.
        amplification: the sum of the coefficients without their signs.
        coefficients: of each stored vector, by a name for people; they sum to 1.
        examples: training examples from which BatchNorm's statistics were estimated again; 0 without BatchNorm.
        own, scores: of the run's last weights, and of the average: ``validation_loss`` and ``validation_accuracy``.
        weights: every tensor of the model by name, BatchNorm's statistics included.
        stored_as: the name under which it is stored beside the run; "" where it is not.
    """

    run: str
    rule: str
    seed: int
    average: str
    steps: int
    error: float
    amplification: float
    coefficients: Mapping[str, float]
    examples: int
    own: Mapping[str, float]
    scores: Mapping[str, float]
    weights: Mapping[str, np.ndarray]
    stored_as: str = ""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What it comes to, in words."""
        of_run = f"{self.average} of run {self.run} ({self.rule}, seed {self.seed})"
        made = f"{count(len(self.coefficients), 'stored vector')}"
        profile = (
            f"{of_run}, made of {made}: its profile is off by {percent(self.error)} (sum of |coefficients| "
            f"{self.amplification:.3g})."
        )
        again = (
            f"BatchNorm's statistics were estimated again from {count(self.examples, 'training example')}; the last "
            "weights have those of the run."
        )
        kept = (
            f"It is stored beside the run: as a member of an ensemble, and for `ravine export`, it is "
            f"'{self.run[:8]}#{self.stored_as}'."
        )
        return (profile, *([again] if self.examples else []), *([kept] if self.stored_as else []))

    def grid(self) -> Grid:
        """The scores as a table."""
        names = [name for name in self.scores if name in self.own]
        titles = {"validation_loss": "validation loss", "validation_accuracy": "accuracy"}
        return Grid(
            before=self.sentences,
            columns=("weights", *(titles[name] for name in names)),
            rows=tuple(
                (row, *(_shown(name, found[name]) for name in names))
                for row, found in (("last", self.own), (self.average, self.scores))
            ),
            left=("weights",),
        )

    def json(self) -> dict[str, Any]:
        """As plain, finite numbers: what ``ravine average --json`` prints; the weights are not among them."""
        return {
            "run": self.run,
            "rule": self.rule,
            "seed": self.seed,
            "average": self.average,
            "profile_error": plain(self.error),
            "amplification": plain(self.amplification),
            "coefficients": {name: plain(x) for name, x in self.coefficients.items()},
            "own": {name: plain(value) for name, value in self.own.items()},
            "scores": {name: plain(value) for name, value in self.scores.items()},
            "stored_as": self.stored_as or None,
        }

    def __str__(self) -> str:
        return str(self.grid())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return self.grid().html()


def percent(share: float) -> str:
    """A share for people; below a rounding error it is 0.

    Example:
        >>> percent(0.05), percent(0.000523), percent(1e-14)
        ('5 %', '0.052 %', '0 %')
    """
    return f"{100 * share:.2g} %" if share > _ROUNDING else "0 %"


def _shown(name: str, value: float) -> str:
    return f"{100 * value:.2f} %" if name.endswith("accuracy") else f"{value:.4g}"
