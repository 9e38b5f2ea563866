"""Parts of a training set: n pictures of each class, drawn again and again.

A draw is a number. It puts the training pictures of each class in an order of its own, and its part with n pictures per
class has the first n of each. So parts of one draw are nested, and which pictures they have depends on the draw and the
class alone: not on n, the other draws, or the other classes.

From five pictures on every fifth of a class is for validation, so that whoever tunes on n pictures has no others. Below
five there is none: the training pictures are in its place, and nothing may be chosen by them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.dataset import Dataset
from ravine.errors import DataError
from ravine.messages import count

Indices = npt.NDArray[np.int64]

EVERY = 5  # which pictures of a class are for validation, in the order of the draw
_SALT = 0x7061727473  # keeps these orders apart from all others that numbers are drawn for


@dataclass(frozen=True, slots=True, kw_only=True)
class PartOf:
    """Which part of a training set.

    Args:
        per_class: n, pictures of each class, those for validation included.
        draw: number of the draw.

    Example:
        >>> part = PartOf(per_class=10, draw=0)
        >>> part.num_validation, part.num_train, part.tuned
        (2, 8, True)
    """

    per_class: int
    draw: int

    @property
    def tuned(self) -> bool:
        """Whether it has pictures for validation, so that something can be chosen."""
        return self.per_class >= EVERY

    @property
    def words(self) -> str:
        """What it is called."""
        return f"draw {self.draw} of {self.per_class} per class"

    @property
    def num_validation(self) -> int:
        """Pictures of a class for validation; below five the training pictures are in their place."""
        return self.per_class // EVERY if self.tuned else self.per_class

    @property
    def num_train(self) -> int:
        """Pictures of a class to learn from."""
        return self.per_class - self.num_validation if self.tuned else self.per_class

    def content(self) -> dict[str, int]:
        """As a recipe has it."""
        return {"per_class": self.per_class, "draw": self.draw}

    def key(self, fingerprint: str) -> str:
        """By which a store finds the answers of this part, where it needs more of them than their classes.

        Args:
            fingerprint: of the whole data set.
        """
        return f"{fingerprint}/part/{self.per_class}/{self.draw}"

    @staticmethod
    def of(content: Mapping[str, Any]) -> PartOf:
        """The part that a recipe names."""
        return PartOf(per_class=int(content["per_class"]), draw=int(content["draw"]))

    def answers(self, num_classes: int) -> tuple[Indices, Indices]:
        """The classes of its training and its validation pictures: those of one class are together."""
        classes = np.arange(num_classes, dtype=np.int64)
        return np.repeat(classes, self.num_train), np.repeat(classes, self.num_validation)


def order_of(draw: int, of_class: int, num: int) -> Indices:
    """The order in which a draw takes the pictures of a class, (num,).

    It comes from the raw output of PCG64, which NumPy keeps the same between versions.

    Example:
        >>> order_of(0, 3, 5).tolist()
        [3, 1, 4, 2, 0]
    """
    seeds = np.random.SeedSequence([_SALT, draw, of_class])
    return np.argsort(np.random.PCG64(seeds).random_raw(num), kind="stable")


def check_parts(data: Dataset, per_class: Sequence[int]) -> None:
    """See that a data set has such parts.

    Args:
        data: a data set.
        per_class: numbers of pictures per class.

    Raises:
        DataError: it has no classes, or too few training pictures of one.
    """
    if data.task != "classification":
        what = "a regression" if data.task == "regression" else "a task of labels"
        raise DataError(f"ladder: {data.name} is {what}, which has no classes to take examples of")
    counts = np.bincount(data.train.y, minlength=len(data.classes))
    least, most = int(counts.argmin()), max(per_class)
    if counts[least] < most:
        have = count(int(counts[least]), "training example")
        raise DataError(
            f"ladder.per_class = {most}: {data.name} has only {have} of class {data.classes[least]!r}; "
            f"allowed: up to {counts[least]}"
        )


def part_of(data: Dataset, part: PartOf) -> Dataset:
    """A part of a data set, which is tested on all of its test examples.

    Args:
        data: the whole: examples are drawn from its training split.
        part: which part.

    Raises:
        DataError: there are too few examples of a class.

    Example:
        >>> from ravine.data import load, parse_data
        >>> small = part_of(load(parse_data("digits")), PartOf(per_class=10, draw=0))
        >>> len(small.train), len(small.validation), len(small.test)
        (80, 20, 359)
    """
    check_parts(data, [part.per_class])
    train, validation = [], []
    for of_class in range(len(data.classes)):
        own = np.flatnonzero(data.train.y == of_class)
        taken = own[order_of(part.draw, of_class, len(own))[: part.per_class]]
        held_out = np.arange(part.per_class) % EVERY == EVERY - 1
        train.append(taken[~held_out] if part.tuned else taken)
        validation.append(taken[held_out] if part.tuned else taken)
    content = (data.fingerprint, part.per_class, part.draw)
    return replace(
        data,
        train=data.train.take(np.concatenate(train)),
        validation=data.train.take(np.concatenate(validation)),
        fingerprint=hashlib.sha256(repr(content).encode()).hexdigest(),
    )
