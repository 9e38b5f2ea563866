"""The forest plot of variants over folds: against differences that are taken fold by fold."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

import ravine
from ravine.data import from_arrays
from ravine.outcomes import Results
from ravine.report import figures
from ravine.report.draw_forest import draw_forest, gains_grid, lead
from ravine.report.page import report
from ravine.verdict import OnFold, gains_over_folds, measure_of, over_folds

FOLDS = 4
VARIANTS = [{}, {"model": {"norm": "batch"}}, {"rules": {"lr": 1e-6}, "label": "no steps"}]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((160, 3))
    data = from_arrays(x, (x[:, 0] + 0.3 * rng.standard_normal(160) > 0).astype(int), split={"folds": FOLDS})
    study = ravine.Study(
        name="forest",
        data=data,
        model={"kind": "mlp", "hidden": [8]},
        steps=60,
        batch_size=16,
        seeds=2,
        rules=[{"kind": "sgd", "lr": [0.02, 0.1]}],
        variants=VARIANTS,
    )
    return ravine.run(study, store=tmp_path_factory.mktemp("forest") / "runs", quiet=True)


def test_gains_are_means_over_folds_with_the_corrected_interval(results: Results) -> None:
    found = results.folds
    assert found is not None
    gains = results.verdict.gains
    assert [gain.level for gain in gains] == sorted(
        ("norm batch", "no steps"), key=lambda level: -np.mean([each.test for each in found.of(level)])
    )
    for gain in gains:
        assert gain.baseline == "plain"
        apart = [a.test - b.test for a, b in zip(found.of(gain.level), found.of("plain"), strict=True)]
        assert list(gain.folds.values()) == pytest.approx(apart)
        assert gain.difference == pytest.approx(np.mean(apart))
        assert gain.low < gain.difference < gain.high
        assert not gain.seeds
    (lost,) = (gain for gain in gains if gain.level == "no steps")
    assert lost.high < 0.0


def test_intervals_are_corrected_for_the_levels_beside_the_first() -> None:
    rng = np.random.default_rng(1)
    means = {
        "base": np.zeros(5),
        "a": np.array([0.3, 0.1, 0.5, 0.2, 0.4]),
        "b": np.array([0.0, 0.2, -0.2, 0.1, 0.1]),
    }
    tested = [
        OnFold(
            rule=rule,
            repeat=0,
            fold=k,
            scores={0: mean + 0.001 * rng.standard_normal(50) - 5.0},
            validation=0.5,
        )
        for rule, each in means.items()
        for k, mean in enumerate(each)
    ]
    measure = measure_of("regression")
    results, _ = over_folds(tested, 0.25, measure, 0.05)
    gains = gains_over_folds("base", results, tested, 0.25, measure, 0.05)
    assert [gain.level for gain in gains] == ["a", "b"]
    for gain in gains:
        apart = np.array(list(gain.folds.values()))
        half = stats.t.ppf(1 - 0.05 / 2 / 2, 4) * np.sqrt((1 / 5 + 0.25) * apart.var(ddof=1))
        assert gain.high - gain.difference == pytest.approx(half, rel=1e-3)
    assert gains_over_folds("c", results, tested, 0.25, measure, 0.05) == ()


def test_the_figure_is_in_the_report_and_alone(results: Results) -> None:
    drawn = draw_forest(results)
    (panel,) = drawn.views[0].panels
    assert len(panel["layout"]["yaxis"]["tickvals"]) == 2
    text = json.dumps(panel)
    assert text.count("of repeat 0: ") >= 2 * FOLDS
    assert "small dots are the folds" in drawn.caption
    assert "over seeds" not in drawn.caption
    assert "no steps loses for sure" in lead(results)
    assert gains_grid(results).columns == ("variant", "gain", "interval", "folds", "for sure")
    assert gains_grid(results).rows[-1][3] == str(FOLDS)
    assert [each.name for each in figures.figures(results)] == ["forest", "folds"]
    assert figures.figure(results, "forest").views
    assert "What each variant gained" in report(results).decode()
    (first, *_) = json.loads(json.dumps(results.json(), allow_nan=False))["gains"]
    assert len(first["folds"]) == FOLDS


def test_rules_have_no_forest_over_folds(results: Results) -> None:
    by_rule = Results.load(results.source, "forest", compare="rule")
    assert by_rule.verdict.gains == ()
    assert [each.name for each in figures.figures(by_rule)] == ["folds"]
