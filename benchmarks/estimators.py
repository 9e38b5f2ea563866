"""ravine.Classifier() and Regressor() beside scikit-learn's estimators, all at their defaults: test score and time.

python benchmarks/estimators.py --mlbench FOLDER

FOLDER has LetterRecognition.rda and BostonHousing.rda of R's package mlbench (on Debian: `apt-get download
r-cran-mlbench`, `dpkg -x`), which are read with the package rdata. Without it both data sets are left out.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.metrics import accuracy_score, log_loss, r2_score, root_mean_squared_error
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import ravine

BUILT_IN: dict[str, tuple[str, Callable[..., Any]]] = {
    "wine": ("classes", datasets.load_wine),
    "breast cancer": ("classes", datasets.load_breast_cancer),
    "digits": ("classes", datasets.load_digits),
    "diabetes": ("numbers", datasets.load_diabetes),
}
TARGETS = {
    "diabetes, 2 targets": (datasets.load_diabetes, ["target", "bp"]),
    "breast cancer, 3 targets": (
        datasets.load_breast_cancer,
        ["worst area", "worst smoothness", "worst concavity"],
    ),
}
"""Several columns to predict, in units that are far apart; classes and other worst values are no inputs."""
MLBENCH = {
    "Letter": ("classes", "LetterRecognition", "lettr"),
    "BostonHousing": ("numbers", "BostonHousing", "medv"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Of a model on a data set: a number for each fold.

    Args:
        main: accuracy in per cent, or R², the mean over targets.
        other: NLL, or RMSE; of several targets in units of their deviations, the mean.
        fit: seconds of the clock.
        processor: seconds of all cores together for the same.
        predict: seconds of the clock.
    """

    main: list[float]
    other: list[float]
    fit: list[float]
    processor: list[float]
    predict: list[float]


def prepared(model: Any) -> Any:
    """A model of scikit-learn behind what its numbers and names need."""
    names = make_column_selector(dtype_include=["category", "object", "string"])
    numbers = make_column_selector(dtype_include="number")
    columns = make_column_transformer(
        (StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore", sparse_output=False), names)
    )
    return make_pipeline(columns, model)


def models(kind: str, seed: int) -> dict[str, Callable[[], Any]]:
    """Every model at its defaults, but for its seed."""
    if kind == "classes":
        return {
            "ravine": lambda: ravine.Classifier(random_state=seed),
            "MLPClassifier": lambda: prepared(MLPClassifier(random_state=seed)),
            "RandomForest": lambda: prepared(RandomForestClassifier(random_state=seed)),
            "HistGradientBoosting": lambda: prepared(HistGradientBoostingClassifier(random_state=seed)),
        }
    if kind == "targets":
        return {
            "ravine": lambda: ravine.Regressor(random_state=seed),
            "MLPRegressor": lambda: prepared(MLPRegressor(random_state=seed)),
            "MLPRegressor, targets scaled": lambda: TransformedTargetRegressor(
                prepared(MLPRegressor(random_state=seed)), transformer=StandardScaler()
            ),
            "RandomForest": lambda: prepared(RandomForestRegressor(random_state=seed)),
            "MultiOutput(HistGradientBoosting)": lambda: prepared(
                MultiOutputRegressor(HistGradientBoostingRegressor(random_state=seed))
            ),
        }
    return {
        "ravine": lambda: ravine.Regressor(random_state=seed),
        "MLPRegressor": lambda: prepared(MLPRegressor(random_state=seed)),
        "RandomForest": lambda: prepared(RandomForestRegressor(random_state=seed)),
        "HistGradientBoosting": lambda: prepared(HistGradientBoostingRegressor(random_state=seed)),
    }


def measured(kind: str, x: Any, y: np.ndarray, num_folds: int) -> dict[str, Found]:
    """Every model on every fold, one after another, so that a slow minute of the machine slows all of them."""
    folds = (StratifiedKFold if kind == "classes" else KFold)(num_folds, shuffle=True, random_state=0)
    found = {name: Found(main=[], other=[], fit=[], processor=[], predict=[]) for name in models(kind, 0)}
    for seed, (train, test) in enumerate(folds.split(x, y)):
        for name, make in models(kind, seed).items():
            model, start, worked = make(), time.perf_counter(), time.process_time()
            model.fit(x.iloc[train], y[train])
            fitted, worked = time.perf_counter(), time.process_time() - worked
            answers = model.predict_proba(x.iloc[test]) if kind == "classes" else model.predict(x.iloc[test])
            done = time.perf_counter()
            of = found[name]
            of.fit.append(fitted - start)
            of.processor.append(worked)
            of.predict.append(done - fitted)
            if kind == "classes":
                classes = np.unique(y)
                of.main.append(100 * accuracy_score(y[test], classes[answers.argmax(axis=1)]))
                of.other.append(log_loss(y[test], answers, labels=classes))
            else:
                of.main.append(r2_score(y[test], answers))
                scale = y[train].std(axis=0) if kind == "targets" else 1.0
                of.other.append(root_mean_squared_error(y[test] / scale, answers / scale))
    return found


def read(name: str, folder: Path | None) -> tuple[str, Any, np.ndarray] | None:
    """Kind of the target, a frame and the target; None if the file is not there."""
    if name in BUILT_IN:
        kind, load = BUILT_IN[name]
        x, y = load(return_X_y=True, as_frame=True)
        return kind, x, y.to_numpy()
    if name in TARGETS:
        load, targets = TARGETS[name]
        frame = load(as_frame=True).frame
        left_out = [
            each
            for each in frame
            if each.startswith("worst") or (each == "target" and "target" not in targets)
        ]
        return "targets", frame.drop(columns={*left_out, *targets}), frame[targets].to_numpy()
    kind, file, target = MLBENCH[name]
    path = None if folder is None else folder / f"{file}.rda"
    if path is None or not path.is_file():
        print(f"{name}: left out, {path or 'no --mlbench'} is not there")
        return None
    import rdata

    frame = next(iter(rdata.read_rda(path).values()))
    y = frame.pop(target)
    return kind, frame.reset_index(drop=True), y.astype(str if kind == "classes" else float).to_numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--mlbench", type=Path, help="folder of mlbench's .rda files")
    parser.add_argument(
        "--data", default=";".join((*BUILT_IN, *TARGETS, *MLBENCH)), help="names, with semicolons between"
    )
    parser.add_argument("--folds", type=int, default=5, help="of the cross-validation")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # MLPClassifier's of 200 iterations, rdata's of encodings
    x, y = datasets.load_iris(return_X_y=True)
    ravine.Classifier(runs=1, epochs=1).fit(x, y)  # imports PyTorch
    titles = ("data", "model", "accuracy, % (R²)", "NLL (RMSE)", "fit, s", "processor, s", "predict, s")
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    for name in options.data.split(";"):
        data = read(name, options.mlbench)
        if data is None:
            continue
        for model, of in measured(*data, options.folds).items():
            digits = 2 if data[0] == "classes" else 3
            spread = f"{np.mean(of.main):.{digits}f} ± {np.std(of.main, ddof=1):.{digits}f}"
            seconds = " | ".join(f"{np.median(each):.3g}" for each in (of.fit, of.processor, of.predict))
            print(f"| {name} | {model} | {spread} | {np.mean(of.other):.4g} | {seconds} |", flush=True)


if __name__ == "__main__":
    main()
