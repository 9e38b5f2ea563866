"""Data sets: where they come from, how they are cut in three, encoded and scaled. NumPy only, no PyTorch."""

from ravine.data.arrays import from_arrays, from_torch_dataset
from ravine.data.dataset import Dataset
from ravine.data.examples import Examples
from ravine.data.load import load
from ravine.data.preparation import Preparation
from ravine.data.spec import DataSpec, parse_data

__all__ = [
    "DataSpec",
    "Dataset",
    "Examples",
    "Preparation",
    "from_arrays",
    "from_torch_dataset",
    "load",
    "parse_data",
]
