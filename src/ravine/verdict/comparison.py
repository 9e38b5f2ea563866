"""How far two rules are apart on the test set, and how sure that is.

D[s, i] is the difference of the two scores on example i by the runs of seed s. Seeds and examples are
crossed: the same examples were seen by every run. So the variance of the mean difference over S seeds and n
examples has three parts,

    seeds / S  +  examples / n  +  noise / (S n),

the first that some trainings are lucky, the second that a rule is better on some examples than on others,
the third that runs of a rule differ on single examples. Each is estimated without bias from the two-way
table. The first two are what another study, with other seeds and other examples, would see anew.

Two things make few seeds honest. The spread over seeds enters through a Student t (`student.py`), with the
degrees of freedom of Welch and Satterthwaite. And pairing over seeds is credited only as far as these seeds
establish it: the correlation that is subtracted is a lower bound at 90 % (Fisher's z), not the estimate;
below four seeds none. Pairing over examples, which matters far more, is always full.

Source: B. L. Welch, 1947; R. A. Fisher, 1921 (z); for crossed factors A. B. Owen, "The pigeonhole
bootstrap", 2007. Why not the bootstrap itself: see docs/verdict.md, with measurements.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ravine.verdict.student import Error, half_width, tail

Array = NDArray[np.float64]

BOUND_Z = 1.2815515655446004  # one-sided 90 % of a normal
POWER_Z = 0.8416212335729143  # one-sided 80 %: "would tell" means in four studies of five
MOST_SEEDS = 1000


def difference_error(first: Array, second: Array, *, matched: bool, binary: bool) -> Error:
    """The law of the error of `first.mean() - second.mean()`.

    Args:
        first: (S, n) test scores, one row per seed.
        second: (S', n) test scores on the same examples; S' = S, row by row the same seed, if `matched`.
        matched: the rows are pairs.
        binary: the scores are 1 or 0.

    Returns:
        Its law. With a single seed the seed part is unknown and left out: `df` is 0 and the law covers the
        test examples only.
    """
    num_first, num_second = len(first), len(second)
    if matched:
        difference = first - second
        per_example, noise = difference.mean(axis=0), _noise(difference)
    else:
        per_example, noise = first.mean(axis=0) - second.mean(axis=0), _noise(first) + _noise(second)
    example = _example_variance(per_example, noise, min(num_first, num_second), binary=binary)
    if min(num_first, num_second) < 2:
        return Error(seed=0.0, df=0.0, floor=0.0, example=math.sqrt(example))
    means = first.mean(axis=1), second.mean(axis=1)
    variances = [float(m.var(ddof=1)) / len(m) for m in means]
    total = sum(variances)
    squares = sum(v**2 / (len(m) - 1) for v, m in zip(variances, means, strict=True))
    df = total**2 / squares if squares > 0.0 else float(min(num_first, num_second) - 1)
    credit = established_correlation(*means) if matched else 0.0
    seed = max(total - 2.0 * credit * math.sqrt(variances[0] * variances[1]), 0.0)
    return Error(seed=math.sqrt(seed), df=df, floor=math.sqrt(noise), example=math.sqrt(example))


def mean_error(scores: Array) -> Error:
    """The law of the error of the mean of (S, n) scores of one rule, over seeds and examples."""
    num_seeds, num_examples = scores.shape
    noise = _noise(scores)
    per_example = scores.mean(axis=0)
    between = float(per_example.var(ddof=1)) / num_examples if num_examples > 1 else 0.0
    example = math.sqrt(max(between - noise, 0.0))
    if num_seeds < 2:
        return Error(seed=0.0, df=0.0, floor=0.0, example=example)
    seed = math.sqrt(float(scores.mean(axis=1).var(ddof=1)) / num_seeds)
    return Error(seed=seed, df=float(num_seeds - 1), floor=math.sqrt(noise), example=example)


def mean_interval(scores: Array, alpha: float, *, binary: bool) -> tuple[float, float]:
    """Interval of level 1 - alpha for one rule's mean score, over seeds and examples.

    For accuracies it is Wilson's interval with the number of examples that would give the same uncertainty:
    it stays inside [0, 1] and is sensible at 100 %. Otherwise it is symmetric, cut at 0 where all scores
    are <= 0.
    """
    mean = float(scores.mean())
    half = width(mean_error(scores), alpha)
    if not binary:
        top = 0.0 if bool((scores <= 0.0).all()) else math.inf
        return mean - half, min(mean + half, top)
    z = width(Error(seed=1.0, df=math.inf, floor=0.0, example=0.0), alpha)
    num_examples = float(scores.shape[1])
    effective = z**2 * mean * (1.0 - mean) / half**2 if half > 0.0 and 0.0 < mean < 1.0 else num_examples
    center = (mean + z**2 / (2.0 * effective)) / (1.0 + z**2 / effective)
    reach = (
        math.sqrt(mean * (1.0 - mean) / effective + (z / (2.0 * effective)) ** 2)
        * z
        / (1.0 + z**2 / effective)
    )
    return max(center - reach, 0.0), min(center + reach, 1.0)


def established_correlation(first: Array, second: Array) -> float:
    """A lower bound, at 90 %, of the correlation of paired means; 0 if negative or below four seeds."""
    a, b = first - first.mean(), second - second.mean()
    norm = math.sqrt(float(a @ a) * float(b @ b))
    if len(first) < 4 or norm == 0.0:
        return 0.0
    r = min(max(float(a @ b) / norm, -1.0 + 1e-12), 1.0 - 1e-12)
    return max(math.tanh(math.atanh(r) - BOUND_Z / math.sqrt(len(first) - 3)), 0.0)


def p_value(error: Error, difference: float) -> float:
    """Two-sided p-value of a difference; 1 where the seed part is unknown (a single seed)."""
    return min(tail(error, difference), 1.0) if error.df > 0.0 else 1.0


def width(error: Error, alpha: float) -> float:
    """Half the width of the interval of level 1 - alpha; over examples only for a single seed."""
    if error.df > 0.0:
        return half_width(error, alpha)
    return half_width(Error(seed=0.0, df=math.inf, floor=0.0, example=error.example), alpha)


def seeds_needed(error: Error, difference: float, num_seeds: int, alpha: float) -> int | None:
    """The number of seeds at which a true difference this large would be found four times in five.

    The parts of the variance are taken as estimated; more seeds shrink the seed part and its t, not the
    part of the test examples. None: more than 1000, or no number (the test set is too small for this
    difference).
    """
    if not error.df > 0.0:
        return None
    per_seed = num_seeds * max(error.seed, error.floor) ** 2

    def found(seeds: int) -> bool:
        planned = Error(
            seed=math.sqrt(per_seed / seeds),
            df=error.df * (seeds - 1) / (num_seeds - 1),
            floor=error.floor * math.sqrt(num_seeds / seeds),
            example=error.example,
        )
        spare = abs(difference) - POWER_Z * planned.scale
        return spare > 0.0 and tail(planned, spare) <= alpha

    if not found(MOST_SEEDS):
        return None
    low, high = 1, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


def _noise(scores: Array) -> float:
    """Noise of single examples in single runs, as its share of the variance of the mean of (S, n) scores."""
    num_seeds, num_examples = scores.shape
    if num_seeds < 2 or num_examples < 2:
        return 0.0
    rest = scores - scores.mean(axis=0)
    rows = rest.mean(axis=1)
    residual = max(float(np.vdot(rest, rest) - num_examples * (rows @ rows)), 0.0)
    return residual / float((num_seeds - 1) * (num_examples - 1) * num_seeds * num_examples)


def _example_variance(per_example: Array, noise: float, num_seeds: int, *, binary: bool) -> float:
    """Variance of the mean difference from the choice of test examples, never quite zero.

    With few examples on which the rules differ, a normal interval claims too much: four examples gained and
    none lost look like 2.0 standard errors. Adding two examples, one each way, before taking the root
    repairs it: at 5 % the decision is then that of the exact sign test (McNemar), but for counts whose exact
    p-value is within a hundredth of 5 %. The added examples weigh as much as those that differ typically do
    (sum b^4 / sum b^2), for class labels at least like a single run.
    """
    num_examples = len(per_example)
    deviation = per_example - per_example.mean()
    squares = deviation**2
    second, fourth = float(squares.sum()), float((squares**2).sum())
    between = second / max(num_examples - 1, 1) / num_examples
    weight = fourth / second if second > 0.0 else 0.0
    if binary:
        weight = max(weight, 1.0 / num_seeds)
    return max(between - noise, 0.0) + 2.0 * weight / num_examples**2
