"""Which example goes where: train, validation or test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ravine.errors import DataError
from ravine.messages import count

Indices = npt.NDArray[np.int64]

# Marks of the examples whose place is given.
OPEN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Indices of the examples of each split, ascending."""

    train: Indices
    validation: Indices
    test: Indices

    @property
    def parts(self) -> tuple[Indices, Indices, Indices]:
        """Training, validation and test, in this order."""
        return self.train, self.validation, self.test


def deal(
    labels: Indices,
    classes: tuple[str, ...],
    marks: npt.NDArray[np.int8],
    *,
    name: str,
    validation: float,
    test: float,
    seed: int | np.random.SeedSequence,
    limit: int | None = None,
) -> Splits:
    """Deal the open examples out at random, every class in proportion to within one example.

    A split that is given is kept; only what is left open is dealt. The order comes from the raw output of
    PCG64, which NumPy keeps the same between versions (its `permutation` it may change).

    Args:
        labels: class index of each example; all zero for regression.
        classes: names of the classes; empty for regression.
        marks: OPEN, VALIDATION or TEST for each example.
        name: of the data set, for errors.
        validation: fraction of the open examples, used if no validation split is given.
        test: fraction of the open examples, used if no test split is given; 0 for no test split.
        seed: changes the order.
        limit: keep only so many training examples.

    Returns:
        Indices of the three splits: disjoint, and together everything unless there is a limit.

    Raises:
        DataError: a class has too few examples, or is missing in a split.
    """
    open_ = np.flatnonzero(marks == OPEN)
    given_validation, given_test = np.flatnonzero(marks == VALIDATION), np.flatnonzero(marks == TEST)
    num_classes = max(1, len(classes))
    counts = np.bincount(labels[open_], minlength=num_classes)
    needed = 1 + (not len(given_validation)) + (test > 0.0 and not len(given_test))
    _check_counts(counts, classes, needed, name)

    num_test = _share(counts, 0 if len(given_test) else test, counts - needed + 1)
    num_validation = _share(counts, 0 if len(given_validation) else validation, counts - num_test - 1)

    order = np.argsort(np.random.PCG64(seed).random_raw(len(open_)), kind="stable")
    by_class = order[np.argsort(labels[open_][order], kind="stable")]
    first = np.repeat(np.cumsum(counts) - counts, counts)
    rank = np.arange(len(open_)) - first  # place of an example within its own shuffled class
    of_class = labels[open_][by_class]
    in_test = rank < num_test[of_class]
    in_validation = ~in_test & (rank < (num_test + num_validation)[of_class])
    in_train = ~in_test & ~in_validation
    if limit is not None:
        num_train = counts - num_test - num_validation
        if limit < num_train.sum():
            _check_limit(limit, num_classes, name)
            kept = _exactly(limit, num_train)
            in_train &= rank < (num_test + num_validation + kept)[of_class]

    splits = Splits(
        train=np.sort(open_[by_class[in_train]]),
        validation=np.sort(np.concatenate([given_validation, open_[by_class[in_validation]]])),
        test=np.sort(np.concatenate([given_test, open_[by_class[in_test]]])),
    )
    for which, indices in (("validation", splits.validation), ("test", splits.test)):
        absent = np.flatnonzero(np.bincount(labels[indices], minlength=num_classes) == 0)
        if len(indices) and len(absent):
            raise DataError(
                f"{name}: the {which} split has no example of class {classes[absent[0]]!r}; it must have all, "
                "so add one or take the class out"
            )
    return splits


def limited(
    splits: Splits,
    labels: Indices,
    classes: tuple[str, ...],
    limit: int | None,
    seed: np.random.SeedSequence,
    name: str,
) -> Splits:
    """The same with so many training examples, drawn at random with every class in proportion.

    Raises:
        DataError: there are more classes than that.
    """
    train = splits.train
    if limit is None or limit >= len(train):
        return splits
    if labels.ndim == 2:  # of labels; those that are kept are drawn without regard to them
        labels, classes = np.zeros(len(labels), dtype=np.int64), ()
    counts = np.bincount(labels[train], minlength=max(1, len(classes)))
    _check_limit(limit, len(counts), name)
    order = train[np.argsort(np.random.PCG64(seed).random_raw(len(train)), kind="stable")]
    by_class = order[np.argsort(labels[order], kind="stable")]
    rank = np.arange(len(train)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = by_class[rank < _exactly(limit, counts)[labels[by_class]]]
    return Splits(train=np.sort(kept), validation=splits.validation, test=splits.test)


def _check_limit(limit: int, num_classes: int, name: str) -> None:
    if limit < num_classes:
        raise DataError(
            f"{name}: limit = {limit} is less than one example for each of {num_classes} classes; "
            f"at least {num_classes} are needed"
        )


def _check_counts(counts: Indices, classes: tuple[str, ...], needed: int, name: str) -> None:
    """Each class must have one example for every split that is dealt."""
    least = int(counts.argmin())
    if counts[least] >= needed:
        return
    splits = {1: "training", 2: "training and one held-out split", 3: "training, validation and test"}[needed]
    if not classes:
        are = "is" if counts[least] == 1 else "are"
        raise DataError(
            f"{name}: {count(int(counts[least]), 'example')} {are} too few: {splits} need at least {needed}"
        )
    if counts[least] == 0:
        raise DataError(
            f"{name}: class {classes[least]!r} has no training example, only held-out ones; add some or take it out"
        )
    raise DataError(
        f"{name}: class {classes[least]!r} has {count(int(counts[least]), 'example')}, too few to split: "
        f"{splits} need at least {needed}; add some or take it out"
    )


def _share(counts: Indices, fraction: float, most: Indices) -> Indices:
    """Whole numbers as near to fraction * counts as their rounded sum allows (largest remainders first).

    Each stays within one of its exact share; unless the fraction is zero, each is from 1 to `most`.
    """
    if fraction == 0:
        return np.zeros_like(counts)
    exact = counts * fraction
    number = np.floor(exact).astype(np.int64)
    short = round(float(exact.sum())) - int(number.sum())
    number[np.argsort(number - exact, kind="stable")[:short]] += 1
    return np.asarray(np.clip(number, 1, most))


def _exactly(limit: int, counts: Indices) -> Indices:
    """Shares of the counts that sum to the limit, each at least 1."""
    kept = _share(counts, limit / int(counts.sum()), counts)
    while kept.sum() > limit:  # by at most one per class: those that were raised to 1
        kept[kept.argmax()] -= 1
    return kept
