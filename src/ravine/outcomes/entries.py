"""The rows of a verdict as plain data, as ``--json`` has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ravine.outcomes.presented import interval_json, score_json
from ravine.outcomes.rows import plain_errors
from ravine.outcomes.runs import plain
from ravine.outcomes.trivial import SPLITS

if TYPE_CHECKING:
    from ravine.outcomes.by_target import ByTarget
    from ravine.outcomes.regression import Errors
    from ravine.outcomes.trivial import Trivial
    from ravine.verdict import RuleResult, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """What rows are made of.

    Args:
        verdict: whose rules.
        names: what scores on validation and on test are called.
        errors: of a regression with one target, the test errors by rule; None: of no other.
        by_target: of a regression with several targets, the errors of each.
    """

    verdict: Verdict
    names: tuple[str, str]
    errors: Mapping[str, Errors] | None
    by_target: ByTarget | None

    def of_rule(self, result: RuleResult) -> dict[str, Any]:
        """A rule with its chosen hypers, and what they reach."""
        others = {key: plain(value) for key, value in result.hypers.items() if key != "lr"}
        entry = {self.verdict.noun: result.rule, "lr": plain(result.lr), **others}
        for name, score in zip(self.names, (result.validation, result.test), strict=True):
            entry[name] = score_json(self.verdict.measure, score)
        more = {} if self.errors is None else plain_errors(self.errors.get(result.rule), "test")
        more |= self.by_target.of_rule(result.rule) if self.by_target else {}
        return entry | {"ci": interval_json(self.verdict.measure, result.ci)} | more

    def of_trivial(self, trivial: Trivial) -> dict[str, Any]:
        """The trivial predictor, and what it reaches."""
        scores = [score_json(self.verdict.measure, trivial.scores[split]) for split in SPLITS]
        more = {} if self.errors is None else plain_errors(trivial.test_errors, "test")
        more |= self.by_target.of_trivial() if self.by_target else {}
        named = dict(zip(self.names, scores, strict=True))
        return {"name": trivial.name, "answer": trivial.answer, **named, **more}
