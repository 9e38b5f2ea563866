"""From a study's finished runs to one predictor. Everything is chosen on validation; test is read once, at the end, for
what was chosen: the ensemble, and beside it one predictor of each other kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles import disagreement, gain, scoring, selection
from ravine.ensembles.asked import Asked
from ravine.ensembles.cells import Cells
from ravine.ensembles.choice import Chosen, choose, selecting
from ravine.ensembles.findings import Calibration, Ensemble
from ravine.ensembles.judged import Judged, compared
from ravine.ensembles.judging import Long, judge
from ravine.ensembles.kinds import Kind, Souped, epochs_of, kinds_of
from ravine.ensembles.pooling import log_softmax
from ravine.ensembles.reading import Evaluate
from ravine.ensembles.rival import NAME, Train
from ravine.metrics import Metric
from ravine.store import Labels, Store

Array = NDArray[np.float64]
Outputs = Mapping[str, np.ndarray]

_MOST = 200  # members of whose pools a curve and a matrix are made


def ensemble(
    store: Store,
    study_name: str,
    *,
    members: str | Sequence[str] = "seeds",
    select: str = "auto",
    size: int = 5,
    combine: str = "mean",
    evaluate: Evaluate | None = None,
    soup: Callable[[], Souped | None] | None = None,
    rival: Train | None = None,
    metric: Metric | None = None,
) -> Ensemble:
    """Pool finished runs of a study.

    Args:
        store: where it is.
        study_name: its name.
        members: what they are chosen from: a kind, or ids of runs.
        select: how.
        size: how many, at most, where they are chosen.
        combine: how their predictions become one.
        evaluate: evaluates weights along a run; needed for snapshots.
        soup: makes the soup, if it is wanted.
        rival: trains the winner's config for as long as all members together, if it is wanted.
        metric: what configs are compared by; None: what the study's text names.

    Raises:
        InputError: one line that says what is wrong.
    """
    found = choose(
        store,
        study_name,
        members=members,
        select=select,
        size=size,
        combine=combine,
        evaluate=evaluate,
        metric=metric,
    )
    pool, labels, outputs, left = found.pool, found.labels, found.outputs, list(found.left_out)
    used = [
        (each, float(loss))
        for each, loss in zip(found.able, found.losses.solo, strict=True)
        if each.name in pool.weights
    ]
    given = [outputs[each.name] for each, _ in used]
    alike = found.how == "all" and members == "seeds"
    if len(used) > _MOST:
        left.append(f"the gain and the disagreement of more than {_MOST} members are left out")
    selected = found.how != "all" and len(labels.validation) > 1
    kinds, missing = kinds_of(store, study_name, found, size, soup)
    long, words = _long(kinds[-1], found, labels, store, rival)
    # All is chosen: from here on test may be read.
    asked = Asked.of(store.study(study_name).definition, labels, metric)
    whole, longest, num_scored, notes = judge(store, study_name, kinds, labels, found.reader, long, asked)
    own = None if asked is None else asked.metric
    left += [*missing, *words, *notes]
    return Ensemble(
        study=study_name,
        task=labels.task,
        cells=Cells.of(labels),
        noun=found.noun,
        text=found.text,
        select=found.how,
        pool=pool,
        members=tuple(each for each, _ in used),
        solo=tuple(loss for _, loss in used),
        num_candidates=len(found.able),
        judged=whole,
        rival=longest,
        num_scored=num_scored,
        compared=compared(whole[-1], [*whole[:-1], *([] if longest is None else [longest])], own),
        optimism=selection.cross_fitted(found.losses, selecting(found.how, size)) if selected else None,
        curve=_curve(given, labels, alike),
        forecast=_forecast(given, labels) if alike and pool.combine == "mean" else None,
        disagreement=_disagreement(given, labels),
        calibration=_calibration(whole[-1], outputs, labels),
        left_out=tuple(left),
        metric=own,
    )


def _long(
    kind: Kind, found: Chosen, labels: Labels, store: Store, train: Train | None
) -> tuple[Long, list[str]]:
    """Runs as long as all members of the ensemble together, and what is to be said of them."""
    if train is None:
        return Long(), []
    first = found.best[0]
    records = {run: store.run(run) for run in kind.runs}
    own = epochs_of({first.id: None}, {first.id: first}, labels.sizes[0])
    times = round(epochs_of(kind.runs, records, labels.sizes[0]) / own)
    if times < 2:
        return Long(), [f"{NAME} is left out: the members took no longer than a run of the winner"]
    runs = tuple(train(first, times))
    if not runs:
        return Long(), [f"{NAME} is left out: all of its seeds diverged"]
    return Long(runs=runs, times=times), []


def _curve(own: Sequence[np.ndarray], labels: Labels, alike: bool) -> tuple[gain.Gain, ...]:
    """The gain against the number of members."""
    if len(own) > _MOST:
        return ()
    cells = Cells.of(labels)
    of = gain.of_values if cells.regression else gain.of_classes
    given = [cells.outputs(each) for each in own]
    return of(given, cells.answers(labels.validation), alike=alike, per=cells.per)


def _disagreement(own: Sequence[np.ndarray], labels: Labels) -> Array:
    """How much each two members differ."""
    if len(own) > _MOST:
        return np.zeros((0, 0))
    cells = Cells.of(labels)
    given = [cells.outputs(each) for each in own]
    if cells.regression:
        return disagreement.of_values(given)
    return disagreement.of_classes([each.argmax(axis=1) for each in given])


def _forecast(own: Sequence[np.ndarray], labels: Labels) -> gain.Forecast | None:
    cells = Cells.of(labels)
    given, answers = [cells.outputs(each) for each in own], cells.answers(labels.validation)
    if not cells.regression:
        p_RNK = np.exp(log_softmax(np.stack(given)))
        return gain.forecast("brier", gain.class_products(p_RNK, answers))
    errors_RN = np.stack([np.asarray(each, dtype=np.float64) for each in given]) - answers
    return gain.forecast("mse", gain.value_products(errors_RN))


def _calibration(last: Judged, outputs: Outputs, labels: Labels) -> tuple[Calibration, ...]:
    cells = Cells.of(labels)
    pooled = last.pool.predict(cells, outputs)
    if pooled.log_p is None or last.pool.combine == "vote" or last.temperature == 1.0:
        return ()
    answers = cells.answers(labels.validation)
    after = scoring.scores_of(
        scoring.heated_elsewhere(pooled.log_p, answers, cells.per), pooled.predicted, answers
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
