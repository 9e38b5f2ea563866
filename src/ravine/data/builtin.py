"""scikit-learn's small data sets, read from its own files: importing scikit-learn would take a second."""

from __future__ import annotations

import gzip
import importlib.util
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ravine.data.column import Column
from ravine.data.source import Source, marks_for
from ravine.data.spec import BreastCancerSpec, DiabetesSpec, DigitsSpec, IrisSpec, WineSpec
from ravine.errors import DataError

IRIS = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
WINE = (
    *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids"),
    *("nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue"),
    *("od280/od315_of_diluted_wines", "proline"),
)
DIABETES = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
CELL = (
    *("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity"),
    *("concave points", "symmetry", "fractal dimension"),
)
CANCER = (
    *(f"mean {name}" for name in CELL),
    *(f"{name} error" for name in CELL),
    *(f"worst {name}" for name in CELL),
)


def read_builtin(spec: DigitsSpec | WineSpec | BreastCancerSpec | IrisSpec | DiabetesSpec) -> Source:
    """One of scikit-learn's data sets.

    Raises:
        DataError: scikit-learn is not installed, or its files are not where they were up to 1.9.
    """
    if spec.kind == "diabetes":
        x = _matrix("diabetes_data_raw.csv.gz", delimiter=None)
        y = _matrix("diabetes_target.csv.gz", delimiter=None)[:, 0]
        return _source(spec.kind, x, y, features=DIABETES)
    if spec.kind == "digits":
        rows = _matrix("digits.csv.gz")
        images = (rows[:, :-1] / 16).astype(np.float32).reshape(-1, 1, 8, 8)  # ink from 0 to 16
        return _source(spec.kind, images, rows[:, -1], class_names=tuple("0123456789"))
    file, features = {
        "iris": ("iris.csv", IRIS),
        "wine": ("wine_data.csv", WINE),
        "breast_cancer": ("breast_cancer.csv", CANCER),
    }[spec.kind]
    header = _content(file).split(b"\n", 1)[0].decode().strip()
    rows = _matrix(file, skip=1)
    return _source(spec.kind, rows[:, :-1], rows[:, -1], tuple(header.split(",")[2:]), features)


def _source(
    name: str,
    x: npt.NDArray[np.generic],
    y: npt.NDArray[np.float64],
    class_names: tuple[str, ...] = (),
    features: tuple[str, ...] = (),
) -> Source:
    return Source(
        name=name,
        where=name,
        x=x,
        y=Column(name="target", values=y, whole=True, exact=y),
        marks=marks_for(len(y)),
        place=lambda row: f"{name}, row {row}",
        task="classification" if class_names else "regression",
        class_names=class_names,
        features=features,
    )


def _content(file: str) -> bytes:
    found = importlib.util.find_spec("sklearn")  # finds the package, runs nothing of it
    folders = list(found.submodule_search_locations or []) if found else []
    if not folders:
        raise DataError(
            "this data set comes with scikit-learn, which is not installed: pip install scikit-learn"
        )
    path = Path(folders[0], "datasets", "data", file)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: scikit-learn's data set cannot be read: {error.strerror}") from None
    return gzip.decompress(content) if file.endswith(".gz") else content


def _matrix(file: str, *, skip: int = 0, delimiter: str | None = ",") -> npt.NDArray[np.float64]:
    return np.loadtxt(io.BytesIO(_content(file)), delimiter=delimiter, skiprows=skip, ndmin=2)
