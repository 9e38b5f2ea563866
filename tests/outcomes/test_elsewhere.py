"""A verdict on results from elsewhere: the same as on runs of ravine's own, whatever form they are in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy.stats import ttest_1samp, ttest_ind

import ravine
from ravine.cli.main import main
from ravine.errors import InputError
from ravine.verdict import ACCURACY, Trial, judge

ACCURACY_OF_ROWS = replace(ACCURACY, best=None, metric="")
METHODS, CONFIGS, SEEDS = ("adam", "sgd"), ("lr 0.1", "lr 1"), 4


def scored(
    rng: np.random.Generator, num_test: int = 300, num_validation: int = 200
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, dict[str, np.ndarray]]]:
    """Right or wrong on test and validation, by method and config."""
    shares = {("adam", "lr 0.1"): 0.9, ("adam", "lr 1"): 0.8, ("sgd", "lr 0.1"): 0.7, ("sgd", "lr 1"): 0.8}
    tables = [
        {m: {c: (rng.random((SEEDS, size)) < shares[m, c]).astype(float) for c in CONFIGS} for m in METHODS}
        for size in (num_test, num_validation)
    ]
    return tables[0], tables[1]


def as_rows(
    test: dict[str, dict[str, np.ndarray]], validation: dict[str, dict[str, np.ndarray]]
) -> list[dict[str, object]]:
    """The same as a row per score."""
    return [
        {"method": m, "config": c, "seed": s, "example": f"e{i}", "split": split, "score": table[m][c][s, i]}
        for split, table in (("test", test), ("validation", validation))
        for m in METHODS
        for c in CONFIGS
        for s in range(SEEDS)
        for i in range(table[m][c].shape[1])
    ]


def test_the_verdict_is_that_of_a_study() -> None:
    test, validation = scored(np.random.default_rng(0))
    trials = [
        Trial(rule=m, config=f"{m} {c}", hypers={}, seed=s, run=f"{m}|{c}|{s}", diverged=False, validation=v)
        for m in METHODS
        for c in CONFIGS
        for s, v in enumerate(validation[m][c])
    ]

    def read(run: str) -> np.ndarray:
        m, c, s = run.split("|")
        return test[m][c][int(s)]

    expected = judge(trials, read, measure=ACCURACY, noun="method")
    found = ravine.judge(test, validation=validation)
    assert found.verdict.pairs == expected.pairs
    assert found.verdict.sentences == expected.sentences
    assert [(r.rule, r.test, r.ci, r.validation) for r in found.verdict.rules] == [
        (r.rule, r.test, r.ci, r.validation) for r in expected.rules
    ]
    assert [rule.hypers["config"] for rule in found.verdict.rules] == ["lr 0.1", "lr 1"]


def test_arrays_frames_and_a_file_say_the_same(tmp_path: Path) -> None:
    test, validation = scored(np.random.default_rng(1), 60, 50)
    expected = ravine.judge(test, validation=validation)
    rows = as_rows(test, validation)
    order = np.random.default_rng(2).permutation(len(rows))
    frame = pd.DataFrame([rows[at] for at in order])
    frame.to_csv(tmp_path / "results.csv", index=False)
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    for given in (frame, pl.from_pandas(frame), columns, tmp_path / "results.csv"):
        found = ravine.judge(given)
        (pair,), (other,) = found.verdict.pairs, expected.verdict.pairs
        assert pair.difference == pytest.approx(other.difference, abs=1e-12)
        assert pair.p == pytest.approx(other.p, rel=1e-9)
        assert found.verdict.sentences == expected.verdict.sentences
        for row, same in zip(found.table(), expected.table(), strict=True):
            assert row == pytest.approx(same)


def test_one_score_for_each_run_is_welchs_test_of_the_seeds() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        a, b = rng.normal(0.0, 1.0, 3), rng.normal(0.5, 2.0, 3)
        found = ravine.judge({"a": a, "b": b})
        (pair,) = found.verdict.pairs
        assert pair.p == pytest.approx(ttest_ind(a, b, equal_var=False).pvalue, rel=1e-6)
        assert pair.example_error == 0.0
    assert any("one score" in text for text in found.warnings)
    assert any("nothing was tuned" in text for text in found.warnings)
    assert found.verdict.num_test == found.verdict.num_validation == 0


@pytest.mark.parametrize("examples", [1, pytest.param(400, marks=pytest.mark.slow)])
def test_equal_methods_are_seldom_told_apart(examples: int) -> None:
    """At most 16 of 200, where 5 % would be 10: a chance of 4 %; for one score each, seeds are all that varies."""
    rng, wrong = np.random.default_rng(4), 0
    for _ in range(200):
        hard = rng.normal(0.0, 1.0, examples) * (examples > 1)
        tables = {
            m: hard + rng.normal(0.0, 0.2, (5, 1)) + rng.normal(0.0, 1.0, (5, examples)) * (examples > 1)
            for m in "ab"
        }
        wrong += ravine.judge(tables).verdict.separable
    assert wrong <= 16


def test_a_method_that_is_the_same_for_all_seeds_is_named() -> None:
    rng = np.random.default_rng(8)
    tables = {"same": np.tile(rng.random(200) < 0.9, (4, 1)), "other": rng.random((4, 200)) < 0.8}
    said = [text for text in ravine.judge(tables).warnings if "the same scores" in text]
    assert len(said) == 1
    assert said[0].startswith("same:")


def test_seeds_that_are_all_alike_know_nothing_of_a_spread(tmp_path: Path) -> None:
    """Of a single number for each run, as of a single run: no interval; the other's spread decides, by Welch's test."""
    found = ravine.judge({"a": [0.9, 0.9, 0.9], "b": [0.8, 0.81, 0.79]}, metric="accuracy")
    same, other = found.verdict.rules
    assert same.ci is None
    assert other.ci is not None
    assert found.json()["methods"][0]["ci"] == [None, None]
    (row,) = (row for row in found.grid().rows if row[0] == "a")
    assert "–" in row
    p = ttest_1samp([0.8, 0.81, 0.79], 0.9).pvalue
    assert found.verdict.pairs[0].p == pytest.approx(p)
    assert any("so nothing is known of their spread, and there is no interval" in w for w in found.warnings)
    both = ravine.judge({"a": [0.9, 0.9, 0.9], "b": [0.8, 0.8, 0.8]}, metric="accuracy")
    assert not both.verdict.separable
    assert both.verdict.pairs[0].ci is None
    assert "the seeds of each are all alike" in both.verdict.sentences[1]
    for each in (found, both):
        assert each.report(tmp_path / "page.html").stat().st_size > 1000
    near = ravine.judge({"a": [0.9, 0.9, 0.9], "b": [0.8, 0.8, 0.8000001]}, metric="accuracy")
    assert near.verdict.separable


def test_runs_that_validation_tells_apart_are_not_one_run_several_times() -> None:
    test = {"a": [0.9, 0.9, 0.9], "b": [0.8, 0.81, 0.79]}

    def said(validation: list[float]) -> list[str]:
        found = ravine.judge(test, validation={"a": validation, "b": [0.7, 0.8, 0.9]}, metric="accuracy")
        return [text for text in found.warnings if text.startswith("a: all of its seeds have the same")]

    assert len(apart := said([0.7, 0.8, 0.9])) == len(alike := said([0.8, 0.8, 0.8])) == 1
    assert "test score; so nothing" in apart[0]
    assert "several names" not in apart[0]
    assert "several names" in alike[0]


def test_a_real_difference_is_found_and_losses_are_turned() -> None:
    rng = np.random.default_rng(5)
    losses = {m: rng.normal(level, 0.1, (5, 300)) ** 2 for m, level in (("low", 0.1), ("high", 0.9))}
    found = ravine.judge(losses, metric="loss", lower_is_better=True)
    assert (found.verdict.best, found.verdict.separable) == ("low", True)
    entry = found.json()["methods"][0]
    assert entry["test"] == pytest.approx(losses["low"].mean())
    assert entry["ci"][0] < entry["test"] < entry["ci"][1]
    assert "a test loss of" in found.verdict.sentences[0]
    assert found.json()["table"][0]["test"] == pytest.approx(losses["high"][0].mean())


def test_shares_stay_between_0_and_1_whatever_they_are_called() -> None:
    scores = {"a": [0.99, 1.0, 0.96], "b": [0.9, 0.8, 0.85]}
    found = ravine.judge(scores, metric="F1")
    assert "a reaches 98.3 % test F1" in found.verdict.sentences[0]
    for rule in found.verdict.rules:
        assert rule.ci is not None
        assert 0.0 < rule.ci[0] < rule.ci[1] < 1.0
    large = ravine.judge({name: [100 * score for score in own] for name, own in scores.items()}, metric="F1")
    assert "a test F1 of 98.3" in large.verdict.sentences[0]


def test_tensors_and_seeds_of_any_name_are_taken() -> None:
    rng = np.random.default_rng(9)
    a, b = rng.random((3, 50)), rng.random((3, 50))
    tensors = {"a": torch.tensor(a, requires_grad=True), "b": torch.tensor(b)}
    assert str(ravine.judge(tensors)) == str(ravine.judge({"a": a, "b": b}))
    table = {"method": list("aabb"), "seed": ["²", "-", "²", "-"], "score": [0.1, 0.2, 0.3, 0.5]}
    assert [row["seed"] for row in ravine.judge(table).table()] == [0, 1, 0, 1]


def test_a_run_that_diverged_counts_against_its_method(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    good, lost = rng.random((4, 200)), rng.random((4, 200)) + 0.5
    lost[2] = np.nan
    found = ravine.judge({"good": good, "lost": lost})
    frame = pd.DataFrame(
        [
            {"method": m, "seed": s, "example": i, "score": score}
            for m, table in (("good", good), ("lost", lost))
            for (s, i), score in np.ndenumerate(table)
        ]
    )
    frame.to_csv(tmp_path / "results.csv", index=False)  # which writes NaN as an empty cell
    assert str(ravine.judge(tmp_path / "results.csv")) == str(found).replace("scores", "results.csv", 1)
    assert not found.verdict.separable
    assert found.verdict.best == "good"
    assert any("1 of 4 seeds diverged" in text for text in found.warnings)
    assert found.table()[-2]["test"] is None


def test_shares_that_are_not_called_so_get_a_hint_where_an_interval_leaves_0_to_1() -> None:
    scores = {"a": [0.99, 0.97, 1.0], "b": [0.5, 0.52, 0.51]}

    def hinted(**options: Any) -> bool:
        return any("All scores lie from 0 to 1" in text for text in ravine.judge(**options).warnings)

    assert hinted(scores=scores)
    assert not hinted(scores=scores, metric="accuracy")
    assert not hinted(scores=scores, metric="my score")
    assert not hinted(scores={"a": [0.51, 0.52, 0.5], "b": scores["b"]})
    assert not hinted(scores={"a": [1.01, 0.97, 1.0], "b": scores["b"]})
    sets = dict.fromkeys(("d", "e", "f"), scores)
    assert not hinted(scores=sets, datasets=True, metric="F1")


def test_one_number_alone_has_no_interval(tmp_path: Path) -> None:
    found = ravine.judge({"a": [0.5], "b": [0.1, 0.2]})
    assert [rule.ci is None for rule in found.verdict.rules] == [True, False]
    assert found.verdict.sentences[0] == "a reaches a test score of 0.5; b reaches 0.15."
    assert found.json()["methods"][0]["ci"] == [None, None]
    assert found.report(tmp_path / "page.html").stat().st_size > 10_000


def test_a_run_that_diverged_changes_nothing_of_another_methods_interval() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.random((3, 200)) < 0.97, (rng.random((3, 200)) < 0.9).astype(float)
    whole = ravine.judge({"a": a, "b": b})
    b[1] = np.nan
    lost = ravine.judge({"a": a, "b": b})
    assert lost.verdict.measure == whole.verdict.measure == ACCURACY_OF_ROWS
    assert lost.verdict.rules[0].ci == whole.verdict.rules[0].ci
    nothing = np.full((3, 200), np.nan)
    assert ravine.judge({"a": nothing, "b": nothing}).verdict.best is None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda frame: frame.drop(columns="score"), "no column 'score'"),
        (
            lambda frame: frame.rename(columns={"score": "accuracy"}),
            ": there is no column 'score'; method, seed and score are needed; not used: accuracy$",
        ),
        (
            lambda frame: frame.drop(columns=["seed", "example"]).assign(dataset=frame["example"]),
            "second time; several runs of a method need a column 'seed', and scores",
        ),
        (lambda frame: frame.assign(split="tset"), "did you mean 'test'"),
        (lambda frame: pd.concat([frame, frame.iloc[:1]]), "test example 'e0' for the second time$"),
        (lambda frame: frame.iloc[1:], "lacks test example 'e0'"),
        (lambda frame: frame.drop(columns="example"), "second time; scores of .* need a column 'example'"),
        (lambda frame: frame.assign(score="good"), "score is 'good'"),
        (lambda frame: frame[frame.split == "test"], "has 2 configs and no validation scores"),
        (lambda frame: frame[(frame.split == "test") | (frame.seed < 2)], "has no validation rows"),
        (lambda frame: frame[frame.seed < 0], "no rows"),
        (lambda frame: frame.assign(method=["", *frame.method[1:]]), "'method' is empty"),
    ],
)
def test_a_table_that_cannot_be_judged_is_refused_in_one_line(change, text: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    test, validation = scored(np.random.default_rng(7), 5, 4)
    frame = change(pd.DataFrame(as_rows(test, validation)))
    for given in (frame, tmp_path / "results.csv"):
        frame.to_csv(tmp_path / "results.csv", index=False)
        with pytest.raises(InputError, match=text) as refused:
            ravine.judge(given)
        assert "\n" not in str(refused.value)


def test_scores_that_are_nearly_0_are_judged_as_their_unit_has_it() -> None:
    """Squares of such numbers are 0, which nothing may be divided by."""
    rng = np.random.default_rng(8)
    scores = {"a": rng.normal(0.8, 0.02, 6), "b": rng.normal(0.9, 0.02, 6)}
    assert ravine.judge(scores).verdict.best == "b"
    assert ravine.judge({name: 1e-300 * each for name, each in scores.items()}).verdict.best == "b"


@pytest.mark.parametrize(
    ("given", "options", "text"),
    [
        ({}, {}, "no method"),
        ({"a": [[[1.0]]]}, {}, r"shape \(1, 1, 1\)"),
        ({"a": ["x"]}, {}, "array of numbers"),
        ({"a": [1j]}, {}, "array of numbers"),
        (
            {"a": [[0.1], [0.2]], "b": [[0.1], [2e300]]},
            {},
            "method 'b', seed 1 has 2e.300; allowed: numbers from",
        ),
        ({"a": [0.1, 0.2], "b": [[0.1, 0.2]]}, {}, "one set of examples"),
        ({"a": [93.1, 92.0]}, {"metric": "accuracy"}, "93.1 is out of range"),
        ({"a": [0.1]}, {"metric": "accuracy", "lower_is_better": True}, "another name"),
        ({"a": [0.1]}, {"validation": {"b": [0.1]}}, "method 'a' is missing"),
        ({"a": [0.1, 0.2]}, {"validation": {"a": [0.1]}}, "has 1 seeds, and 2"),
        ({"a": [0.1, 0.2]}, {"alpha": 0.7}, "alpha"),
        ({"a": [0.1, 0.2]}, {"alpha": "0.1"}, "alpha"),
        ({"a": [0.1, 0.2]}, {"validation": [0.1]}, "validation: a list"),
        ({"a": [0.1, 0.2]}, {"metric": ""}, "metric"),
        (3, {}, "a int cannot be read"),
        ("nowhere.csv", {}, "nowhere.csv: cannot be read"),
    ],
)
def test_arrays_that_cannot_be_judged_are_refused_in_one_line(
    given: object, options: dict[str, object], text: str
) -> None:
    with pytest.raises(InputError, match=text) as refused:
        ravine.judge(given, **options)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


def test_the_verb_prints_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "results.csv"
    file.write_text(
        "method,seed,score,note\na,0,0.90,x\na,1,0.91,\na,2,0.92,\nb,0,0.5,\nb,1,0.51,\nb,2,0.52,\n"
    )
    assert main(["judge", str(file), "--metric", "accuracy"]) == 0
    shown = capsys.readouterr().out
    assert "a reaches 91.0 % test accuracy" in shown
    assert "They are separable with 3 seeds" in shown
    assert main(["judge", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["best"] == "a"
    assert found["separable"] is True
    assert len(found["table"]) == 6
    file.write_text("method,seed\na,0\n")
    assert main(["judge", str(file)]) == 2
    assert "no column 'score'" in capsys.readouterr().err


def test_two_single_scores_have_no_interval(tmp_path: Path) -> None:
    """Nothing is known of how far off they are; of two seeds each something is."""
    found = ravine.judge({"a": [0.9], "b": [0.5]})
    (pair,) = found.verdict.pairs
    assert pair.ci is None
    assert found.json()["pairs"][0]["ci"] == [None, None]
    page = found.report(tmp_path / "page.html").read_text()
    cells = [row for row in page.split("<tr>") if row.startswith("<td>a</td><td>b</td>")]
    assert cells
    assert all('>–</td><td class="n">1</td>' in row for row in cells)
    (pair,) = ravine.judge({"a": [0.9, 0.8], "b": [0.5, 0.6]}).verdict.pairs
    assert pair.ci is not None
    right = np.random.default_rng(0).random((2, 1, 50)) > 0.5
    (pair,) = ravine.judge({"a": right[0], "b": right[1]}).verdict.pairs
    assert pair.ci is not None
