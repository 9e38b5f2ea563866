"""From raw examples to a data set: target, splits, encoding, scaling, in this order."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.answers import NumberTarget
from ravine.data.column import Place
from ravine.data.copies import copy_notes
from ravine.data.cut import cut, cut_notes
from ravine.data.dataset import Dataset, Folds, fingerprint
from ravine.data.deal import TEST, VALIDATION, Splits
from ravine.data.deal_folds import FIRST_FOLD, FoldOf
from ravine.data.decoding import Decoding, Pictures
from ravine.data.examples import Examples
from ravine.data.inputs import ImageInputs
from ravine.data.memo import answers_key
from ravine.data.preparation import Preparation
from ravine.data.prepared import Prepared, prepared
from ravine.data.reading import SheetReading
from ravine.data.rescaling import Sharing
from ravine.data.several import NumbersTarget
from ravine.data.source import Source
from ravine.data.spec import Options
from ravine.data.table import Table, complete_rows, refused_cells
from ravine.data.target import Target
from ravine.data.target_columns import Columns, encode_answers
from ravine.data.weights import Weights, check_part
from ravine.errors import DataError, together
from ravine.messages import count


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assembled:
    """A data set, and where its examples came from.

    Args:
        data: the data set.
        splits: which rows of the source its examples are.
        of: where a row of the source came from.
        digests: SHA-256 of the image files of training, validation and test; None where examples are no files.
    """

    data: Dataset
    splits: Splits
    of: Place
    digests: tuple[npt.NDArray[np.uint8] | None, ...]

    def place(self, split: int, row: int) -> str:
        """Where an example of training (0), validation or test came from."""
        return self.of(int(self.splits.parts[split][row]))


def assemble(source: Source, options: Options) -> Dataset:
    """Cut, encode and scale; only the training part decides on means, levels and scales.

    Raises:
        DataError: the data cannot be trained on as they are.
    """
    return last(assembling(source, options))


def last(steps: Generator[Decoding, None, Dataset]) -> Dataset:
    """What comes out of something, however far it says that it is on the way."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Dataset = end.value
            return found


def assembling(source: Source, options: Options) -> Generator[Decoding, None, Dataset]:
    """The same; it says how far it is, where images are decoded."""
    return (yield from assembled(source, options)).data


def assembled(source: Source, options: Options) -> Generator[Decoding, None, Assembled]:
    """The same, with where the examples came from."""
    faults = list(source.x.faults) if isinstance(source.x, Table) else []
    fold, sharing = None, None
    if options.split is not None and options.split.folds is not None:
        fold, sharing = FIRST_FOLD, Sharing()
    try:
        found = yield from _assembled(source, options, faults, fold, sharing)
    except DataError as error:
        if not faults:
            raise
        raise together([*faults, error]) from error.__cause__
    if faults:
        raise together(faults)
    if sharing is None:
        return found
    return replace(found, data=_with_folds(found.data, source, options, sharing))


def _with_folds(first: Dataset, source: Source, options: Options, sharing: Sharing) -> Dataset:
    """The data set whose test split is the first fold, with all folds."""
    assert options.split is not None, "there are folds"
    sizes, rows = {}, {}
    for part in options.split.parts:
        splits = _cut(source, options, part)
        sizes[part] = (len(splits.train), len(splits.validation), len(splits.test))
        rows[part] = splits.test
    dealt = (
        options.split.folds,
        options.split_seed,
        options.validation,
        options.normalize,
        options.limit,
        "even",
    )
    whole = hashlib.sha256(repr((content_of(source), first.fingerprint, dealt)).encode()).hexdigest()

    def make(part: FoldOf) -> Dataset:
        def steps() -> Generator[Decoding, None, Dataset]:
            faults: list[DataError] = []
            found = yield from _assembled(source, options, faults, part, sharing)
            return replace(found.data, fingerprint=part.key(whole))

        try:
            return last(steps())
        except DataError as error:
            raise DataError(f"{error} (in {part.words})") from error.__cause__

    folds = Folds(sizes=sizes, rows=rows, make=make)
    return replace(first, fingerprint=whole, folds=folds)


def _cut(source: Source, options: Options, fold: FoldOf) -> Splits:
    """How the examples are cut for a fold."""
    y, marks, division = source.y, source.marks, source.division
    if isinstance(source.x, Table):
        kept, _ = complete_rows(source.x, y, source.place)
        y, marks, division = y.take(kept), marks[kept], division.take(kept)
    target = encode_answers(y, source.task, source.place, source.where, source.class_names)
    return cut(target.labels, target.classes, marks, division, options, name=source.where, fold=fold)


def content_of(source: Source) -> str:
    """SHA-256 of the raw examples; that of pictures is known by what training sees of them.

    A fold's own fingerprint does not say it all: an empty cell is filled in with another mean in another fold.
    """
    digest = hashlib.sha256()

    def add(array: npt.NDArray[Any]) -> None:
        if array.dtype.kind in "OU":
            digest.update(repr(array.tolist()).encode())
        else:
            digest.update(
                np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
                .reshape(-1)
                .view(np.uint8)
                .data
            )

    if isinstance(source.x, Table):
        for column in source.x.columns:
            digest.update(repr((column.name, column.text)).encode())
            add(column.values)
    elif not isinstance(source.x, Pictures):
        digest.update(repr((source.x.shape, source.x.dtype.str)).encode())
        add(source.x)
    for column in source.y.columns if isinstance(source.y, Columns) else (source.y,):
        add(column.values)
    if source.division.groups is not None:
        add(source.division.groups)
    if source.weights is not None:
        digest.update(b"weights")
        add(source.weights)
        digest.update(b"scores" if source.weight_scores else b"")
    return digest.hexdigest()


def _assembled(
    source: Source, options: Options, faults: list[DataError], fold: FoldOf | None, sharing: Sharing | None
) -> Generator[Decoding, None, Assembled]:
    """The same, with the columns that cannot be used left out and added to the faults; folds share their inputs."""
    if not len(source.y.values):
        raise DataError(f"{source.where}: there are no examples in it")
    x, y, marks, place, division = source.x, source.y, source.marks, source.place, source.division
    weights = source.weights
    notes = list(source.notes)
    if isinstance(x, Table):
        refused = refused_cells(x, place)
        faults += refused.values()
        x = replace(x, columns=tuple(column for column in x.columns if column.name not in refused))
        if not x.columns:
            raise faults.pop()
        kept, dropped = complete_rows(x, y, place)
        notes += dropped
        if len(kept) < len(y.values):
            x, y, marks, rows = x.take(kept), y.take(kept), marks[kept], kept
            division = division.take(kept)
            weights = None if weights is None else weights[kept]
            place = lambda row: source.place(int(rows[row]))  # noqa: E731
            for mark, which in ((VALIDATION, "validation"), (TEST, "test")):
                if (source.marks == mark).any() and not (marks == mark).any():
                    raise DataError(f"{source.where}: every row of the {which} split has an empty cell")
    elif y.missing.any():
        number, row = int(y.missing.sum()), int(y.missing.argmax())
        columns = y.columns if isinstance(y, Columns) else (y,)
        name = next(each.name for each in columns if each.missing[row])
        raise DataError(
            f"{place(row)}: target {name!r} is missing (NaN or None; {number:,} in all); leave such examples out"
        )
    target = encode_answers(y, source.task, place, source.where, source.class_names)
    splits = cut(target.labels, target.classes, marks, division, options, name=source.where, fold=fold)
    if weights is not None:
        scored = ("validation", "test") if source.weight_scores else ()
        for part in ("train", *scored):
            check_part(weights[getattr(splits, part)], part, source.where)
    notes += [*target.notes, *_split_notes(marks, splits, options)]
    notes += cut_notes(target.labels, target.classes, division, splits)
    made = yield from prepared(x, splits, options, source, place, sharing)
    notes += made.notes
    data = _dataset(source, target, splits, made, tuple(notes), place, weights)
    return Assembled(data=data, splits=splits, of=place, digests=made.digests)


def _dataset(
    source: Source,
    target: Target,
    splits: Splits,
    made: Prepared,
    notes: tuple[str, ...],
    place: Place,
    weights: Weights | None,
) -> Dataset:
    y, outputs = target.learned(splits.train, source.where)
    mean: float | tuple[float, ...] = 0.0
    scale: float | tuple[float, ...] = 1.0
    names: tuple[str, ...] = ()
    if isinstance(outputs, NumberTarget):
        mean, scale = outputs.mean, outputs.scale
    elif isinstance(outputs, NumbersTarget):
        if source.weight_scores:
            raise DataError(
                f"{source.where}: weight_scores, {len(outputs.targets)} targets: only one of them; errors of several "
                "numbers are judged by all examples alike"
            )
        names = outputs.names
        mean, scale = (tuple(getattr(each, of) for each in outputs.targets) for of in ("mean", "scale"))
    train, validation, test = (
        Examples(x=x, y=y[rows], scaling=made.scaling, at=at)
        for x, at, rows in zip(made.xs, made.ats, splits.parts, strict=True)
    )
    if weights is not None:
        train, validation = (
            train.weighing(weights[splits.train]),
            validation.weighing(weights[splits.validation]),
        )
        if source.weight_scores:  # test is never learned from
            test = test.weighing(weights[splits.test])
    blank = isinstance(source.x, Pictures) and source.x.blank
    if not blank:
        notes += copy_notes(train, validation, test, splits, place)
    splits_of = (train, validation, test)
    by_bytes = isinstance(made.inputs, ImageInputs) and isinstance(made.inputs.reading, SheetReading)
    return Dataset(
        name=source.name,
        task=target.task,
        train=train,
        validation=validation,
        test=test,
        classes=target.classes,
        target_mean=mean,
        target_scale=scale,
        targets=names,
        features=made.features,
        notes=notes,
        fingerprint="blank"
        if blank
        else made.memo.get(
            f"fingerprint {answers_key(splits_of, target.classes)}",
            lambda: fingerprint(target.task, splits_of, target.classes, mean, scale, by_bytes, names),
        ),
        verification=made.verification,
        preparation=Preparation(inputs=made.inputs, target=outputs),
        origin=lambda split, row: place(int(getattr(splits, split)[row])),
    )


def _split_notes(marks: npt.NDArray[np.int8], splits: Splits, options: Options) -> list[str]:
    notes = []
    if (marks == VALIDATION).any():
        notes.append(f"the given validation split of {len(splits.validation)} was kept")
    if (marks == TEST).any():
        notes.append(f"the given test split of {len(splits.test)} was kept")
    if options.limit is not None:
        kept = count(len(splits.train), "training example")
        if options.limit > len(splits.train):
            all_were = "it was kept" if len(splits.train) == 1 else "all were kept"
            notes.append(f"limit = {options.limit} exceeds the {kept}: {all_were}")
        else:
            notes.append(f"limit: {kept} {'was' if len(splits.train) == 1 else 'were'} kept")
    return notes
