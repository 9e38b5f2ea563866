"""The data of a study: a specification, or in Python objects of the program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from ravine.data import Dataset, DataSpec, from_arrays, from_torch_dataset, parse_data
from ravine.data.spec import Options
from ravine.messages import lacking, wrong

DataLike: TypeAlias = Any
"""A name, a table with ``kind``, a specification, a `Dataset`, ``(x, y)``, or a torch dataset."""


def parse_source(value: object, weights: Any = None, weight_scores: bool = False) -> DataSpec | Dataset:
    """The data of a study.

    Args:
        value: any of `DataLike`. ``(x, y, x_test, y_test)`` has a given test split.
        weights: of arrays or a torch dataset, how much each example counts in training; None: all alike.
        weight_scores: these weights count in scores on validation and test as well.

    Raises:
        StudyError: one line with the key, the value and what is allowed.
        DataError: the arrays or the dataset cannot be used as they are.

    Example:
        >>> import numpy as np
        >>> parse_source((np.arange(40.0).reshape(20, 2), np.arange(20) % 2)).name
        'arrays'
    """
    if weights is not None and isinstance(value, Dataset | Mapping | str | Options):
        words = "are of arrays (x, y); a table names a column: data.weight, and from_arrays takes weights too"
        raise lacking("weights", words)
    if not isinstance(weight_scores, bool):
        raise wrong("weight_scores", weight_scores, "must be True or False")
    if weight_scores and weights is None:
        raise lacking(
            "weight_scores",
            "needs weights= beside arrays (x, y); a table has a key of its own, data.weight_scores, and from_arrays "
            "takes it too",
        )
    if isinstance(value, Dataset):
        return value
    if isinstance(value, Mapping):
        return parse_data(dict(value))
    if isinstance(value, str | Options):
        return parse_data(value)
    if isinstance(value, tuple):
        if len(value) not in (2, 4):
            raise lacking("data", f"must be (x, y) or (x, y, x_test, y_test), not a tuple of {len(value)}")
        test = dict(zip(("x_test", "y_test"), value[2:], strict=False))
        return from_arrays(value[0], value[1], weights=weights, weight_scores=weight_scores, **test)
    if hasattr(value, "shape"):
        raise lacking("data", "an array or a table alone has no target: give a pair (x, y)")
    if hasattr(value, "__getitem__") and not isinstance(value, list | bytes):
        return from_torch_dataset(value, weights=weights, weight_scores=weight_scores)
    raise wrong(
        "data",
        value,
        'must be the name of a data set or a table with kind = "...", or in Python (x, y), a Dataset or a torch '
        "dataset with a length",
    )
