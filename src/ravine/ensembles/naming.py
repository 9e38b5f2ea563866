"""Members as people name them: ``8e79`` is a run at its end, ``8e79@120`` its weights after 120 steps, and
``8e79#ema 0.999`` an average along it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ravine.errors import InputError, choices
from ravine.messages import shown
from ravine.outcomes.member import Member
from ravine.store import RunRecord, Store

_FORM = re.compile(r"([0-9a-f]{4,16})(?:@([0-9]{1,10})|#(.+))?")


def member_of(run: RunRecord, *, step: int | None = None, average: str = "") -> Member:
    """A run as a member."""
    return Member(
        run=run.id,
        step=step,
        average=average,
        rule=run.rule,
        config=run.config,
        hypers=run.hypers,
        seed=run.seed,
    )


def is_named(text: str) -> bool:
    """Whether a text names a member, or several with commas between them.

    Example:
        >>> is_named("8e79"), is_named("8e79@120,0659"), is_named("seeds")
        (True, True, False)
    """
    return all(_FORM.fullmatch(part.strip()) for part in text.split(","))


def named(
    texts: Sequence[str], store: Store, key: str, kinds: Sequence[str] = ()
) -> list[tuple[RunRecord, Member]]:
    """The members with these names, and their runs.

    Args:
        texts: at least one, each another.
        store: where the runs are.
        key: the argument, for errors.
        kinds: what else it could have been.

    Raises:
        InputError: no such run or weights, one is named twice, or none is named.
    """
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{key} = {shown(texts)}: must be ids of runs, which are texts")
    if not texts:
        offer = f"{choices('', kinds)}, or ids of runs" if kinds else "must be ids of runs"
        raise InputError(f"{key}: none are named; {offer}")
    found = []
    for text in texts:
        form = _FORM.fullmatch(text)
        if form is None:
            known = f", nor one of {', '.join(kinds)}" if kinds else ""
            raise InputError(f"{key}: {shown(text)} is no id of a run{known}")
        run = store.run(form[1])
        step = None if form[2] is None else int(form[2])
        found.append((run, member_of(run, step=step, average=form[3] or "")))
    for _, member in found:
        if sum(other == member for _, other in found) > 1:
            raise InputError(f"{key}: run {member.name} is named twice")
        _check_there(member, store, key)
    return found


def _check_there(member: Member, store: Store, key: str) -> None:
    """See that the store has a run's weights where they are asked for."""
    if member.average:
        names = store.averages.names([member.run])[member.run]
        if member.average not in names:
            has = f"it has {', '.join(names)}" if names else "it has none"
            raise InputError(f"{key}: run {member.run} has no average {shown(member.average)}; {has}")
    if member.step is not None:
        steps = store.kept.steps([member.run])[member.run]
        if member.step not in steps:
            has = f"there are some after {_few(steps)}" if steps else "there are none along it"
            raise InputError(f"{key}: run {member.run} has no weights after step {member.step}; {has}")


def _few(steps: Sequence[int]) -> str:
    if len(steps) <= 6:
        return ", ".join(map(str, steps))
    return f"{', '.join(map(str, steps[:3]))}, ..., {steps[-1]}"
