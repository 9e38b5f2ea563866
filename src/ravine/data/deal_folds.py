"""Folds: parts of a data set, each of which is the test split once, dealt anew in each repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ravine.data.deal import Indices
from ravine.data.deal_groups import counts_of, deal_groups
from ravine.data.deal_labels import dealt
from ravine.errors import DataError
from ravine.messages import count

_SALT = 0x666F6C6473  # keeps these orders apart from all others that numbers are drawn for


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldOf:
    """Which fold is the test split.

    Args:
        fold: its number, from 0.
        repeat: in which deal of the folds.

    Example:
        >>> FoldOf.of({"fold": 2, "repeat": 1}).words
        'fold 2 of repeat 1'
    """

    fold: int
    repeat: int

    def content(self) -> dict[str, int]:
        """As a recipe has it."""
        return {"fold": self.fold, "repeat": self.repeat}

    @staticmethod
    def of(content: Mapping[str, Any]) -> FoldOf:
        """The fold that a recipe names."""
        return FoldOf(fold=int(content["fold"]), repeat=int(content["repeat"]))

    @property
    def words(self) -> str:
        """What it is called."""
        return f"fold {self.fold} of repeat {self.repeat}"

    def key(self, fingerprint: str) -> str:
        """The fingerprint of the data with this fold as the test split.

        Args:
            fingerprint: of the whole data set.
        """
        return f"{fingerprint}/{self.repeat}/{self.fold}"

    def seed(self, split_seed: int) -> np.random.SeedSequence:
        """Of what is drawn for the training part of this fold."""
        return np.random.SeedSequence([_SALT, split_seed, self.repeat, 1 + self.fold])


FIRST_FOLD = FoldOf(fold=0, repeat=0)


def folds_of(
    labels: Indices,
    classes: Sequence[str],
    groups: Indices | None,
    *,
    folds: int,
    repeat: int,
    split_seed: int,
    name: str,
) -> Indices:
    """The fold of each example.

    Every class is in proportion to within one example, and the folds are of one size to within one. Groups stay whole,
    and then sizes and classes are as even as whole groups allow.

    Args:
        labels: class index of each example; all zero for regression; (N, K) 0 or 1 of several labels.
        classes: names of the classes or labels; empty for regression.
        groups: which group each belongs to; None: each is by itself.
        folds: how many.
        repeat: number of the deal.
        split_seed: of the data.
        name: of the data set, for errors.

    Raises:
        DataError: there are more folds than examples of a class, or than groups.

    Example:
        >>> labels = np.repeat([0, 1], [6, 4])
        >>> found = folds_of(labels, "ab", None, folds=2, repeat=0, split_seed=0, name="x")
        >>> [np.bincount(labels[found == fold]).tolist() for fold in (0, 1)]
        [[3, 2], [3, 2]]
    """
    seed = np.random.SeedSequence([_SALT, split_seed, repeat, 0])
    num_classes = max(1, len(classes))
    if groups is not None:
        known, counts = counts_of(groups, labels, num_classes)
        _check_groups(counts if labels.ndim == 1 else counts[:, 1:], classes, folds, name)
        parts = deal_groups(counts, [1.0] * folds, seed)
        return parts[np.searchsorted(known, groups)]
    if labels.ndim == 2:
        return _of_labels(labels, folds, seed, name)
    sizes = np.bincount(labels, minlength=num_classes)
    least = int(sizes.argmin())
    if sizes[least] < folds:
        of = f" of class {classes[least]!r}" if classes else ""
        have = count(int(sizes[least]), "example")
        raise DataError(f"{name}: split.folds = {folds}: there are only {have}{of}, and each fold needs one")
    order = np.argsort(np.random.PCG64(seed).random_raw(len(labels)), kind="stable")
    by_class = order[np.argsort(labels[order], kind="stable")]
    found = np.empty(len(labels), dtype=np.int64)
    found[by_class] = np.arange(len(labels)) % folds  # one class goes on where the last one ended
    return found


def _of_labels(labels_NK: Indices, folds: int, seed: np.random.SeedSequence, name: str) -> Indices:
    """The fold of each example, every label in proportion."""
    num = len(labels_NK)
    if num < folds:
        raise DataError(
            f"{name}: split.folds = {folds}: there are only {count(num, 'example')}, and each fold needs one"
        )
    order = np.argsort(np.random.PCG64(seed).random_raw(num), kind="stable")
    sizes = [num // folds + (fold < num % folds) for fold in range(folds)]
    found = np.empty(num, dtype=np.int64)
    found[order] = dealt(labels_NK[order], sizes)
    return found


def _check_groups(counts: Indices, classes: Sequence[str], folds: int, name: str) -> None:
    if len(counts) < folds:
        have = count(len(counts), "group")
        raise DataError(
            f"{name}: split.folds = {folds}: there {'is' if len(counts) == 1 else 'are'} only {have}"
        )
    num_with = (counts > 0).sum(axis=0)
    for at, label in enumerate(classes):
        if num_with[at] < 2:
            raise DataError(
                f"{name}: class {label!r} is in one group alone, so it is missing in training when that is tested; "
                "take it out, or give groups that are smaller"
            )
