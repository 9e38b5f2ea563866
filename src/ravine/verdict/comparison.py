"""How far two rules are apart on the test set, and how sure that is.

D[s, i] is the difference of the two scores on example i by the runs of seed s. Seeds and examples are
crossed: the same examples were seen by every run. So the variance of the mean difference over S seeds and n
examples has three parts,

    seeds / S  +  examples / n  +  noise / (S n),

the first that some trainings are lucky, the second that a rule is better on some examples than on others,
the third that runs of a rule differ on single examples. Each is estimated without bias from the two-way
table. The first two are what another study, with other seeds and other examples, would see anew.

Two things make few seeds honest. The spread over seeds enters through a Student t (`student.py`, `pooled`), with the
degrees of freedom of Welch and Satterthwaite. And pairing over seeds is credited only as far as these seeds
establish it: the correlation that is subtracted is a lower bound at 90 % (Fisher's z), not the estimate;
below four seeds none. Pairing over examples, which matters far more, is always full.

Source: B. L. Welch, 1947; R. A. Fisher, 1921 (z); for crossed factors A. B. Owen, "The pigeonhole
bootstrap", 2007. Why not the bootstrap itself: see docs/verdict.md, with measurements.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ravine.verdict.student import KNOWN, Error, half_width, tail

Array = NDArray[np.float64]

MOST_DF = 1e6  # a normal, to six digits
BOUND_Z = 1.2815515655446004  # one-sided 90 % of a normal


def difference_error(
    first: Array, second: Array, *, matched: bool, binary: bool, by_example: bool = True
) -> Error:
    """The law of the error of `first.mean() - second.mean()`.

    Args:
        first: (S, n) test scores, one row per seed.
        second: (S', n) test scores on the same examples; S' = S, row by row the same seed, if `matched`.
        matched: the rows are pairs.
        binary: the scores are 1 or 0.
        by_example: n is the number of examples; False: 1, and the score is of a run as a whole, so that the law is
            of the seeds alone.

    Returns:
        Its law. With a single seed the seed part is unknown and left out: `df` is 0 and the law covers the
        test examples only.
    """
    unit = unit_of(first, second)
    first, second = first / unit, second / unit
    num_first, num_second = len(first), len(second)
    if matched:
        difference = first - second
        per_example, noise = difference.mean(axis=0), noise_of(difference)
    else:
        per_example, noise = first.mean(axis=0) - second.mean(axis=0), noise_of(first) + noise_of(second)
    example = 0.0
    if by_example:
        example = example_variance(per_example, noise, min(num_first, num_second), binary=binary)
    if min(num_first, num_second) < 2:
        return Error(seed=0.0, df=0.0, floor=0.0, example=unit * math.sqrt(example))
    means = first.mean(axis=1), second.mean(axis=1)
    variances = [float(m.var(ddof=1)) / len(m) for m in means]
    total = sum(variances)
    squares = sum(v**2 / (len(m) - 1) for v, m in zip(variances, means, strict=True))
    df = total**2 / squares if squares > 0.0 else float(min(num_first, num_second) - 1)
    credit = established_correlation(*means) if matched else 0.0
    seed = max(total - 2.0 * credit * math.sqrt(variances[0] * variances[1]), 0.0)
    return Error(
        seed=unit * math.sqrt(seed),
        df=df,
        floor=unit * math.sqrt(noise),
        example=unit * math.sqrt(example),
    )


def established_correlation(first: Array, second: Array) -> float:
    """A lower bound, at 90 %, of the correlation of paired means; 0 if negative or below four seeds."""
    a, b = first - first.mean(), second - second.mean()
    norm = math.sqrt(float(a @ a) * float(b @ b))
    if len(first) < 4 or norm == 0.0:
        return 0.0
    r = min(max(float(a @ b) / norm, -1.0 + 1e-12), 1.0 - 1e-12)
    return max(math.tanh(math.atanh(r) - BOUND_Z / math.sqrt(len(first) - 3)), 0.0)


def pooled(error: Error) -> Error:
    """The same error as one t over seeds and examples together, where there are more than two degrees of freedom.

    A t plus a normal (`student.py`) takes the spread over seeds for as badly known where it hardly matters as where
    it is everything: with three seeds it errs in 3 % of studies instead of 5. Satterthwaite's degrees of freedom for
    the sum, df / share^2 with the share of the seeds in the variance, err in up to 7 % where one rule depends on its
    seed much more than the other, since then the share is badly known too. Their geometric mean with the df of the
    seeds alone, df / share, errs no more often than Welch's test of the seeds alone does. With two seeds even that
    is not so, and the sum is kept. (`benchmarks/calibration.py df`)
    """
    if not error.df > 2.0 or not error.seed > 0.0 or not error.scale > 0.0:
        return error
    share = error.seed**2 / error.scale**2
    return Error(seed=error.scale, df=min(error.df / share, MOST_DF), floor=0.0, example=0.0)


def p_value(error: Error, difference: float) -> float:
    """Two-sided p-value of a difference; 1 where the seed part is unknown (a single seed)."""
    return min(tail(pooled(error), difference), 1.0) if error.df > 0.0 else 1.0


def width(error: Error, alpha: float) -> float:
    """Half the width of the interval of level 1 - alpha; over examples only for a single seed."""
    if error.df > 0.0:
        return half_width(pooled(error), alpha)
    return half_width(replace(KNOWN, seed=error.example), alpha)


def unit_of(*tables: Array) -> float:
    """A power of two near the largest score, so that no fourth power leaves the floats: an exact change of unit."""
    largest = max(float(np.abs(table).max()) for table in tables)
    return math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest > 0.0 else 1.0


def noise_of(scores: Array) -> float:
    """Noise of single examples in single runs, as its share of the variance of the mean of (S, n) scores."""
    num_seeds, num_examples = scores.shape
    if num_seeds < 2 or num_examples < 2:
        return 0.0
    rest = scores - scores.mean(axis=0)
    rows = rest.mean(axis=1)
    residual = max(float(np.vdot(rest, rest) - num_examples * (rows @ rows)), 0.0)
    return residual / float((num_seeds - 1) * (num_examples - 1) * num_seeds * num_examples)


def example_variance(per_example: Array, noise: float, num_seeds: int, *, binary: bool) -> float:
    """Variance of the mean difference from the choice of test examples, never quite zero.

    Args:
        per_example: (n,) mean difference of each example.
        noise: what of their spread is noise of single runs, see `noise_of`.
        num_seeds: how many runs each is a mean over.
        binary: the scores are 1 or 0.

    With few examples on which the rules differ, a normal interval claims too much: four examples gained and
    none lost look like 2.0 standard errors. Adding two examples, one each way, before taking the root
    repairs it: at 5 % the decision is then that of the exact sign test (McNemar), but for counts whose exact
    p-value is within a hundredth of 5 %. The added examples weigh as much as those that differ typically do
    (sum b^4 / sum b^2), for class labels at least like a single run, and like all runs where nothing differs.

    The moments are about zero, as they are if the rules are equal: five examples of five gained have no spread
    about their mean, and yet happen to equals once in sixteen times.
    """
    num_examples = len(per_example)
    squares = per_example**2
    second, fourth = float(squares.sum()), float((squares**2).sum())
    weight = fourth / second if second > 0.0 else 0.0
    if binary:
        weight = max(weight, 1.0 / num_seeds) if second > 0.0 else 1.0
    return max(second / num_examples**2 - noise, 0.0) + 2.0 * weight / num_examples**2
