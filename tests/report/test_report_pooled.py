"""The section "One predictor out of many runs": its numbers against sums written out, and when it is there."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from report_studies import Make, fill

from ravine.ensembles.pooling import log_softmax
from ravine.outcomes.results import Results
from ravine.report import page, pooled
from ravine.report.draw_cost import ALONE, AVERAGES, CONFIGS, GREEDY, SEEDS, offers
from ravine.report.draw_coverage import AGREEMENT, coverage_of
from ravine.report.draw_disagreement import matrices
from ravine.report.draw_gain import gain_numbers
from ravine.report.draw_reliability import AFTER, BEFORE, reliability_of
from ravine.report.figures import POOLED, figure, figures
from ravine.report.pooled import Members, members_of
from ravine.store import Store

TITLE = "One predictor out of many runs"


@pytest.fixture(scope="module")
def members(six: Results) -> Members:
    found = members_of(six)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def values(regression: Results) -> Members:
    found = members_of(regression)
    assert found is not None
    return found


def test_members_are_the_winners_seeds_and_the_best_run_of_each_better_config(
    six: Results, members: Members
) -> None:
    done = [run for run in six.runs if run.status == "done"]
    configs = {run.config: [other for other in six.runs if other.config == run.config] for run in done}
    whole = {config: seeds for config, seeds in configs.items() if all(run.status == "done" for run in seeds)}
    means = {
        config: np.mean([run.metrics["validation_accuracy"] for run in seeds])
        for config, seeds in whole.items()
    }
    winner = max(means, key=lambda config: (means[config], -configs[config][0].hypers["lr"]))
    assert [each.run for each in members.seeds] == [run.id for run in configs[winner]]
    accuracies = {run.id: run.metrics["validation_accuracy"] for run in configs[winner]}
    assert accuracies[members.best.run] == max(accuracies.values())
    losses = sorted(
        min(run.metrics.get("validation_loss", np.inf) for run in seeds) for seeds in configs.values()
    )
    by_id = {run.id: run.metrics["validation_loss"] for run in done}
    assert [by_id[each.run] for each in members.configs] == losses[: -(-len(configs) // 2)]


def test_gain_is_the_mean_over_all_subsets_and_best_is_the_best_seed(members: Members) -> None:
    found = gain_numbers(members)
    p = [np.exp(log_softmax(each)) for each in members.of(members.seeds)]
    places = np.arange(len(members.answers))
    for size, each in enumerate(found.curve, 1):
        pools = [np.mean(some, axis=0) for some in itertools.combinations(p, size)]
        nll = np.mean([-np.log(pool[places, members.answers]) for pool in pools])
        right = np.mean([pool.argmax(axis=1) == members.answers for pool in pools])
        assert each.scores["nll"].value == pytest.approx(nll, rel=1e-9)
        assert each.scores["accuracy"].value == pytest.approx(right, rel=1e-9)
    own = p[members.seeds.index(members.best)]
    assert found.best["accuracy"] == pytest.approx((own.argmax(axis=1) == members.answers).mean())
    for score, sign in (("nll", -1), ("accuracy", 1)):
        gained, first, last = found.gained[score], found.curve[0].scores[score], found.curve[-1].scores[score]
        assert gained.gain == pytest.approx(sign * (last.value - first.value))
        assert gained.low < gained.gain < gained.high


def test_gain_of_a_regression_ends_at_the_squared_error_of_the_mean(values: Members) -> None:
    found = gain_numbers(values)
    mean = np.mean(values.of(values.seeds), axis=0)
    assert found.curve[-1].scores["mse"].value == pytest.approx(np.square(mean - values.answers).mean())
    assert found.forecast is not None
    assert found.forecast.limit.value < found.curve[-1].scores["mse"].value


def test_disagreement_counts_other_classes_and_groups_by_rule(six: Results, members: Members) -> None:
    configs, seeds = matrices(six, members)
    rules = [each.rule for each in configs.members]
    assert [rule for rule, _ in itertools.groupby(rules)] == [rule for rule in six.rules if rule in rules]
    classes = [each.argmax(axis=1) for each in members.of(configs.members)]
    assert configs.apart[0, 3] == pytest.approx((classes[0] != classes[3]).mean())
    within = [
        (a != b).mean()
        for (i, a), (j, b) in itertools.combinations(enumerate(classes), 2)
        if rules[i] == rules[j]
    ]
    assert configs.mean(same_rule=True) == pytest.approx(np.mean(within))
    assert [each.seed for each in seeds.members] == [0, 1, 2]
    assert np.isnan(seeds.mean(same_rule=False))


def test_reliability_and_coverage_are_of_the_seeds_together(members: Members) -> None:
    found = reliability_of(members)
    p = np.mean([np.exp(log_softmax(each)) for each in members.of(members.seeds)], axis=0)
    right = p.argmax(axis=1) == members.answers
    bins = found.bins[BEFORE]
    assert sum(each.examples * each.accuracy for each in bins) == pytest.approx(right.sum())
    assert sum(each.examples * each.confidence for each in bins) == pytest.approx(p.max(axis=1).sum())
    assert (found.temperature == 1.0) == (AFTER not in found.bins)
    covered = coverage_of(members)
    assert covered.whole == pytest.approx(gain_numbers(members).curve[-1].scores["accuracy"].value)
    assert sum(each.here.examples for each in covered.levels[AGREEMENT]) == len(members.answers)


def test_cost_has_what_runs_can_be_made_into(six: Results, members: Members, values: Members) -> None:
    found = offers(six, members)
    seeds = [each for each in found if each.kind == SEEDS]
    assert [each.passes for each in seeds] == [1, 2, 3]
    assert [each.passes for each in found if each.kind == CONFIGS] == [1, 2, 3, 5, 7, 10]
    assert [each.passes for each in found if each.kind == GREEDY] == [2, 3, 5, 7, 10]
    assert [each.name for each in found if each.passes == 2] == [
        "2 seeds of the winner",
        "the 2 best configs",
        "2 runs chosen greedily",
    ]
    assert len([each for each in found if each.kind == ALONE]) == len(members.configs)
    assert not [each for each in found if each.kind == AVERAGES]
    assert set(seeds[0].scores) == {"nll", "accuracy"}


def test_one_run_as_long_as_all_seeds_is_a_line_where_the_store_has_one(tmp_path: Path) -> None:
    with Store(tmp_path / "runs") as store:
        fill(store, name="pool", rules=("sgd", "adam"), lrs=(1e-3, 1e-2), num_steps=100)
        results = Results.load(store, "pool")
        found = members_of(results)
        assert found is not None
        assert found.longer == {}
        assert "`ravine ensemble pool --rival` trains" in figure(results, "gain").caption
        for name in ("pool-rival-3", "pools-rival-3"):
            fill(store, name=name, rules=(found.best.rule,), lrs=(float(found.best.hypers["lr"]),), seeds=2)
        drawn = figure(results, "gain")
        assert [chip.key for chip in drawn.views[0].chips] == ["seeds", "best", "rival"]
        p = [
            np.exp(log_softmax(store.tensors("predictions", run.id)["validation"]))
            for run in store.runs("pool-rival-3")
        ]
        nll = np.mean([-np.log(each[np.arange(len(each)), found.answers]) for each in p])
        line = next(t for t in drawn.views[0].panels[0]["data"] if t["legendgroup"] == "rival")
        assert (line["x"], line["y"]) == ([1, 3, 3], pytest.approx([nll] * 3, rel=1e-4))
        assert f"{nll:.4g} for one run 3 times as long" in figure(results, "cost").lead


@pytest.mark.parametrize("name", POOLED)
def test_each_figure_has_its_command_and_says_what_is_seen(six: Results, name: str) -> None:
    drawn = figure(six, name)
    json.dumps(drawn.json(), allow_nan=False)
    assert drawn.command.endswith(f"--figure {name}")
    assert drawn.lead.endswith(".")
    assert drawn.table is not None
    assert all(len(row) == len(drawn.table.columns) for row in drawn.table.rows)
    html = page.figure(six, name).decode()
    assert f'id="figure-{name}"' in html
    assert 'class="seen"' in html
    assert '<details class="numbers">' in html


def test_the_section_is_in_the_report_of_studies_with_several_seeds_only(
    six: Results, regression: Results, lost: Results, make: Make
) -> None:
    assert TITLE in page.report(six).decode()
    own = [each.name for each in figures(regression) if each.group is not None]
    assert own == [name for name in POOLED if name != "reliability"]
    assert figure(regression, "reliability").caption.startswith("Nothing to draw: the target is a number")
    single = make(rules=("adam", "sgd"), lrs=(1e-3, 1e-2), seeds=1)
    for results in (lost, single):
        assert TITLE not in page.report(results).decode()
        assert all(figure(results, name).caption.startswith("Nothing to draw") for name in POOLED)


def test_one_config_and_very_many_examples(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    results = make(rules=("adam",), lrs=(1e-3,), seeds=2)
    assert [each.name for each in figures(results) if each.group] == list(POOLED)
    found = members_of(results)
    assert found is not None
    assert [each.title for each in matrices(results, found)] == ["2 seeds of the winner"]
    assert {each.kind for each in offers(results, found)} == {SEEDS, ALONE}
    monkeypatch.setattr(pooled, "_MOST_EXAMPLES", 100)
    some = members_of(results)
    assert some is not None
    assert len(some.answers) == 100
    assert "100 of the 270 validation examples" in some.group.about
