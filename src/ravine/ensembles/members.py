"""Which runs may be members: seeds of the winner's config, the best run of each config, all runs, or runs by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ravine.ensembles.naming import member_of, named
from ravine.errors import InputError, StoreError, choices
from ravine.messages import count, shown
from ravine.outcomes.member import Member
from ravine.outcomes.runs import by_config, describe, final, lower_is_better, lr_of, quality
from ravine.store import Labels, RunRecord, Store, StudyRecord, kind_of
from ravine.study import Recipe
from ravine.verdict.selection import beside

KINDS = ("seeds", "configs", "snapshots", "all")
_FIRST = 32  # examples whose predictions are compared first
_NAMED = 5  # runs that are left out, by name; of more the number


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Runs that may be members.

    Args:
        runs: done; those of the winner with the best seed first.
        members: these, at their ends or where they were named.
        left_out: why others are none, a sentence for each reason.
        noun: what one of them is, for people.
        text: what else is to be said of them.
    """

    runs: tuple[RunRecord, ...]
    members: tuple[Member, ...]
    left_out: tuple[str, ...]
    noun: str
    text: str


def winner_of(runs: Sequence[RunRecord], metric: str, study: str) -> list[RunRecord]:
    """The finished runs of the winner: the config with the best mean validation score, best seed first.

    A config that lost a seed comes after those that lost none; of equals the plainer one is taken, then that with the
    smaller lr.

    Args:
        runs: of a study.
        metric: the validation metric that its configs are compared by.
        study: its name.

    Raises:
        InputError: no run has finished with a finite score.
    """
    groups = {
        config: seeds for config, seeds in by_config(runs).items() if any(_done(run, metric) for run in seeds)
    }
    if not groups:
        raise InputError(f"study {study!r}: no run has finished with a finite score, so there are no members")

    def order(config: str) -> tuple[object, ...]:
        share, mean = quality(groups[config], metric)
        first = groups[config][0]
        return -share, -mean, beside(first.hypers), lr_of(first), config

    return sorted(groups[min(groups, key=order)], key=lambda run: _best_first(run, metric))


def best_of_configs(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Of each config the run with the smallest validation loss; one without a loss where no run has any."""
    return [
        min(seeds, key=lambda run: _best_first(run, "validation_loss")) for seeds in by_config(runs).values()
    ]


def candidates(
    members: str | Sequence[str],
    store: Store,
    study: StudyRecord,
    runs: Sequence[RunRecord],
    winner: Sequence[RunRecord],
) -> Candidates:
    """The runs that may be members.

    Args:
        members: one of `KINDS`, or names of members.
        store: where the study is.
        study: the study.
        runs: all of its runs.
        winner: from `winner_of`.

    Raises:
        InputError: no such kind or run, or a run that was trained on other data.
    """
    names: list[tuple[RunRecord, Member]] | None = None
    if not isinstance(members, str):
        names = named(members, store, "members", KINDS)
        wanted = list({run.id: run for run, _ in names}.values())
        noun, text = "named member", ""
    elif members in ("seeds", "snapshots"):
        wanted = list(winner)
        hypers = describe(winner[0].hypers, winner[0].hypers)
        noun, text = "seed", f" of {winner[0].rule} ({hypers}), the config with the best mean on validation"
    elif members == "configs":
        wanted = best_of_configs(runs)
        noun, text = "config", ", each by its best seed"
    elif members == "all":
        wanted = list(runs)
        noun, text = "run", " of the study"
    else:
        raise InputError(f"members = {shown(members)}: {choices(members, KINDS)}, or ids of runs")
    labels = store.labels.of(study.data_fingerprint)
    for run in wanted:
        _check_same(run, store, study, labels)
    left = _left_out(wanted)
    if members != "all":
        unfinished = [run for run in wanted if run.status not in ("done", "diverged")]
        if unfinished and not isinstance(members, str):
            raise InputError(f"run {unfinished[0].id} has not finished: it has no predictions")
    done = tuple(run for run in wanted if run.status == "done")
    own = (
        tuple(as_members(done))
        if names is None
        else tuple(each for run, each in names if run.status == "done")
    )
    return Candidates(runs=done, members=own, left_out=tuple(left), noun=noun, text=text)


def best_average(store: Store, winner: Sequence[RunRecord], metric: str) -> tuple[RunRecord, Member] | None:
    """The stored average of the winner's seeds that is best on validation, and its run; None if there is none.

    Of equals the one with the smaller loss, then the first by name.

    Args:
        store: where they are.
        winner: finished runs of one config.
        metric: the validation metric that they are compared by.
    """
    names = store.averages.names([run.id for run in winner])
    sign = 1.0 if lower_is_better(metric) else -1.0
    found = [
        (sign * score, loss if loss is not None else float("inf"), average, run.id, run)
        for run in winner
        for average in names[run.id]
        if (score := final(run, kind_of(average, metric))) is not None
        for loss in (final(run, kind_of(average, "validation_loss")),)
    ]
    if not found:
        return None
    *_, average, _, run = min(found, key=lambda each: each[:4])
    return run, member_of(run, average=average)


def as_members(runs: Sequence[RunRecord]) -> list[Member]:
    """The runs as members, as they are at their end."""
    return [member_of(run) for run in runs]


def usable(
    members: Sequence[Member], outputs: Mapping[str, np.ndarray], labels: Labels
) -> tuple[list[Member], list[str]]:
    """The members that can be pooled, sorted by name, and why others cannot.

    Args:
        members: in any order.
        outputs: their predictions on validation, by name.
        labels: of their data.

    Raises:
        StoreError: predictions of another number of classes.
        InputError: none is left.
    """
    found: list[Member] = []
    left: list[str] = []
    begun_alike: dict[bytes, list[Member]] = {}
    for each in sorted(members, key=lambda member: member.place):
        given = outputs[each.name]
        width = len(labels.classes or labels.targets)
        if given.ndim == 2 and given.shape[1] != width:
            one, many = ("target", "targets") if labels.targets else ("class", "classes")
            raise StoreError(
                f"run {each.run}: it predicts {count(given.shape[1], one, many)}, its data have {width}"
            )
        if not np.isfinite(given).all():
            left.append(f"{each.short} is left out: not all of its validation predictions are finite numbers")
            continue
        alike = begun_alike.setdefault(given[:_FIRST].tobytes(), [])
        same = next((other for other in alike if np.array_equal(outputs[other.name], given)), None)
        if same is not None:
            left.append(f"{each.short} is left out: it predicts the same as {same.short}, to the last bit")
            continue
        alike.append(each)
        found.append(each)
    if not found:
        raise InputError("members: not one has finite predictions on the validation examples")
    return found, left


def _check_same(run: RunRecord, store: Store, study: StudyRecord, labels: Labels) -> None:
    """Refuse a run that was validated on other examples, or on other answers to them."""
    fingerprint = Recipe.of(run.recipe).data
    if fingerprint == study.data_fingerprint:
        return
    here = f"those of study {study.name!r}"
    words = f"its data have the fingerprint {fingerprint[:8]}, {here} {study.data_fingerprint[:8]}"
    try:
        other = store.labels.of(fingerprint)
    except StoreError:
        other = None
    if other is not None and other.classes != labels.classes:
        words = f"its classes are {shown(list(other.classes))}, {here} {shown(list(labels.classes))}"
    elif other is not None and other.name == labels.name:
        words = f"its {other.name} data are split otherwise than {here}"
    raise InputError(f"run {run.id} cannot be a member: {words}")


def _left_out(runs: Sequence[RunRecord]) -> list[str]:
    """Sentences about runs without predictions."""
    left = []
    diverged = [run for run in runs if run.status == "diverged"]
    if diverged:
        names = ", ".join(f"{run.id[:8]} (at step {run.diverged_at:,})" for run in diverged[:_NAMED])
        more = f" and {len(diverged) - _NAMED:,} more" if len(diverged) > _NAMED else ""
        left.append(f"{count(len(diverged), 'run')} diverged and {_are(diverged)} left out: {names}{more}")
    waiting = [run for run in runs if run.status not in ("done", "diverged")]
    if waiting:
        left.append(f"{count(len(waiting), 'run')} {'has' if len(waiting) == 1 else 'have'} not finished")
    return left


def _are(runs: Sequence[RunRecord]) -> str:
    return "is" if len(runs) == 1 else "are"


def _done(run: RunRecord, metric: str) -> bool:
    return final(run, metric) is not None


def _best_first(run: RunRecord, metric: str) -> tuple[float, float, str]:
    """Runs with the best score first; of equals the smallest loss, then the id; at the end those without a score."""
    score, loss = final(run, metric), final(run, "validation_loss")
    worst = float("inf")
    if score is None:
        return worst, worst, run.id
    return score if lower_is_better(metric) else -score, worst if loss is None else loss, run.id
