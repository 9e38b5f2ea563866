"""How long all metrics of many runs take, beside scikit-learn.

    python benchmarks/metrics.py                     # 1,000 runs of 10,000 examples: two classes, ten, numbers
    python benchmarks/metrics.py --runs 100 --repeats 5

scikit-learn computes the same metrics of a few of the runs, before and after ravine; its time is given for all of them.
Results, with the machine and the command, are in metrics.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from sklearn import metrics as sk

from ravine.metrics import metric_named, names_of, parts_of, values_of
from ravine.parallel import num_threads

FEW = 4  # runs that scikit-learn is given each time


def softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def of_classes(logits: np.ndarray, answers: np.ndarray) -> None:
    """What scikit-learn has of `names_of("classification")`, the probabilities and classes made once."""
    p, chosen = softmax(logits), logits.argmax(axis=1)
    two = logits.shape[1] == 2
    sk.accuracy_score(answers, chosen)
    sk.balanced_accuracy_score(answers, chosen)
    for average in ("macro", "micro", "weighted", *(["binary"] if two else [])):
        sk.f1_score(answers, chosen, average=average)
    sk.roc_auc_score(answers, p[:, 1]) if two else sk.roc_auc_score(answers, p, multi_class="ovr")
    sk.average_precision_score(answers, p[:, 1] if two else p)
    sk.log_loss(answers, p)
    sk.brier_score_loss(answers, p[:, 1] if two else p)


def of_values(found: np.ndarray, answers: np.ndarray) -> None:
    sk.r2_score(answers, found)
    sk.mean_squared_error(answers, found)
    sk.root_mean_squared_error(answers, found)
    sk.mean_absolute_error(answers, found)
    sk.median_absolute_error(answers, found)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def shown(times: Sequence[float]) -> str:
    return f"{statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    print(
        f"{given.runs:,} runs of {given.examples:,} examples, {num_threads()} threads, {given.repeats} repeats\n"
    )
    print("| outputs | metrics | all metrics | scikit-learn, all runs | ratio | parts of ROC AUC |")
    print("|---|---|---|---|---|---|")
    for num_classes in (2, 10, 0):
        print(row(rng, num_classes, given.runs, given.examples, given.repeats), flush=True)


def made(
    rng: np.random.Generator, num_classes: int, runs: int, num: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Outputs of runs, and answers: of classes, or where there are 0 numbers."""
    if not num_classes:
        answers = rng.normal(size=num)
        return [answers + rng.standard_normal(num) for _ in range(runs)], answers
    answers = rng.integers(0, num_classes, num)
    sure = 2.0 * np.eye(num_classes, dtype=np.float32)[answers]
    return [rng.standard_normal((num, num_classes), dtype=np.float32) + sure for _ in range(runs)], answers


def row(rng: np.random.Generator, num_classes: int, runs: int, num: int, repeats: int) -> str:
    task = "classification" if num_classes else "regression"
    outputs, answers = made(rng, num_classes, runs, num)
    names = [name for name in names_of(task) if name != "f1" or num_classes == 2]
    metrics = [metric_named(name) for name in names]
    theirs = of_classes if num_classes else of_values

    def peer() -> float:
        return seconds(lambda: [theirs(each, answers) for each in outputs[:FEW]])

    mine, other, parts = [], [], []
    for _ in range(repeats):
        before = peer()
        mine.append(seconds(lambda: values_of(metrics, task, outputs, answers)))
        other.append(0.5 * (before + peer()) / FEW * runs)
        if num_classes:
            parts.append(seconds(lambda: parts_of(metric_named("roc_auc"), task, outputs, answers)))
    ratio = statistics.median(b / a for a, b in zip(mine, other, strict=True))
    kind = f"{num_classes} classes" if num_classes else "numbers"
    last = shown(parts) if parts else "–"
    return f"| {kind} | {len(names)} | {shown(mine)} | {shown(other)} | {ratio:.1f} | {last} |"


if __name__ == "__main__":
    main()
