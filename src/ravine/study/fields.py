"""The single keys of a study, each read from what a person wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np

from ravine.errors import choices
from ravine.messages import lacking, wrong
from ravine.rules import Hyper
from ravine.schedules import ScheduleSpec, parse_schedule
from ravine.study.block import RuleBlock, parse_rule
from ravine.study.search import MOST_RUNS
from ravine.study.values import MOST_VALUES, Values, check_distinct, parse_number, parse_values

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
EPOCHS = Hyper(about="passes over the training set", low_open=True, high=1e6)
LABEL_SMOOTHING = Hyper(about="weight of an answer on all classes alike", high=1.0, high_open=True)
MOST_STEPS = 10**9
MOST_RULES = 1000

DEFAULT_BATCH = 64
TUNINGS = ("joint", "staged", "regularize")

BatchSize: TypeAlias = int | Literal["full", "auto"]
ScheduleLike: TypeAlias = str | Mapping[str, Any] | ScheduleSpec


def study_name(value: object) -> str:
    """What a study is called: fit for a file and a command line.

    Raises:
        StudyError: one line with the key, the value and what is allowed.
    """
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise wrong(
            "name",
            value,
            "must be 1 to 80 letters, digits, '.', '_' or '-', and start with a letter or digit",
        )
    return value


def num_epochs(value: object) -> float:
    """Passes over the training set.

    Raises:
        StudyError: one line with the key, the value and what is allowed.
    """
    return parse_number(value, "epochs", EPOCHS)


def whole(value: object, where: str, low: int, high: int, also: str = "") -> int:
    """A whole number from low to high.

    Raises:
        StudyError: one line with the key, the value and what is allowed.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise wrong(where, value, f"must be a whole number from {low:,} to {high:,}{also}")
    return int(value)


def label_smoothings(value: object) -> Values:
    """Factors of label smoothing.

    Raises:
        StudyError: one line with the key, the value and what is allowed.
    """
    return parse_values(value, "label_smoothing", LABEL_SMOOTHING)


def batch_sizes(value: object) -> tuple[BatchSize, ...]:
    """One batch size, or a list of them.

    Raises:
        StudyError: one line with the key, the value and what is allowed.
    """
    listed = isinstance(value, list | tuple)
    items = list(value) if isinstance(value, list | tuple) else [value]
    if not items:
        raise wrong("batch_size", [], "must have at least one value in it")
    if len(items) > MOST_VALUES:
        raise lacking("batch_size", f"must have at most {MOST_VALUES:,} values in it, not {len(items):,}")
    found: list[BatchSize] = []
    for i, item in enumerate(items):
        where = f"batch_size.{i}" if listed else "batch_size"
        if isinstance(item, str) and item in ("full", "auto"):
            found.append("full" if item == "full" else "auto")
        else:
            also = ', or "full" or "auto"' + ", or a list" * (not listed)
            found.append(whole(item, where, 1, MOST_STEPS, also))
    check_distinct(found, "batch_size")
    return tuple(found)


def seeds_of(value: object) -> tuple[int, ...]:
    """The seeds 0, 1, ... for a number of them, or those of a list.

    Raises:
        StudyError: one line with the key, the value and what is allowed.
    """
    if not isinstance(value, list | tuple | range):
        return tuple(range(whole(value, "seeds", 1, MOST_RUNS, ", or a list of seeds")))
    if not 0 < len(value) <= MOST_RUNS:
        raise lacking("seeds", f"must have 1 to {MOST_RUNS:,} seeds in it, not {len(value):,}")
    found = tuple(whole(seed, f"seeds.{i}", 0, 2**31 - 1) for i, seed in enumerate(value))
    check_distinct(found, "seeds")
    return found


def schedules_of(value: object) -> tuple[ScheduleSpec, ...]:
    """One schedule, or a list of different ones.

    Raises:
        StudyError: one line with the key, the value and what is allowed.
    """
    if not isinstance(value, list | tuple):
        return (parse_schedule(value),)
    if not value:
        raise wrong("schedule", [], "must have at least one schedule in it")
    if len(value) > MOST_VALUES:
        raise lacking("schedule", f"must have at most {MOST_VALUES:,} schedules in it, not {len(value):,}")
    found = tuple(parse_schedule(item, f"schedule.{i}") for i, item in enumerate(value))
    for i, item in enumerate(found):
        if item in found[:i]:
            raise lacking(f"schedule.{i}", f"the same schedule as schedule.{found.index(item)}")
    return found


def tuning(value: object) -> str:
    """How schedules, or rates of dropout, are tuned.

    Raises:
        StudyError: one line with the key, the value and what is allowed.
    """
    if not isinstance(value, str) or value not in TUNINGS:
        raise wrong("tune", value, choices(value, TUNINGS))
    return TUNINGS[TUNINGS.index(value)]


def rules_of(value: object) -> tuple[RuleBlock, ...]:
    """The rules, no two of one label.

    Raises:
        StudyError: one line with the key, the value and what is allowed.
    """
    if not isinstance(value, list | tuple):
        raise lacking("rules", "must be a list of rules; in TOML each begins with [[rules]], in two brackets")
    if not value:
        raise wrong("rules", [], "must have at least one rule in it")
    if len(value) > MOST_RULES:
        raise lacking("rules", f"must have at most {MOST_RULES:,} rules in it, not {len(value):,}")
    found = tuple(parse_rule(item, f"rules.{i}") for i, item in enumerate(value))
    first: dict[str, int] = {}
    for i, block in enumerate(found):
        if first.setdefault(block.label, i) != i:
            words = f'rules.{first[block.label]} has this label too; give one of them another label = "..."'
            raise wrong(f"rules.{i}.label", block.label, words)
    return found
