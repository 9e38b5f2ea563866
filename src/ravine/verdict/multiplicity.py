"""The price of comparing many rules at once, spent where it is asked about: half on the best one, half on all pairs.

With six rules there are fifteen pairs, and among fifteen comparisons of equals one in two studies would
show a "difference" at 5 %. Corrected, the chance of *any* false one is at most 5 %. Two questions share it:

- *Is the best rule better than every other?* Yes, if it is in each of its comparisons at alpha / 2. There is no
  further correction for the number of rules, nor for looking first who leads: for a false yes the leader of
  several equals would have to be far ahead of all the others, and the more equals there are the closer the
  second comes. Then the pairs of the other rules are decided at the whole of alpha: no false yes has spent it.
- *Which pairs differ?* Otherwise all pairs, at alpha / 2, by Holm's step-down correction with Shaffer's logical
  constraint.

Two rules are one pair and one question, at alpha.

Sources: S. Gutmann and Z. Maymin, "Is the selected population the best?", 1987; J. C. Hsu, "Multiple comparisons",
1996 (comparisons with the best); S. Holm, 1979; J. P. Shaffer, 1986.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Pairing = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A pair's corrected p-value and the factor at which it was decided.

    `separable` if and only if the p-value is at most alpha / factor, that is, if the interval of level
    1 - alpha / factor excludes zero: what is shown and what is said agree. `reach` is the least factor at which more
    seeds could decide it: 2 for the best rule's pairs, however many there are.
    """

    p_corrected: float
    factor: int
    separable: bool
    reach: int


def decide(
    p_values: Mapping[Pairing, float], best: str, lead: float, num_rules: int, alpha: float
) -> dict[Pairing, Decision]:
    """Decide all pairs of rules together; the chance of any false "separable" is at most `alpha`.

    Args:
        p_values: two-sided, one per pair of rules, all pairs.
        best: the rule with the best result, a member of `num_rules` - 1 pairs.
        lead: the largest p-value of its pairs; 1 if it is behind in one of them.
        num_rules: how many rules they are of.
        alpha: in (0, 1).

    Example:
        >>> decisions = decide({("a", "b"): 0.02, ("a", "c"): 0.01, ("b", "c"): 0.2}, "a", 0.02, 3, 0.05)
        >>> [(d.factor, d.separable) for d in decisions.values()]
        [(2, True), (2, True), (1, False)]
    """
    if num_rules <= 2:
        return _step_down(p_values, num_rules, alpha)
    pairs = _step_down(p_values, num_rules, alpha / 2)
    rest = {pair: p for pair, p in p_values.items() if best not in pair}
    others = _step_down(rest, num_rules - 1, alpha)
    decisions = {}
    for pair, either in pairs.items():
        asked = max(2 * lead, others[pair].p_corrected) if pair in others else 2 * lead
        alone = others[pair].factor if pair in others else 2
        p_corrected = min(asked, 2 * either.p_corrected, 1.0)
        factor = alone if 2 * lead <= alpha else 2 * either.factor
        decisions[pair] = Decision(
            p_corrected=p_corrected,
            factor=factor,
            separable=p_corrected <= alpha,
            reach=min(alone, factor),
        )
    return decisions


def _step_down(p_values: Mapping[Pairing, float], num_rules: int, alpha: float) -> dict[Pairing, Decision]:
    """Holm's correction with Shaffer's constraint.

    The smallest p-value is multiplied by the number of pairs. After each rejection the factor falls to the
    most hypotheses that can still be true at once: if one pair differs, a third rule cannot equal both of
    its members.
    """
    possible = most_equal(num_rules)
    order = sorted(p_values, key=lambda pair: (p_values[pair], pair))
    decisions: dict[Pairing, Decision] = {}
    running, factor, stopped = 0.0, 0, False
    for rejected, pair in enumerate(order):
        step = max(count for count in possible if count <= len(order) - rejected)
        running = max(running, min(1.0, step * p_values[pair]))
        factor = factor if stopped else step
        stopped = running > alpha
        decisions[pair] = Decision(p_corrected=running, factor=factor, separable=not stopped, reach=factor)
    return {pair: decisions[pair] for pair in p_values}


def most_equal(num_rules: int) -> set[int]:
    """How many of all pairs of `num_rules` rules can be equal at once, over all ways to tie them in groups.

    Example:
        >>> sorted(most_equal(4))
        [0, 1, 2, 3, 6]
    """
    sizes: list[set[int]] = [{0}, {0}]
    for k in range(2, num_rules + 1):
        sizes.append({j * (j - 1) // 2 + rest for j in range(1, k + 1) for rest in sizes[k - j]})
    return sizes[num_rules]
