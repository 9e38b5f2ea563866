"""Which factor of a study is judged: ``compare`` names it, and the verdict then speaks of its levels."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ravine.errors import StudyError, choices
from ravine.messages import shown

RULE, MODEL = "rule", "model"
_RANGE = frozenset({"log", "linear", "num"})


def compared_names(key: str, varying: Collection[str], ranges: Collection[str] = ()) -> tuple[str, ...]:
    """The names of the hypers that a key compares.

    Args:
        key: "rule", "model", "schedule", "batch_size", or a hyper such as "weight_decay"; a rate of the model also
            without its table, "dropout" for "model.dropout"; a table such as "augment" for all of it that varies.
        varying: the names that differ among the runs.
        ranges: those whose values are drawn from a range.

    Raises:
        StudyError: nothing of that name varies, or it is a range.

    Example:
        >>> compared_names("dropout", ["rule", "lr", "model.dropout"])
        ('model.dropout',)
    """
    here = f"compare = {shown(key)}"
    found = [name for name in varying if name in (key, f"{MODEL}.{key}")]
    if not found and key != MODEL:
        found = [name for name in varying if name.startswith(f"{key}.")]
    if not found:
        names = [short_name(name) for name in varying]
        if not names:
            raise StudyError(f"{here}: nothing varies in this study", at=[("compare",)])
        raise StudyError(
            f"{here}: does not vary in this study; {choices(key, names, 'what varies')}", at=[("compare",)]
        )
    drawn = [name for name in found if name in ranges]
    if drawn:
        raise StudyError(
            f"{here}: {short_name(drawn[0])} is a range, which has no levels; list the values to compare",
            at=[("compare",)],
        )
    return tuple(found)


def short_name(name: str) -> str:
    """A hyper as a person names it: a rate of the model without its table.

    Example:
        >>> short_name("model.dropout"), short_name("augment.cutout")
        ('dropout', 'augment.cutout')
    """
    return name.removeprefix(f"{MODEL}.")


def ranges_in(content: Mapping[str, Any]) -> frozenset[str]:
    """The hypers that a study's keys and values give as a range, by their names in a run.

    Example:
        >>> sorted(ranges_in({"model": {"dropout": {"linear": [0, 0.5]}}, "rules": [{"lr": {"log": [1e-3, 1]}}]}))
        ['lr', 'model.dropout']
    """
    return frozenset(_ranges(content, ""))


def _ranges(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        if value and _RANGE.issuperset(value) and ("log" in value or "linear" in value):
            yield name
            return
        for key, item in value.items():
            part = f"{name}.{key}" if name else str(key)
            yield from _ranges(item, part.removeprefix("rules.").replace("model.rates.", "model."))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _ranges(item, "" if name == "rules" else name)
