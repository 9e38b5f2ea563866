"""Tables of runs as data frames."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import ravine
from ravine.errors import InputError
from ravine.outcomes.framed import framed

ROWS = [
    {"run": "a", "lr": 0.1, "step": 3, "diverged_at": None, "mixed": 1, "whole": 1, "none": None},
    {"run": "b", "lr": 1, "step": 4, "diverged_at": 2, "mixed": "cosine", "whole": None, "none": None},
]


def test_pandas_has_the_cells_of_the_table() -> None:
    pandas = pytest.importorskip("pandas")
    found = framed(ROWS, "pandas")
    assert isinstance(found, pandas.DataFrame)
    assert list(found) == list(ROWS[0])
    assert [found[name].dtype.kind for name in ("lr", "step", "diverged_at", "whole")] == ["f", "i", "f", "f"]
    assert found["step"].tolist() == [3, 4]
    assert found["mixed"].tolist() == ["1", "cosine"]
    assert np.isnan(found["diverged_at"][0])


def test_polars_has_the_cells_of_the_table() -> None:
    polars = pytest.importorskip("polars")
    found = framed(ROWS, "polars")
    types = [polars.Float64, polars.Int64, polars.Float64, polars.String, polars.Null]
    assert [found.schema[name] for name in ("lr", "step", "diverged_at", "mixed", "none")] == types
    assert found["diverged_at"].to_list() == [None, 2.0]
    assert found.rows()[0][:3] == ("a", 0.1, 3)


def test_whatever_is_judged_has_frames() -> None:
    pytest.importorskip("pandas")
    scores = {"iris": {"a": [0.5, np.nan], "b": [0.25, 0.5]}, "wine": {"a": [0.5, 0.75], "b": [0.25, 0.5]}}
    several = ravine.judge(scores, datasets=True)
    assert several.frame("pandas").groupby("dataset")["test"].mean().to_dict() == {
        "iris": pytest.approx(1.25 / 3),
        "wine": 0.5,
    }
    assert len(ravine.judge(scores["wine"]).frame("pandas")) == 4


def test_an_unknown_library_and_one_that_is_not_there_are_one_line() -> None:
    with pytest.raises(InputError, match=r"frame: 'panda' is unknown; did you mean 'pandas'"):
        framed(ROWS, "panda")
    # A process in which neither can be found, and which must not need them.
    code = f"""
import sys
from importlib.abc import MetaPathFinder
class Without(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pandas", "polars"):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Without())
from ravine.outcomes.framed import framed
for name in ("pandas", "polars"):
    try:
        framed({ROWS!r}, name)
    except Exception as error:
        print(type(error).__name__, error)
"""
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.splitlines() == [
        f"InputError frame: {name} is not installed: pip install {name}" for name in ("pandas", "polars")
    ]
