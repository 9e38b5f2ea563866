"""The kinds of arrays that metrics are made of."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Truths: TypeAlias = NDArray[np.bool_]
Whole: TypeAlias = NDArray[np.int64]
Counts: TypeAlias = NDArray[Any]
"""Whole numbers of examples, or sums of their weights."""
