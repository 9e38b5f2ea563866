"""Tables from files: CSV and Parquet, with the file of a given test split behind them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ravine.data.column import Cells, Place
from ravine.data.containers import joined
from ravine.data.csv_file import Columns, Rows, read_csv
from ravine.data.division import division_of, without
from ravine.data.inputs import CsvText
from ravine.data.numerals import Numerals
from ravine.data.parquet_file import read_parquet
from ravine.data.source import Source, marks_for
from ravine.data.spec import CsvSpec, ParquetSpec
from ravine.data.table import build_table
from ravine.data.texts import PLAIN
from ravine.data.weights import Weights, weights_of
from ravine.errors import DataError, choices


def read_tabular(spec: CsvSpec | ParquetSpec, path: Path, test_path: Path | None) -> Source:
    """A table, with its test file behind it if there is one.

    Args:
        spec: what to do with the columns.
        path: the file.
        test_path: the file of the given test split.

    Raises:
        DataError: a file, a row or a column cannot be used.
    """
    cells, rows = _read(spec, path)
    num_open, where = len(rows), str(path)
    unit = "line" if spec.kind == "csv" else "row"
    numerals = Numerals(decimal=spec.decimal, thousands=spec.thousands) if spec.kind == "csv" else PLAIN
    weights = _weights(cells, spec, numerals, where, lambda row: f"{where}, {unit} {rows[row]}")
    cells = {name: column for name, column in cells.items() if name != spec.weight}
    test_where = str(test_path)
    num_test = 0
    if test_path is not None:
        test_cells, test_rows = _read(spec, test_path)
        given_test = _test_weights(test_cells, spec, numerals, test_where, unit, test_rows)
        for name in cells:
            if name not in test_cells:
                raise DataError(
                    f"{test_path}: column {name!r} of {path} is not in it; {choices(name, test_cells)}"
                )
        cells = {name: _behind(column, test_cells[name]) for name, column in cells.items()}
        num_test = len(test_rows)
        rows = np.concatenate([rows, test_rows])
        if not num_test:
            raise DataError(f"{test_path}: there are no rows in it, only a header")
        if weights is not None:
            weights = np.concatenate([weights, given_test])
    if not num_open:
        raise DataError(f"{where}: there are no rows in it, only a header")

    def place(row: int) -> str:
        return f"{where if row < num_open else test_where}, {unit} {rows[row]}"

    division = division_of(
        cells, spec.split, target=spec.targets, where=where, place=place, numerals=numerals
    )
    cut_by = (spec.weight, *(() if spec.split is None else spec.split.columns))
    table, target, notes = build_table(
        without(cells, spec.split),
        target=spec.targets,
        drop=[name for name in spec.drop if name not in cut_by],
        categorical=[name for name in spec.categorical if name not in cut_by],
        missing=spec.missing,
        where=where,
        place=place,
        numerals=numerals,
        target_names=spec.task == "classification" and len(spec.targets) == 1,
        separator=spec.separator,
    )
    assert target is not None, "a table spec names its target"
    if spec.kind == "csv":
        text = CsvText(delimiter=spec.delimiter, encoding=spec.encoding, comment=spec.comment)
        table = replace(table, text=text)
    return Source(
        name=path.stem,
        where=where,
        x=table,
        y=target,
        marks=marks_for(num_open, 0, num_test),
        division=division,
        weights=weights,
        weight_scores=spec.weight_scores,
        place=place,
        task=spec.task,
        notes=tuple(notes),
    )


def _weights(
    cells: Columns, spec: CsvSpec | ParquetSpec, numerals: Numerals, where: str, place: Place
) -> Weights | None:
    """What the column says that is named as the weight."""
    if spec.weight is None:
        return None
    taken = dict.fromkeys(spec.targets, "target")
    for key in ("group", "time", "column"):
        if spec.split is not None and (name := getattr(spec.split, key)) is not None:
            taken.setdefault(name, f"split.{key}")
    if spec.weight in spec.categorical:
        raise DataError(
            f"{where}: weight = {spec.weight!r} is in categorical; weights are numbers: take it out"
        )
    return weights_of(cells, spec.weight, taken=taken, where=where, place=place, numerals=numerals)


def _test_weights(
    cells: Columns, spec: CsvSpec | ParquetSpec, numerals: Numerals, where: str, unit: str, rows: Rows
) -> Weights:
    """Those of the test file, where scores have weights; else ones, as nothing is learned from it."""
    found = None
    if spec.weight_scores:
        found = _weights(cells, spec, numerals, where, lambda row: f"{where}, {unit} {rows[row]}")
    return np.ones(len(rows), dtype=np.float32) if found is None else found


def _read(spec: CsvSpec | ParquetSpec, path: Path) -> tuple[Columns, Rows]:
    if spec.kind == "parquet":
        return read_parquet(path)
    return read_csv(path, spec.delimiter, encoding=spec.encoding, comment=spec.comment)


def _behind(column: Cells, test: Cells) -> Cells:
    return Cells(values=joined([column.values, test.values]), levels=column.levels or test.levels)
