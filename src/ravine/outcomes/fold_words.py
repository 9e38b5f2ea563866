"""Folds in words: what they came to, what to know before believing it, and a verdict like that of any study."""

from __future__ import annotations

from dataclasses import replace

from ravine.messages import count
from ravine.outcomes.folds import ALPHA, FoldsResult
from ravine.outcomes.runs import describe
from ravine.verdict import Measure, RuleResult, Verdict
from ravine.verdict.outcome import Pair
from ravine.verdict.trials import number
from ravine.verdict.words import listed

READING = (
    "Each fold was the test split once, and chose its own hypers on validation examples from the rest. Intervals are "
    "of the procedure, tuning included, over other training sets of this size; they count that the folds' training "
    "sets have most examples in common."
)
FEW_FOLDS = 4  # below which a t has so few degrees of freedom that hardly anything is separable


def folds_verdict(found: FoldsResult, measure: Measure, noun: str) -> Verdict:
    """The verdict of a study with folds: its rules have no one config, and one result over all folds."""
    rules = tuple(_with_hypers(found, each) for each in found.rules)
    pairs = found.pairs
    return Verdict(
        measure=measure,
        alpha=ALPHA,
        noun=noun,
        rules=rules,
        pairs=pairs,
        best=rules[0].rule if rules and rules[0].config is not None else None,
        separable=bool(pairs) and pairs[0].separable and pairs[0].difference > 0.0,
        num_configs=found.num_configs,
        num_validation=0,
        num_test=found.num_examples,
        sentences=tuple(sentences(found, measure, noun)),
        warnings=tuple(warnings(found, measure)),
        budget=(),
        leaders=(),
        gains=found.gains,
    )


def sentences(found: FoldsResult, measure: Measure, noun: str) -> list[str]:
    """Who leads over all folds, and whether that is sure."""
    done = [each for each in found.rules if each.config is not None]
    if not done:
        return [f"No {noun} has a run that finished."]
    best, *others = done
    assert best.test is not None, "it has a finished run"
    level = f"{100 * (1 - ALPHA):g} % interval "
    interval = (
        f" ({level}{measure.interval(best.ci, measure.digits(best.ci))})" if best.ci is not None else ""
    )
    reached = [measure.shown(each.test or 0.0, measure.digits(best.ci)) for each in (best, *others[:1])]
    what = (
        f"{reached[0]} test {measure.name}" if measure.percent else f"a test {measure.name} of {reached[0]}"
    )
    other = f"; {others[0].rule} reaches {reached[1]}" if others else ""
    sentences = [f"Over {found.dealt}, {best.rule} reaches {what}{interval}{other}."]
    if not found.pairs:
        return sentences
    pair = found.pairs[0]
    digits = measure.digits(pair.ci)
    size = f"{measure.difference(abs(pair.difference), digits)}{measure.unit}{measure.gap}"
    among = f", corrected for {len(found.pairs)} comparisons" if len(found.pairs) > 1 else ""
    if pair.ci is None:
        return [*sentences, f"They are {pair.outcome}; the difference is {size}."]
    bounds = " to ".join(measure.difference(end, digits) for end in pair.ci)
    if pair.separable and pair.difference > 0.0:
        sentences.append(
            f"They are separable: {pair.first}, tuned anew in each fold, is better by {size} (interval {bounds}"
            f"{among})."
        )
        return sentences
    why = _why_not(pair)
    sentences.append(f"They are not separable: the difference is {size} (interval {bounds}{among}){why}.")
    return sentences


def _why_not(pair: Pair) -> str:
    return f"; {pair.outcome.partition(': ')[2]}" if "surviving" in pair.outcome else ""


def warnings(found: FoldsResult, measure: Measure) -> list[str]:
    """What a reader should know first, most serious first."""
    texts = []
    for each in found.rules:
        if each.outcome:
            texts.append(f"{each.rule}: {each.outcome}, so it is not called better; try a smaller lr.")
    texts += _budgets(found)
    num = len({(each.part.repeat, each.part.fold) for each in found.chosen})
    if num < FEW_FOLDS and found.pairs:
        texts.append(
            f"{count(num, 'fold')} give a spread with {count(num - 1, 'degree')} of freedom, so only large differences "
            "are separable: use 5 or 10 folds, or repeats."
        )
    if (
        found.pairs
        and not found.pairs[0].separable
        and found.pairs[0].detectable is not None
        and num >= FEW_FOLDS
    ):
        pair = found.pairs[0]
        digits, unit = measure.digits(pair.ci), f"{measure.unit}{measure.gap}"
        reach, true = (measure.difference(x or 0.0, digits) for x in (pair.reach, pair.detectable))
        texts.append(
            f"Only an observed difference above {reach}{unit} counts as separable here, and a true difference of "
            f"{true}{unit} would be found in four of five studies. More repeats help a little; more examples help more."
        )
    for rule in found.rules:
        own = found.of(rule.rule)
        for edge, advice in (("upper", "larger"), ("lower", "smaller")):
            num_at = sum(each.edge == edge for each in own)
            if own and 2 * num_at > len(own):
                texts.append(
                    f"{rule.rule}: the best lr lies on the {edge} edge of those tried in {num_at} of {len(own)} folds; "
                    f"try {advice} values."
                )
    return texts


def _budgets(found: FoldsResult) -> list[str]:
    """Rules that had more configurations to choose from in each fold than others."""
    larger = {rule: num for rule, num in found.tried.items() if num > found.num_configs}
    if not larger:
        return []
    sizes = listed([f"{rule} {num}" for rule, num in larger.items()])
    return [
        f"Unequal tuning budgets ({sizes}, the smallest {found.num_configs}): compared at {found.num_configs} each, in "
        "each fold by the configuration that a search of that size finds in the median."
    ]


def _with_hypers(found: FoldsResult, rule: RuleResult) -> RuleResult:
    """A rule with the hypers that all folds chose, or with how many chose which."""
    hypers: dict[str, float | str] = {}
    for name, values in found.chosen_hypers(rule.rule).items():
        if len(values) == 1:
            hypers[name] = next(iter(values))
        else:
            said = [
                f"{describe({name: value}, [name]).removeprefix(name).strip()} in {num}"
                for value, num in values.items()
            ]
            hypers[f"{name} of the folds"] = listed(said)
    lr = number(hypers.pop("lr", None))
    return replace(rule, lr=lr, hypers=hypers, num_configs=found.tried.get(rule.rule, 0))
