"""The examples that are hardest for some runs, and those that are perhaps mislabelled; a function for each task.

Shapes: R run, N example, K class or label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ravine.errors import InputError
from ravine.outcomes.by_label import ByLabel
from ravine.outcomes.confusion import Confusion
from ravine.outcomes.deviations import Deviations, number_of
from ravine.outcomes.mistakes import Mistake
from ravine.outcomes.off_targets import OffTargets, largest_of

if TYPE_CHECKING:
    from ravine.store import Labels

_FEWEST = 3  # runs from which "nearly all" means something
_NEARLY_ALL = 0.9  # of the runs, and of the probability

Runs = Iterator[tuple[str, np.ndarray]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a task makes of the runs; see `Mistakes`."""

    confusion: Confusion | None = None
    labels: ByLabel | None = None
    deviations: Deviations | None = None
    targets: OffTargets | None = None
    hardest: Sequence[Mistake] = ()
    num_suspects: int = 0
    num_runs: int = 0


def _of_classes(
    classes: tuple[str, ...],
    right_N: np.ndarray,
    chosen: Sequence[np.ndarray],
    runs: Runs,
    sure: set[str],
    num: int,
) -> Found:
    confusion = Confusion.of(chosen, right_N, classes)
    rows_N, small = np.arange(len(right_N)), np.min_scalar_type(len(classes))
    said, surely_said, confidence, loss_N = [], [], [], np.zeros(len(right_N))
    for run, logits_NK in runs:
        top_N = logits_NK.argmax(axis=1)
        below_NK = logits_NK - logits_NK[rows_N, top_N][:, None]
        log_sum_N = np.log(np.exp(below_NK).sum(axis=1))
        loss_N += log_sum_N - below_NK[rows_N, right_N]
        said.append(top_N.astype(small))
        if run in sure:
            surely_said.append(said[-1])
            confidence.append(np.exp(-log_sum_N))
    if not said:
        return Found(confusion=confusion)
    said_RN = np.stack(said)
    wrong_N = (said_RN != right_N).mean(axis=0)
    loss_N /= len(said)
    suspects = (
        _suspects(np.stack(surely_said), np.stack(confidence), right_N) if len(confidence) >= _FEWEST else {}
    )
    first = np.array([place not in suspects for place in range(len(right_N))])
    order = np.lexsort((-loss_N, -wrong_N, first))[:num]
    hardest = [
        Mistake(
            number=int(place),
            answer=classes[int(right_N[place])],
            said=classes[suspects.get(int(place), _mostly(said_RN[:, place], int(right_N[place])))],
            wrong=float(wrong_N[place]),
            off=None,
            loss=float(loss_N[place]),
            suspect=int(place) in suspects,
        )
        for place in order
        if wrong_N[place] > 0
    ]
    return Found(confusion=confusion, hardest=hardest, num_suspects=len(suspects), num_runs=len(said))


def _mostly(said_R: np.ndarray, right: int) -> int:
    """The class that is said most often in the place of the right one."""
    counts = np.bincount(said_R[said_R != right], minlength=right + 1)
    return int(counts.argmax()) if counts.any() else right


def _suspects(said_RN: np.ndarray, confidence_RN: np.ndarray, right_N: np.ndarray) -> dict[int, int]:
    """Examples of which nearly all runs say the same other class, and are sure of it on average; with that class."""
    found = {}
    for place in np.flatnonzero((said_RN != right_N).mean(axis=0) >= _NEARLY_ALL):
        other = _mostly(said_RN[:, place], int(right_N[place]))
        say_so = said_RN[:, place] == other
        if say_so.mean() >= _NEARLY_ALL and confidence_RN[say_so, place].mean() >= _NEARLY_ALL:
            found[int(place)] = other
    return found


def _of_labels(
    labels: tuple[str, ...],
    right_NK: np.ndarray,
    chosen: Sequence[np.ndarray],
    runs: Runs,
    sure: set[str],
    num: int,
) -> Found:
    by_label, there_NK = ByLabel.of(chosen, right_NK, labels), right_NK > 0
    wrong_N, loss_N, given_NK = np.zeros(len(right_NK)), np.zeros(len(right_NK)), np.zeros(right_NK.shape)
    against_NK, certain_NK, num_runs, num_sure = np.zeros(right_NK.shape), np.zeros(right_NK.shape), 0, 0
    for run, logits_NK in runs:
        said_NK, num_runs = logits_NK > 0.0, num_runs + 1
        margins_NK = np.where(there_NK, logits_NK, -logits_NK).astype(np.float64)
        wrong_N += (said_NK != there_NK).mean(axis=1)
        loss_N += np.logaddexp(0.0, -margins_NK).mean(axis=1)
        given_NK += said_NK
        if run in sure:
            num_sure += 1
            against_NK += said_NK != there_NK
            certain_NK += np.where(said_NK != there_NK, np.exp(-np.logaddexp(0.0, margins_NK)), 0.0)
    if not num_runs:
        return Found(labels=by_label)
    wrong_N, loss_N = wrong_N / num_runs, loss_N / num_runs
    nearly_all_NK = against_NK >= _NEARLY_ALL * num_sure
    is_sure_NK = certain_NK >= _NEARLY_ALL * np.maximum(against_NK, 1.0)
    suspect_N = (
        np.any(nearly_all_NK & is_sure_NK, axis=1) if num_sure >= _FEWEST else np.zeros(len(loss_N), bool)
    )
    hardest = [
        Mistake(
            number=int(place),
            answer=_named(labels, there_NK[place]),
            said=_named(labels, 2.0 * given_NK[place] > num_runs),
            wrong=float(wrong_N[place]),
            off=None,
            loss=float(loss_N[place]),
            suspect=bool(suspect_N[place]),
        )
        for place in np.lexsort((-loss_N, -wrong_N, ~suspect_N))[:num]
        if wrong_N[place] > 0
    ]
    return Found(labels=by_label, hardest=hardest, num_suspects=int(suspect_N.sum()), num_runs=num_runs)


def _named(labels: tuple[str, ...], there_K: np.ndarray) -> str:
    return ", ".join(name for name, there in zip(labels, there_K, strict=True) if there) or "none"


def _of_numbers(
    classes: tuple[str, ...],  # noqa: ARG001
    right_N: np.ndarray,
    chosen: Sequence[np.ndarray],
    runs: Runs,
    sure: set[str],  # noqa: ARG001
    num: int,
) -> Found:
    deviations = Deviations.of(chosen, right_N)
    found = [np.asarray(values_N, dtype=np.float64).reshape(-1) for _, values_N in runs]
    if not found:
        return Found(deviations=deviations)
    predicted_RN = np.stack(found)
    residuals_RN = predicted_RN - right_N
    off_N = np.median(np.abs(residuals_RN), axis=0)
    said_N = np.median(predicted_RN, axis=0)
    loss_N = np.square(residuals_RN).mean(axis=0)
    hardest = [
        Mistake(
            number=int(place),
            answer=number_of(float(right_N[place])),
            said=number_of(float(said_N[place])),
            wrong=None,
            off=float(off_N[place]),
            loss=float(loss_N[place]),
        )
        for place in np.lexsort((-loss_N, -off_N))[:num]
    ]
    return Found(deviations=deviations, hardest=hardest, num_runs=len(predicted_RN))


def _of_targets(
    names: tuple[str, ...],
    right_NT: np.ndarray,
    chosen: Sequence[np.ndarray],
    runs: Runs,
    sure: set[str],  # noqa: ARG001
    num: int,
    scale: Sequence[float],
) -> Found:
    """An example is as hard as the mean of its targets' squared errors, each in units of that target's variance."""
    targets = OffTargets.of(chosen, right_NT, names)
    found = [values_NT for _, values_NT in runs]
    if not found:
        return Found(targets=targets)
    predicted_RNT = np.stack(found)
    off_RNT = np.abs(predicted_RNT.astype(np.float64) - right_NT)
    off_NT, said_NT = np.median(off_RNT, axis=0), np.median(predicted_RNT, axis=0)
    loss_N = np.square(off_RNT / np.asarray(scale)).mean(axis=(0, 2))
    furthest_N = (off_NT / np.asarray(scale)).argmax(axis=1)
    hardest = [
        Mistake(
            number=int(place),
            target=names[furthest],
            answer=number_of(float(right_NT[place, furthest])),
            said=number_of(float(said_NT[place, furthest])),
            wrong=None,
            off=float(off_NT[place, furthest]),
            loss=float(loss_N[place]),
        )
        for place in np.argsort(-loss_N, kind="stable")[:num]
        for furthest in (int(furthest_N[place]),)
    ]
    largest = largest_of(names, right_NT, said_NT, off_NT, num)
    return Found(targets=replace(targets, largest=largest), hardest=hardest, num_runs=len(found))


def look_of(labels: Labels) -> Callable[..., Found]:
    """What looks at the runs of a data set, which it calls by their names.

    Raises:
        InputError: nothing looks at its task.
    """
    if labels.targets:
        return partial(_of_targets, labels.targets, scale=labels.scale)
    if labels.task not in LOOKS:
        raise InputError(f"data {labels.name!r}: mistakes of task {labels.task!r} are not looked at")
    return partial(LOOKS[labels.task], labels.classes)


LOOKS: Mapping[str, Callable[..., Found]] = {
    "classification": _of_classes,
    "multilabel": _of_labels,
    "regression": _of_numbers,
}
