"""Staged studies: stage two follows from stage one's validation, and resumes, extends and is judged like any study."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ravine
from ravine.launch.launch import launch
from ravine.launch.progress import Planned, Trained
from ravine.outcomes import Results
from ravine.outcomes.stages import stage_words
from ravine.report import page
from ravine.store import Store
from ravine.study import Study, definition_of, parse_definition

RULES = [{"kind": "momentum", "lr": [0.01, 0.1]}, {"kind": "adam", "lr": [0.001, 0.01]}]
DECAYS = ["cosine", {"kind": "linear", "warmup": 2}]


def study_of(**changes: object) -> Study:
    given = {
        "name": "s", "data": "iris", "model": {"kind": "mlp", "hidden": [8]}, "steps": 40, "batch_size": 16,
        "seeds": 2, "rules": RULES, "schedule": DECAYS, "tune": "staged",
    } | changes  # fmt: skip
    return Study(**given)


def run(study: Study, store: Path) -> Results:
    return ravine.run(study, store=store, quiet=True)


def of_stage(results: Results, number: str) -> list:
    return [each for each in results.runs if each.hypers["stage"] == number]


def best_lrs(results: Results, metric: str = "validation_accuracy", sign: float = 1.0) -> dict[str, float]:
    """Chosen by hand: the highest mean over seeds, of equals the smaller lr."""
    found = {}
    for rule in results.rules:
        by_lr: dict[float, list[float]] = {}
        for each in of_stage(results, "1"):
            if each.rule == rule:
                by_lr.setdefault(each.hypers["lr"], []).append(sign * each.metrics[metric])
        found[rule] = min(by_lr, key=lambda lr: (-np.mean(by_lr[lr]).round(6), lr))
    return found


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run(study_of(), tmp_path_factory.mktemp("staged"))


def test_stage_two_is_the_best_of_stage_one_with_every_decay(done: Results) -> None:
    assert len(done.runs) == study_of().num_runs == (2 + 2 + 2 * 2) * 2
    first, second = of_stage(done, "1"), of_stage(done, "2")
    assert {each.hypers["schedule"] for each in first} == {"constant"}
    best = best_lrs(done)
    assert sorted(
        (each.rule, each.hypers["lr"], each.hypers["schedule"], each.seed) for each in second
    ) == sorted(
        (rule, lr, schedule, seed)
        for rule, lr in best.items()
        for schedule in ("cosine", "linear, warm-up 2 steps")
        for seed in (0, 1)
    )
    assert all(each.status == "done" for each in done.runs)


def test_regression_is_decided_by_the_loss(tmp_path: Path) -> None:
    results = run(study_of(data="diabetes"), tmp_path)
    expected = best_lrs(results, "validation_loss", -1.0)
    assert {each.rule: each.hypers["lr"] for each in of_stage(results, "2")} == expected
    row = results.stages[0]
    assert row.gain == pytest.approx(row.constant - row.decayed)


def test_a_stage_two_run_is_the_run_of_a_joint_study(done: Results, tmp_path: Path) -> None:
    joint = run(study_of(tune="joint"), tmp_path)
    known = {each.id: each.metrics for each in joint.runs}
    second = of_stage(done, "2")
    assert {each.id for each in second} <= set(known)
    assert all(each.metrics == known[each.id] for each in second)


def test_the_verdict_counts_equal_budgets_and_curves_of_stage_one(done: Results) -> None:
    assert {each.num_configs for each in done.verdict.rules} == {2 + 2}
    assert done.verdict.num_configs == 4
    assert all(curve.k == (1, 2) for curve in done.verdict.budget)
    assert not any("Unequal" in warning for warning in done.warnings)


def test_terminal_report_and_json_have_both_stages(done: Results) -> None:
    rows = done.json()["stages"]
    assert [row["rule"] for row in rows] == ["momentum", "adam"]
    for row in rows:
        runs = [each for each in done.runs if each.rule == row["rule"] and each.hypers["lr"] == row["lr"]]
        score = {(each.hypers["schedule"], each.seed): each.metrics["validation_accuracy"] for each in runs}
        gains = [score[row["schedule"], seed] - score["constant", seed] for seed in (0, 1)]
        assert row["gain"] == pytest.approx(np.mean(gains), abs=1e-7)
        assert (row["low"], row["high"]) == (pytest.approx(min(gains)), pytest.approx(max(gains)))
        assert (
            row["decayed"]
            >= max(
                np.mean([score[schedule, seed] for seed in (0, 1)])
                for schedule in ("cosine", "linear, warm-up 2 steps")
            )
            - 1e-7
        )
    html = page.report(done).decode()
    assert "What decay gained" in html
    assert all(f"{row['rule']}: stage 1 chose lr {row['lr']:.4g}" in html for row in rows)
    assert "Only configs of stage 1 count" in html
    for words, row in zip(stage_words(done.stages, done.validated), rows, strict=True):
        told = f"{'gains' if row['gain'] >= 0 else 'loses'} {100 * abs(row['gain']):.2g} points"
        assert told in words


def events_of(study: Study, store: Store) -> list:
    return list(launch(study, store, definition=definition_of(study)))


@pytest.mark.slow
def test_again_and_extended_only_what_is_new_is_trained(tmp_path: Path) -> None:
    def trained(study: Study) -> int:
        with Store(tmp_path) as store:
            (end,) = (each for each in events_of(study, store) if isinstance(each, Trained))
            return end.num_trained

    assert trained(study_of()) == 16
    assert trained(study_of()) == 0
    assert trained(study_of(schedule=["constant", *DECAYS, "exponential"])) == 2 * 2
    more = study_of(seeds=3)
    before = best_lrs(run(study_of(), tmp_path))
    count = trained(more)
    after = best_lrs(run(more, tmp_path))
    # a third seed of each config; where it changed a choice, all of that rule's second stage is new
    fresh = sum(3 if before[rule] != after[rule] else 1 for rule in after) * 2
    assert count == 4 + fresh
    assert {each.rule: each.hypers["lr"] for each in of_stage(run(more, tmp_path), "2")} == after


@pytest.mark.parametrize("stage", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_stopped_in_either_stage_it_goes_on_to_the_same_numbers(stage: int, tmp_path: Path) -> None:
    study = study_of(evaluations=40)
    with Store(tmp_path / "stopped") as store:
        planned = 0
        with closing(launch(study, store, definition=definition_of(study))) as events:
            for event in events:
                planned += isinstance(event, Planned)
                if planned == stage and not isinstance(event, Planned):
                    break
        left = [each for each in store.runs("s") if each.status not in ("done", "diverged")]
        assert len(left) == {1: 8, 2: 8}[stage]
        assert isinstance(events_of(study, store)[-1], Trained)
    one, other = run(study, tmp_path / "stopped"), run(study, tmp_path / "whole")
    assert [(each.id, each.hypers, each.metrics) for each in one.runs] == [
        (each.id, each.hypers, each.metrics) for each in other.runs
    ]
    assert one.verdict.sentences == other.verdict.sentences


def test_a_rule_of_which_nothing_survives_has_no_second_stage(tmp_path: Path) -> None:
    wild = [{"kind": "sgd", "lr": [1e30, 1e31]}, RULES[1]]
    results = run(study_of(rules=wild), tmp_path)
    assert {each.rule for each in of_stage(results, "2")} == {"adam"}
    assert [row.rule for row in results.stages] == ["adam"]
    assert any("sgd: every run diverged" in warning for warning in results.warnings)


def test_the_text_of_a_staged_study_is_read_again() -> None:
    study = study_of()
    again = parse_definition(definition_of(study), "x")
    assert (again.tune, again.schedule) == ("staged", study.schedule)
    assert replace(study, tune="joint").decays == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tune": "stagd"}, "tune = 'stagd': did you mean 'staged'? Allowed: joint, regularize, staged"),
        ({"schedule": "constant"}, 'schedule: tune = "staged" needs a schedule besides "constant"'),
        (
            {"rules": [RULES[0], {"kind": "adam", "lr": 0.1}]},
            'rules: tune = "staged" needs the same number of configs for each rule, so that all are tuned equally: '
            "'momentum' has 2, 'adam' has 1",
        ),
        ({"schedule": ["cosine", {"kind": "linear", "warmup": 40}]}, "schedule.1.warmup = 40: must be fewer"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ravine.StudyError) as raised:
        run(study_of(**changes), tmp_path)
    assert str(raised.value).startswith(message)
