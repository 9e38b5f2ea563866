"""Any spec to its data set."""

from __future__ import annotations

from pathlib import Path

from ravine.data.assemble import Source, assemble
from ravine.data.dataset import Dataset
from ravine.data.spec import CsvSpec, DataSpec, FashionMnistSpec, ImagesSpec, NpzSpec, ParquetSpec
from ravine.errors import DataError, nearest


def load(spec: DataSpec | Dataset, *, base: Path | str | None = None) -> Dataset:
    """Read, cut, encode and scale a data set.

    Args:
        spec: which one, and how; a data set is returned as it is.
        base: folder that relative paths start from; None: the current one.

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
    return assemble(_read(spec, Path(base) if base is not None else Path()), spec)


def _read(spec: DataSpec, base: Path) -> Source:
    # Readers are imported when they are needed: a study of digits should not wait for the others.
    if isinstance(spec, FashionMnistSpec):
        from ravine.data.fashion import read_fashion_mnist

        return read_fashion_mnist(None if spec.path is None else _existing(spec.path, base, "path"))
    if isinstance(spec, NpzSpec):
        from ravine.data.npz import read_npz

        return read_npz(spec, _existing(spec.path, base, "path"))
    if isinstance(spec, CsvSpec | ParquetSpec):
        from ravine.data.tabular import read_tabular

        test = None if spec.test_path is None else _existing(spec.test_path, base, "test_path")
        return read_tabular(spec, _existing(spec.path, base, "path"), test)
    if isinstance(spec, ImagesSpec):
        from ravine.data.images import read_images

        return read_images(_existing(spec.path, base, "path"), spec.size)
    from ravine.data.builtin import read_builtin

    return read_builtin(spec)


def _existing(path: str, base: Path, key: str) -> Path:
    full = base / Path(path).expanduser()
    if full.exists():
        return full
    beside = [entry.name for entry in full.parent.iterdir()] if full.parent.is_dir() else []
    near = nearest(full.name, beside)
    hint = f"; did you mean '{near}'?" if near else ""
    raise DataError(f"data.{key} = {path!r}: there is no such file or folder: {full}{hint}")
