"""What scikit-learn's users hand over, as a study takes it: checked as scikit-learn checks, refused in its words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, validate_data

from ravine.data.column import Cells
from ravine.data.frames import columns_of, is_frame
from ravine.errors import DataError

Raw = dict[str, Cells] | npt.NDArray[Any]
"""Columns by name; or an array (N, ...) of pictures."""


def training_examples(estimator: BaseEstimator, x: Any, y: Any, *, numeric: bool) -> tuple[Raw, Any]:
    """Inputs and target of `fit`. The estimator learns how many features there are, and their names.

    Args:
        estimator: whose `fit` it is.
        x: a frame, or an array (N, ...).
        y: the target, (N,) or (N, T).
        numeric: whether the target must be numbers.

    Raises:
        DataError: a sparse matrix, or a mapping.
        ValueError: anything else that scikit-learn refuses.
    """
    _refuse(x)
    if is_frame(x):
        target = validate_data(estimator, y=y, y_numeric=numeric, multi_output=_several(y))
        validate_data(estimator, x, skip_check_array=True)
        check_consistent_length(x, target)
        return _frame(estimator, x), target
    array, target = validate_data(
        estimator,
        x,
        y,
        y_numeric=numeric,
        multi_output=_several(y),
        ensure_all_finite=False,
        allow_nd=True,
        ensure_min_samples=2,
    )
    return _array(estimator, array), target


def sample_weights(raw: Raw, given: Any) -> npt.NDArray[Any] | None:
    """Weights of the examples of `fit`; None: none are given.

    Args:
        raw: what `training_examples` found.
        given: (N,) numbers.

    Raises:
        ValueError: whatever scikit-learn refuses.
    """
    if given is None:
        return None
    first = next(iter(raw.values())).values if isinstance(raw, dict) else raw
    found: npt.NDArray[Any] = _check_sample_weight(given, first, dtype=np.float64, ensure_non_negative=True)
    return found


def new_examples(estimator: BaseEstimator, x: Any) -> Raw:
    """Inputs of `predict`: as many features as `fit` saw, and with the same names where they have names.

    Raises:
        DataError: a sparse matrix, a mapping, or a frame without rows.
        ValueError: anything else that scikit-learn refuses.
    """
    _refuse(x)
    if is_frame(x):
        validate_data(estimator, x, skip_check_array=True, reset=False)
        frame = _frame(estimator, x)
        if not len(next(iter(frame.values()))):
            raise DataError("X has no rows; at least one is needed")
        return frame
    array = validate_data(estimator, x, ensure_all_finite=False, allow_nd=True, reset=False)
    return _array(estimator, array)


def _several(y: Any) -> bool:
    """Whether a target has several columns; one column is one target, as scikit-learn warns."""
    shape = getattr(y, "shape", None)
    if shape is None and isinstance(y, list | tuple):
        try:
            shape = np.shape(y)
        except ValueError:  # rows of different lengths
            shape = None
    return shape is not None and len(shape) == 2 and shape[1] > 1


def _frame(estimator: BaseEstimator, x: Any) -> dict[str, Cells]:
    columns = [_typed(cells) for cells in columns_of(x, "X").values()]
    return dict(zip(_names(estimator, len(columns)), columns, strict=True))


def _typed(cells: Cells) -> Cells:
    """A frame's texts are texts, unlike a file's: no number is looked for in them."""
    if cells.values.dtype.kind != "U":
        return cells
    return Cells(values=cells.values.astype(object), levels=cells.levels)


def _array(estimator: BaseEstimator, x: npt.NDArray[Any]) -> Raw:
    if x.ndim != 2:
        return x
    return {name: Cells(values=x[:, at]) for at, name in enumerate(_names(estimator, x.shape[1]))}


def _names(estimator: BaseEstimator, number: int) -> list[str]:
    """The columns' names; x0, x1, ... where they have none, as in scikit-learn's `get_feature_names_out`."""
    known = getattr(estimator, "feature_names_in_", None)
    return [f"x{at}" for at in range(number)] if known is None else list(map(str, np.asarray(known)))


def _refuse(x: Any) -> None:
    """What scikit-learn has no clear word for."""
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        shape = " x ".join(f"{side:,}" for side in x.shape)
        raise DataError(f"X is sparse ({shape}): networks take every feature; X.toarray() makes it dense")
    if isinstance(x, Mapping):
        raise DataError(f"X is a {type(x).__name__}; an array or a data frame is needed")
