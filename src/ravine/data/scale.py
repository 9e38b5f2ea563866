"""Features to a common scale, by mean and spread of the training part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ravine.data.column import Place
from ravine.data.dataset import Floats
from ravine.errors import DataError

Normalize = Literal["standard", "channel", "none"]


Scaler = Callable[[npt.NDArray[Any]], Floats]


def scaler(
    known: npt.NDArray[Any],
    normalize: Normalize | None,
    where: str,
    numeric: npt.NDArray[np.bool_] | None = None,
) -> Scaler:
    """(x - mean) / deviation, per feature or per channel, both of the training part; constant ones become 0.

    Args:
        known: training part: float64 (N, ...) features, or float32 or uint8 (N, C, H, W) images. Bytes stand
            for 0 to 1.
        normalize: what shares one mean; None: a channel for images, a feature for all else.
        where: the data set, for errors.
        numeric: which columns to scale; None: all.

    Returns:
        The function to use on every split; it returns float32.

    Raises:
        DataError: "channel" asked of what is not images.
    """
    images = known.ndim == 4
    if normalize == "channel" and not images:
        raise DataError(
            f"{where}: normalize = 'channel' needs images (N, C, H, W), an example here has shape "
            f"{known.shape[1:]}; allowed: standard, none"
        )
    normalize = normalize or ("channel" if images else "standard")
    if known.dtype == np.uint8:
        if normalize == "channel":
            return _byte_scaler(known)
        unscaled = _scaler(_unit(known), normalize, numeric)
        return lambda x: unscaled(_unit(x))
    return _scaler(known, normalize, numeric)


def check_finite(x: npt.NDArray[Any], where: str, place: Place, features: tuple[str, ...] = ()) -> None:
    """Refuse what training cannot start from.

    Raises:
        DataError: the first feature that is NaN, infinite or beyond float32, by row and name.
    """
    if x.dtype.kind != "f":
        return
    with np.errstate(invalid="ignore"):
        fine = np.abs(x) <= np.finfo(np.float32).max
    if fine.all():
        return
    row, *at = (int(number) for number in np.argwhere(~fine)[0])
    value = x[(row, *at)]
    column = repr(features[at[0]]) if features and len(at) == 1 else str(at[0] if len(at) == 1 else tuple(at))
    what = f"column {column}" if features else f"feature {column}"
    raise DataError(f"{place(row) or where}: {what} is {value:g}; it must be a finite float32 number")


def _scaler(known: npt.NDArray[Any], normalize: Normalize, numeric: npt.NDArray[np.bool_] | None) -> Scaler:
    if normalize == "none":
        return lambda x: np.ascontiguousarray(x, dtype=np.float32)
    axes = (0, 2, 3) if normalize == "channel" else (0,)
    low, high = known.min(axis=axes, keepdims=True), known.max(axis=axes, keepdims=True)
    mean = known.mean(axis=axes, keepdims=True, dtype=np.float64)
    deviation = known.std(axis=axes, keepdims=True, dtype=np.float64)
    # Rounding of the mean gives a constant some deviation: it would be blown up to numbers of order 1.
    constant = (low == high) | (deviation == 0)
    mean, deviation = np.where(constant, low, mean), np.where(constant, 1.0, deviation)
    if numeric is not None:
        mean[:, ~numeric], deviation[:, ~numeric] = 0.0, 1.0
    if known.dtype == np.float32:  # images: spare the memory
        mean, deviation = mean.astype(np.float32), deviation.astype(np.float32)
    return lambda x: np.ascontiguousarray((x - mean) / deviation, dtype=np.float32)


def _unit(x: npt.NDArray[np.uint8]) -> Floats:
    return np.asarray(x, dtype=np.float32) / np.float32(255)


def _byte_scaler(known: npt.NDArray[np.uint8]) -> Scaler:
    """Of bytes there are 256 values: each is scaled once and looked up. Sums of whole numbers are exact."""
    squares = np.arange(256, dtype=np.uint16) ** 2
    tables = []
    for channel in range(known.shape[1]):
        pixels = known[:, channel]
        count, total = pixels.size, int(pixels.sum(dtype=np.int64))
        variance = (count * int(squares[pixels].sum(dtype=np.int64)) - total**2) / count**2
        tables.append(((np.arange(256) - total / count) / (np.sqrt(variance) or 1.0)).astype(np.float32))

    def scale(x: npt.NDArray[Any]) -> Floats:
        if len(tables) == 1:
            return np.asarray(tables[0][x])
        return np.stack([table[x[:, channel]] for channel, table in enumerate(tables)], axis=1)

    return scale
