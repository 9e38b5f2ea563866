"""Which factor of a study is judged: ``compare`` names it, and the verdict then speaks of its levels."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ravine.errors import StudyError, choices
from ravine.messages import shown, wrong
from ravine.study.recipe import is_factor
from ravine.study.values import Range

RULE, MODEL, VARIANT = "rule", "model", "variant"
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


def parse_compare(value: object) -> str:
    """What the verdict of a study compares.

    Raises:
        StudyError: it is no text.
    """
    if not isinstance(value, str) or not value:
        raise wrong("compare", value, 'must be "rule", "model", or the name of any other factor that varies')
    return value


def check_compare(key: str, axes: Mapping[str, Sequence[Mapping[str, Any]]], *, staged: bool) -> None:
    """Refuse to compare what a study does not vary, or varies without levels.

    Args:
        key: what is compared.
        axes: by rule: what its configs are made of, for each model; tuples of values, or ranges.
        staged: whether the study is staged.

    Raises:
        StudyError: says what can be compared.
    """
    if key == RULE:
        return
    if staged:
        raise wrong(
            "compare",
            key,
            'a study in stages has its second stage for each rule\'s best config alone; only "rule" can be compared',
        )
    values: dict[str, list[Any]] = {RULE: list(axes)}
    ranges = set()
    for each in (each for of_rule in axes.values() for each in of_rule):
        for name, axis in each.items():
            known = values.setdefault(name, [])
            if isinstance(axis, Range):
                ranges.add(name)
            known += [value for value in ([axis] if isinstance(axis, Range) else axis) if value not in known]
    varying = [name for name, found in values.items() if len(found) > 1 or name in ranges]
    for name in compared_names(key, varying, ranges):
        for rule, of_rule in axes.items():
            if name != RULE and not is_factor(name) and any(name not in each for each in of_rule):
                raise wrong("compare", key, f"not with rule {shown(rule)}, which has no {name}")


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
