"""How the examples of a data set are cut in three: at random, by groups, by time, as a column says, or by folds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ravine.data.deal import OPEN, TEST, VALIDATION, Indices, Splits, deal, limited
from ravine.data.deal_folds import FoldOf, folds_of
from ravine.data.deal_groups import counts_of, deal_groups
from ravine.data.deal_labels import check_labels, deal_labels
from ravine.data.division import Division
from ravine.data.spec import Options
from ravine.errors import DataError
from ravine.messages import count

_SALT = 0x67726F757073  # keeps the order of groups apart from all others that numbers are drawn for
_WORDS = {OPEN: "training", VALIDATION: "validation", TEST: "test"}


def cut(
    labels: Indices,
    classes: tuple[str, ...],
    marks: npt.NDArray[np.int8],
    division: Division,
    options: Options,
    *,
    name: str,
    fold: FoldOf | None = None,
) -> Splits:
    """Which examples are for training, for validation and for test.

    Args:
        labels: class index of each example; all zero for regression; (N, K) 0 or 1 of several labels.
        classes: names of the classes or labels; empty for regression.
        marks: OPEN, VALIDATION or TEST for each example.
        division: what they are cut by.
        options: fractions and the like.
        name: of the data set, for errors.
        fold: which fold is the test split, where there are folds.

    Raises:
        DataError: they cannot be cut like that.
    """
    if division.marks is not None:
        if (marks != OPEN).any():
            raise DataError(
                f"{name}: split.column: a given validation or test split is there already; only one of them"
            )
        marks = division.marks
    if division.times is not None:
        if (marks != OPEN).any():
            raise DataError(f"{name}: split.time cannot be had beside a given validation or test split")
        return _by_time(labels, classes, division.times, options, name)
    seed: int | np.random.SeedSequence = options.split_seed
    validation = options.validation
    if fold is not None:
        assert options.split is not None, "a fold is one of several"
        assert options.split.folds is not None, "a fold is one of several"
        if (marks != OPEN).any():
            raise DataError(
                f"{name}: split.folds cannot be had beside a given validation or test split: each example is tested "
                "once, and those of a given split are not to be learned from"
            )
        number = folds_of(
            labels,
            classes,
            division.groups,
            folds=options.split.folds,
            repeat=fold.repeat,
            split_seed=options.split_seed,
            name=name,
        )
        marks = np.where(number == fold.fold, TEST, OPEN).astype(np.int8)
        seed = fold.seed(options.split_seed)
        validation = _evening(len(marks), int((marks == OPEN).sum()), options.split.folds, validation)
    if division.groups is not None:
        if not isinstance(seed, np.random.SeedSequence):
            seed = np.random.SeedSequence([_SALT, seed])
        return _by_group(labels, classes, marks, division, options, seed, name)
    return (deal if labels.ndim == 1 else deal_labels)(
        labels,
        classes,
        marks,
        name=name,
        validation=validation,
        test=options.test,
        seed=seed,
        limit=options.limit,
    )


def _evening(num: int, num_open: int, folds: int, validation: float) -> float:
    """The share of a fold's open examples for validation with which all folds learn from equally many.

    So epochs are of as many steps in all of them, and their runs can be trained as one cohort.

    Args:
        num: of examples.
        num_open: of those outside of the fold: where groups don't decide it, one less in some folds.
        folds: how many there are.
        validation: the share that is asked for.

    Example:
        >>> [round(open_ * (1 - _evening(569, open_, 5, 0.2))) for open_ in (455, 456)]
        [364, 364]
    """
    least = num - -(-num // folds)
    num_train = least - max(1, round(least * validation))
    return (num_open - num_train) / num_open


def _by_group(
    labels: Indices,
    classes: tuple[str, ...],
    marks: npt.NDArray[np.int8],
    division: Division,
    options: Options,
    seed: np.random.SeedSequence,
    name: str,
) -> Splits:
    """Groups stay whole; a given split is kept, if no group of it is in another."""
    groups = division.groups
    assert groups is not None, "there are groups"
    _check_apart(groups, marks, division.names, name)
    marks = marks.copy()
    shares = {OPEN: 1.0}
    for mark, fraction in ((TEST, options.test), (VALIDATION, options.validation)):
        if not (marks == mark).any():
            shares[mark] = fraction
    shares[OPEN] -= sum(share for mark, share in shares.items() if mark != OPEN)
    if len(shares) > 1:
        open_ = np.flatnonzero(marks == OPEN)
        known, counts = counts_of(groups[open_], labels[open_], max(1, len(classes)))
        if len(known) < len(shares):
            *most, last = (_WORDS[mark] for mark in sorted(shares))
            which = f"{', '.join(most)} and {last}"
            only = (
                f"group {division.names[known[0]]!r} alone" if len(known) == 1 else count(len(known), "group")
            )
            raise DataError(f"{name}: {which} need a group each, and the examples are of {only}")
        part = deal_groups(counts, list(shares.values()), seed)
        marks[open_] = np.array(list(shares), dtype=np.int8)[part][np.searchsorted(known, groups[open_])]
    splits = _of_marks(marks)
    _check_trained(labels, classes, splits, name, "groups")
    return limited(splits, labels, classes, options.limit, seed.spawn(1)[0], name)


def _check_apart(groups: Indices, marks: npt.NDArray[np.int8], names: tuple[str, ...], name: str) -> None:
    """Refuse a group that is in two of the splits that are given."""
    for mark in (TEST, VALIDATION):
        shared = np.intersect1d(groups[marks == mark], groups[marks != mark])
        if len(shared):
            more = f" ({len(shared):,} groups are)" if len(shared) > 1 else ""
            raise DataError(
                f"{name}: group {names[shared[0]]!r} is in the {_WORDS[mark]} split and in another too{more}; a group "
                "must be in one"
            )


def _by_time(
    labels: Indices, classes: tuple[str, ...], times: Indices, options: Options, name: str
) -> Splits:
    """Training before validation before test; examples of one time stay together."""
    times = np.unique(times, return_inverse=True)[1].reshape(-1)  # some rows may have been dropped
    upto = np.cumsum(np.bincount(times))  # examples up to each time
    num, num_times = len(times), len(upto)
    if num_times < 3:
        raise DataError(
            f"{name}: split.time has only {count(num_times, 'different time')}; training, validation and test need "
            "one each"
        )
    shares = np.array([1.0 - options.test - options.validation, 1.0 - options.test])
    second = 1 + int(np.argmin(np.abs(upto[1:-1] - shares[1] * num)))  # the last time of validation
    first = int(np.argmin(np.abs(upto[:second] - shares[0] * num)))  # of training
    marks = np.where(times <= first, OPEN, np.where(times <= second, VALIDATION, TEST)).astype(np.int8)
    splits = _of_marks(marks)
    if options.limit is not None and options.limit < len(splits.train):
        latest = splits.train[np.argsort(times[splits.train], kind="stable")][-options.limit :]
        splits = Splits(train=np.sort(latest), validation=splits.validation, test=splits.test)
    _check_trained(labels, classes, splits, name, "time")
    return splits


def _of_marks(marks: npt.NDArray[np.int8]) -> Splits:
    train, validation, test = (np.flatnonzero(marks == mark) for mark in (OPEN, VALIDATION, TEST))
    return Splits(train=train, validation=validation, test=test)


def _check_trained(labels: Indices, classes: tuple[str, ...], splits: Splits, name: str, by: str) -> None:
    if labels.ndim == 2:
        check_labels(labels[splits.train], classes, name)
        return
    absent = _absent(labels, classes, splits.train)
    if absent:
        raise DataError(
            f"{name}: cut by {by}, class {absent[0]!r} has no training example, only held-out ones; add some or take "
            "it out"
        )


def cut_notes(labels: Indices, classes: tuple[str, ...], division: Division, splits: Splits) -> list[str]:
    """What the examples were cut by, and which held-out split lacks a class: groups and times may leave it out."""
    notes = []
    if division.marks is not None:
        notes.append("which example is in which split was given")
    if division.times is not None:
        notes.append("cut by time: training comes before validation, and that before test")
    if division.groups is not None:
        nums = [
            len(np.unique(division.groups[rows])) for rows in (splits.train, splits.validation, splits.test)
        ]
        notes.append(
            f"groups stay whole: {' + '.join(f'{num:,}' for num in nums)} in training, validation and test"
        )
    for which, rows in (("validation", splits.validation), ("test", splits.test)):
        absent = _absent(labels, classes, rows)
        if len(rows) and absent:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            of = "of class" if labels.ndim == 1 else "with label"
            notes.append(f"the {which} split has no example {of} {absent[0]!r}{more}")
    return notes


def _absent(labels: Indices, classes: tuple[str, ...], rows: Indices) -> list[str]:
    """The classes of which there is no example."""
    if labels.ndim == 2:
        counts = labels[rows].sum(axis=0)
    else:
        counts = np.bincount(labels[rows], minlength=len(classes))
    return [label for label, number in zip(classes, counts, strict=False) if not number]
