"""CSV and Parquet files."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.assemble import Source, marks_for
from ravine.data.column import COMMA
from ravine.data.spec import CsvSpec, ParquetSpec
from ravine.data.table import Cells, build_table
from ravine.errors import DataError, choices

# A number with a point, or with points between thousands; a date such as 01.02.2024 is none.
POINT = re.compile(r"[+-]?([0-9]+\.[0-9]+|[0-9]{1,3}(\.[0-9]{3})+(,[0-9]+)?)([eE][+-]?[0-9]+)?")
DELIMITERS = (",", ";", "\t")
Rows = npt.NDArray[np.int64]


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
    test_where = str(test_path)
    num_test = 0
    if test_path is not None:
        test_cells, test_rows = _read(spec, test_path)
        for name in cells:
            if name not in test_cells:
                raise DataError(
                    f"{test_path}: column {name!r} of {path} is not in it; {choices(name, test_cells)}"
                )
        cells = {name: np.concatenate([values, test_cells[name]]) for name, values in cells.items()}
        num_test = len(test_rows)
        rows = np.concatenate([rows, test_rows])
        if not num_test:
            raise DataError(f"{test_path}: there are no rows in it, only a header")
    if not num_open:
        raise DataError(f"{where}: there are no rows in it, only a header")
    unit = "line" if spec.kind == "csv" else "row"

    def place(row: int) -> str:
        return f"{where if row < num_open else test_where}, {unit} {rows[row]}"

    table, target, notes = build_table(
        cells,
        target=spec.target,
        drop=spec.drop,
        categorical=spec.categorical,
        missing=spec.missing,
        where=where,
        place=place,
        target_names=spec.task == "classification",
    )
    assert target is not None, "a table spec names its target"
    return Source(
        name=path.stem,
        where=where,
        x=table,
        y=target,
        marks=marks_for(num_open, 0, num_test),
        place=place,
        task=spec.task,
        notes=tuple(notes),
    )


def _read(spec: CsvSpec | ParquetSpec, path: Path) -> tuple[Cells, Rows]:
    if spec.kind == "parquet":
        return read_parquet(path)
    cells, rows = read_csv(path, spec.delimiter)
    if spec.decimal == ",":
        names = (*spec.drop, *spec.categorical)
        cells = {
            name: column if name in names else _with_points(name, column, path, rows)
            for name, column in cells.items()
        }
    return cells, rows


def _with_points(name: str, cells: npt.NDArray[Any], path: Path, rows: Rows) -> npt.NDArray[Any]:
    """Numbers with a decimal comma as Python reads them; a number with a point could be either, and is refused."""
    different, which = np.unique(cells, return_inverse=True)
    read = []
    for cell in different.tolist():
        if POINT.fullmatch(cell.strip()):
            line = rows[int(np.flatnonzero(cells == cell)[0])]
            raise DataError(
                f'{path}, line {line}: column {name!r}: {cell.strip()!r} has a point, but decimal = ","; '
                "write numbers with a comma and without points between thousands"
            )
        read.append(cell.replace(",", ".") if COMMA.fullmatch(cell.strip()) else cell)
    return np.array(read, dtype=str)[which]


def read_csv(path: Path, delimiter: str | None = None) -> tuple[Cells, Rows]:
    """The texts of a CSV file by column, and the line on which each row begins.

    Raises:
        DataError: not UTF-8, a row with too many or too few cells, a header that is none.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if delimiter is None:
                delimiter = _delimiter(file.readline())
                file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(header, path)
            rows, lines, line = [], [], reader.line_num
            for row in reader:
                if len(row) == len(header):
                    rows.append(row)
                    lines.append(line + 1)
                elif row:  # an empty line is no row
                    quotes = (
                        f"; a cell with {delimiter!r} in it must stand in quotes"
                        if len(row) > len(header)
                        else ""
                    )
                    raise DataError(
                        f"{path}, line {line + 1}: {len(row)} cells, the header has {len(header)}{quotes}"
                    )
                line = reader.line_num
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not valid CSV: {error}") from None
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    cells: Cells = {name: np.array(column, dtype=str) for name, column in zip(header, columns, strict=True)}
    return cells, np.array(lines, dtype=np.int64)


def read_parquet(path: Path) -> tuple[Cells, Rows]:
    """The columns of a Parquet file as they are typed, and the number of each row, from 0.

    Raises:
        DataError: pyarrow is not installed, or it cannot read the file.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(f'{path}: Parquet needs pyarrow: pip install "ravine[tables]"') from None
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from None
    _check_header(table.column_names, path)
    cells: Cells = {}
    for name in table.column_names:
        column = table.column(name)
        if pyarrow.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        cells[name] = column.to_numpy()
        if column.null_count and pyarrow.types.is_integer(column.type):
            cells[name] = np.array(column.to_pylist(), dtype=object)
    return cells, np.arange(table.num_rows)


def _delimiter(first: str) -> str:
    outside = "".join(first.split('"')[::2])
    return max(DELIMITERS, key=outside.count)


def _check_header(header: list[str], path: Path) -> None:
    if not header:
        raise DataError(f"{path}: the file is empty; a header with the names of the columns is needed")
    if len(header) < 2:
        raise DataError(
            f"{path}: only one column, {header[0]!r}; if cells are set apart by another character than comma, "
            'semicolon or tab, say which: delimiter = "|"'
        )
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"{path}: column {name!r} stands twice in the header")
    if all(_is_number(name) for name in header):
        raise DataError(
            f"{path}: the first line, {', '.join(header[:3])}, ..., holds numbers; a header must name columns"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
