"""What the modes of a study reach at test beside the mean pass: Monte Carlo passes and views, paired run by run.

Test is read for the chosen configs alone, and logged first.

Shapes: S seed, N example.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles.cells import Cells
from ravine.ensembles.pooling import log_softmax
from ravine.ensembles.scoring import nll, scores_of
from ravine.grid import Grid
from ravine.outcomes.modes import config_id, mode_words
from ravine.outcomes.results import Results
from ravine.outcomes.runs import plain_data
from ravine.outcomes.scored import log_scored
from ravine.outcomes.trials import Predicted
from ravine.study.modes import MC, MEAN, WITH_VIEWS, Mode
from ravine.verdict.comparison import difference_error, width

if TYPE_CHECKING:
    from ravine.store import Labels

Array = NDArray[np.float64]

ALPHA = 0.05
_SAME = 1e-5  # scores that are so near each other differ by rounding
TITLES = {"accuracy": "accuracy", "nll": "NLL", "brier": "Brier", "ece": "ECE", "rmse": "RMSE", "mae": "MAE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """By how much a mode's score is above that of the mean pass: the mean over seeds and examples, of the same runs.

    Args:
        value: the mean difference; of an accuracy a share.
        low, high: its interval of 95 %, over seeds and examples; of one seed over examples only.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeRow:
    """A mode at the chosen config of a rule, on test data.

    Args:
        rule: its label, or the level's.
        mode: the mode's name.
        words: the same with its numbers.
        scores: means over the seeds: ``accuracy``, ``nll``, ``brier``, ``ece``; or ``rmse``, ``mae``.
        changes: against the mean pass: ``nll`` and ``accuracy``, or ``mse``; empty for the mean pass itself, and where
            every prediction is the same, since the runs have no stochastic layer.
        num_seeds: the seeds behind these numbers.
    """

    rule: str
    mode: str
    words: str
    scores: Mapping[str, float]
    changes: Mapping[str, Change]
    num_seeds: int

    def json(self) -> dict[str, Any]:
        """Plain data."""
        changes = {
            name: {"value": each.value, "low": each.low, "high": each.high}
            for name, each in self.changes.items()
        }
        found: dict[str, Any] = plain_data(
            {
                "rule": self.rule,
                "mode": self.mode,
                "seeds": self.num_seeds,
                **self.scores,
                **({"against_mean": changes} if changes else {}),
            }
        )
        return found


def mode_rows(results: Results) -> tuple[ModeRow, ...]:
    """A row for each rule and mode, the mean pass first; none where the study asks for no mode, or has not got it yet.

    Args:
        results: of the study.
    """
    if results.asked is None:
        return ()
    store, rows = results.source, []
    for rule in results.verdict.rules:
        having = {
            mode: sorted(store.evaluated.having(mode.id, rule.runs))
            for mode in results.asked.asked
            if rule.runs
        }
        whole = [mode for mode, runs in having.items() if len(runs) == len(rule.runs)]
        if rule.config is None or not whole:
            continue
        modes: list[Mode | None] = [None, *whole]
        recipes = {
            config_id(
                rule.config, mode
            ): f"{results.name}: {rule.rule}, {mode_words(mode)}the mean over its seeds"
            for mode in modes
        }
        log_scored(store, results.study.data_fingerprint, recipes)
        outputs = {
            mode: Predicted(store=store, labels=results.labels, mode=mode).outputs("test", rule.runs)
            for mode in modes
        }
        tables = {
            mode: _per_example([found[run] for run in rule.runs], results.labels)
            for mode, found in outputs.items()
        }
        rows += [
            ModeRow(
                rule=rule.rule,
                mode=MEAN if mode is None else mode.name,
                words="the mean pass" if mode is None else mode.words,
                scores=_scores([found[run] for run in rule.runs], results.labels),
                changes={} if mode is None else _changes(tables[mode], tables[None]),
                num_seeds=len(rule.runs),
            )
            for mode, found in outputs.items()
        ]
    return tuple(rows)


def mode_words_of(rows: tuple[ModeRow, ...]) -> list[str]:
    """The rows as sentences, one for each rule and mode: how good the cheap approximation is."""
    random = random_rules(rows)
    return [
        f"{row.rule}: {row.words} against the mean pass at test: {_in_words(row)}."
        if row.changes
        else f"{row.rule}: {row.words} is the mean pass, since no layer of the chosen runs is random."
        for row in rows
        if row.mode != MEAN and (row.mode != MC + WITH_VIEWS or row.rule in random)
    ]


def random_rules(rows: tuple[ModeRow, ...]) -> frozenset[str]:
    """The rules whose chosen runs have a layer that draws: only theirs differ between mc and the mean pass."""
    return frozenset(row.rule for row in rows if row.mode == MC and row.changes)


def mode_grid(rows: tuple[ModeRow, ...], judged: Mode | None = None, noun: str = "rule") -> Grid:
    """The rows as a small table.

    Args:
        rows: of a study.
        judged: what its verdict is about; None: the mean pass.
        noun: what one of the compared is called.
    """
    names = list(rows[0].scores) if rows else []
    against = "mse" if "rmse" in names else "nll"
    return Grid(
        title="Predictions at test" if rows else "",
        before=() if judged is None else (f"The verdict above is about {judged.words}.",),
        columns=(noun, "mode", *(TITLES[name] for name in names), f"{_SHORT[against]} against mean"),
        rows=tuple(
            (
                row.rule,
                row.mode,
                *(_shown(name, row.scores[name]) for name in names),
                _interval(against, row.changes[against]) if row.changes else "",
            )
            for row in rows
        ),
        left=(noun, "mode"),
        after=tuple(mode_words_of(rows)),
    )


_SHORT = {"nll": "NLL", "accuracy": "accuracy", "mse": "MSE"}


def _in_words(row: ModeRow) -> str:
    parts = []
    for name, change in row.changes.items():
        if row.num_seeds < 2:
            said = "one seed: the interval is over examples only"
        elif change.low <= 0.0 <= change.high:
            said = "not separable"
        else:
            said = "better" if (change.value > 0.0) == (name == "accuracy") else "worse"
        parts.append(f"{_SHORT[name]} {_interval(name, change)}, {said}")
    return "; ".join(parts)


def _interval(name: str, change: Change) -> str:
    if name == "accuracy":
        value, low, high = (
            f"{round(100 * each, 2) + 0.0:+.2f}" for each in (change.value, change.low, change.high)
        )
        return f"{value} points ({low} to {high})".replace("-", "−")
    value, low, high = (f"{each + 0.0:+.3g}" for each in (change.value, change.low, change.high))
    return f"{value} ({low} to {high})".replace("-", "−")


def _shown(name: str, value: float) -> str:
    return f"{100 * value:.2f} %" if name == "accuracy" else f"{value:.4g}"


def _per_example(outputs: list[np.ndarray], labels: Labels) -> dict[str, Array]:
    """Scores of each test example, (S, N) by name."""
    cells = Cells.of(labels)
    given, answers = [cells.outputs(each) for each in outputs], cells.answers(labels.test)
    if cells.regression:
        squares = np.stack([np.square(each.astype(np.float64) - answers) for each in given])
        return {"mse": cells.by_example(squares)}
    right = np.stack([(each.argmax(axis=1) == answers).astype(np.float64) for each in given])
    return {
        "nll": cells.by_example(np.stack([nll(log_softmax(each), answers) for each in given])),
        "accuracy": cells.by_example(right),
    }


def _changes(first: dict[str, Array], second: dict[str, Array]) -> dict[str, Change]:
    if all(np.allclose(table_SN, second[name], rtol=0.0, atol=_SAME) for name, table_SN in first.items()):
        return {}
    return {
        name: change_of(table_SN, second[name], binary=name == "accuracy" and _is_binary(table_SN))
        for name, table_SN in first.items()
    }


def _is_binary(scores: Array) -> bool:
    """Whether scores are right or wrong; a share of right labels is a number in between."""
    return bool(np.isin(scores, (0.0, 1.0)).all())


def change_of(first_SN: Array, second_SN: Array, *, binary: bool) -> Change:
    """The mean difference of two scores of the same runs on the same examples.

    Both are of the same weights, so that each run is its own pair: the differences are one table, whose mean varies
    over seeds and examples.

    Args:
        first_SN, second_SN: scores.
        binary: they are 1 or 0.
    """
    difference_SN = first_SN - second_SN
    if not np.isfinite(difference_SN).all():
        return Change(value=float("nan"), low=float("-inf"), high=float("inf"))
    error = difference_error(difference_SN, np.zeros_like(difference_SN), matched=False, binary=binary)
    value, half = float(difference_SN.mean()), width(error, ALPHA)
    return Change(value=value, low=value - half, high=value + half)


def _scores(outputs: list[np.ndarray], labels: Labels) -> dict[str, float]:
    """Means over the seeds."""
    cells = Cells.of(labels)
    outputs, answers = [cells.outputs(each) for each in outputs], cells.answers(labels.test)
    if cells.regression:
        off = [each.astype(np.float64) - answers for each in outputs]
        return {
            "rmse": float(np.mean([np.sqrt(np.square(each).mean()) for each in off])),
            "mae": float(np.mean([np.abs(each).mean() for each in off])),
        }
    found = [scores_of(log_softmax(each), each.argmax(axis=1), answers) for each in outputs]
    return {
        name: float(np.mean([getattr(each, name) for each in found]))
        for name in ("accuracy", "nll", "brier", "ece")
    }
