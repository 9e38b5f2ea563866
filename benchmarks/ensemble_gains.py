"""What ensembles of seeds gain on real data. Runs that the store has already are not trained again.

python benchmarks/ensemble_gains.py digits
python benchmarks/ensemble_gains.py letter --path LetterRecognition.csv    (UCI; target column lettr)
python benchmarks/ensemble_gains.py fashion-mlp fashion-convnet --path FOLDER_OF_FASHION_MNIST
"""

from __future__ import annotations

import argparse
from typing import Any

import ravine
from ravine.ensembles.judged import Compared

STUDIES: dict[str, dict[str, Any]] = {
    "digits": {
        "data": "digits",
        "model": {"kind": "mlp", "hidden": [64]},
        "epochs": 30,
        "seeds": 20,
        "rules": [{"kind": "adam", "lr": {"log": [3e-4, 3e-2], "num": 5}}],
    },
    "letter": {
        "data": {"kind": "csv", "target": "lettr"},
        "model": {"kind": "mlp", "hidden": [100]},
        "epochs": 30,
        "seeds": 20,
        "rules": [{"kind": "adam", "lr": {"log": [1e-3, 1e-1], "num": 5}}],
    },
    "fashion-mlp": {
        "data": {"kind": "fashion-mnist"},
        "model": {"kind": "mlp", "hidden": [128]},
        "batch_size": 128,
        "epochs": 8,
        "seeds": 10,
        "rules": [{"kind": "adam", "lr": [0.001, 0.003]}],
    },
    "fashion-convnet": {
        "data": {"kind": "fashion-mnist"},
        "model": {"kind": "convnet", "channels": [6, 16], "hidden": 120},
        "epochs": 15,
        "seeds": 10,
        "rules": [{"kind": "adam", "lr": [0.001, 0.003]}],
    },
}


def shown(found: Compared, factor: float, digits: int) -> str:
    value, low, high = (f"{factor * each:+.{digits}f}" for each in (found.difference, *found.interval))
    return f"{value} ({low} to {high})".replace("-", "−")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("studies", nargs="+", choices=sorted(STUDIES))
    parser.add_argument("--path", help="of Letter's CSV file, or of Fashion-MNIST's folder")
    parser.add_argument("--store", default="runs")
    args = parser.parse_args()
    print("| data | seeds | alone | pooled | difference in points | NLL alone | pooled | difference |")
    print("|---|---|---|---|---|---|---|---|")
    for name in args.studies:
        given = dict(STUDIES[name])
        if isinstance(given["data"], dict) and args.path:
            given["data"] = {**given["data"], "path": args.path}
        study = ravine.Study(name=name, schedule="cosine", **given)
        found = ravine.ensemble(ravine.run(study, store=args.store))
        alone, pooled = found.judged[0], found.judged[-1]
        of = {each.score: each for each in found.compared if each.second == alone.name}
        print(
            f"| {name} | {study.seeds if isinstance(study.seeds, int) else len(study.seeds)} "
            f"| {alone.test['accuracy']:.2%} | {pooled.test['accuracy']:.2%} | {shown(of['accuracy'], 100, 2)} "
            f"| {alone.test['nll']:.4f} | {pooled.test['nll']:.4f} | {shown(of['nll'], 1, 4)} |"
        )
        curve = ", ".join(f"{each.members}: {each.scores['nll'].value:.4f}" for each in found.curve)
        print(f"\nvalidation NLL by members: {curve}\n")


if __name__ == "__main__":
    main()
