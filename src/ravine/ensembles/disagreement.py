"""How much members differ: on how many examples two of them choose other classes, or how far their values are apart.

Shapes: R member, N example.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def of_classes(classes: Sequence[np.ndarray]) -> Array:
    """The share of examples that each two members put into other classes, (R, R).

    Args:
        classes: of each member, (N,).

    Example:
        >>> of_classes([np.array([0, 1]), np.array([0, 0])]).tolist()
        [[0.0, 0.5], [0.5, 0.0]]
    """
    table_RN = np.stack(classes)
    return np.stack([(table_RN != row).mean(axis=1) for row in table_RN])


def of_values(values: Sequence[np.ndarray]) -> Array:
    """The root of the mean squared difference of each two members' values, (R, R), in the target's own units.

    Args:
        values: of each member, (N,).
    """
    table_RN = np.stack([np.asarray(each, dtype=np.float64) for each in values])
    return np.stack([np.sqrt(np.square(table_RN - row).mean(axis=1)) for row in table_RN])


def mean_of_pairs(matrix: Array) -> float:
    """The mean over pairs of different members; 0 for a single one."""
    num = len(matrix)
    return float(matrix.sum() - np.trace(matrix)) / (num * (num - 1)) if num > 1 else 0.0
