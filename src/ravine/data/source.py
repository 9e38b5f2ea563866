"""Raw examples of all splits, as a reader hands them over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.column import Column, Place
from ravine.data.deal import OPEN, TEST, VALIDATION
from ravine.data.decoding import Pictures
from ravine.data.division import ALONE, Division
from ravine.data.reading import Order
from ravine.data.spec import Task
from ravine.data.table import Table
from ravine.data.target_columns import Columns
from ravine.data.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """Raw examples of all splits, as a reader hands them over.

    Args:
        name: of the data set.
        where: the file, named in errors.
        x: a table, image files, float64 features, or float32 or uint8 (N, C, H, W) images.
        y: the target, or its columns.
        marks: OPEN, VALIDATION or TEST for each example.
        division: what the examples are cut by beside that.
        weights: float32 (N,), how much each counts in training; None: all count alike.
        weight_scores: they count in scores on validation and test as well.
        place: where an example came from, for errors.
        task: what the user or the data set says; None: by the target.
        class_names: names for classes that are numbers.
        features: names of the features.
        order: how the axes of an array of images came.
        notes: what the reader did.
    """

    name: str
    where: str
    x: Table | Pictures | npt.NDArray[Any]
    y: Column | Columns
    marks: npt.NDArray[np.int8]
    place: Place
    task: Task | None = None
    class_names: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    order: Order = "as it is"
    notes: tuple[str, ...] = ()
    division: Division = ALONE
    weights: Weights | None = None
    weight_scores: bool = False


def marks_for(num_open: int, num_validation: int = 0, num_test: int = 0) -> npt.NDArray[np.int8]:
    """Marks of examples that come in this order: open, validation, test."""
    return np.repeat(np.array([OPEN, VALIDATION, TEST], dtype=np.int8), [num_open, num_validation, num_test])
