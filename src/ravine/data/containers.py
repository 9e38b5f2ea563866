"""Arrays out of whatever has numbers: lists, tensors, masked and sparse matrices."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.column import absent, objects
from ravine.data.room import require
from ravine.errors import DataError

_EXACT = 2**53  # whole numbers up to this are exact as float64


def as_numpy(value: Any, where: str = "array", *, exact: bool = False) -> npt.NDArray[Any]:
    """An array out of an array, a tensor on any device or of any layout, a list, or a sparse matrix.

    A masked value is a missing one, NaN or None. A sparse matrix is made dense.

    Args:
        value: what has the numbers.
        where: what errors name.
        exact: whole numbers stay whole beyond 2^53 and beside missing values, as objects if need be.

    Raises:
        DataError: it cannot be made one, or a sparse one would not fit into memory.
    """
    if hasattr(value, "toarray") and hasattr(value, "nnz"):  # SciPy's sparse matrices and arrays
        require(
            _dense_bytes(value.shape), f"{where} is sparse, of shape {tuple(value.shape)}, to be made dense"
        )
        return np.asarray(value.toarray())
    if hasattr(value, "detach"):
        return _tensor(value, where, exact)
    if isinstance(value, np.ma.MaskedArray):
        return _filled(value, exact)
    if isinstance(value, list | tuple):
        return _listed(value, where, exact)
    try:
        array = np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)
    except Exception as error:  # noqa: BLE001 (whatever an __array__ raises)
        raise DataError(f"{where}: {type(value).__name__} cannot be made an array: {_first(error)}") from None
    if not array.ndim and array.dtype.kind in "OUS" and not exact:
        raise DataError(
            f"{where} is a {type(value).__name__}; an array, a tensor, a list or a data frame is needed"
        )
    return array


def joined(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Cells one behind the other; no whole number is rounded because of its neighbours."""
    if len(parts) == 1:
        return parts[0]
    kinds = {part.dtype.kind for part in parts}
    mixed = bool(kinds & set("USOT")) and (len(kinds) > 1 or kinds == {"T"})
    if mixed or (_kind(parts) == "f" and any(_is_large(part) for part in parts)):
        return objects([cell for part in parts for cell in part.tolist()])
    return np.concatenate(parts)


def _kind(parts: Sequence[npt.NDArray[Any]]) -> str:
    types = {part.dtype for part in parts}
    return "" if any(of.kind in "USOT" for of in types) else np.result_type(*types).kind


def _is_large(part: npt.NDArray[Any]) -> bool:
    if part.dtype.kind not in "iu" or not part.size:
        return False
    return bool(part.max() > _EXACT or (part.dtype.kind == "i" and part.min() < -_EXACT))


def _tensor(value: Any, where: str, exact: bool) -> npt.NDArray[Any]:
    if hasattr(value, "get_mask") and hasattr(value, "get_data"):  # torch.masked
        valid = as_numpy(value.get_mask(), where)
        return _filled(np.ma.masked_array(as_numpy(value.get_data(), where), ~valid), exact)
    try:
        value = value.detach()
        if value.is_nested:
            raise DataError(f"{where} is a nested tensor; all examples must be of one shape: pad them")
        if value.is_quantized:
            value = value.dequantize()
        if "strided" not in str(value.layout):
            shape = tuple(value.shape)
            require(_dense_bytes(shape), f"{where} is sparse, of shape {shape}, to be made dense")
            value = value.to_dense()
        value = value.cpu().resolve_conj().resolve_neg()
        # NumPy has none of torch's short floats; float() is exact for them.
        short = any(name in str(value.dtype) for name in ("bfloat16", "float8", "float4"))
        return np.asarray(value.float().numpy() if short else value.numpy())
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 (of a device or a subclass without numbers)
        kind = f"{type(value).__name__} of {getattr(value, 'dtype', '?')} on {getattr(value, 'device', '?')}"
        raise DataError(f"{where}: a {kind} cannot be made an array: {_first(error)}") from None


def _filled(value: np.ma.MaskedArray[Any, Any], exact: bool) -> npt.NDArray[Any]:
    """A masked array with NaN or None where it is masked."""
    data, mask = np.ma.getdata(value), np.ma.getmaskarray(value)
    if data.dtype.names or not mask.any():  # of records, whose mask has fields, no number can be taken
        return np.asarray(data)
    if data.dtype.kind == "f":
        return np.where(mask, np.array(np.nan, dtype=data.dtype), data)
    if data.dtype.kind in "iub" and not exact:
        return np.where(mask, np.nan, data.astype(np.float64))
    filled = data.astype(object)
    filled[mask] = None
    return filled


def _listed(value: Sequence[Any], where: str, exact: bool) -> npt.NDArray[Any]:
    def whole(item: Any) -> bool:
        return isinstance(item, int | np.integer) and not isinstance(item, bool) and abs(int(item)) > _EXACT

    items = [_plain(item, where, exact) for item in value]
    try:
        if any(isinstance(item, np.ndarray) and item.ndim for item in items):
            return np.stack([np.asarray(item) for item in items])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a masked number inside, which becomes NaN
            array = np.asarray(items)
    except (ValueError, TypeError, OverflowError) as error:
        if "inhomogeneous" in str(error) or "same shape" in str(error):
            raise DataError(f"{where} is a list of rows of different lengths; all must be alike") from None
        raise DataError(f"{where}: a list cannot be made an array: {_first(error)}") from None
    if array.ndim != 1:
        return array
    texts = [isinstance(item, str) for item in items]
    if array.dtype.kind == "U" and not all(texts):  # NumPy would make "nan" and "None" of what is missing
        return objects([None if absent(item) else str(item) for item in items])
    if exact and array.dtype.kind == "f" and any(map(whole, items)):
        return objects(items)
    return array


def _plain(item: Any, where: str, exact: bool) -> Any:
    """An item of a list: tensors and masked arrays become arrays, tensors of one number that number."""
    if item is np.ma.masked:
        return None
    if hasattr(item, "detach") or isinstance(item, np.ma.MaskedArray):
        array = as_numpy(item, where, exact=exact)
        return array if array.ndim else array.item()
    return item


def _dense_bytes(shape: Sequence[int]) -> int:
    size = 8
    for side in shape:
        size *= int(side)
    return size


def _first(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
