"""Loads the data set that a specification names."""

from __future__ import annotations

from pathlib import Path

from ravine.data.assemble import Source, assemble
from ravine.data.dataset import Dataset
from ravine.data.files import existing
from ravine.data.spec import CsvSpec, DataSpec, FashionMnistSpec, ImagesSpec, NpzSpec, ParquetSpec
from ravine.errors import DataError


def load(spec: DataSpec | Dataset, *, base: Path | str | None = None, blank: bool = False) -> Dataset:
    """Read, cut, encode and scale a data set.

    Args:
        spec: which one, and how; a data set is returned as it is.
        base: folder that relative paths start from; None: the current one.
        blank: of a folder of images read the headers alone; all pixels are 0 and the fingerprint is none. What a
            model must fit is known then, in a fraction of the time.

    Returns:
        Its three splits.

    Raises:
        DataError: one line that names the file, and the row or column where there is one.

    Example:
        >>> from ravine.data import parse_data
        >>> data = load(parse_data("digits"))
        >>> data.input_shape, len(data.train), len(data.validation), len(data.test)
        ((1, 8, 8), 1079, 359, 359)
    """
    if isinstance(spec, Dataset):
        return spec
    try:
        return assemble(_read(spec, Path(base) if base is not None else Path(), blank), spec)
    except MemoryError:
        where = getattr(spec, "path", None) or spec.kind
        raise DataError(f"{where}: the data do not fit into memory") from None


def _read(spec: DataSpec, base: Path, blank: bool) -> Source:
    # Readers are imported when they are needed: a study of digits should not wait for the others.
    if isinstance(spec, FashionMnistSpec):
        from ravine.data.fashion import read_fashion_mnist

        return read_fashion_mnist(
            None if spec.path is None else existing(spec.path, base, "path", folder=True)
        )
    if isinstance(spec, NpzSpec):
        from ravine.data.npz import read_npz

        return read_npz(spec, existing(spec.path, base, "path"))
    if isinstance(spec, CsvSpec | ParquetSpec):
        from ravine.data.tabular import read_tabular

        test = None if spec.test_path is None else existing(spec.test_path, base, "test_path")
        return read_tabular(spec, existing(spec.path, base, "path"), test)
    if isinstance(spec, ImagesSpec):
        from ravine.data.pictures import read_images

        folder = existing(spec.path, base, "path", folder=True)
        return read_images(spec, folder, blank=blank)
    from ravine.data.builtin import read_builtin

    return read_builtin(spec)
