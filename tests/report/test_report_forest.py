"""The forest plot: gains over the first level, against numbers made by hand of the same scores."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import ravine
from ravine.outcomes import Results
from ravine.outcomes.trials import Predicted
from ravine.report.draw_forest import draw_forest, gains_grid, lead
from ravine.report.page import report
from ravine.store import Store
from ravine.verdict import Trial, judge
from ravine.verdict.measure import ACCURACY

VARIANTS = [{}, {"model": {"norm": "batch"}}, {"rules": {"lr": 1e-6}, "label": "no steps"}]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    where: Path = tmp_path_factory.mktemp("forest") / "runs"
    study = ravine.Study(
        name="s",
        data="iris",
        model={"kind": "mlp", "hidden": [8]},
        steps=60,
        evaluations=2,
        seeds=4,
        rules=[{"kind": "sgd", "lr": 0.1}],
        variants=VARIANTS,
    )
    return ravine.run(study, store=where, quiet=True)


def test_gains_are_paired_means_over_the_first_variant(results: Results) -> None:
    predicted = Predicted(store=Store(results.source.root), labels=results.labels)
    scores = {(run.rule, run.seed): predicted.test_scores(run.id) for run in results.runs}
    gains = results.verdict.gains
    assert {gain.level for gain in gains} == {"norm batch", "no steps"}
    assert [gain.difference for gain in gains] == sorted((gain.difference for gain in gains), reverse=True)
    for gain in gains:
        assert gain.baseline == "plain"
        own = {seed: float((scores[gain.level, seed] - scores["plain", seed]).mean()) for seed in range(4)}
        assert gain.seeds == pytest.approx(own)
        assert gain.difference == pytest.approx(np.mean(list(own.values())))
        assert gain.low <= gain.difference <= gain.high


def test_the_figure_is_in_the_report_of_what_compares_levels(results: Results) -> None:
    drawn = draw_forest(results)
    panel = drawn.views[0].panels[0]
    assert len(panel["layout"]["yaxis"]["tickvals"]) == 2
    assert "no steps loses for sure" in lead(results)
    assert gains_grid(results).rows[-1][0] == "no steps"
    page = report(results).decode()
    assert "What each variant gained" in page
    assert results.json()["gains"][0]["baseline"] == "plain"


def test_two_levels_have_the_interval_of_their_pair() -> None:
    """One comparison: nothing to correct for, so it is the verdict's own."""
    rng = np.random.default_rng(0)
    trials, right = [], {}
    for level, share in (("a", 0.8), ("b", 0.9)):
        for seed in range(5):
            run = f"{level}{seed}"
            right[run] = (rng.random(900) < share).astype(float)
            trials.append(
                Trial(rule=level, config=level, hypers={"lr": 0.1}, seed=seed, run=run, diverged=False,
                      validation=right[run][:300])
            )  # fmt: skip
    verdict = judge(trials, lambda run: right[run][300:], measure=ACCURACY, baseline="a", noun="level")
    (gain,), (pair,) = verdict.gains, verdict.pairs
    assert (gain.low, gain.high) == pytest.approx(pair.ci)
    assert gain.level == "b"
    assert gain.low > 0.0


@pytest.mark.slow
def test_equal_levels_gain_for_sure_in_at_most_their_share_of_studies() -> None:
    """Of 15 studies a test at 5 % finds a gain or loss in more than 4 once in 1,000 times."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(15):
        hard = 2.0 * rng.normal(size=600)
        right = {
            f"{level}{seed}": (3.0 + hard + 0.3 * rng.normal() + rng.normal(size=600) > 0).astype(float)
            for level in "abcd"
            for seed in range(4)
        }
        trials = [
            Trial(rule=run[0], config=run[0], hypers={"lr": 0.1}, seed=int(run[1]), run=run, diverged=False,
                  validation=scores[:200])
            for run, scores in right.items()
        ]  # fmt: skip
        found = judge(trials, lambda run, right=right: right[run][200:], measure=ACCURACY, baseline="a")
        hits += any(gain.low > 0.0 or gain.high < 0.0 for gain in found.gains)
    assert hits <= 4


def test_a_single_seed_is_never_for_sure() -> None:
    right = {"a": np.zeros(300), "b": np.ones(300)}
    trials = [
        Trial(
            rule=run, config=run, hypers={"lr": 0.1}, seed=0, run=run, diverged=False, validation=scores[:100]
        )
        for run, scores in right.items()
    ]
    (gain,) = judge(trials, lambda run: right[run][100:], measure=ACCURACY, baseline="a").gains
    assert gain.difference == 1.0
    assert gain.low <= 0.0
    assert math.isfinite(gain.high)
