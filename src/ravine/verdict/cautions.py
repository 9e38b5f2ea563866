"""What a reader should know before believing a verdict: one sentence each, most serious first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from ravine.messages import count, plural
from ravine.verdict import words
from ravine.verdict.measure import Measure
from ravine.verdict.outcome import Pair, RuleResult
from ravine.verdict.selection import beside, ranked
from ravine.verdict.trials import Candidate, number
from ravine.verdict.tuning import NUM_RIVALS

MANY_DIVERGED = 0.5  # a grid that brackets the best lr loses some runs at its upper end: half is too many
FEW_VALIDATED = 100
MANY_RIVALS = 2  # the best of three equals is above its 95 % interval in 7 % of studies, of eight in 18 %
MANY_CLOSE = 3  # the best of nine equals is outside its 95 % interval in 8 % of studies, of thirty in 11 %
RARE = 0.05  # the largest failure rate that still shows no failure in one study of twenty
SCALE_RATIO = 10.0  # values that span a factor of ten are spaced on a log scale

Candidates = Mapping[str, Sequence[Candidate]]


def examples(measure: Measure) -> list[str]:
    """Runs that have one score each say nothing of other test examples."""
    if measure.by_example:
        return []
    return [
        "Each run has one score, so intervals cover other seeds and not other test examples; scores of single examples"
        " would say more."
    ]


def diverged(results: Sequence[RuleResult]) -> list[str]:
    """Rules that lost all, or most, of their runs, or a run of the chosen configuration, or were near to that."""
    notes = []
    for r in results:
        if r.outcome == words.NO_SCORES:
            notes.append(f"{r.rule}: {r.outcome}.")
            continue
        if r.config is None:
            advice = r.outcome.removeprefix("every run diverged: ")
            notes.append(f"{r.rule}: every run diverged ({count(r.num_runs, 'run')}); {advice}.")
            continue
        if r.outcome:
            notes.append(f"{r.rule}: {r.outcome}; its numbers come from the surviving runs and flatter it.")
        share = f"{r.num_diverged} of {count(r.num_runs, 'run')} diverged"
        if r.num_diverged >= MANY_DIVERGED * r.num_runs:
            where = "its learning rates go too high" if r.lr is not None else "most of its hypers do not work"
            notes.append(f"{r.rule}: {share}; {where}.")
        elif r.num_diverged and not r.outcome:
            rate = 1.0 - RARE ** (1.0 / len(r.seeds))
            notes.append(
                f"{r.rule}: {share}, none of them with the chosen hypers; but {count(len(r.seeds), 'seed')}"
                f" without a failure cannot rule out that up to {100 * rate:.0f} % of such runs fail."
            )
    return notes


def seeds(
    pairs: Sequence[Pair], results: Sequence[RuleResult], measure: Measure, noun: str = "rule"
) -> list[str]:
    """A single seed, different seeds, or too few seeds where more would do."""
    finished = [r for r in results if r.config is not None]
    notes = []
    if finished and all(len(r.seeds) == 1 for r in finished):
        what = "luck cannot be told from skill" if pairs else "its interval covers the test examples only"
        notes.append(f"A single seed: {what}. Use at least 3 seeds, better 5.")
    elif pairs and not any(p.separable for p in pairs) and pairs[0].seeds_needed is not None:
        notes.append(_too_few_seeds(pairs[0], count(len(finished), noun), measure))
    if len({r.seeds for r in finished}) > 1:
        alone = any(len(set(a.seeds) & set(b.seeds)) < 2 for a, b in combinations(finished, 2))
        rest = ", or where it shares fewer than two, unpaired on all of them" if alone else ""
        notes.append(
            f"The {plural(noun)} did not finish the same seeds: each pair is compared on the seeds it shares{rest}."
        )
    return notes


def _too_few_seeds(top: Pair, rules: str, measure: Measure) -> str:
    """What could be seen, what would be found, and how not to fool oneself with more."""
    assert top.detectable is not None, "a number of seeds is needed only where there were two"
    digits = measure.digits(top.ci)
    reach, found = (measure.difference(size, digits) + measure.unit for size in (top.reach, top.detectable))
    head = f"Too few seeds: with {count(top.num_seeds, 'seed')}, {rules} and this spread,"
    if top.reach >= measure.most:
        what = "no observed difference would count as separable"
    else:
        what = f"only an observed difference above {reach} counts as separable"
        if top.detectable < measure.most:
            what += f", and a true difference of {found} would be found in four of five studies"
    return (
        f"{head} {what}. Fix the number of seeds before the next launch: adding seeds until the answer is yes finds"
        " differences that are not there."
    )


def leader(
    results: Sequence[RuleResult], pairs: Sequence[Pair], num_close: int, noun: str = "rule"
) -> list[str]:
    """The best of many is partly the luckiest, which its own interval does not know.

    Args:
        results: all rules, best first.
        pairs: all pairs.
        num_close: configurations of the best rule that its chosen one may lead by lucky seeds.
        noun: what a rule is called.
    """
    best = results[0].rule
    rivals = sum(not p.separable for p in pairs if p.first == best)
    why = []
    if rivals >= MANY_RIVALS:
        why.append(f"the best of {rivals + 1} {plural(noun)} that are not separable")
    if num_close >= MANY_CLOSE:
        more = " or more" if num_close == NUM_RIVALS else ""
        why.append(
            f"the best of {num_close + 1}{more} of its configurations that validation cannot tell apart"
        )
    if not why:
        return []
    return [
        f"{best} was picked as {' and as '.join(why)}, so its own result is flattered:"
        " expect a little less from it elsewhere."
    ]


def budgets(results: Sequence[RuleResult], num_configs: int, noun: str = "rule") -> list[str]:
    """Rules that had more configurations to choose from, or a single one beside rules that were tuned."""
    finished = [r for r in results if r.config is not None]
    larger = [r for r in finished if r.num_configs > num_configs]
    if not larger:
        return []
    sizes = words.listed([f"{r.rule} {r.num_configs}" for r in larger])
    notes = [
        f"Unequal tuning budgets ({sizes}, the smallest {num_configs}): compared at {num_configs} each,"
        f" by the configuration that a search of that size finds in the median; {_best_of_all(larger, noun)}."
    ]
    if single := [r.rule for r in finished if r.num_configs == 1]:
        about = f"it, not about the {noun}" if len(single) == 1 else f"these, not about the {plural(noun)}"
        notes.append(
            f"{words.listed(single)}: only one configuration was tried, so the verdict is about {about}."
        )
    return notes


def _best_of_all(larger: Sequence[RuleResult], noun: str) -> str:
    """Where the best configuration of a rule is that had more of them than were compared."""
    others = [r.rule for r in larger if r.best_config not in (None, r.config)]
    if not others:
        return "here that is the best of all too"
    return f"the best of all that {words.listed(others)} tried is listed with the {noun}'s name"


def edges(candidates: Candidates) -> list[str]:
    """A best lr, or another hyper on a log scale, at the end of the values that were tried."""
    notes = []
    for rule, group in candidates.items():
        best = _tied(group)
        for hyper in sorted({key for c in group for key in c.hypers}, key=lambda key: (key != "lr", key)):
            values = {v for c in group if (v := number(c.hypers.get(hyper))) is not None}
            chosen = [v for c in best if (v := number(c.hypers.get(hyper))) is not None]
            if not chosen or len(values) < 2 or not (hyper == "lr" or _log_scaled(values)):
                continue
            for end, side, way in ((min(values), "lower", "smaller"), (max(values), "upper", "larger")):
                if all(v == end for v in chosen):
                    notes.append(
                        f"{rule}: the best {hyper} ({end:.3g}) lies on the {side} edge of those tried"
                        f" ({min(values):.3g} to {max(values):.3g}); try {way} values."
                    )
    return notes


def validation(
    candidates: Candidates, pairs: Sequence[Pair], num_validation: int, measure: Measure, noun: str = "rule"
) -> list[str]:
    """A validation set too small to choose by, and configurations it could not tell apart."""
    notes = []
    step = 1.0 / max(num_validation, 1)
    if 0 < num_validation < FEW_VALIDATED:
        few = count(num_validation, "validation example")
        notes.append(f"Only {few}: the chosen hypers are partly luck.")
    elif measure.binary and num_validation and pairs and 0.0 < abs(pairs[0].difference) < step:
        notes.append(
            f"One validation example is worth {measure.difference(step, 2)} points, more than the difference"
            f" between the best two {plural(noun)}: which hypers were chosen matters as much as the {noun}."
        )
    for rule, group in candidates.items():
        tied = _tied(group)
        if len(tied) > 1:
            notes.append(f"{rule}: {len(tied)} configurations tie on validation; {_tie_break(tied)}.")
    if pairs and pairs[0].difference == 0.0:
        notes.append(f"{pairs[0].first} and {pairs[0].second} tie on the test set.")
    return notes


def _tied(group: Sequence[Candidate]) -> list[Candidate]:
    """The configurations that share the first rank, in the order of `ranked`; none if every run diverged."""
    order = ranked(group)
    first = order[0]
    return [c for c in order if (c.lost, c.mean) == (first.lost, first.mean)] if first.scores else []


def _tie_break(tied: Sequence[Candidate]) -> str:
    """How `ranked` orders configurations of one mean; the id comes last, and says nothing about them."""
    plainest = [c for c in tied if beside(c.hypers) == beside(tied[0].hypers)]
    first = [c for c in plainest if c.lr == plainest[0].lr]
    ways = ["the smallest rate or strength"] if len(plainest) < len(tied) else []
    ways += ["the smallest lr"] if len(first) < len(plainest) else []
    if not ways:
        return "no lr tells them apart, so the first by id was taken, which is arbitrary"
    text = " was taken, and of those ".join(ways) + (" was taken" if len(ways) == 1 else "")
    return text if len(first) == 1 else f"{text}, and of its {len(first)} the first by id, which is arbitrary"


def _log_scaled(values: set[float]) -> bool:
    return len(values) >= 3 and min(values) > 0.0 and max(values) >= SCALE_RATIO * min(values)
