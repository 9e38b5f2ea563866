"""From a study's finished runs to one predictor. Everything is chosen on validation; test is read once, at the end, for
what was chosen: the best run, the seeds of its config, and the ensemble."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles import disagreement, gain, scoring, selection
from ravine.ensembles.findings import Calibration, Ensemble
from ravine.ensembles.judged import Judged, compared, judged
from ravine.ensembles.losses import Losses, ValueLosses, class_losses
from ravine.ensembles.members import as_members, candidates, usable, winner_of
from ravine.ensembles.pool import Pool
from ravine.ensembles.pooling import COMBINES, Combine, log_softmax
from ravine.errors import InputError, choices
from ravine.messages import shown, whole_number
from ravine.outcomes.member import Member
from ravine.outcomes.runs import final
from ravine.outcomes.trials import Predicted, Split
from ravine.store import Labels, RunRecord, Store

Array = NDArray[np.float64]
Outputs = Mapping[str, np.ndarray]

SELECTS = ("auto", "all", "top", "greedy")
_MOST = 200  # members of whose pools a curve and a matrix are made


class Along(Protocol):
    """Members along a run."""

    @property
    def cyclic(self) -> bool:
        """They are the ends of a schedule's cycles."""
        ...

    @property
    def members(self) -> list[Member]:
        """The weights that were kept."""
        ...

    @property
    def record(self) -> RunRecord:
        """The run."""
        ...

    def outputs(self, split: Split, names: Sequence[str]) -> dict[str, np.ndarray]:
        """What they predict."""
        ...


def ensemble(
    store: Store,
    study_name: str,
    *,
    members: str | Sequence[str] = "seeds",
    select: str = "auto",
    size: int = 5,
    combine: str = "mean",
    along: Callable[[Sequence[RunRecord]], Along] | None = None,
) -> Ensemble:
    """Pool finished runs of a study.

    Args:
        store: where it is.
        study_name: its name.
        members: what they are chosen from: a kind, or ids of runs.
        select: how.
        size: how many, at most, where they are chosen.
        combine: how their predictions become one.
        along: finds the members along a run; needed for snapshots.

    Raises:
        InputError: one line that says what is wrong.
    """
    found = choose(store, study_name, members=members, select=select, size=size, combine=combine, along=along)
    pool, labels, outputs, left = found.pool, found.labels, found.outputs, list(found.left_out)
    used = [
        (each, float(loss))
        for each, loss in zip(found.able, found.losses.solo, strict=True)
        if each.name in pool.weights
    ]
    own = [outputs[each.name] for each, _ in used]
    alike = found.how == "all" and members == "seeds"
    if len(used) > _MOST:
        left.append(f"the gain and the disagreement of more than {_MOST} members are left out")
    selected = found.how != "all" and len(labels.validation) > 1
    # All is chosen: from here on test may be read.
    whole = _judge(pool, found.best, labels, found.reader, found.able)
    return Ensemble(
        study=study_name,
        task=labels.task,
        noun=found.noun,
        text=found.text,
        select=found.how,
        pool=pool,
        members=tuple(each for each, _ in used),
        solo=tuple(loss for _, loss in used),
        num_candidates=len(found.able),
        judged=whole,
        compared=compared(whole[-1], whole[:-1]),
        optimism=selection.cross_fitted(found.losses, _choice(found.how, size)) if selected else None,
        curve=_curve(own, labels, alike),
        forecast=_forecast(own, labels) if alike and pool.combine == "mean" else None,
        disagreement=_disagreement(own, labels),
        calibration=_calibration(whole[-1], outputs, labels),
        left_out=tuple(left),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chosen:
    """A pool that validation chose; test was not read.

    Args:
        labels: the right answers.
        best: the finished runs of the winner, the best seed first.
        noun, text: what the members were chosen from, for people.
        how: they were chosen: ``all``, ``top`` or ``greedy``.
        able: the members that there were to choose from, sorted.
        outputs: of these on validation, by name.
        losses: of these on validation.
        pool: the pool.
        left_out: what cannot be a member, and why.
        reader: reads what members predict.
    """

    labels: Labels
    best: tuple[RunRecord, ...]
    noun: str
    text: str
    how: str
    able: tuple[Member, ...]
    outputs: Outputs
    losses: Losses
    pool: Pool
    left_out: tuple[str, ...]
    reader: _Reader


def choose(
    store: Store,
    study_name: str,
    *,
    members: str | Sequence[str] = "seeds",
    select: str = "auto",
    size: int = 5,
    combine: str = "mean",
    along: Callable[[Sequence[RunRecord]], Along] | None = None,
) -> Chosen:
    """The pool of `ensemble`, chosen on validation and not scored on test."""
    study = store.study(study_name)
    labels = store.labels(study.data_fingerprint)
    way = _checked(select, size, combine, labels, study_name)
    runs = store.runs(study_name)
    metric = "validation_loss" if labels.task == "regression" else "validation_accuracy"
    winner = winner_of(runs, metric, study_name)
    found = candidates(members, store, study, runs, winner)
    reader, given, noun, text = (
        _Reader(Predicted(store=store, labels=labels)),
        found.runs,
        found.noun,
        found.text,
    )
    wanted = as_members(given)
    if members == "snapshots":
        assert along is not None, "snapshots need what finds them"
        reader.along = along(given)
        wanted = [*reader.along.members, *as_members([reader.along.record])]
        noun, text = "snapshot", f" of run {reader.along.record.id[:8]}"
    if not wanted:
        raise InputError(f"members: none is left: {'; '.join(found.left_out)}")
    outputs = reader.outputs("validation", wanted)
    able, left = usable(wanted, outputs, labels)
    losses = _losses([outputs[each.name] for each in able], labels)
    how = _how(select, members, reader.along)
    return Chosen(
        labels=labels,
        best=tuple(run for run in winner if final(run, metric) is not None),
        noun=noun,
        text=text,
        how=how,
        able=tuple(able),
        outputs=outputs,
        losses=losses,
        pool=Pool.of(able, _choice(how, size)(losses), way),
        left_out=(*found.left_out, *left),
        reader=reader,
    )


@dataclass(slots=True)
class _Reader:
    """Reads what members predict.

    Args:
        predicted: of runs at their end.
        along: of snapshots; None where there are none.
    """

    predicted: Predicted
    along: Along | None = None

    def outputs(self, split: Split, members: Sequence[Member]) -> dict[str, np.ndarray]:
        """By name: logits (N, K), or values (N,) in the target's own units."""
        stored = self.predicted.outputs(split, [each.run for each in members if each.step is None])
        on_the_way = [each.name for each in members if each.step is not None]
        return {**stored, **self.along.outputs(split, on_the_way)} if self.along and on_the_way else stored


def _checked(select: str, size: int, combine: str, labels: Labels, study: str) -> Combine:
    """How predictions are combined.

    Raises:
        InputError: an argument that is not allowed.
    """
    if select not in SELECTS:
        raise InputError(f"select = {shown(select)}: {choices(select, SELECTS)}")
    whole_number("size", size, 1)
    for each in COMBINES:
        if each == combine:
            if each != "mean" and labels.task == "regression":
                raise InputError(
                    f"combine = {each!r}: the target of study {study!r} is a number; must be mean"
                )
            return each
    raise InputError(f"combine = {shown(combine)}: {choices(combine, COMBINES)}")


def _how(select: str, members: str | Sequence[str], path: Along | None) -> str:
    """How members are chosen where the caller leaves it open."""
    if select != "auto":
        return select
    if path is not None:
        return "all" if path.cyclic else "greedy"
    return {"configs": "top", "all": "greedy"}.get(str(members), "all")


def _choice(how: str, size: int) -> selection.Select:
    def chosen(losses: Losses) -> Array:
        if how == "all":
            return selection.everyone(losses)
        return selection.top(losses, size) if how == "top" else selection.greedy(losses, size)

    return chosen


def _losses(outputs: Sequence[np.ndarray], labels: Labels) -> Losses:
    if labels.task == "classification":
        return class_losses(outputs, labels.validation)
    return ValueLosses(np.stack([np.asarray(each, dtype=np.float64) for each in outputs]) - labels.validation)


def _judge(
    pool: Pool,
    winner: Sequence[RunRecord],
    labels: Labels,
    reader: _Reader,
    able: Sequence[Member],
) -> tuple[Judged, ...]:
    """The best run, the seeds of its config and the pool: each pool once, the ensemble last. Here test is read.

    The first two are always the means of probabilities, so that logits and votes are seen beside them.
    """
    seeds = as_members(winner)
    pools = {
        "best run": Pool.of(seeds[:1], [1.0], "mean"),
        f"{len(seeds)} seeds of the winner": Pool.of(seeds, [1.0] * len(seeds), "mean"),
    }
    pools = {name: each for name, each in pools.items() if each.id != pool.id}
    if len(seeds) == 1:
        pools = {name: each for name, each in pools.items() if name == "best run"}
    pools["ensemble"] = pool
    members = {each.name: each for each in (*seeds, *able)}
    names = dict.fromkeys(name for each in pools.values() for name in each.weights)
    wanted = [members[name] for name in names]
    validation, test = (reader.outputs(split, wanted) for split in ("validation", "test"))
    return tuple(
        judged(name, each, labels.task, (validation, labels.validation), (test, labels.test))
        for name, each in pools.items()
    )


def _curve(own: Sequence[np.ndarray], labels: Labels, alike: bool) -> tuple[gain.Gain, ...]:
    """The gain against the number of members."""
    if len(own) > _MOST:
        return ()
    of = gain.of_classes if labels.task == "classification" else gain.of_values
    return of(own, labels.validation, alike=alike)


def _disagreement(own: Sequence[np.ndarray], labels: Labels) -> Array:
    """How much each two members differ."""
    if len(own) > _MOST:
        return np.zeros((0, 0))
    if labels.task == "classification":
        return disagreement.of_classes([each.argmax(axis=1) for each in own])
    return disagreement.of_values(own)


def _forecast(own: Sequence[np.ndarray], labels: Labels) -> gain.Forecast | None:
    if labels.task == "classification":
        p_RNK = np.exp(log_softmax(np.stack(own)))
        return gain.forecast("brier", gain.class_products(p_RNK, labels.validation))
    errors_RN = np.stack([np.asarray(each, dtype=np.float64) for each in own]) - labels.validation
    return gain.forecast("mse", gain.value_products(errors_RN))


def _calibration(last: Judged, outputs: Outputs, labels: Labels) -> tuple[Calibration, ...]:
    pooled = last.pool.predict(labels.task, outputs)
    if pooled.log_p is None or last.pool.combine == "vote" or last.temperature == 1.0:
        return ()
    after = scoring.scores_of(
        scoring.heated_elsewhere(pooled.log_p, labels.validation), pooled.predicted, labels.validation
    )
    names = ("nll", "brier", "ece")
    return (
        Calibration(
            split="validation",
            before={name: last.raw["validation"][name] for name in names},
            after={name: getattr(after, name) for name in names},
        ),
        Calibration(
            split="test",
            before={name: last.raw["test"][name] for name in names},
            after={name: last.test[name] for name in names},
        ),
    )
