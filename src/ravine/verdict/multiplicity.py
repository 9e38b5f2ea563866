"""The price of comparing many rules at once: Holm's step-down correction with Shaffer's logical constraint.

With six rules there are fifteen pairs, and among fifteen comparisons of equals one in two studies would
show a "difference" at 5 %. Corrected, the chance of *any* false one is at most 5 %.

Sources: S. Holm, 1979; J. P. Shaffer, 1986.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Pairing = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A pair's corrected p-value and the factor at which it was decided.

    `separable` if and only if the p-value is at most alpha / factor, that is, if the interval of level
    1 - alpha / factor excludes zero: what is shown and what is said agree.
    """

    p_corrected: float
    factor: int
    separable: bool


def decide(p_values: Mapping[Pairing, float], num_rules: int, alpha: float) -> dict[Pairing, Decision]:
    """Decide all pairs of rules together; the chance of any false "separable" is at most `alpha`.

    The smallest p-value is multiplied by the number of pairs. After each rejection the factor falls to the
    most hypotheses that can still be true at once: if one pair differs, a third rule cannot equal both of
    its members.

    Args:
        p_values: one per pair of rules, all pairs.
        num_rules: how many rules they are of.
        alpha: in (0, 1).

    Example:
        >>> decisions = decide({("a", "b"): 0.01, ("a", "c"): 0.04, ("b", "c"): 0.2}, 3, 0.05)
        >>> [(d.factor, d.separable) for d in decisions.values()]
        [(3, True), (1, True), (1, False)]
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
        decisions[pair] = Decision(p_corrected=running, factor=factor, separable=not stopped)
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
