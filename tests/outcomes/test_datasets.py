"""A verdict over several data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import ravine
from ravine.cli.main import main
from ravine.errors import InputError

Scores = dict[str, dict[str, np.ndarray]]


def drawn(
    rng: np.random.Generator, num: int, gap: float = 0.0, seeds: int = 1, methods: str = "ab"
) -> Scores:
    """Accuracies of methods: on each data set one is better than another by chance, the first by a gap beside."""
    found: Scores = {}
    for k in range(num):
        base = rng.uniform(0.6, 0.9)
        found[f"d{k}"] = {
            m: base + gap * (m == "a") + rng.normal(0.0, 0.01) + rng.normal(0.0, 0.003, seeds)
            for m in methods
        }
    return found


def as_frame(scores: Scores) -> pd.DataFrame:
    rows = [
        {"dataset": d, "method": m, "seed": s, "score": score}
        for d, table in scores.items()
        for m, own in table.items()
        for s, score in enumerate(own)
    ]
    return pd.DataFrame(rows)


def test_each_data_set_has_the_verdict_that_it_has_alone() -> None:
    scores = drawn(np.random.default_rng(0), 7, seeds=4)
    found = ravine.judge(scores, datasets=True, metric="accuracy")
    for name, table in scores.items():
        alone = ravine.judge(table, metric="accuracy")
        assert found.datasets[name].verdict.pairs == alone.verdict.pairs
        assert found.datasets[name].json()["methods"] == alone.json()["methods"]


def test_with_one_seed_it_is_the_t_and_the_exact_test_of_the_differences() -> None:
    rng = np.random.default_rng(1)
    for gap in (0.0, 0.01, 0.03):
        scores = drawn(rng, 9, gap)
        found = ravine.judge(scores, datasets=True, metric="accuracy")
        (pair,), (each,) = found.verdict.pairs, found.across.contrasts
        first, second = (
            np.array([float(t[m][0]) for t in scores.values()]) for m in (pair.first, pair.second)
        )
        assert pair.difference == pytest.approx((first - second).mean())
        exact = stats.permutation_test(
            (first - second,), np.mean, permutation_type="samples", n_resamples=np.inf
        )
        assert each.flips == pytest.approx(exact.pvalue)
        t = stats.ttest_rel(first, second)
        assert pair.p == pytest.approx(max(t.pvalue, exact.pvalue), rel=1e-6)
        if pair.separable:
            low, high = t.confidence_interval(0.95)
            assert pair.ci == pytest.approx((low, high), rel=1e-6)
        assert pair.separable == (pair.ci[0] > 0.0 or pair.ci[1] < 0.0)
        assert (each.better, each.worse) == ((first > second).sum(), (first < second).sum())


def test_losses_are_compared_by_their_ratio() -> None:
    rng = np.random.default_rng(2)
    units = {f"d{k}": 10.0 ** rng.uniform(-6, 6) for k in range(10)}
    scores = {
        d: {m: unit * f * rng.uniform(0.95, 1.05, 3) for m, f in (("a", 0.5), ("b", 1.0))}
        for d, unit in units.items()
    }
    found = ravine.judge(scores, datasets=True, metric="MSE", lower_is_better=True)
    (pair,) = found.verdict.pairs
    logs = np.array([np.log(t["b"].mean() / t["a"].mean()) for t in scores.values()])
    assert found.verdict.separable
    assert pair.difference == pytest.approx(1.0 - np.exp(-logs.mean()))
    assert found.verdict.rules[1].test == pytest.approx(-np.exp(logs.mean()))
    assert "the MSE of a is 5" in found.verdict.sentences[1]
    assert "% lower" in found.verdict.sentences[1]


def test_losses_that_are_orders_of_magnitude_apart_have_an_interval_without_an_end_in_sight() -> None:
    small, large = np.array([1e-3, 1.1e-3, 0.9e-3]), np.array([1.0, 1.1, 1.2])
    scores = {"p": {"a": small, "b": large}, "q": {"a": large, "b": small}}
    found = ravine.judge(scores, datasets=True, lower_is_better=True, alpha=0.001)
    (pair,) = found.verdict.pairs
    assert not pair.separable
    assert pair.ci[0] < -1e300
    assert np.isfinite([*pair.ci, *(end for rule in found.verdict.rules for end in rule.ci or ())]).all()


@pytest.mark.parametrize("num", [30, pytest.param(200, marks=pytest.mark.slow)])
def test_equal_methods_are_seldom_told_apart_over_ten_data_sets(num: int) -> None:
    """At most 16 of 200, where 5 % would be 10; of 30 at most 5."""
    rng = np.random.default_rng(3)
    wrong = sum(
        ravine.judge(drawn(rng, 10), datasets=True, metric="accuracy").verdict.separable for _ in range(num)
    )
    assert wrong <= (5 if num == 30 else 16)


def test_a_real_difference_is_found_and_few_data_sets_say_that_they_are_few() -> None:
    rng = np.random.default_rng(4)
    found = ravine.judge(drawn(rng, 10, 0.04, methods="abc"), datasets=True, metric="accuracy")
    assert (found.verdict.best, found.verdict.separable) == ("a", True)
    few = ravine.judge(drawn(rng, 5, 0.08), datasets=True, metric="accuracy")
    assert not few.verdict.separable
    assert "nothing can be separable with fewer than 6" in few.verdict.sentences[1]
    assert few.verdict.pairs[0].ci[0] == 0.0


def test_a_method_that_was_not_run_everywhere_is_named_and_its_data_set_left_out() -> None:
    scores = drawn(np.random.default_rng(5), 8, 0.05, methods="abc")
    whole = ravine.judge({d: t for d, t in scores.items() if d != "d3"}, datasets=True, metric="accuracy")
    del scores["d3"]["b"]
    found = ravine.judge(scores, datasets=True, metric="accuracy")
    assert "d3 lacks b" in found.warnings[0]
    assert found.verdict.pairs == whole.verdict.pairs
    assert set(found.datasets) == set(scores)
    assert found.json()["left_out"] == {"d3": ["b"]}
    for table in scores.values():
        table.pop("b", None)
        table.pop("c")
    scores["d0"]["b"] = np.array([0.5])
    none = ravine.judge(scores, datasets=True, metric="accuracy")
    assert "d0 alone has a result of every method" in none.verdict.sentences[1]
    assert not none.verdict.pairs


def test_a_lead_of_surviving_runs_counts_for_nothing() -> None:
    scores = drawn(np.random.default_rng(6), 8, 0.08, seeds=3)
    for table in scores.values():
        table["a"][1] = np.nan
    found = ravine.judge(scores, datasets=True, metric="accuracy")
    assert found.across.contrasts[0].better == 0
    assert not found.verdict.separable
    assert any("counts as no lead" in text for text in found.warnings)
    scores = drawn(np.random.default_rng(6), 8, 0.08, seeds=3)
    scores["d0"]["a"][:] = np.nan
    lost = ravine.judge(scores, datasets=True, metric="accuracy")
    assert not any(pair.separable for pair in lost.verdict.pairs)
    assert any("called better than no other" in text for text in lost.warnings)


def test_a_file_a_frame_and_arrays_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = drawn(np.random.default_rng(7), 6, 0.05, seeds=2)
    frame = as_frame(scores).sample(frac=1.0, random_state=0)
    frame.to_csv(tmp_path / "r.csv", index=False)
    expected = ravine.judge(scores, datasets=True, metric="accuracy")
    for given in (frame, tmp_path / "r.csv"):
        found = ravine.judge(given, metric="accuracy")
        assert found.verdict.pairs[0].p == pytest.approx(expected.verdict.pairs[0].p)
        assert len(found.table()) == len(frame)
    assert main(["judge", str(tmp_path / "r.csv"), "--metric", "accuracy"]) == 0
    shown = capsys.readouterr().out
    assert "In the mean over 6 data sets, a reaches" in shown
    assert "Friedman" in shown
    assert main(["judge", str(tmp_path / "r.csv"), "--json"]) == 0
    entry: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert set(entry["each"]) == set(scores)
    assert entry["best"] == "a"
    assert str(expected) == "\n\n".join(str(grid) for grid in expected.grids())
    assert expected._repr_html_().count("<table>") == 2


def test_one_score_for_each_cell_needs_no_seed() -> None:
    scores = drawn(np.random.default_rng(8), 6, 0.05)
    frame = as_frame(scores).drop(columns="seed")
    found = ravine.judge(frame, metric="accuracy")
    plain = {d: {m: float(v[0]) for m, v in t.items()} for d, t in scores.items()}
    assert str(found) == str(ravine.judge(plain, datasets=True, metric="accuracy"))
    assert ravine.judge(frame[frame.dataset == "d0"]).name == "scores"  # one data set is no population


@pytest.mark.parametrize(
    ("given", "options", "text"),
    [
        ({}, {"datasets": True}, "no data set"),
        ({"iris": [0.1]}, {"datasets": True}, "data set 'iris' is a list"),
        ({"iris": {"a": "x"}}, {"datasets": True}, "data set 'iris': scores: method 'a'"),
        (
            {"iris": {"a": {"x": [1.0], "y": [2.0]}}},
            {"datasets": True},
            "data set 'iris': method 'a' has 2 configs",
        ),
        (
            {"iris": {"a": [1.0]}},
            {"datasets": True, "validation": {}},
            "validation: data set 'iris' is missing",
        ),
        ({"method": ["a"], "seed": [0], "score": [1.0]}, {"datasets": True}, "in a column 'dataset'"),
        (
            {"dataset": ["x", ""], "method": ["a", "a"], "score": [1.0, 2.0]},
            {},
            "row 1: column 'dataset' is empty",
        ),
        ({"dataset": ["x", "y", "y"], "method": ["a"] * 3, "score": [1.0] * 3}, {}, "row 2: .*second time"),
        ({"iris": {"a": [1.0], "b": [2.0]}, "wine": {"a": [1.0], "b": [2.0]}}, {}, "datasets=True"),
    ],
)
def test_data_sets_that_cannot_be_judged_are_refused_in_one_line(
    given: Any, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(InputError, match=text) as refused:
        ravine.judge(given, **options)
    assert "\n" not in str(refused.value)
