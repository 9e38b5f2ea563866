"""Which example goes where, if an example may have any number of labels: every label in proportion.

Iterative stratification (K. Sechidis, G. Tsoumakas and I. Vlahavas, 2011): of the labels that are left, the one with
the fewest examples is dealt first, each of its examples to the split that wants most of this label, then to the one
that wants most examples. Here splits have exact sizes, the wanted numbers are whole, and the order of the examples is
keyed, so that the deal is the same on every machine.

Shapes: N example, K label, S split.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ravine.data.deal import OPEN, TEST, VALIDATION, Indices, Splits
from ravine.errors import DataError
from ravine.messages import count


def deal_labels(
    labels: Indices,
    names: tuple[str, ...],
    marks: npt.NDArray[np.int8],
    *,
    name: str,
    validation: float,
    test: float,
    seed: int | np.random.SeedSequence,
    limit: int | None = None,
) -> Splits:
    """Deal the open examples out at random, every label in proportion.

    Args:
        labels: (N, K) 1 where an example has a label, else 0.
        names: of the labels.
        marks: OPEN, VALIDATION or TEST for each example; a split that is given is kept.
        name: of the data set, for errors.
        validation, test, seed, limit: as in `ravine.data.deal.deal`.

    Raises:
        DataError: there are too few examples, or training has none with, or none without, a label.
    """
    open_ = np.flatnonzero(marks == OPEN)
    given_validation, given_test = np.flatnonzero(marks == VALIDATION), np.flatnonzero(marks == TEST)
    fractions = (0.0 if len(given_test) else test, 0.0 if len(given_validation) else validation)
    needed = 1 + sum(fraction > 0.0 for fraction in fractions)
    if len(open_) < needed:
        are = "is" if len(open_) == 1 else "are"
        raise DataError(f"{name}: {count(len(open_), 'example')} {are} too few: at least {needed} are needed")
    order = np.argsort(np.random.PCG64(seed).random_raw(len(open_)), kind="stable")
    sizes = [
        min(max(1, round(each * len(open_))), len(open_) - needed + 1) if each else 0 for each in fractions
    ]
    sizes.append(len(open_) - sum(sizes))
    of = dealt(labels[open_][order], sizes)
    in_test, in_validation, in_train = (np.sort(open_[order[of == split]]) for split in range(3))
    if limit is not None and limit < len(in_train):
        again = order[np.isin(open_[order], in_train)]
        kept = dealt(labels[open_][again], [limit, len(in_train) - limit])
        in_train = np.sort(open_[again[kept == 0]])
    splits = Splits(
        train=in_train,
        validation=np.sort(np.concatenate([given_validation, in_validation])),
        test=np.sort(np.concatenate([given_test, in_test])),
    )
    check_labels(labels[splits.train], names, name)
    return splits


def dealt(labels_NK: Indices, sizes: list[int]) -> npt.NDArray[np.int64]:
    """The split of each example, (N,), every label in proportion.

    Args:
        labels_NK: in the order in which examples are dealt.
        sizes: of the splits, (S,); of equally good ones the first is given an example.
    """
    num, num_splits = len(labels_NK), len(sizes)
    room = np.array(sizes, dtype=np.int64)
    counts_K = labels_NK.sum(axis=0)
    wanted_SK = _wanted(counts_K, sizes)
    of = np.full(num, -1, dtype=np.int64)
    left_K = counts_K.copy()
    while left_K.any():
        label = int(np.where(left_K > 0, left_K, num + 1).argmin())
        for row in np.flatnonzero((labels_NK[:, label] == 1) & (of < 0)):
            open_ = np.flatnonzero(room > 0)
            best = max(open_.tolist(), key=lambda split: (wanted_SK[split, label], room[split], -split))
            of[row] = best
            room[best] -= 1
            wanted_SK[best] -= labels_NK[row]
            left_K -= labels_NK[row]
    rest = np.flatnonzero(of < 0)
    of[rest] = np.repeat(np.arange(num_splits), room)
    return of


def _wanted(counts_K: Indices, sizes: list[int]) -> Indices:
    """How many examples of each label a split is to have, (S, K): in proportion, and one while there are enough."""
    total = sum(sizes)
    shares = [np.rint(counts_K * (size / total)).astype(np.int64) for size in sizes[:-1]]
    splits = sum(size > 0 for size in sizes)
    shares = [
        np.where((counts_K >= splits) & (size > 0), np.maximum(share, 1), share)
        for share, size in zip(shares, sizes, strict=False)
    ]
    return np.stack([*shares, counts_K - np.sum(shares, axis=0)])


def check_labels(labels_NK: Indices, names: tuple[str, ...], where: str) -> None:
    """See that there is something to learn of each label.

    Args:
        labels_NK: of the training examples.
        names: of the labels.
        where: the file, for errors.

    Raises:
        DataError: none of the examples has a label, or all have it.
    """
    found = labels_NK.sum(axis=0)
    for at, name in enumerate(names):
        if found[at] == 0:
            raise DataError(
                f"{where}: no training example has label {name!r}: there is nothing to learn of it; add some, or "
                "take it out"
            )
        if found[at] == len(labels_NK):
            raise DataError(
                f"{where}: all {count(len(labels_NK), 'training example')} have label {name!r}: there is nothing to "
                "learn of it; add some without it, or take it out"
            )
