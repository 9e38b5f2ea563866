"""What a range test's suggestion is worth: the loss after full training there, beside the best of a sweep.

    python benchmarks/lr_suggestion.py           # 6 data sets x 3 models x all rules that work element by element
    python benchmarks/lr_suggestion.py --data wine,moons --models linear --batch 64 --longer 2 --json out.json

For every data set, model and rule: `ravine.lr_range` with its own limits, several ways to read a suggestion off the
same curves, and full training at 25 learning rates from 1e-5 to 10 and at each suggestion. A ratio is the validation
loss at the end of training at the suggestion, by the lowest of all learning rates that were tried (means over seeds; a
diverged run is infinite).
Notes: lr_range.md.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import make_moons

import ravine
from ravine.launch.lr_range import fallen
from ravine.rules import RULES

GRID = np.geomspace(1e-5, 10.0, 25)
EPOCHS = {"digits": 30, "moons": 30, "breast_cancer": 60, "wine": 60, "iris": 60, "diabetes": 60}
MODELS: dict[str, dict[str, object]] = {
    "linear": {"kind": "mlp", "hidden": []},
    "mlp 64-64": {"kind": "mlp", "hidden": [64, 64]},
    "mlp 128-128, BatchNorm": {"kind": "mlp", "hidden": [128, 128], "norm": "batch"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One rule on one model and data set: by way, its suggestion, and the loss there by the best."""

    data: str
    model: str
    rule: str
    best_lr: float
    best_loss: float
    suggested: dict[str, float]
    ratio: dict[str, float]
    kept_silent: bool  # ravine lr itself suggests nothing


def steepest(smooth_T: np.ndarray) -> int:
    """Where a loss falls fastest over log lr, before it is lowest."""
    end = int(smooth_T.argmin()) + 1
    return int(np.argmin(np.gradient(smooth_T[:end]))) if end > 1 else 0


WAYS: dict[str, Callable[[np.ndarray, np.ndarray, float], float]] = {
    "a third of the lowest": lambda lr, loss, _: float(lr[loss.argmin()]) / 3.0,
    "a tenth of the lowest": lambda lr, loss, _: float(lr[loss.argmin()]) / 10.0,
    "steepest fall": lambda lr, loss, _: float(lr[steepest(loss)]),
    "steepest fall, <= lost / 10": lambda lr, loss, lost: min(float(lr[steepest(loss)]), lost / 10.0),
    "four fifths of the fall": lambda lr, loss, _: float(lr[fallen(loss)]),
    "four fifths, <= lost / 10": lambda lr, loss, lost: min(float(lr[fallen(loss)]), lost / 10.0),
}
OURS = "ravine lr"


def suggestions(found: ravine.LrRange) -> dict[str, float]:
    """By way, the median over seeds on a logarithmic scale."""
    lost = found.diverged if found.diverged is not None else math.inf
    each = {way: [] for way in WAYS}
    for loss_T in found.loss:
        num = int(np.isfinite(loss_T).sum())
        for way, place in WAYS.items():
            each[way].append(place(found.lr[:num], loss_T[:num], lost))
    read = {way: float(math.exp(np.median(np.log(values)))) for way, values in each.items()}
    # Each seed has its own limit there; the difference is small.
    own = found.suggested if found.suggested is not None else read["four fifths, <= lost / 10"]
    return {way: float(f"{lr:.6g}") for way, lr in {**read, OURS: own}.items()}


def measure(name: str, model: str, args: argparse.Namespace, store: str) -> list[Case]:
    """All rules on one data set and model, in one range test and one study."""
    kinds = [kind for kind, rule in RULES.items() if rule.scope == "element"]
    data: Any = name
    if name == "moons":
        x, y = make_moons(1000, noise=0.2, random_state=0)
        data = (x.astype(np.float32), y)

    def study(lrs: dict[str, list[float]]) -> ravine.Study:
        return ravine.Study(
            name=f"{name}-{list(MODELS).index(model)}",
            data=data,
            model=MODELS[model],
            epochs=EPOCHS[name] * args.longer,
            batch_size=args.batch,
            seeds=args.seeds,
            evaluations=1,
            rules=[{"kind": kind, "lr": lrs[kind]} for kind in kinds],
        )

    found = {each.rule: each for each in ravine.lr_range(study({kind: [0.01] for kind in kinds}), quiet=True)}
    suggested = {kind: suggestions(found[kind]) for kind in kinds}
    lrs = {kind: sorted({*GRID.tolist(), *suggested[kind].values()}) for kind in kinds}
    losses: dict[tuple[str, float], list[float]] = {}
    for row in ravine.run(study(lrs), store=store, quiet=True).table():
        value = row["validation_loss"] if row["status"] == "done" else None
        losses.setdefault((row["rule"], row["lr"]), []).append(math.inf if value is None else value)
    cases = []
    for kind in kinds:
        mean = {lr: float(np.mean(values)) for (rule, lr), values in losses.items() if rule == kind}
        best = min(mean, key=mean.__getitem__)
        cases.append(
            Case(
                data=name,
                model=model,
                rule=kind,
                best_lr=best,
                best_loss=mean[best],
                suggested=suggested[kind],
                ratio={way: mean[lr] / mean[best] for way, lr in suggested[kind].items()},
                kept_silent=found[kind].suggested is None,
            )
        )
    return cases


def table(cases: list[Case]) -> str:
    """A row per way."""
    lines = [
        "| suggestion | loss / best: median | 90 % | max | suggested lr / best lr: median | 5 % | 95 % | n |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for way in (*WAYS, OURS):
        ratio = np.array([case.ratio[way] for case in cases])
        apart = np.array([case.suggested[way] / case.best_lr for case in cases])
        low, high = np.quantile(apart, [0.05, 0.95])
        top = np.quantile(ratio, 0.9, method="higher")
        lines.append(
            f"| {way} | {np.median(ratio):.2f} | {top:.3g} | {ratio.max():.3g} | {np.median(apart):.2g} | {low:.2g} "
            f"| {high:.2g} | {len(ratio)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=",".join(EPOCHS), help=f"of {', '.join(EPOCHS)}")
    parser.add_argument(
        "--models", default=";".join(MODELS), help=f"of {'; '.join(MODELS)}, between semicolons"
    )
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--longer", type=int, default=1, help="times the usual epochs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        cases = [
            case
            for name in args.data.split(",")
            for model in args.models.split(";")
            for case in measure(name, model, args, folder)
        ]
    print(
        f"{len(cases)} cases, {args.seeds} seeds, batches of {args.batch}, {time.perf_counter() - began:.0f} s"
    )
    for title, chosen in (
        ("all rules", cases),
        ("without lion", [case for case in cases if case.rule != "lion"]),
        ("lion", [case for case in cases if case.rule == "lion"]),
        ("where ravine lr suggests nothing", [case for case in cases if case.kept_silent]),
    ):
        if chosen:
            print(f"\n{title}\n\n{table(chosen)}")
    print("\nworst of ravine lr:")
    for case in sorted(cases, key=lambda case: -case.ratio[OURS])[:8]:
        print(
            f"  {case.data}, {case.model}, {case.rule}: suggested {case.suggested[OURS]:.2g}, best {case.best_lr:.2g}, "
            f"loss {case.ratio[OURS]:.3g} times {case.best_loss:.3g}"
        )
    if args.json:
        args.json.write_text(json.dumps([asdict(case) for case in cases]))


if __name__ == "__main__":
    main()
