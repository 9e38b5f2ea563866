"""Greedy selection written plainly, for tests and benchmarks: loops over bags and steps, all candidates in float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def plain_greedy(
    log_p: np.ndarray, bags: Sequence[np.ndarray], *, steps: int = 20, start: int = 10
) -> np.ndarray:
    """Weights of members from the logarithms of their probabilities of the right classes, (M, N)."""
    p, solo = np.exp(log_p), -log_p.mean(axis=1)
    rank = np.argsort(np.argsort(solo, kind="stable"))
    total = np.zeros(len(p))
    for bag in bags:
        best = bag[np.argsort(rank[bag])][:start]
        prefixes = [-np.log(p[best[:size]].mean(axis=0)).mean() for size in range(1, len(best) + 1)]
        first = _first(prefixes) + 1
        picks = best[:first].tolist()
        sums = p[picks].sum(axis=0)
        losses = [prefixes[first - 1]]
        for _ in range(steps):
            found = -np.log((sums + p[bag]) / (len(picks) + 1)).mean(axis=1)
            tied = bag[found <= found.min() + 1e-12].tolist()
            used = [member for member in tied if member in picks]
            picks.append(min(used or tied, key=lambda member: rank[member]))
            sums = sums + p[picks[-1]]
            losses.append(-np.log(sums / len(picks)).mean())
        for member in picks[: first + _first(losses)]:
            total[member] += 1.0 / (first + _first(losses))
    return total / len(bags)


def _first(losses: Sequence[float]) -> int:
    return int(np.argmax(np.asarray(losses) <= min(losses) + 1e-12))
