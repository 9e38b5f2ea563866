"""The verdict room: from finished runs to an honest answer, with numpy alone.

`judge` is the door; `trials` what goes in, `outcome` what comes out, `selection` how a configuration is
chosen, `comparison`, `student` and `multiplicity` how two rules are told apart, `budget` the winner against
the tuning budget, `cautions` and `words` what is said about it. docs/verdict.md explains all of it.
"""

from ravine.verdict.budget import BudgetCurve, Leader
from ravine.verdict.judge import judge
from ravine.verdict.outcome import Pair, RuleResult, Verdict
from ravine.verdict.selection import best_configs
from ravine.verdict.trials import Trial, scorer

__all__ = [
    "BudgetCurve",
    "Leader",
    "Pair",
    "RuleResult",
    "Trial",
    "Verdict",
    "best_configs",
    "judge",
    "scorer",
]
