"""Inputs of the three splits: encoded and scaled, by what the training part knows."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.column import Place
from ravine.data.deal import Splits
from ravine.data.decoding import Decoding, Pictures, decoding
from ravine.data.encoding import encode, unfilled
from ravine.data.images import remarks
from ravine.data.inputs import ArrayInputs, ImageInputs, TableInputs
from ravine.data.memo import Memo, memo_key
from ravine.data.reading import SheetReading
from ravine.data.rescaling import Rescaling, SharedInputs, Sharing
from ravine.data.scale import Scaling, check_finite, fit_scaling
from ravine.data.source import Source
from ravine.data.spec import Options
from ravine.data.table import Table
from ravine.errors import DataError
from ravine.forms import plain, read
from ravine.verification import Verification

_FAR = 1 << 14  # deviations: a scaled input is then a thousandth off


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """Inputs of the three splits, how they were made, and notes about it.

    Args:
        xs: float32, or bytes that `scaling` makes that of.
        ats: which rows of these a split has; None: all.
        verification: what is to be checked of pixels that were kept.
        digests: SHA-256 of the image files of each split.
        memo: what was found out about their pixels before.
        rescaling: of inputs that folds share.
    """

    xs: tuple[npt.NDArray[Any], ...]
    inputs: TableInputs | ArrayInputs | ImageInputs
    features: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    ats: tuple[npt.NDArray[np.int64] | None, ...] = (None, None, None)
    verification: Verification | None = None
    digests: tuple[npt.NDArray[np.uint8] | None, ...] = (None, None, None)
    memo: Memo = field(default_factory=lambda: Memo(None))
    rescaling: Rescaling | None = None

    @property
    def scaling(self) -> Scaling | Rescaling | None:
        """Of inputs that are kept as bytes, or that folds share; None where they have been scaled."""
        if self.rescaling is not None:
            return self.rescaling
        return self.inputs.scaling if self.xs[0].dtype == np.uint8 else None


def prepared(
    x: Table | Pictures | npt.NDArray[Any],
    splits: Splits,
    options: Options,
    source: Source,
    place: Place,
    sharing: Sharing | None,
) -> Generator[Decoding, None, Prepared]:
    """Encode and scale; it says how far it is, where images are decoded.

    Args:
        x: the examples that can be used.
        splits: of these.
        options: how they are read.
        source: where they came from.
        place: where one of them came from, for errors.
        sharing: of the inputs of folds; None: there are no folds.

    Raises:
        DataError: the inputs cannot be trained on as they are.
    """
    if isinstance(x, Table):
        return _of_table(x, splits, options, source, place, sharing)
    if isinstance(x, Pictures):
        return (yield from _of_pictures(x, splits, options, source, sharing))
    check_finite(x, source.where, place, source.features)
    return _of_array(x, splits, options, source, sharing)


def _of_table(
    table: Table, splits: Splits, options: Options, source: Source, place: Place, sharing: Sharing | None
) -> Prepared:
    for column in table.columns:
        if not column.text:
            known = np.where(column.missing, 0.0, column.values)[:, None]
            check_finite(known, source.where, place, (column.name,))
    matrix = encode(table, splits.train, all_levels=sharing is not None)
    scaling = fit_scaling(matrix.values[splits.train], options.normalize, source.where, matrix.numeric)
    found = Prepared(
        xs=(),
        inputs=TableInputs(columns=matrix.inputs, scaling=scaling, numerals=table.numerals, text=table.text),
        features=matrix.features,
        notes=matrix.notes,
    )
    if sharing is None:
        return replace(found, xs=_scaled(matrix.values, splits, scaling))
    scaled = matrix.numeric & (options.normalize != "none")
    shared = sharing.inputs(lambda: SharedInputs.of_columns(unfilled(table, matrix), scaled))
    used = matrix.numeric | matrix.values[splits.train].any(axis=0)
    rescaling = shared.rescaling(scaling, fill=matrix.fills, used=used)
    return _of_fold(found, shared, splits, rescaling, source.where)


def _of_fold(
    found: Prepared, shared: SharedInputs, splits: Splits, rescaling: Rescaling, where: str
) -> Prepared:
    """With the inputs that all folds share.

    Raises:
        DataError: float32 would not tell a fold's training examples apart, so far are they from all others.
    """
    ats = tuple(shared.at(rows) for rows in splits.parts)
    far = np.abs(rescaling.shift.astype(np.float64) * rescaling.factor).reshape(-1)
    for column in np.flatnonzero(far > _FAR) if shared.x.dtype == np.float32 else ():
        known = shared.x.reshape(len(shared.x), -1)[ats[0], column]
        if np.nanmin(known) < np.nanmax(known):
            name = f"column {found.features[column]!r}" if found.features else f"feature {column}"
            raise DataError(
                f"{where}: {name}: the training examples of a fold lie {far[column]:,.0f} of their deviations from the "
                "median of all, too far to be told apart in float32; subtract what sets them apart, or leave it out"
            )
    return replace(found, xs=(shared.x,) * 3, ats=ats, rescaling=rescaling)


def _of_array(
    x: npt.NDArray[Any], splits: Splits, options: Options, source: Source, sharing: Sharing | None
) -> Prepared:
    known = x[splits.train]
    scaling = fit_scaling(known, options.normalize, source.where)
    rows = x.ndim == 2 and scaling.values == "float64"
    found = Prepared(
        xs=(known, x[splits.validation], x[splits.test]) if x.dtype == np.uint8 and sharing is None else (),
        inputs=ArrayInputs(
            shape=tuple(x.shape[1:]),
            scaling=scaling,
            order=source.order,
            features=source.features,
            low=tuple(known.min(axis=0).tolist()) if rows else (),
            high=tuple(known.max(axis=0).tolist()) if rows else (),
        ),
        features=source.features,
    )
    if sharing is not None:
        shared = sharing.inputs(lambda: _shared_array(x, scaled=bool(scaling.mean)))
        return _of_fold(found, shared, splits, shared.rescaling(scaling), source.where)
    del known  # a copy
    return found if found.xs else replace(found, xs=_scaled(x, splits, scaling))


def _shared_array(x: npt.NDArray[Any], *, scaled: bool) -> SharedInputs:
    if x.dtype != np.float64:
        return SharedInputs(x=np.ascontiguousarray(x))
    flat = x.reshape(len(x), -1)
    found = SharedInputs.of_columns(flat, np.full(flat.shape[1], scaled))
    middle, unit = (np.reshape(each, x.shape[1:]) for each in (found.middle, found.unit))
    return SharedInputs(x=found.x.reshape(x.shape), middle=middle, unit=unit)


def _of_pictures(
    x: Pictures, splits: Splits, options: Options, source: Source, sharing: Sharing | None
) -> Generator[Decoding, None, Prepared]:
    reading, used = x.reading, np.concatenate(splits.parts)
    given = reading.scaling() if isinstance(reading, SheetReading) else None
    if x.blank:
        return Prepared(
            xs=tuple(np.broadcast_to(np.uint8(0), (len(rows), *reading.shape)) for rows in splits.parts),
            inputs=ImageInputs(reading=reading, scaling=given or Scaling(values="bytes")),
            notes=tuple(remarks(x.files, x.table.flags)),
        )
    if sharing is not None:  # one fold's are another's too
        used = np.arange(len(x.files))
    stored = yield from decoding(x, used)
    pixels, rows = stored.pixels, stored.table.rows
    digests = tuple(stored.table.digests[each] for each in splits.parts)
    memo = Memo(memo_key(digests, reading, options.normalize) if stored.kept else None)
    if given is None:
        fitted = memo.get(
            "scaling", lambda: plain(fit_scaling(pixels[rows[splits.train]], options.normalize, source.where))
        )
        given = read(Scaling, fitted)
    found = Prepared(
        xs=(pixels, pixels, pixels),
        ats=tuple(rows[each] for each in splits.parts),
        inputs=ImageInputs(reading=reading, scaling=given),
        notes=tuple(remarks([x.files[row] for row in used], stored.table.flags[used])),
        verification=stored.verification,
        digests=digests,
        memo=memo,
    )
    if sharing is None:
        return found
    shared = sharing.inputs(lambda: SharedInputs(x=pixels, rows=rows))
    return _of_fold(found, shared, splits, shared.rescaling(given), source.where)


def _scaled(x: npt.NDArray[Any], splits: Splits, scaling: Scaling) -> tuple[npt.NDArray[np.float32], ...]:
    return tuple(scaling(x[rows]) for rows in splits.parts)
