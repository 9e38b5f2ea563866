"""How to add the error of few seeds to that of many examples: three laws, on normal means that are equal.

    python benchmarks/calibration.py df

Two rules; the first one's spread over seeds is `uneven` times the second's. `share` is that of the test examples in the
variance of the difference. The laws know it, and get the two sample variances and Welch's degrees of freedom.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from calibration_noise import Array
from scipy import special, stats

LOG_W = np.linspace(-14.0, 3.2, 90)  # nodes that average over w = chi-square / df, as student.py does


def normal_plus_t(seed: Array, df: Array, example: float, difference: Array) -> Array:
    """P-values of a t over the seeds plus a normal over the examples (Fisher's solution)."""
    log_density = 0.5 * df[:, None] * (LOG_W - np.exp(LOG_W))
    weights = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    spread = np.sqrt(2.0 * (seed[:, None] / np.exp(LOG_W) + example))
    tails = special.erfc(np.abs(difference)[:, None] / spread)
    return np.asarray((weights * tails).sum(axis=1) / weights.sum(axis=1))


def one_t(seed: Array, df: Array, example: float, difference: Array) -> Array:
    """P-values of one t, whose degrees of freedom have been computed."""
    return np.asarray(2.0 * stats.t.sf(np.abs(difference) / np.sqrt(seed + example), df))


def run_df(reps: int) -> None:
    """False "separable" and power at 5 % for a gap of 3.3 standard errors; a hundred times as many studies."""
    reps *= 100
    print("| seeds | uneven | share | false: t + normal | geometric mean | Satterthwaite | found: | | |")
    print("|---|---|---|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for seeds, uneven, share in itertools.product((2, 3, 5), (1.0, 5.0), (0.0, 0.2, 0.5, 0.8)):
        sd = 1.0, 1.0 / uneven
        true = sum(s * s for s in sd) / seeds
        example = share / (1.0 - share) * true
        a, b = (s * rng.standard_normal((reps, seeds)) for s in sd)
        va, vb = a.var(axis=1, ddof=1) / seeds, b.var(axis=1, ddof=1) / seeds
        df = (seeds - 1) * (va + vb) ** 2 / (va**2 + vb**2)
        none = a.mean(axis=1) - b.mean(axis=1) + math.sqrt(example) * rng.standard_normal(reps)
        ratio = (va + vb + example) / (va + vb)
        cells = []
        for gap in (none, none + 3.3 * math.sqrt(true + example)):
            for p in (
                normal_plus_t(va + vb, df, example, gap),
                one_t(va + vb, df * ratio, example, gap),
                one_t(va + vb, df * ratio**2, example, gap),
            ):
                cells.append(f"{100.0 * float(np.mean(p <= 0.05)):.1f} %")
        print(f"| {seeds} | {uneven:g} | {share:g} | {' | '.join(cells)} |", flush=True)
