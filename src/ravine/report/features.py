"""Features of a frozen body, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from ravine.features.features import Features
from ravine.grid import Grid
from ravine.launch.optima import HeadGap
from ravine.messages import count
from ravine.times import duration


def lines(label: str, found: Features) -> Iterator[str]:
    """What was found or computed, and all that it depends on."""
    how = "found in the cache" if found.hit else "computed"
    what = "numbers" if "place" in found.key else "features"
    yield f"{label}: {how}, {count(found.num_examples, 'example')}, {found.width:,} {what} each"
    yield f"  {duration(found.seconds)}, {found.rate:,.0f} examples a second, {found.size / 1e6:,.1f} MB"
    yield f"  kept in {found.kept.path}" if found.kept.size else "  not kept"
    if found.kept.note:
        yield f"! {found.kept.note}"
    yield "  they depend on:"
    yield from (f"    {name} = {value}" for name, value in _flat(found.key))


def content(found: Features) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "hit": found.hit,
        "examples": {name: len(array) for name, array in found.arrays.items()},
        "width": found.width,
        "seconds": found.seconds,
        "examples_per_second": found.rate,
        "bytes": found.size,
        "path": None if found.kept.path is None else str(found.kept.path),
        "note": found.kept.note,
        "key": dict(found.key),
    }


def gap_grid(found: Sequence[HeadGap]) -> Grid:
    """How far heads are from the best one: a row for each rule, learning rate and penalty, with the median run."""
    groups: dict[tuple[str, float, float], list[HeadGap]] = {}
    for each in found:
        groups.setdefault((each.rule, each.lr, each.weight_decay), []).append(each)
    rows = [
        (
            rule,
            f"{lr:.4g}",
            f"{decay:g}",
            str(len(some)),
            *(f"{median(values):.6g}" for values in _columns(some)),
        )
        for (rule, lr, decay), some in sorted(groups.items())
    ]
    return Grid(
        columns=("rule", "lr", "penalty", "runs", "loss", "least", "gap"),
        rows=tuple(rows),
        left=("rule",),
        after=(
            "Training loss of the median run, the least that any linear head has, and the median difference.",
        ),
    )


def _columns(some: Sequence[HeadGap]) -> tuple[list[float], ...]:
    return [x.loss for x in some], [x.optimum for x in some], [x.gap for x in some]


def _flat(table: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{where}{name}.")
        else:
            yield f"{where}{name}", value
