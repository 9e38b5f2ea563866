"""The phases of a study's runs: which parameters are trained, for how long, at which learning rate.

A run of several phases is a chain of runs, each of which goes on where the one before ends. So phases that runs have in
common are trained once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ravine.errors import StudyError, choices
from ravine.messages import count, lacking, unknown, wrong
from ravine.rules import rule
from ravine.rules.hyper import Hyper, learning_rate
from ravine.schedules import ScheduleSpec, parse_schedule
from ravine.study.block import RuleBlock
from ravine.study.fields import EPOCHS, MOST_STEPS, whole
from ravine.study.patterns import parse_pattern
from ravine.study.values import parse_number

MOST_PHASES = 20
TRAIN = ("head", "all", "from:K", "match:REGEX")
FROM, MATCH = "from:", "match:"
KEYS = ("train", "epochs", "steps", "lr", "lr_factor", "schedule")
NOT_FOR_HEAD = {"layer_decay": 1.0, "anchor": 0.0}
"""Hypers of a rule that do nothing to the head, with the value at which they do nothing at all."""
_LR = learning_rate()
_FACTOR = Hyper(about="what the rule's lr is multiplied by", low_open=True)
_EXAMPLE = 'such as { train = "head", epochs = 5, lr = 3e-3 }'


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One phase of every run of a study.

    Args:
        train: which parameters are trained: "head", "all", "from:K" of the model's blocks, or "match:REGEX" of names.
        epochs: passes over the training set; or
        steps: number of updates.
        lr: the learning rate of all runs; None: that of the rule, times
        lr_factor: a number above 0.
        schedule: how the learning rate changes within the phase; None: as the study says, begun anew.
    """

    train: str = "all"
    epochs: float | None = None
    steps: int | None = None
    lr: float | None = None
    lr_factor: float = 1.0
    schedule: ScheduleSpec | None = None

    def content(self) -> dict[str, Any]:
        """The table that `parse_phases` reads; defaults are left out."""
        found: dict[str, Any] = {"train": self.train}
        found |= {"epochs": self.epochs} if self.steps is None else {"steps": self.steps}
        if self.lr is not None:
            found["lr"] = self.lr
        if self.lr_factor != 1.0:
            found["lr_factor"] = self.lr_factor
        if self.schedule is not None:
            rest = self.schedule.changed()
            found["schedule"] = {"kind": self.schedule.kind, **rest} if rest else self.schedule.kind
        return found

    def num_steps(self, batches_per_epoch: int, least: int = 1) -> int:
        """How many updates it has: where it is given in epochs, so many at least."""
        return self.steps or max(least, round((self.epochs or 0.0) * batches_per_epoch))

    def hypers_of(self, hypers: Mapping[str, float]) -> dict[str, float]:
        """Those of a run in this phase: with its learning rate, and without what it has no use for.

        Example:
            >>> Phase(train="head", steps=5, lr=0.1).hypers_of({"lr": 1.0, "anchor": 0.01, "rho": 0.9})
            {'lr': 0.1, 'anchor': 0.0, 'rho': 0.9}
        """
        lr = hypers["lr"] if self.lr_factor == 1.0 else float(f"{hypers['lr'] * self.lr_factor:.12g}")
        found = {**hypers, "lr": lr if self.lr is None else self.lr}
        if self.train == "head":
            found |= {name: off for name, off in NOT_FOR_HEAD.items() if name in hypers}
        return found

    @property
    def words(self) -> str:
        """Length and what is trained, for people.

        Example:
            >>> Phase(train="head", epochs=5.0).words
            '5 epochs of head'
        """
        if self.steps is not None:
            return f"{count(self.steps, 'step')} of {self.train}"
        return f"{self.epochs:g} epoch{'s' * (self.epochs != 1)} of {self.train}"


PhaseLike: TypeAlias = Mapping[str, Any] | Phase


def parse_phases(value: object) -> tuple[Phase, ...]:
    """The phases of a study; () where there are none.

    Args:
        value: a list of tables.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> [each.words for each in parse_phases([{"train": "head", "epochs": 5}, {"epochs": 10, "lr_factor": 0.1}])]
        ['5 epochs of head', '10 epochs of all']
    """
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise wrong("phases", value, "must be a list of tables; in TOML each begins with [[phases]]")
    if len(value) > MOST_PHASES:
        raise lacking("phases", f"must have at most {MOST_PHASES} tables in it, not {len(value):,}")
    return tuple(_phase(each, f"phases.{i}") for i, each in enumerate(value))


def _phase(value: object, where: str) -> Phase:
    if isinstance(value, Phase):
        value = value.content()
    if not isinstance(value, Mapping):
        raise wrong(where, value, f"must be a table {_EXAMPLE}")
    for key in value:
        if key not in KEYS:
            raise unknown(where, key, KEYS)
    epochs, steps = value.get("epochs"), value.get("steps")
    if (epochs is None) == (steps is None):
        given = "both are given" if steps is not None else "neither is given"
        raise lacking(f"{where}.epochs", f"a phase needs exactly one of epochs and steps, {given}")
    lr, factor = value.get("lr"), value.get("lr_factor", 1.0)
    if lr is not None and "lr_factor" in value:
        raise lacking(f"{where}.lr_factor", "not beside lr, which is the same for all runs")
    also = "; a list of them is of a rule's table, and lr_factor then multiplies it here"
    schedule = value.get("schedule")
    return Phase(
        train=train_of(value.get("train", "all"), f"{where}.train"),
        epochs=None if epochs is None else parse_number(epochs, f"{where}.epochs", EPOCHS),
        steps=None if steps is None else whole(steps, f"{where}.steps", 1, MOST_STEPS),
        lr=None if lr is None else parse_number(lr, f"{where}.lr", _LR, also),
        lr_factor=parse_number(factor, f"{where}.lr_factor", _FACTOR),
        schedule=None if schedule is None else parse_schedule(schedule, f"{where}.schedule"),
    )


def train_of(value: object, where: str) -> str:
    """Which parameters a phase trains, in a form of its own.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> train_of("from:03", "train")
        'from:3'
    """
    if value in ("head", "all"):
        return str(value)
    if isinstance(value, str) and value.startswith(FROM):
        if not re.fullmatch(r"[0-9]{1,6}", value.removeprefix(FROM)):
            raise wrong(where, value, 'must be the number of a block, from 0, as in "from:5"')
        return f"{FROM}{int(value.removeprefix(FROM))}"
    if isinstance(value, str) and value.startswith(MATCH):
        if value == MATCH:
            raise wrong(
                where, value, 'must be a regular expression of names of parameters, as in "match:norm"'
            )
        parse_pattern(value.removeprefix(MATCH), where, MATCH)
        return value
    raise wrong(where, value, choices(value, TRAIN) if isinstance(value, str) else choices("", TRAIN))


def check_lengths(epochs: object, steps: object, phases: Sequence[Phase], backbones: Sequence[str]) -> None:
    """See that a study says once how long its runs are.

    Args:
        epochs: as given; None: not at all.
        steps: likewise.
        phases: of the study.
        backbones: the keys of its models that need phases.

    Raises:
        StudyError: one line with the keys and what is needed.
    """
    given = [key for key, length in (("epochs", epochs), ("steps", steps)) if length is not None]
    if phases and given:
        words = f"{given[0]}, phases: only one of them; phases have lengths of their own"
        raise StudyError(words, at=[(given[0],), ("phases",)])
    if phases:
        return
    if backbones and given:
        words = f'{given[0]}: not with a backbone ({backbones[0]}): write [[phases]] with train = "head" or "all", and '
        raise StudyError(f"{words}{given[0]} in each", at=[(given[0],), ("phases",)])
    if backbones:
        raise lacking("phases", f"missing, a backbone ({backbones[0]}) needs one table {_EXAMPLE} or more")
    if len(given) != 1:
        words = "both are given" if given else "neither is given"
        raise StudyError(
            f"epochs, steps: exactly one of them is needed, {words}", at=[("epochs",), ("steps",)]
        )


def check_phases(phases: Sequence[Phase], rules: Sequence[RuleBlock], tune: str) -> None:
    """See that phases and the rest of a study agree.

    Args:
        phases: of the study.
        rules: its rules.
        tune: how it is tuned.

    Raises:
        StudyError: one line with the key and what is needed.
    """
    if phases and tune != "joint":
        raise wrong("tune", tune, 'not with phases, which runs have in common; allowed: "joint"')
    for i, block in enumerate(rules if len(phases) > 1 else ()):
        if rule(block.complete()[0]).search is not None:
            words = "a rule that searches for its steps cannot go on where another phase ends; give one phase"
            raise wrong(f"rules.{i}.kind", block.kind, words)
        if rule(block.complete()[0]).scope == "run":
            words = (
                'its scope is "run", all numbers of a run at once, and phases may train some; give one phase'
            )
            raise lacking(f"rules.{i}", f"rule {block.label!r}: {words}")


def check_schedules(phases: Sequence[Phase], steps: Sequence[int], schedule: ScheduleSpec) -> None:
    """See that each phase is longer than the warm-up of its schedule.

    Args:
        phases: of a study.
        steps: how many each has.
        schedule: of phases that have none of their own.

    Raises:
        StudyError: one is not.
    """
    for i, (phase, num) in enumerate(zip(phases, steps, strict=True)):
        own = phase.schedule or schedule
        if isinstance(own.warmup, int) and own.warmup >= num:
            where = f"phases.{i}.schedule" if phase.schedule is not None else "schedule"
            raise StudyError(
                f"{where}.warmup = {own.warmup}: must be fewer steps than the {num} of phase {i}",
                at=[tuple(where.split("."))],
            )
