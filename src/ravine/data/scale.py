"""Features to a common scale, by mean and spread of the training part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ravine.data.column import Place
from ravine.errors import DataError

Floats = npt.NDArray[np.float32]
Normalize = Literal["standard", "channel", "none"]
Values = Literal["float64", "float32", "bytes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """(x - mean) / deviation, both of the training part, as plain numbers.

    Args:
        values: what it was made for: float64 features, float32 images, or bytes, which stand for 0 to 1.
        shape: of mean and deviation, to go with one example; empty where nothing is scaled.
        mean, deviation: flat; both empty where nothing is scaled.
        table: bytes that are looked up: every channel's 256 values are scaled once.
    """

    values: Values
    shape: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    table: bool = False

    def __call__(self, x: npt.NDArray[Any]) -> Floats:
        """Scale examples, (N, ...), as the training part was scaled."""
        if self.table:
            return self._looked_up(x)
        if self.values == "bytes":
            x = np.asarray(x, dtype=np.float32) / np.float32(255)
        if not self.mean:
            return np.ascontiguousarray(x, dtype=np.float32)
        dtype = np.float64 if self.values == "float64" else np.float32
        mean = np.array(self.mean, dtype=dtype).reshape(self.shape)
        deviation = np.array(self.deviation, dtype=dtype).reshape(self.shape)
        return np.ascontiguousarray((x - mean) / deviation, dtype=np.float32)

    def _looked_up(self, x: npt.NDArray[Any]) -> Floats:
        tables = [
            ((np.arange(256) - mean) / deviation).astype(np.float32)
            for mean, deviation in zip(self.mean, self.deviation, strict=True)
        ]
        if len(tables) == 1:
            return np.asarray(tables[0][x])
        return np.stack([table[x[:, channel]] for channel, table in enumerate(tables)], axis=1)


def fit_scaling(
    known: npt.NDArray[Any],
    normalize: Normalize | None,
    where: str,
    numeric: npt.NDArray[np.bool_] | None = None,
) -> Scaling:
    """How to bring every feature, or every channel, to mean 0 and deviation 1; constant ones become 0.

    Args:
        known: training part: float64 (N, ...) features, or float32 or uint8 (N, C, H, W) images. Bytes stand
            for 0 to 1.
        normalize: what shares one mean; None: a channel for images, a feature for all else.
        where: the data set, for errors.
        numeric: which columns to scale; None: all.

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
    values: Values = "float64" if known.dtype == np.float64 else "float32"
    if known.dtype == np.uint8:
        values = "bytes"
        if normalize == "channel":
            return _byte_scaling(known)
        known = np.asarray(known, dtype=np.float32) / np.float32(255) if normalize != "none" else known
    if normalize == "none":
        return Scaling(values=values)
    axes = (0, 2, 3) if normalize == "channel" else (0,)
    low, high = known.min(axis=axes, keepdims=True), known.max(axis=axes, keepdims=True)
    mean = known.mean(axis=axes, keepdims=True, dtype=np.float64)
    deviation = known.std(axis=axes, keepdims=True, dtype=np.float64)
    # Rounding of the mean gives a constant some deviation: it would be blown up to numbers of order 1.
    constant = (low == high) | (deviation == 0)
    mean, deviation = np.where(constant, low, mean), np.where(constant, 1.0, deviation)
    if numeric is not None:
        mean[:, ~numeric], deviation[:, ~numeric] = 0.0, 1.0
    if values != "float64":  # images: spare the memory
        mean, deviation = mean.astype(np.float32), deviation.astype(np.float32)
    return Scaling(
        values=values,
        shape=tuple(mean.shape[1:]),
        mean=tuple(mean.reshape(-1).tolist()),
        deviation=tuple(deviation.reshape(-1).tolist()),
    )


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


def _byte_scaling(known: npt.NDArray[np.uint8]) -> Scaling:
    """Of bytes there are 256 values: each is scaled once and looked up. Sums of whole numbers are exact."""
    squares = np.arange(256, dtype=np.uint16) ** 2
    means, deviations = [], []
    for channel in range(known.shape[1]):
        pixels = known[:, channel]
        count, total = pixels.size, int(pixels.sum(dtype=np.int64))
        variance = (count * int(squares[pixels].sum(dtype=np.int64)) - total**2) / count**2
        means.append(total / count)
        deviations.append(float(np.sqrt(variance)) or 1.0)
    shape = (len(means), 1, 1)
    return Scaling(values="bytes", shape=shape, mean=tuple(means), deviation=tuple(deviations), table=True)
