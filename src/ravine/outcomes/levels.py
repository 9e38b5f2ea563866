"""The levels of a factor: runs labelled by what is compared, so that all that judges rules judges these too.

A verdict, a report and a table know a run by its label and its other hypers. For ``compare = "rule"`` the label is the
rule. For anything else it says the run's level of that factor, and the rule is one of its hypers. This is the only
place that knows the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ravine.errors import InputError, StudyError
from ravine.messages import shown
from ravine.rules.registry import AROUND
from ravine.study import STAGE
from ravine.study.arms import ARM
from ravine.study.compare import MODEL, RULE, VARIANT, compared_names, ranges_in, short_name
from ravine.study.folds import FOLD, REPEAT
from ravine.study.ladder import DRAW, PER_CLASS
from ravine.study.load import content_of
from ravine.study.recipe import is_factor

if TYPE_CHECKING:
    from ravine.store import RunRecord

Value = float | str
_WORDS = (MODEL, "schedule", VARIANT, ARM)  # whose values say what they are values of


def compared_by(definition: str) -> str:
    """What a study's text says that its verdict compares.

    Example:
        >>> compared_by('compare = "dropout"'), compared_by('name = "s"')
        ('dropout', 'rule')
    """
    try:
        content = content_of(definition)
    except InputError:  # a study made by an older version, or in Python without a text
        return RULE
    ladder = content.get("ladder")
    arms = isinstance(ladder, dict) and ladder.get("arms")
    return str(content.get("compare", ARM if arms else VARIANT if content.get("variants") else RULE))


def noun_of(compare: str) -> str:
    """What one of the compared things is called: a rule, a model, or a level.

    Example:
        >>> noun_of("rule"), noun_of("augment.cutout")
        ('rule', 'level')
    """
    return compare if compare in (RULE, MODEL, VARIANT, ARM) else "level"


def levelled(runs: Sequence[RunRecord], compare: str, definition: str) -> tuple[RunRecord, ...]:
    """The runs with their levels as labels, and what is left of their hypers.

    Args:
        runs: of a study, finished or not.
        compare: what the verdict compares, see `ravine.study.compare.compared_names`.
        definition: the study's text, which says what is a range.

    Returns:
        In the same order; for "rule" the runs themselves.

    Raises:
        StudyError: it does not vary, is a range, some rule has no such hyper, or the study is staged.
    """
    if compare == RULE:
        return tuple(runs)
    if compare in (FOLD, REPEAT):
        raise StudyError(
            f"compare = {shown(compare)}: folds are averaged over; compare rules, or what else varies"
        )
    if compare in (PER_CLASS, DRAW):
        raise StudyError(
            f"compare = {shown(compare)}: a ladder compares its arms at each n, on all draws together"
        )
    if any(STAGE in run.hypers for run in runs):
        raise StudyError(
            f"compare = {shown(compare)}: a study in stages has its second stage for each rule's best config alone, so "
            'only "rule" can be compared'
        )
    names = compared_names(compare, varying(runs), _ranges(definition))
    several = len({run.rule for run in runs}) > 1
    found = []
    for run in runs:
        values = {name: _value(run, name, compare) for name in names}
        kept = {name: value for name, value in run.hypers.items() if name not in names or name == "lr"}
        rule: dict[str, Value] = {RULE: run.rule} if several else {}
        found.append(replace(run, rule=label_of(values), hypers={**rule, **kept}))
    return tuple(found)


def unlike(runs: Sequence[RunRecord], compare: str) -> list[str]:
    """A caution where the levels were not tried with the same rest: then they differ in more than what is compared.

    Args:
        runs: with their levels as labels.
        compare: what is compared; rules, models and variants have hypers of their own, so there is none of them.
    """
    if noun_of(compare) != "level":
        return []
    tried: dict[str, dict[str, set[Value]]] = {}
    for run in runs:
        for name, value in run.hypers.items():
            if name == compare:  # the learning rate, which a run keeps
                continue
            tried.setdefault(name, {}).setdefault(run.rule, set()).add(value)
    levels = {run.rule for run in runs}
    names = [
        short_name(name)
        for name, of_level in tried.items()
        if len({frozenset(of_level.get(level, ())) for level in levels}) > 1
    ]
    if not names:
        return []
    return [
        f"The levels were not tried with the same {' and '.join(names)}, so they differ in more than what is compared."
    ]


def varying(runs: Sequence[RunRecord]) -> tuple[str, ...]:
    """What differs among runs, by name: "rule" first, then hypers in the order of the study."""
    names = dict.fromkeys(name for run in runs for name in run.hypers if name != STAGE)
    rule = (RULE,) if len({run.rule for run in runs}) > 1 else ()
    return (*rule, *(name for name in names if len({_stored(run, name) for run in runs}) > 1))


def label_of(values: Mapping[str, Value]) -> str:
    """A level as a person says it.

    Args:
        values: of the compared hypers, by name.

    Example:
        >>> label_of({"model.dropout": 0.2}), label_of({"model.dropout": 0.0}), label_of({"model": "convnet"})
        ('dropout 0.2', 'without dropout', 'convnet')
        >>> label_of({"augment.flip": 0.5, "augment.cutout": 0.0})
        'augment.flip 0.5'
    """
    absent = [short_name(name) for name, value in values.items() if value == 0.0 and _is_off(name)]
    if len(absent) == len(values):
        return f"without {' and '.join(absent)}"
    return ", ".join(
        f"{value}" if name in _WORDS else f"{short_name(name)} {_shown(value)}"
        for name, value in values.items()
        if short_name(name) not in absent
    )


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _is_off(name: str) -> bool:
    """Whether 0 of a hyper is to be without it: so it is with all that comes around a rule, and not with its own."""
    return name in AROUND or is_factor(name)


def _stored(run: RunRecord, name: str) -> Value | None:
    """A run's value: what its study chose, or else what its recipe says."""
    if name in run.hypers:
        return run.hypers[name]
    found: Value | None = run.recipe.get("hypers", {}).get(name)
    return 0.0 if found is None and _is_off(name) else found


def _value(run: RunRecord, name: str, compare: str) -> Value:
    value = _stored(run, name)
    if value is None:
        raise StudyError(f"compare = {shown(compare)}: not with rule {shown(run.rule)}, which has no {name}")
    return value


def _ranges(definition: str) -> frozenset[str]:
    try:
        return ranges_in(content_of(definition))
    except InputError:
        return frozenset()
