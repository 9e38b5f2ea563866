"""The verdict room: from finished runs to an honest answer, with numpy alone.

`judge` is the door; `trials` goes in and `outcome` comes out; `measure` is what their scores measure. `selection`
chooses a configuration, and `tuning` says how much luck that took. `comparison` and `student` compare two rules,
`multiplicity` and `pairs` all of them, `planning` says what more seeds would find, `own_interval` is of one rule,
`budget` of the winner against the tuning budget, `overfitting` of whether dropout is needed and kept. `cautions` and
`words` put it into sentences.
`across` is a verdict over data sets, with `flips`, `ranks` and `profile`; `across_words` says it.
docs/verdict.md explains all of it. `crossover` compares two arms of a ladder over n pictures per class, with draws of
pictures as units (`draws`), and `gaps` says how far each overfits: docs/ladder.md. `folds` compares over
folds: docs/folds.md.
"""

from ravine.verdict.across import Across, Contrast, judge_across
from ravine.verdict.budget import BudgetCurve, Leader
from ravine.verdict.crossover import Crossover, Difference, Outcome, crossover
from ravine.verdict.draws import ArmResult, Reading, arm_results
from ravine.verdict.fold_errors import corrected_error
from ravine.verdict.folds import OnFold, gains_over_folds, over_folds
from ravine.verdict.gaps import DrawnGap, Fall, falls_of, gaps_of
from ravine.verdict.judge import judge
from ravine.verdict.measure import ACCURACY, SQUARED_ERROR, Measure, measure_by, measure_of
from ravine.verdict.outcome import Gain, Pair, RuleResult, Verdict
from ravine.verdict.overfitting import Overfitting, overfitting
from ravine.verdict.profile import Profile
from ravine.verdict.ranks import Ranks
from ravine.verdict.selection import best_configs
from ravine.verdict.trials import Trial, scorer

__all__ = [
    "ACCURACY",
    "SQUARED_ERROR",
    "Across",
    "ArmResult",
    "BudgetCurve",
    "Contrast",
    "Crossover",
    "Difference",
    "DrawnGap",
    "Fall",
    "Gain",
    "Leader",
    "Measure",
    "OnFold",
    "Outcome",
    "Overfitting",
    "Pair",
    "Profile",
    "Ranks",
    "Reading",
    "RuleResult",
    "Trial",
    "Verdict",
    "arm_results",
    "best_configs",
    "corrected_error",
    "crossover",
    "falls_of",
    "gains_over_folds",
    "gaps_of",
    "judge",
    "judge_across",
    "measure_by",
    "measure_of",
    "over_folds",
    "overfitting",
    "scorer",
]
