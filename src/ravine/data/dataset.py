"""A data set as training sees it: three splits of plain arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ravine.data.answers import ClassTarget, NumberTarget
from ravine.data.deal_folds import FoldOf
from ravine.data.examples import Examples, Targets
from ravine.data.inputs import ArrayInputs
from ravine.data.preparation import AnyTarget, Preparation
from ravine.data.scale import Scaling
from ravine.data.several import LabelsTarget, NumbersTarget
from ravine.data.spec import Task
from ravine.verification import Verification

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Views:
    """Views of each training example, which take its place in batches.

    Args:
        num: of each example.
        load: all of them: view v of example i is number v len(train) + i.
    """

    num: int
    load: Callable[[], Examples]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Folds:
    """The folds of a data set, each of which is the test split of a data set of its own.

    Args:
        sizes: of training, validation and test, by fold, in order: the folds of one repeat after those of another.
        rows: the examples that each fold tests, by their numbers in the data without rows that were left out.
        make: the data set of a fold; all of them share their inputs.
    """

    sizes: Mapping[FoldOf, tuple[int, int, int]]
    rows: Mapping[FoldOf, npt.NDArray[np.int64]]
    make: Callable[[FoldOf], Dataset]
    _kept: dict[FoldOf, Dataset] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        again = f" x {self.repeats} repeats" if self.repeats > 1 else ""
        first = ", ".join(f"{size:,}" for size in next(iter(self.sizes.values())))
        return f"Folds({self.num} folds{again}: training, validation and test have {first} examples in the first)"

    @property
    def num(self) -> int:
        """How many there are in a repeat."""
        return 1 + max(part.fold for part in self.sizes)

    @property
    def repeats(self) -> int:
        """How many times they are dealt."""
        return len(self.sizes) // self.num

    def of(self, part: FoldOf) -> Dataset:
        """The data set with a fold as its test split, cut and scaled by what its own training part knows."""
        if part not in self._kept:
            self._kept[part] = self.make(part)
        return self._kept[part]


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True, eq=False)
class Dataset:
    """A data set, cut in three and scaled by what its training part knows.

    Args:
        name: what to call it.
        task: "classification", "regression" or "multilabel".
        train, validation, test: the splits.
        classes: names of the classes or labels by index; empty for regression.
        target_mean, target_scale: regression: y = (raw - target_mean) / target_scale; of several targets a tuple each.
        targets: names of the targets, where there are several; else empty.
        counts: whether outputs are logarithms of rates.
        features: names of the columns of x, where they have names.
        notes: what was done to the data, one sentence each.
        fingerprint: SHA-256 of everything training can see; equal data, equal fingerprint.
        preparation: what was done to the raw values, and can be done to new ones; None where nothing is known of it.
        views: of the training examples, which batches are taken from; None: batches have the examples themselves.
        verification: what is to be checked of pixels out of the cache, before results are written; see `unchanged`.
        folds: the folds, where each example is tested; this data set has the first one as its test split. None: there
            are none.
        origin: where an example of a split came from, by its number; None: nothing is known of it.
    """

    name: str
    task: Task
    train: Examples
    validation: Examples
    test: Examples
    classes: tuple[str, ...]
    target_mean: float | tuple[float, ...] = 0.0
    target_scale: float | tuple[float, ...] = 1.0
    targets: tuple[str, ...] = ()
    counts: bool = False
    features: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fingerprint: str
    preparation: Preparation | None = field(default=None, repr=False)
    views: Views | None = field(default=None, repr=False)
    verification: Verification | None = field(default=None, repr=False)
    folds: Folds | None = field(default=None, repr=False)
    origin: Callable[[Split, int], str] | None = field(default=None, repr=False)

    def place(self, split: Split, row: int) -> str:
        """Where an example came from: a file, or a row of one; empty where that is not known."""
        return "" if self.origin is None else self.origin(split, row)

    @property
    def score_weights(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
        """How much each example of validation and test counts in scores; None: all count alike."""
        found = self.validation.weights, self.test.weights
        return None if found[0] is None or found[1] is None else (found[0], found[1])

    @property
    def num_outputs(self) -> int:
        """Outputs that a model needs: one per class, label or number."""
        return self.target.num_outputs

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.train.shape

    @property
    def loss_unit(self) -> float:
        """What a model's loss is multiplied by to be in the target's own units, squared; 1 where it has none.

        Several targets have no unit in common: their loss is in units of each one's variance in training.
        """
        scale = self.target_scale
        return scale**2 if self.task == "regression" and not isinstance(scale, tuple) else 1.0

    @property
    def target(self) -> AnyTarget:
        """What became of the answers, and the way back."""
        if self.task == "classification":
            return ClassTarget(labels=self.classes, names=self.classes)
        if self.task == "multilabel":
            return LabelsTarget(names=self.classes)
        mean, scale = self.target_mean, self.target_scale
        if isinstance(mean, tuple) and isinstance(scale, tuple):
            return NumbersTarget(
                targets=tuple(
                    NumberTarget(mean=one, scale=other, column=name)
                    for one, other, name in zip(mean, scale, self.targets, strict=True)
                )
            )
        assert not isinstance(mean, tuple), "both are of as many targets"
        assert not isinstance(scale, tuple), "both are of as many targets"
        return NumberTarget(mean=mean, scale=scale, counts=self.counts)

    @property
    def known_preparation(self) -> Preparation:
        """The preparation; where nothing is known of it, raw inputs are what a model takes."""
        if self.preparation is not None:
            return self.preparation
        inputs = ArrayInputs(shape=self.input_shape, scaling=Scaling(values="float64"))
        return Preparation(inputs=inputs, target=self.target)

    def begin_verifying(self) -> None:
        """Begin to see whether the files are still what their pixels were decoded from, in a thread."""
        if self.verification is not None:
            self.verification.start()

    def unchanged(self) -> None:
        """See that the files are still what their pixels were decoded from; it waits until that is known.

        Raises:
            DataError: one is not.
        """
        if self.verification is not None:
            self.verification.finish()

    def in_own_units(self, y: Targets) -> npt.NDArray[Any]:
        """Answers as they are stored: ``y target_scale + target_mean``; classes stay indices, labels are 0 and 1."""
        if self.task == "classification":
            return y
        if self.task == "multilabel":
            return np.rint(y).astype(np.int64)
        target = self.target
        assert isinstance(target, NumberTarget | NumbersTarget), "a regression has numbers"
        return target.undo(y)  # type: ignore[arg-type]

    def predictions(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What is stored of a model's outputs (..., K): logits, or values in the targets' own units.

        Of one number they are (...), of several (..., T).
        """
        return self.target.predictions(outputs)


def fingerprint(
    task: Task,
    splits: tuple[Examples, ...],
    classes: tuple[str, ...],
    target_mean: float | tuple[float, ...],
    target_scale: float | tuple[float, ...],
    by_bytes: bool = False,
    targets: tuple[str, ...] = (),
) -> str:
    """SHA-256 over the splits' shapes and bytes, as a model takes them, weights, the classes and the target's scale.

    Args:
        task, splits, classes, target_mean, target_scale: of the data set.
        by_bytes: of inputs that are kept as bytes take these, which are a quarter, and their scaling.
        targets: of the data set.
    """
    digest = hashlib.sha256(repr((task, classes or targets, target_mean, target_scale)).encode())
    for split in splits:
        if by_bytes and isinstance(split.scaling, Scaling):
            digest.update(repr(("|u1", (len(split), *split.shape), asdict(split.scaling))).encode())
            for rows in split.chunks():
                raw = split.raw(rows)
                digest.update(
                    _plain(raw if split.kept.strides[1] else raw[:, :1])
                )  # channels that are the same
        else:
            digest.update(repr(("<f4", (len(split), *split.shape))).encode())
            for rows in split.chunks():
                digest.update(_plain(split.some(rows)))
        digest.update(repr((split.y.dtype.newbyteorder("<").str, split.y.shape)).encode())
        digest.update(_plain(split.y))
        if split.weights is not None:
            digest.update(b"weights")
            digest.update(_plain(split.weights))
    return digest.hexdigest()


def _plain(array: npt.NDArray[Any]) -> memoryview:
    """Its bytes, little-endian everywhere, so that the same data have one fingerprint on every machine."""
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return plain.reshape(-1).view(np.uint8).data
