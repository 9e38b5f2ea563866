"""The bank: averages of the weights, stored several times along a run, out of which any other average can be made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ravine.messages import lacking, unknown, wrong
from ravine.rules.averages import Average, power, uniform
from ravine.study.fields import whole

WIDTHS = (0.05, 0.10)
"""Relative widths of its power averages; beside them it has the mean of all steps."""
STEPS = 20
"""How often along a run its averages are stored, if nothing else is said."""
_MOST_STEPS = 1000


def bank_averages() -> tuple[Average, ...]:
    """The averages of a bank, by names of their own.

    Example:
        >>> [average.name for average in bank_averages()]
        ['bank 0.05', 'bank 0.1', 'bank mean']
    """
    narrow = [replace(power(width), name=f"bank {width!r}") for width in WIDTHS]
    return *narrow, uniform(name="bank mean")


BANK = tuple(average.name for average in bank_averages())
"""Names of the averages of a bank."""


def bank_steps(num: int, steps: int) -> list[int]:
    """After which steps of a run a bank stores its averages: evenly far apart, the last at the end.

    They are rounded down, as the part that a mean leaves out is: so the mean of what comes after one of them is exact.

    Args:
        num: how many times; 0: there is no bank.
        steps: of the run.

    Example:
        >>> bank_steps(4, 10), bank_steps(20, 3)
        ([2, 5, 7, 10], [1, 2, 3])
    """
    return sorted({i * steps // num for i in range(1, num + 1)} - {0})


def parse_bank(value: object) -> int:
    """How often a bank stores its averages, from ``true``, ``false`` or a table; 0: there is no bank.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> parse_bank(True), parse_bank({"steps": 40}), parse_bank(False)
        (20, 40, 0)
    """
    if isinstance(value, bool):
        return STEPS if value else 0
    if not isinstance(value, Mapping):
        raise wrong("averages.bank", value, "must be true, or a table such as { steps = 20 }")
    for key in value:
        if key != "steps":
            raise unknown("averages.bank", key, ["steps"])
    if "steps" not in value:
        raise lacking("averages.bank.steps", "missing: a number of steps, or write bank = true")
    return whole(value["steps"], "averages.bank.steps", 2, _MOST_STEPS, " steps of each run")


def bank_content(num: int) -> dict[str, Any]:
    """What `parse_bank` reads, as a part of the table of averages."""
    return {} if not num else {"bank": True if num == STEPS else {"steps": num}}
