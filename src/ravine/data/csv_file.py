"""CSV files: their texts by column."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from ravine.data.column import Cells
from ravine.data.room import require
from ravine.errors import DataError, short
from ravine.messages import count

Rows = npt.NDArray[np.int64]
Columns = dict[str, Cells]

DELIMITERS = (",", ";", "\t")
_OTHERS = ("|", ":", " ")
_SEP = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)  # Excel's first line
_BYTES_A_BYTE = 5.0  # of a file that its cells take at least: as Python texts they take ten times as much
_HEAD = 1 << 16  # bytes of which the encoding is guessed
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_csv(
    path: Path,
    delimiter: str | None = None,
    *,
    encoding: str | None = None,
    comment: str | None = None,
    alone: str | None = None,
) -> tuple[Columns, Rows]:
    """The texts of a CSV file by column, and the line on which each row begins.

    Args:
        path: the file.
        delimiter: one character; None: comma, semicolon or tab, whichever the header has most of.
        encoding: of its text; None: UTF-8.
        comment: lines that begin with it are passed over; None: there are none.
        alone: the name of a column that may be the only one; None: one is not enough.

    Raises:
        DataError: another encoding, a row with too many or too few cells, a header that is none.
    """
    lines: _Lines | None = None
    try:
        require(_BYTES_A_BYTE * path.stat().st_size, f"{path}: to read its cells")
        with path.open(encoding=_codec(encoding), newline="") as file:
            lines = _Lines(file, comment)
            header, first = _header(lines, delimiter, path, alone)
            columns, rows = _body(lines, header, first, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeError as error:
        raise DataError(_other_encoding(path, encoding, error)) from None
    except csv.Error as error:
        raise DataError(f"{path}, line {lines.number if lines else 1}: not valid CSV: {error}") from None
    return columns, rows


def _codec(encoding: str | None) -> str:
    """The codec that reads an encoding; UTF-8 may begin with a mark, which is no part of the first name."""
    return "utf-8-sig" if encoding is None or codecs.lookup(encoding).name == "utf-8" else encoding


class _Lines(Iterator[str]):
    """The lines of a file, counted; comments between rows are passed over."""

    def __init__(self, file: TextIO, comment: str | None) -> None:
        self.number = 0
        self.between_rows = True  # a line inside quotes is no comment
        self._file = file
        self._comment = comment
        self._again: list[str] = []

    def __next__(self) -> str:
        while True:
            line = self._again.pop() if self._again else next(self._file)
            self.number += 1
            if "\0" in line:
                raise UnicodeError("NUL")
            if not (self.between_rows and self._comment and line.lstrip().startswith(self._comment)):
                self.between_rows = False
                return line

    def back(self, line: str) -> None:
        """Give a line once more."""
        self._again.append(line)
        self.number -= 1
        self.between_rows = True


def _header(lines: _Lines, delimiter: str | None, path: Path, alone: str | None) -> tuple[list[str], str]:
    """The names of the columns, and the delimiter."""
    line = next(lines, "")
    declared = _SEP.fullmatch(line)
    if declared:
        delimiter = delimiter or declared[1]
        lines.between_rows = True
        line = next(lines, "")
    given, delimiter = delimiter, delimiter or _delimiter(line)
    lines.back(line)
    header = [name.strip() for name in next(_reader(lines, delimiter), [])] if line else []
    if delimiter == " " and len(header) > 1 and not header[-1]:  # spaces at the end of the line
        header.pop()
    lines.between_rows = True
    second = next(lines, "")
    if second:
        lines.back(second)
    if header != [alone]:
        _check_one(header, line, second, given, path)
    check_header(header, path)
    return header, delimiter


def _body(lines: _Lines, header: list[str], delimiter: str, path: Path) -> tuple[Columns, Rows]:
    rows: list[list[str]] = []
    begins: list[int] = []
    reader = _reader(lines, delimiter)
    while True:
        lines.between_rows = True
        before = lines.number
        row = next(reader, None)
        if row is None:
            break
        if delimiter == " " and len(row) == len(header) + 1 and not row[-1]:  # spaces at the end of the line
            row.pop()
        if len(row) == len(header):
            rows.append(row)
            begins.append(before + 1 if lines.number == before + 1 else _begin(row, before, lines))
        elif row and row != [""]:  # an empty line is no row
            more = len(row) > len(header)
            quotes = f"; a cell with {delimiter!r} in it must be in quotes" if more else ""
            raise DataError(
                f"{path}, line {_begin(row, before, lines)}: {count(len(row), 'cell')}, "
                f"the header has {len(header)}{quotes}"
            )
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    cells = {
        name: Cells(values=np.array(column, dtype=str)) for name, column in zip(header, columns, strict=True)
    }
    return cells, np.array(begins, dtype=np.int64)


def _begin(row: list[str], before: int, lines: _Lines) -> int:
    """The line on which a row begins: those inside its quotes end it, comments come before it."""
    inside = sum(cell.count("\n") for cell in row)
    return max(before + 1, lines.number - inside)


def _reader(lines: _Lines, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=delimiter != "\t")


def check_header(header: list[str], path: Path) -> None:
    """See that every column has a name of its own.

    Raises:
        DataError: there are none, two are alike, or they are numbers.
    """
    if not header:
        raise DataError(f"{path}: the file is empty; a header with the names of the columns is needed")
    name, times = Counter(header).most_common(1)[0]
    if times > 1:
        raise DataError(
            f"{path}: column {name!r} is in the header {'twice' if times == 2 else f'{times} times'}"
        )
    if all(_is_number(name) for name in header):
        raise DataError(
            f"{path}: the first line, {', '.join(header[:3])}, ..., contains numbers; a header must name columns"
        )


def _check_one(header: list[str], line: str, second: str, delimiter: str | None, path: Path) -> None:
    """A header of one column was cut by the wrong character, or is no header."""
    if len(header) != 1:
        return
    for sign in ("#", "%", "//"):
        if header[0].startswith(sign):
            raise DataError(
                f"{path}: the first line, {short(header[0], 40)!r}, is a comment; if lines that begin with {sign[0]!r} "
                f'are to be passed over, say comment = "{sign[0]}"'
            )
    likely = [
        sign
        for sign in (*DELIMITERS, *_OTHERS)
        if sign != delimiter and len(line.split(sign)) == len(second.split(sign)) > 1
    ]
    if likely:
        name = {" ": "spaces", "\t": "tabs"}.get(likely[0], f"{likely[0]!r}")
        key = {"\t": "\\t"}.get(likely[0], likely[0])
        raise DataError(
            f'{path}: only one column, {short(header[0], 40)!r}; if {name} separate the cells, say delimiter = "{key}"'
        )
    raise DataError(
        f"{path}: only one column, {short(header[0], 40)!r}; a table needs one to predict and another to predict it "
        "from; if another character than comma, semicolon or tab separates the cells, say which with delimiter"
    )


def _delimiter(first: str) -> str:
    outside = "".join(first.split('"')[::2])
    return max(DELIMITERS, key=outside.count)


def _other_encoding(path: Path, encoding: str | None, error: UnicodeError) -> str:
    """What a file that is not in its encoding may be in."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if encoding is not None:
        return (
            f"{path}: not {encoding} text ({_reason(error)}); say another encoding, or leave it out for UTF-8"
        )
    for mark, name in _BOMS:
        if head.startswith(mark):
            return f'{path}: {name.upper()} text, not UTF-8: say encoding = "{name}", or save it as UTF-8'
    if b"\0" in head:
        even, odd = head[::2].count(0), head[1::2].count(0)
        if max(even, odd) > len(head) / 8:
            name = "utf-16-le" if odd > even else "utf-16-be"
            return f'{path}: UTF-16 text, not UTF-8: say encoding = "{name}", or save it as UTF-8'
        return f"{path}: has NUL bytes: not a text file"
    at = f" (byte {error.start})" if isinstance(error, UnicodeDecodeError) else ""
    with path.open("rb") as file:
        body = file.read()
    windows = any(0x80 <= byte <= 0x9F for byte in body)
    name, key = ("Windows-1252", "cp1252") if windows else ("Latin-1", "latin-1")
    return f'{path}: not UTF-8 text{at}; it may be {name}: say encoding = "{key}", or save it as UTF-8'


def _reason(error: UnicodeError) -> str:
    return f"byte {error.start}" if isinstance(error, UnicodeDecodeError) else "NUL bytes"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
