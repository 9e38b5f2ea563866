"""Small studies for the tests of the verdict: plain arrays made into trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ravine.verdict import Trial

Array = NDArray[np.float64]


def trial(
    rule: str, config: str, seed: int, scores: Array | None, *, lr: float = 0.1, **hypers: float | str
) -> Trial:
    return Trial(
        rule=rule,
        config=config,
        hypers={"lr": lr, **hypers},
        seed=seed,
        run=f"{rule}/{config}/{seed}",
        diverged=scores is None,
        validation=scores,
    )


class Reader:
    """Test scores by run id; remembers which were read."""

    def __init__(self, scores: dict[str, Array]) -> None:
        self.scores = scores
        self.read: list[str] = []

    def __call__(self, run: str) -> Array:
        self.read.append(run)
        return self.scores[run]


def bits(rng: np.random.Generator, accuracy: float, n: int) -> Array:
    return (rng.random(n) < accuracy).astype(np.float64)


def study(
    accuracies: dict[str, Sequence[float]],
    *,
    seeds: int = 3,
    n: int = 300,
    seed: int = 0,
    draw: Callable[[np.random.Generator, float, int], Array] = bits,
) -> tuple[list[Trial], Reader]:
    """One rule per key, one configuration per accuracy (lr 0.1, 0.2, ...); validation and test alike."""
    rng = np.random.default_rng(seed)
    trials, scores = [], {}
    for rule, levels in accuracies.items():
        for index, level in enumerate(levels):
            for s in range(seeds):
                made = trial(rule, f"c{index}", s, draw(rng, level, n), lr=0.1 * (index + 1))
                trials.append(made)
                scores[made.run] = draw(rng, level, n)
    return trials, Reader(scores)
