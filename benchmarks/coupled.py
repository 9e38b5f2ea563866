"""What coupled masks save: seeds that separate dropout 0.2 from 0.3, with masks of one stream and of two.

Runs of one seed whose layers have one name have nested masks: a higher rate drops all that a lower one drops. A layer
of another name draws from a stream of its own, with the same initial weights and batches: such a pair is what any other
library trains.

python benchmarks/coupled.py [--seeds 200] [--store runs]
"""

from __future__ import annotations

import argparse
import math
from collections import OrderedDict

import numpy as np
from torch import nn

import ravine

LOW, HIGH = 0.2, 0.3
WIDTH = 64


def net(dropout: str) -> nn.Module:
    layers = [("flatten", nn.Flatten()), ("linear1", nn.Linear(64, WIDTH)), ("relu1", nn.ReLU())]
    layers += [(f"{dropout}1", nn.Dropout(0.0)), ("linear2", nn.Linear(WIDTH, WIDTH)), ("relu2", nn.ReLU())]
    return nn.Sequential(
        OrderedDict([*layers, (f"{dropout}2", nn.Dropout(0.0)), ("out", nn.Linear(WIDTH, 10))])
    )


def one() -> nn.Module:
    return net("dropout")


def another() -> nn.Module:
    return net("other")


def scores(model: object, rates: list[float], args: argparse.Namespace) -> dict[float, np.ndarray]:
    """Validation loss and error of every seed, (S, 2), by rate."""
    name = f"coupled-{model.__name__}"  # type: ignore[attr-defined]
    results = ravine.run(
        ravine.Study(
            name=name,
            data="digits",
            model=model,  # type: ignore[arg-type]
            rates={"dropout": rates},
            epochs=args.epochs,
            seeds=args.seeds,
            rules=[{"kind": "adam", "lr": 0.003}],
        ),
        store=args.store,
    )
    found: dict[float, list[tuple[int, float, float]]] = {}
    for run in results.runs:
        found.setdefault(run.hypers["model.dropout"], []).append(
            (run.seed, run.metrics["validation_loss"], 1 - run.metrics["validation_accuracy"])
        )
    return {rate: np.array([each[1:] for each in sorted(rows)]) for rate, rows in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--store", default="runs")
    args = parser.parse_args()
    coupled, apart = scores(one, [LOW, HIGH], args), scores(another, [LOW, HIGH], args)
    pairs = {
        "one seed, one stream": coupled[HIGH] - coupled[LOW],
        "one seed, two streams": apart[HIGH] - coupled[LOW],
        "two seeds": np.roll(coupled[HIGH], 1, 0) - coupled[LOW],
    }
    print(
        f"dropout {HIGH} less {LOW}, {args.seeds} seeds; needed for the mean difference, power 80 %, level 5 %\n"
    )
    print("| validation | pairs have | difference | sd of a pair | correlation | seeds needed |")
    print("|---|---|---|---|---|---|")
    for column, what in enumerate(("loss", "error in %")):
        scale = 1.0 if column == 0 else 100.0
        mean = scale * pairs["one seed, one stream"][:, column].mean()
        for name, found in pairs.items():
            own = scale * found[:, column]
            sd = own.std(ddof=1)
            whole = scale * np.concatenate([coupled[LOW][:, [column]], coupled[HIGH][:, [column]]], 1)
            correlation = 1 - sd**2 / whole.var(0, ddof=1).sum()
            needed = math.ceil(((1.960 + 0.842) * sd / mean) ** 2) + 1
            row = f"{what} | {name} | {own.mean():+.4f} | {sd:.4f} | {correlation:.2f} | {needed}"
            print(f"| {row} |".replace("-", "−"))


if __name__ == "__main__":
    main()
