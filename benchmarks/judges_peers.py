"""Ways to judge two methods from their right and wrong answers, (seeds, examples) each: ravine's and others'.

Each says which method is better, or nothing, at the level of 5 % that it documents, and where it has one an interval of
the difference. baycomp is called where it is installed. deepsig, rliable and autorank take from 10 ms to minutes for a
pair, so what they compute is written here, for all resamples at once; `python benchmarks/judges.py check` holds it
against the packages.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

import ravine

Array = NDArray[np.float64]
Bits = NDArray[np.bool_]

RESAMPLES = 1000
DT = 0.005  # of deepsig's integral, its default
THRESHOLD = 0.2  # that deepsig's readme recommends; below 0.5 it speaks of significance


@dataclass(frozen=True, slots=True)
class Answer:
    """1: the first is better, -1: the second is, 0: cannot say. The interval is of first minus second."""

    says: int
    interval: tuple[float, float] | None = None


Judge = Callable[[Bits, Bits, np.random.Generator], Answer]


def _by_interval(low: float, high: float) -> Answer:
    return Answer(1 if low > 0.0 else -1 if high < 0.0 else 0, (low, high))


def by_ravine(a: Bits, b: Bits, rng: np.random.Generator) -> Answer:
    """`ravine.judge` on the arrays, with nothing tuned."""
    verdict = ravine.judge({"a": a, "b": b}).verdict
    (pair,) = verdict.pairs
    low, high = pair.ci if pair.first == "a" else (-pair.ci[1], -pair.ci[0])
    return Answer((1 if low > 0.0 else -1) if pair.separable else 0, (low, high))


def by_paired_t(a: Bits, b: Bits, rng: np.random.Generator) -> Answer:
    """Student's t over the seeds' differences of accuracy."""
    d = a.mean(axis=1) - b.mean(axis=1)
    half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / math.sqrt(len(d))
    return _by_interval(d.mean() - half, d.mean() + half)


def by_bootstrap(a: Bits, b: Bits, rng: np.random.Generator) -> Answer:
    """Percentiles of the mean difference over resampled seeds, paired."""
    d = a.mean(axis=1) - b.mean(axis=1)
    means = d[rng.integers(0, len(d), (RESAMPLES, len(d)))].mean(axis=1)
    return _by_interval(*np.percentile(means, [2.5, 97.5]))


def by_mcnemar(a: Bits, b: Bits, rng: np.random.Generator) -> Answer:
    """McNemar's exact test on the first seed alone."""
    gained, lost = int((a[0] & ~b[0]).sum()), int((b[0] & ~a[0]).sum())
    if not gained + lost or stats.binomtest(gained, gained + lost).pvalue > 0.05:
        return Answer(0)
    return Answer(1 if gained > lost else -1)


def iqm(scores: Array) -> Array:
    """Interquartile means along the last axis, as `rliable.metrics.aggregate_iqm` has them: a mean trimmed by 25 %."""
    size = scores.shape[-1]
    cut = int(0.25 * size)
    return np.asarray(np.sort(scores, axis=-1)[..., cut : size - cut].mean(axis=-1))


def by_rliable(a: Bits, b: Bits, rng: np.random.Generator) -> Answer:
    """rliable: the difference of interquartile means, percentiles of its stratified bootstrap over independent runs.

    The data set is the one task. Examples as tasks would be no use: the interquartile mean of right and wrong answers
    is 1 wherever more than three in four are right.
    """
    picks = [rng.integers(0, len(each), (RESAMPLES, len(each))) for each in (a, b)]
    means = [iqm(each.mean(axis=1)[pick]) for each, pick in zip((a, b), picks, strict=True)]
    return _by_interval(*np.percentile(means[0] - means[1], [2.5, 97.5]))


def places(size: int) -> NDArray[np.int_]:
    """Which of `size` sorted scores deepsig's quantile function takes at each point of its integral."""
    return np.clip(np.ceil(size * np.arange(DT, 1, DT)).astype(int) - 1, 0, size - 1)


def violation(a: Array, b: Array) -> Array:
    """deepsig's violation ratio of sorted scores (..., m) each: how far `a` is from stochastic order over `b`."""
    points = np.bincount(places(a.shape[-1]), minlength=a.shape[-1])  # of the integral, at each score
    squares = (b - a) ** 2
    whole = squares @ points
    points[0] -= 1  # it leaves out the first point here, and not in the whole
    against = np.where(b > a, squares, 0.0) @ points
    return np.where(whole > 0.0, against / np.where(whole > 0.0, whole, 1.0), 0.5)


def epsilon(ratio: Array, samples: Array, comparisons: int = 1) -> Array:
    """deepsig's upper bound of the ratio, at 95 %, or with Bonferroni's correction for several comparisons.

    Args:
        ratio: (...,) of the scores.
        samples: (num, ...) of resamples.
        comparisons: how many.
    """
    z = stats.norm.ppf(1.0 - 0.05 / comparisons)
    return np.clip(ratio + z * np.std(samples - ratio, axis=0), 0.0, 1.0)


def aso(a: Array, b: Array, rng: np.random.Generator, num: int = RESAMPLES) -> tuple[float, float]:
    """Almost stochastic order of a over b, and of b over a, for as many real scores of each: deepsig's two bounds."""
    ratio = violation(np.sort(a), np.sort(b))
    drawn = [np.sort(x[rng.integers(0, len(x), (num, len(x)))], axis=1) for x in (a, b)]
    samples = violation(drawn[0], drawn[1])
    return float(epsilon(ratio, samples)), float(epsilon(1.0 - ratio, 1.0 - samples))


def steps(ones: NDArray[np.int_], size: int) -> NDArray[np.int_]:
    """At how many points of deepsig's integral the quantile of `size` bits with so many ones is 1."""
    at = places(size)
    return np.asarray(len(at) - np.searchsorted(at, size - ones, side="left"))


def aso_of_bits(
    a: Bits, b: Bits, rng: np.random.Generator, num: int = RESAMPLES, comparisons: int = 1
) -> tuple[Array, Array]:
    """The same of right and wrong answers, whose quantiles are a step each: the ratio is 0, 1, or for ties a half.

    Args:
        a, b: (..., m) answers; a bound for each pair, with other axes as NumPy pairs them.
        rng: draws the resamples.
        num: how many.
        comparisons: that the bounds are corrected for.
    """
    size = a.shape[-1]
    ratio = 0.5 * (1 - np.sign(steps(a.sum(axis=-1), size) - steps(b.sum(axis=-1), size)))
    shape = (num, *np.broadcast_shapes(a.shape[:-1], b.shape[:-1]))
    drawn = [steps(rng.binomial(size, x.mean(axis=-1), shape), size) for x in (a, b)]
    samples = 0.5 * (1.0 - np.sign(drawn[0] - drawn[1]))
    return epsilon(ratio, samples, comparisons), epsilon(1.0 - ratio, 1.0 - samples, comparisons)


def _by_bounds(bounds: tuple[float, float]) -> Answer:
    return Answer(1 if bounds[0] < THRESHOLD else -1 if bounds[1] < THRESHOLD else 0)


def by_aso(a: Bits, b: Bits, rng: np.random.Generator) -> Answer:
    """deepsig's ASO on one accuracy for each seed, at the threshold that it recommends."""
    return _by_bounds(aso(a.mean(axis=1), b.mean(axis=1), rng))


def by_aso_pooled(a: Bits, b: Bits, rng: np.random.Generator) -> Answer:
    """deepsig's ASO on the answers of all seeds, pooled."""
    first, second = aso_of_bits(a.ravel(), b.ravel(), rng)
    return _by_bounds((float(first), float(second)))


def by_aso_pairs(a: Bits, b: Bits, rng: np.random.Generator) -> Answer:
    """deepsig's issue 3: each run against each run, example by example, corrected; here more than half must agree."""
    bounds = aso_of_bits(a[:, None], b[None], rng, 200, len(a) * len(b))
    shares = [float((bound < THRESHOLD).mean()) for bound in bounds]
    return Answer(1 if shares[0] > 0.5 else -1 if shares[1] > 0.5 else 0)


def by_baycomp(a: Bits, b: Bits, rng: np.random.Generator) -> Answer:
    """baycomp's correlated t-test on the seeds' accuracies: a probability above 97.5 % for either."""
    import baycomp

    posterior = baycomp.CorrelatedTTest(b.mean(axis=1), a.mean(axis=1))  # of the second given minus the first
    half = stats.t.ppf(0.975, posterior.df) * math.sqrt(posterior.var)
    worse, better = posterior.probs()
    says = 1 if better > 0.975 else -1 if worse > 0.975 else 0
    return Answer(says, (posterior.mean - half, posterior.mean + half))


def autorank_p(a: Array, b: Array) -> tuple[float, int]:
    """autorank's p-value of two columns, and which it takes for the better one (1 or -1).

    A paired t where Shapiro's test finds both normal; else Wilcoxon's, one-sided, for the column with the larger
    median, or for the first where these are the same.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of columns that are constant
        if all(stats.shapiro(each).pvalue >= 0.025 for each in (a, b)):
            return float(stats.ttest_rel(a, b).pvalue), 1 if a.mean() > b.mean() else -1
        first = np.median(a) >= np.median(b)
        larger, smaller = (a, b) if first else (b, a)
        return float(stats.wilcoxon(larger, smaller, alternative="greater").pvalue), 1 if first else -1


def by_autorank(a: Bits, b: Bits, rng: np.random.Generator) -> Answer:
    """autorank with a row for each seed, of which it needs five."""
    if len(a) < 5:
        return Answer(0)
    p, better = autorank_p(a.mean(axis=1), b.mean(axis=1))
    return Answer(better if p < 0.05 else 0)


def by_autorank_examples(a: Bits, b: Bits, rng: np.random.Generator) -> Answer:
    """autorank with a row for each example, the mean over seeds."""
    p, better = autorank_p(a.mean(axis=0), b.mean(axis=0))
    return Answer(better if p < 0.05 else 0)


JUDGES: dict[str, Judge] = {
    "ravine": by_ravine,
    "paired t over seeds": by_paired_t,
    "bootstrap over seeds": by_bootstrap,
    "McNemar, one seed": by_mcnemar,
    "rliable, IQM over seeds": by_rliable,
    "ASO over seeds": by_aso,
    "ASO, all answers pooled": by_aso_pooled,
    "ASO, run by run (issue 3)": by_aso_pairs,
    "baycomp over seeds": by_baycomp,
    "autorank over seeds": by_autorank,
    "autorank over examples": by_autorank_examples,
}
NEEDS = {"baycomp over seeds": "baycomp"}


def available() -> tuple[dict[str, Judge], list[str]]:
    """The judges that can be called here, and the packages that are missing."""
    missing = sorted({name for name in NEEDS.values() if importlib.util.find_spec(name) is None})
    return {name: judge for name, judge in JUDGES.items() if NEEDS.get(name) not in missing}, missing
