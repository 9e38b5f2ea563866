"""What sets studies apart: whether they can be judged together, and in what they were trained otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ravine.errors import InputError
from ravine.messages import shown
from ravine.rules.registry import AROUND
from ravine.study.compare import short_name
from ravine.study.recipe import is_factor

if TYPE_CHECKING:
    from ravine.outcomes.results import Results
    from ravine.store import Labels, RunRecord

# Of a recipe: the same for all, what the rules are about, or of no weight in training.
_WHOSE = ("data", "numerics", "rule", "hypers", "evaluate_every")
_MOST = 4  # differences that are listed
_SEVERAL = 3  # values of one study that are listed


def check_comparable(named: Mapping[str, Results]) -> None:
    """See that studies have the same data, split and metric.

    Args:
        named: the studies, by what they are called here.

    Raises:
        InputError: one line with the studies and what differs.
    """
    for name, study in named.items():
        if study.ladder is not None:
            raise InputError(
                f"study {shown(name)}: a ladder has an answer for each number of examples, so it cannot be compared"
                " with others"
            )
    (first, one), *others = named.items()
    for second, other in others:
        if differs := _data_apart(one, other) or _judged_apart(one, other):
            raise InputError(f"studies {shown(first)} and {shown(second)} cannot be compared: {differs}")


def _data_apart(one: Results, other: Results) -> str:
    """What differs of two studies' data, in words; empty where they have the same."""
    if one.study.data_fingerprint == other.study.data_fingerprint:
        return ""
    a, b = one.labels, other.labels
    if (one.folds is None) != (other.folds is None):
        with_folds, without = (one, other) if one.folds is not None else (other, one)
        return f"{shown(with_folds.name)} tests every example in folds, {shown(without.name)} one test split"
    if a.task != b.task:
        return f"different tasks, {a.task} and {b.task}"
    if a.name != b.name:
        return f"different data, {shown(a.name)} and {shown(b.name)}"
    if a.classes != b.classes:
        return f"different classes, {len(a.classes)} and {len(b.classes)} of {shown(a.name)}"
    if one.folds is not None and other.folds is not None and one.folds.folds != other.folds.folds:
        return f"different folds of {shown(a.name)}, {one.folds.folds} and {other.folds.folds}"
    if a.sizes != b.sizes:
        sizes = " and ".join("/".join(f"{size:,}" for size in each.sizes) for each in (a, b))
        return f"different splits of {shown(a.name)}, {sizes} training/validation/test examples"
    if not _same_answers(a, b):
        return f"different splits of {shown(a.name)}, the same numbers of other examples"
    return (
        f"the inputs of {shown(a.name)} differ (its columns, scaling, picture size or training examples), though not"
        " the answers on validation and test"
    )


def _same_answers(a: Labels, b: Labels) -> bool:
    return np.array_equal(a.validation, b.validation) and np.array_equal(a.test, b.test)


def _judged_apart(one: Results, other: Results) -> str:
    """What differs of how two studies are judged, in words; empty where nothing does."""
    if one.verdict.measure != other.verdict.measure:
        return f"different metrics, {one.verdict.measure.name} and {other.verdict.measure.name}"
    if one.mode != other.mode:
        modes = [study.mode.words if study.mode is not None else "the mean pass" for study in (one, other)]
        return f"judged by different predictions at test, {modes[0]} and {modes[1]}"
    return ""


def trained_apart(runs: Mapping[str, Sequence[RunRecord]]) -> list[str]:
    """In what studies were trained otherwise, beside their rules and the rules' own hypers.

    Args:
        runs: of each study, by what it is called here.

    Returns:
        For each key of a recipe the values of the studies: ``steps (23 in a, 46 in b)``.
    """
    found = {name: _values(some) for name, some in runs.items()}
    keys = dict.fromkeys(key for values in found.values() for key in values)
    differ = {
        key: {name: values.get(key, {_text(None)}) for name, values in found.items()}
        for key in keys
        if len({frozenset(values.get(key, {_text(None)})) for values in found.values()}) > 1
    }
    texts = [
        f"{key} ({', '.join(f'{_some(values)} in {name}' for name, values in of_study.items())})"
        for key, of_study in differ.items()
    ]
    return texts if len(texts) <= _MOST else [*texts[:_MOST], f"{len(texts) - _MOST} more"]


def _values(runs: Sequence[RunRecord]) -> dict[str, set[str]]:
    """The values of a study's recipes, as texts by name."""
    found = []
    for run in runs:
        recipe = {key: value for key, value in run.recipe.items() if key not in _WHOSE}
        hypers = {
            short_name(name): value
            for name, value in run.recipe.get("hypers", {}).items()
            if (name in AROUND or is_factor(name)) and value
        }
        found.append({**_flat(recipe), **hypers})
    keys = dict.fromkeys(key for each in found for key in each)
    return {key: {_text(each.get(key)) for each in found} for key in keys}


def _text(value: object) -> str:
    return "none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _flat(value: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """A table's entries by their dotted names; None and empty tables are left out."""
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{above}.{key}" if above else key
        if isinstance(item, Mapping):
            found |= _flat(item, name)
        elif item is not None:
            found[name] = item
    return found


def _some(values: set[str]) -> str:
    """Values as people list them."""
    texts = sorted(values, key=lambda text: (len(text), text))
    return "/".join(texts) if len(texts) <= _SEVERAL else f"{len(texts)} values"
