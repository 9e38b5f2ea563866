"""Parquet files: their typed columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ravine.data.csv_file import Columns, Rows, check_header
from ravine.data.frames import series_cells
from ravine.data.room import require
from ravine.errors import DataError
from ravine.messages import count

_CELL = 8.0  # bytes of a number, or of a pointer to a text


def read_parquet(path: Path) -> tuple[Columns, Rows]:
    """The columns of a Parquet file as they are typed, and the number of each row, from 0.

    Raises:
        DataError: pyarrow is not installed, it cannot read the file, or there is no memory for it.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(f'{path}: Parquet needs pyarrow: pip install "ravine[tables]"') from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names, num_rows = file.schema_arrow.names, file.metadata.num_rows
            check_header(names, path)
            size = _CELL * num_rows * len(names)
            require(size, f"{path}: {count(num_rows, 'row')} of {count(len(names), 'column')}")
            table = file.read()
    except (OSError, pyarrow.ArrowException) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(f"{path}: cannot be read as Parquet: {reason}") from None
    columns = {
        name: series_cells(table.column(at), f"{path}: column {name!r}") for at, name in enumerate(names)
    }
    return columns, np.arange(table.num_rows)
