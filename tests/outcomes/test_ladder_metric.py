"""A ladder by other metrics than accuracy: what each part chooses and what arms reach, recomputed by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk

import ravine
from ravine.data.arrays import from_arrays
from ravine.data.parts import PartOf, part_of
from ravine.ensembles.choice import choose
from ravine.metrics import METRICS, metric_named, parts_of
from ravine.report import figures, page
from ravine.verdict import ACCURACY, Outcome, Reading, arm_results, crossover, gaps_of, measure_by
from ravine.verdict.draws import errors_of, tables_of

RUNGS, DRAWS = (2, 10, 20), 3


def _data() -> ravine.data.Dataset:
    """Three classes, unlike in size where they are tested."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [200, 120, 60])
    x = rng.standard_normal((len(y), 6)).astype(np.float32)
    x[:, 0] += 1.2 * (y == 1)
    x[:, 1] += 1.2 * (y == 2)
    order = rng.permutation(len(y))
    train, test = order[:230], order[230:]
    return from_arrays(x[train], y[train], x_test=x[test], y_test=y[test])


def balance(p: np.ndarray, y: np.ndarray) -> float:
    return float(sk.balanced_accuracy_score(y, p.argmax(axis=1)))


def _study(metric: object, name: str = "few") -> ravine.Study:
    return ravine.Study(
        name=name,
        data=_data(),
        model={"kind": "mlp", "hidden": []},
        steps=15,
        seeds=2,
        rules=[{"kind": "sgd", "lr": [0.003, 0.03, 0.3]}],
        variants=[{"label": "line"}, {"label": "bent", "model": {"hidden": [4]}}],
        ladder={"per_class": list(RUNGS), "draws": DRAWS, "default": {"lr": 0.03}},
        metric=metric,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ladder") / "runs"
    ravine.run(_study("f1_macro"), store=folder, backend="fused", quiet=True)
    return folder


def _probabilities(logits: np.ndarray) -> np.ndarray:
    z = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


BY_HAND: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "f1_macro": lambda y, z: sk.f1_score(y, z.argmax(axis=1), average="macro"),
    "roc_auc": lambda y, z: sk.roc_auc_score(y, _probabilities(z), multi_class="ovr"),
    "log_loss": lambda y, z: -sk.log_loss(y, _probabilities(z)),
    "own": lambda y, z: sk.balanced_accuracy_score(y, z.argmax(axis=1)),
}


@pytest.mark.parametrize("name", list(BY_HAND))
def test_each_part_chooses_by_it_and_arms_reach_what_it_says(store: Path, name: str) -> None:
    results = ravine.results("few", store=store, metric=balance if name == "own" else name)
    ladder, data, by_hand = results.ladder, _data(), BY_HAND[name]
    assert ladder is not None
    sign = -1.0 if ladder.measure.loss else 1.0
    assert len(ladder.chosen) == 2 * len(RUNGS) * DRAWS
    by_rung: dict[tuple[str, int], list[float]] = {}
    for each in ladder.chosen:
        answers = part_of(data, each.part).validation.y
        own = [r for r in results.runs if r.rule == each.arm and r.recipe["part"] == each.part.content()]
        stored = {run.id: results.source.tensors("predictions", run.id) for run in own}
        values = {run.id: by_hand(answers, stored[run.id]["validation"]) for run in own}
        for run in own:
            assert run.metrics[results.score_metric] == pytest.approx(sign * values[run.id], abs=1e-6)
        means = {
            config: float(np.mean([values[run.id] for run in own if run.config == config]))
            for config in {run.config for run in own}
        }
        assert len(means) == (3 if each.part.tuned else 1)
        assert means[each.config] == pytest.approx(max(means.values()), abs=1e-9)
        tests = [stored[run.id]["test"] for run in own if run.config == each.config]
        test = float(np.mean([by_hand(data.test.y, z) for z in tests]))
        assert each.test == pytest.approx(test, abs=1e-6)
        assert each.accuracy == pytest.approx(
            np.mean([(z.argmax(axis=1) == data.test.y).mean() for z in tests])
        )
        by_rung.setdefault((each.arm, each.part.per_class), []).append(test)
    for rung in ladder.rungs:
        assert rung.mean == pytest.approx(np.mean(by_rung[rung.arm, rung.per_class]), abs=1e-6)
        assert rung.low <= rung.mean <= rung.high
    (pair,) = ladder.pairs
    for rung in pair.rungs:
        first, second = (np.mean(by_rung[arm, rung.per_class]) for arm in (pair.first, pair.second))
        assert rung.mean == pytest.approx(first - second, abs=1e-6)


def test_a_run_of_a_part_is_compared_with_the_best_of_that_part(store: Path) -> None:
    """Runs of other parts have other validation examples, by which no metric of these can be computed."""
    results = ravine.results("few", store=store)
    part = PartOf(per_class=20, draw=1)
    own = [run for run in results.runs if run.recipe["part"] == part.content()]
    answers, values = part_of(_data(), part).validation.y, {}
    for run in own:
        logits = results.source.tensors("predictions", run.id)["validation"]
        values.setdefault(run.config, []).append(BY_HAND["f1_macro"](answers, logits))
    best = max(values, key=lambda config: np.mean(values[config]))
    found = choose(results.source, "few", members=[own[0].id], metric=metric_named("f1_macro"))
    assert {run.config for run in found.best} == {best}
    assert len(found.labels.validation) == len(answers)


def test_another_metric_chooses_otherwise_and_trains_nothing(store: Path) -> None:
    asked = {
        name: ravine.results("few", store=store, metric=name) for name in ("accuracy", "f1_macro", "log_loss")
    }
    assert len({tuple(run.seconds for run in each.runs) for each in asked.values()}) == 1
    chosen = {name: [each.config for each in found.ladder.chosen] for name, found in asked.items()}
    assert chosen["log_loss"] != chosen["accuracy"]
    plain = ravine.run(_study(None, "plain"), store=store, backend="fused", quiet=True)
    assert plain.ladder.json() == asked["accuracy"].ladder.json()


def test_words_tables_figures_and_json_name_it(store: Path) -> None:
    f1, losses = (ravine.results("few", store=store, metric=each) for each in ("f1_macro", "log_loss"))
    assert f1.verdict.sentences[-1].endswith(" on the test data by macro F1.")
    assert " reaches 0." in losses.verdict.sentences[-1]
    assert losses.verdict.sentences[-1].endswith(" on the test data by log loss.")
    found = json.loads(json.dumps(losses.json()["ladder"]))
    assert all(
        0.0 < each["log_loss"] < 3.0 and each["interval"][0] <= each["interval"][1] for each in found["rungs"]
    )
    assert {"val_log_loss", "test_log_loss", "test_accuracy"} <= set(found["chosen"][-1])
    for results, axis, words in (
        (f1, "Test macro F1 (%)", "in percentage points"),
        (losses, "Test log loss", "first one"),
    ):
        panels = figures.figure(results, "ladder").views[0].panels
        assert axis in str(panels[0]["layout"])
        assert words in page.report(results).decode()
    drawn = next(
        each
        for each in figures.figure(losses, "ladder").views[0].panels[0]["data"]
        if each["mode"] != "markers"
    )
    assert all(value is None or value > 0.0 for value in drawn["y"])
    middle = [each for each in losses.ladder.rungs if each.arm == losses.ladder.arms[0]]
    assert all(each.mean < 0.0 for each in middle)


def test_gaps_are_of_accuracy_whatever_the_metric(store: Path) -> None:
    """What networks reach on what they learned from is stored as accuracy and loss alone."""
    ladder = ravine.results("few", store=store, metric="roc_auc").ladder
    for gap in ladder.gaps:
        own = [each for each in ladder.chosen if (each.arm, each.part.per_class) == (gap.arm, gap.per_class)]
        assert gap.mean == pytest.approx(np.mean([each.training - each.accuracy for each in own]))


def _readings(
    rng: np.random.Generator, arms: tuple[str, ...], answers: np.ndarray, name: str
) -> list[Reading]:
    """Arms that are equal: scores of two classes, with luck of a draw that arms do not share."""
    metric = metric_named(name)
    found = []
    for arm in arms:
        for draw in range(4):
            lift = 1.0 + 0.2 * rng.standard_normal()
            for n in (5, 20, 80):
                for seed in range(2):
                    z = np.stack(
                        [
                            np.zeros(len(answers)),
                            lift * (2 * answers - 1) + 1.5 * rng.standard_normal(len(answers)),
                        ],
                        1,
                    )
                    (scores,) = parts_of(metric, "classification", [z], answers)
                    found.append(Reading(arm=arm, per_class=n, draw=draw, seed=seed, scores=scores))
    return found


@pytest.mark.parametrize("name", ["f1", pytest.param("roc_auc", marks=pytest.mark.slow)])
def test_the_error_is_that_of_influence_values(name: str) -> None:
    """Of draws that all saw the same: the spread over test examples is the bootstrap's of the difference."""
    rng = np.random.default_rng(1)
    answers = (rng.random(300) < 0.3).astype(np.int64)
    z = [np.stack([np.zeros(300), lift * answers + rng.standard_normal(300)], 1) for lift in (1.5, 1.2)]
    both = parts_of(METRICS[name], "classification", z, answers)
    readings = [
        Reading(arm=arm, per_class=n, draw=draw, seed=0, scores=scores)
        for arm, scores in zip("ab", both, strict=True)
        for n in (5, 20)
        for draw in range(3)
    ]
    error = errors_of(
        {n: np.stack(list(t.values())) for n, t in tables_of(readings, "a", "b").items()}, {}, binary=False
    )[5]
    value = {"f1": lambda y, s: sk.f1_score(y, s > 0), "roc_auc": sk.roc_auc_score}[name]
    drawn = []
    for _ in range(600):
        rows = rng.integers(0, 300, 300)
        if 0 < answers[rows].sum() < 300:
            drawn.append(value(answers[rows], z[0][rows, 1]) - value(answers[rows], z[1][rows, 1]))
    assert error.example == pytest.approx(
        np.std(drawn), rel=0.15
    )  # 600 draws know it to 3 %; two examples are added


@pytest.mark.slow
@pytest.mark.parametrize("name", ["f1", "roc_auc"])
def test_equal_arms_are_rarely_told_apart(name: str) -> None:
    """At most 16 of 200 where 5 % would be 10: 16 is the 97.5 % quantile."""
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(200):
        answers = (rng.random(200) < 0.3).astype(np.int64)
        measure = measure_by(METRICS[name], METRICS[name].formulas["classification"].heaviest(answers, 2))
        found = crossover(_readings(rng, ("a", "b"), answers, name), "a", "b", measure=measure)
        wrong += found.outcome is not Outcome.NONE
    assert wrong <= 16


def test_accuracy_is_as_ever_and_an_unbounded_metric_has_no_bounds() -> None:
    rng = np.random.default_rng(3)
    readings = [
        Reading(arm=arm, per_class=5, draw=0, seed=seed, scores=-rng.random(50) * 9.0)
        for arm in "ab"
        for seed in (0, 1)
    ]
    cost = measure_by(metric_named("log_loss"))
    (rung,) = crossover(readings, "a", "b", measure=cost).rungs
    assert (rung.low, rung.high) == (-np.inf, np.inf)  # one draw says nothing of others
    bits = [
        Reading(arm="a", per_class=5, draw=d, seed=0, scores=(rng.random(50) < 0.9) * 1.0) for d in (0, 1)
    ]
    assert arm_results(bits) == arm_results(bits, measure=ACCURACY)
    assert gaps_of(bits, {}) == ()
    assert PartOf(per_class=5, draw=0).tuned
