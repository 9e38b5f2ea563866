"""Features of a frozen body, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from ravine.features.features import Features
from ravine.grid import Grid
from ravine.launch.optima import HeadGap, HeadGaps
from ravine.messages import count
from ravine.times import duration
from ravine.verdict.words import listed


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
    yield from (f"    {name} = {_as_fed(name, value, found)}" for name, value in _flat(found.key))


def content(found: Features) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "hit": found.hit,
        "examples": {name: len(array) for name, array in found.arrays.items()},
        "width": found.width,
        "fed": list(found.fed),
        "seconds": found.seconds,
        "examples_per_second": found.rate,
        "bytes": found.size,
        "path": None if found.kept.path is None else str(found.kept.path),
        "note": found.kept.note,
        "key": dict(found.key),
    }


def gap_grid(found: HeadGaps) -> Grid:
    """How far heads are from the best one: a row for each loss and learning rate, with the medians of its runs.

    Each draw of a ladder has a least of its own; a row is of one n.
    """
    groups: dict[tuple[str, str, int, float, float], list[HeadGap]] = {}
    for each in found.gaps:
        at = (each.of, each.rule, each.per_class or 0, each.lr, each.weight_decay)
        groups.setdefault(at, []).append(each)
    ladder = any(each.per_class for each in found.gaps)
    several = any(each.of for each in found.gaps)
    columns = (
        ("of",) * several + ("rule",) + ("n",) * ladder + ("lr", "penalty", "runs", "loss", "least", "gap")
    )
    rows = []
    for (of, rule, n, lr, decay), some in sorted(groups.items()):
        medians = (median(values) for values in _columns(some))
        cells = (of,) * several + (rule,) + (str(n),) * ladder + (f"{lr:.4g}", f"{decay:g}", str(len(some)))
        rows.append(cells + tuple(f"{value:.6g}" for value in medians))
    own = " Each draw has a least of its own." if ladder else ""
    after = [
        "Each row has the medians of its runs: the training loss, the least that any linear head has on the same "
        f"examples, and the gap between the two.{own}"
    ]
    if found.left_out:
        some_of = [f"{count(number, 'run')} of {of}" for of, number in found.left_out.items()]
        after.append(
            f"Left out, since they train something else than a linear head on features: {listed(some_of)}."
        )
    return Grid(columns=columns, rows=tuple(rows), left=("of", "rule"), after=tuple(after))


def _columns(some: Sequence[HeadGap]) -> tuple[list[float], ...]:
    return [x.loss for x in some], [x.optimum for x in some], [x.gap for x in some]


def _as_fed(name: str, value: Any, found: Features) -> str:
    """A value; of the pictures' size, which the weights say, what the network was fed instead."""
    fed = list(found.fed[-2:])
    if name != "model.input.size" or len(found.fed) != 3 or fed == value:
        return str(value)
    return f"{fed}, the size of the data; the weights' own is {value}"


def _flat(table: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{where}{name}.")
        else:
            yield f"{where}{name}", value
