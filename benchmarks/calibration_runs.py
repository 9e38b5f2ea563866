"""Real runs for `calibration.py real`: scikit-learn's MLPClassifier on its digits, Adam and momentum.

python benchmarks/calibration_runs.py runs.npz --seeds 40 --hidden 128
"""

from __future__ import annotations

import argparse
import itertools
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier


def train(path: Path, seeds: int, num_test: int, hidden: int, epochs: int) -> None:
    """Two rules at seven lrs each: correctness of every example, and the lrs."""
    x, y = load_digits(return_X_y=True)
    x = x / 16.0
    rest, x_test, y_rest, y_test = train_test_split(x, y, test_size=num_test, random_state=0, stratify=y)
    x_train, x_val, y_train, y_val = train_test_split(
        rest, y_rest, test_size=360, random_state=0, stratify=y_rest
    )
    grids = {"adam": np.geomspace(1e-4, 1e-1, 7), "sgd": np.geomspace(1e-3, 1.0, 7)}
    validation = np.zeros((2, 7, seeds, len(y_val)), bool)
    test = np.zeros((2, 7, seeds, len(y_test)), bool)
    for (rule, (solver, grid)), config, seed in itertools.product(
        enumerate(grids.items()), range(7), range(seeds)
    ):
        model = MLPClassifier(
            (hidden, hidden),
            solver=solver,
            batch_size=64,
            max_iter=epochs,
            learning_rate_init=grid[config],
            momentum=0.9,
            nesterovs_momentum=False,
            random_state=seed,
            alpha=0.0,
            tol=0.0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x_train, y_train)
        validation[rule, config, seed] = model.predict(x_val) == y_val
        test[rule, config, seed] = model.predict(x_test) == y_test
    np.savez_compressed(path, validation=validation, test=test, lr=np.array(list(grids.values())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", type=int, default=40, help="seeds per configuration")
    parser.add_argument("--num-test", type=int, default=360, help="test examples, of 1797")
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()
    train(args.file, args.seeds, args.num_test, args.hidden, args.epochs)


if __name__ == "__main__":
    main()
