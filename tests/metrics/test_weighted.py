"""Metrics with weights of examples: scikit-learn's `sample_weight`, and the spread of a weighted metric."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from by_weight import OF_CLASSES, OF_LABELS, OF_VALUES, Weighted, f1, influences
from given_runs import classes, labels, values
from sklearn import metrics as sk

from ravine.errors import InputError
from ravine.metrics import (
    check_answers,
    heaviest_of,
    metric_named,
    names_of,
    own_metric,
    parts_of,
    values_of,
    weighted,
)
from ravine.verdict.own_interval import mean_interval

TASKS = {"classification": OF_CLASSES, "regression": OF_VALUES, "multilabel": OF_LABELS}


def weights(num: int, seed: int = 3) -> np.ndarray:
    """Some of them 0."""
    rng = np.random.default_rng([seed, num])
    return (rng.gamma(0.5, size=num) * (rng.random(num) > 0.2)).astype(np.float32)


def probabilities(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def mean(each: np.ndarray, w: np.ndarray) -> float:
    return float(np.average(each, weights=w, axis=0).mean())


def brier(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    p = probabilities(z)
    return sk.brier_score_loss(
        y, p[:, 1] if p.shape[1] == 2 else p, sample_weight=w, labels=range(p.shape[1])
    )


def top_2(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    return sk.top_k_accuracy_score(y, z, k=2, sample_weight=w, labels=range(z.shape[1]))


def of_labels(z: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-z.astype(np.float64)))


MORE: dict[str, dict[str, Weighted]] = {
    "classification": {
        "log_loss": lambda z, y, w: sk.log_loss(
            y, probabilities(z), sample_weight=w, labels=range(z.shape[1])
        ),
        "brier": brier,
    },
    "regression": {
        "median_absolute_error": lambda f, y, w: sk.median_absolute_error(y, f, sample_weight=w),
        "pinball_0.9": lambda f, y, w: sk.mean_pinball_loss(y, f, alpha=0.9, sample_weight=w),
    },
    "multilabel": {
        "subset_accuracy": lambda z, y, w: sk.accuracy_score(y, z > 0, sample_weight=w),
        "label_accuracy": lambda z, y, w: mean((z > 0) == (y > 0), w),
        "f1_samples": lambda z, y, w: sk.f1_score(
            y, z > 0, average="samples", sample_weight=w, zero_division=0
        ),
        "log_loss": lambda z, y, w: mean(-np.log(np.where(y > 0, of_labels(z), of_labels(-z))), w),
        "brier": lambda z, y, w: mean(np.square(of_labels(z) - y), w),
    },
}


def check_values(name: str, task: str, metric: Weighted, outputs: np.ndarray, answers: np.ndarray) -> None:
    w, ours = weights(len(answers)), weighted(metric_named(name), task)
    expected = [metric(each, answers, w.astype(np.float64)) for each in outputs]
    found = values_of([ours], task, list(outputs), answers, w)
    np.testing.assert_allclose(found[f"weighted_{name}"], expected, rtol=1e-9)
    parts = parts_of(ours, task, list(outputs), answers, w)
    np.testing.assert_allclose(np.mean(parts, axis=1), expected, rtol=1e-9)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("num_classes", [2, 5])
def test_of_classes_it_is_scikit_learns_number(num_classes: int, ties: bool) -> None:
    given = classes(1, num_classes, ties=ties)
    more = {"f1": f1("binary")} if num_classes == 2 else {"top_2": top_2}
    every = {**OF_CLASSES, **MORE["classification"], **more}
    for name, metric in every.items():
        check_values(name, "classification", metric, *given)


@pytest.mark.parametrize("ties", [False, True])
def test_of_labels_it_is_scikit_learns_number(ties: bool) -> None:
    for name, metric in {**OF_LABELS, **MORE["multilabel"]}.items():
        check_values(name, "multilabel", metric, *labels(1, ties=ties))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("num_targets", [1, 3])
def test_of_numbers_it_is_scikit_learns_number(num_targets: int, ties: bool) -> None:
    for name, metric in {**OF_VALUES, **MORE["regression"]}.items():
        check_values(name, "regression", metric, *values(1, num_targets, ties=ties))


def test_every_metric_has_weights() -> None:
    for task, known in TASKS.items():
        assert set(names_of(task)) <= {*known, *MORE[task], "f1", "ece"}


GIVEN: dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
    "classification": lambda seed, **keys: classes(seed, 3, **keys),
    "regression": lambda seed, **keys: values(seed, 2, **keys),
    "multilabel": lambda seed, **keys: labels(seed, **keys),
}


@pytest.mark.parametrize("task", TASKS)
def test_a_weight_of_2_is_the_example_twice_and_one_of_0_is_no_example(task: str) -> None:
    outputs, answers = GIVEN[task](2, num=120, ties=True)
    counts = np.random.default_rng(0).integers(0, 4, 120)
    rows = np.repeat(np.arange(120), counts)
    names = [name for name in names_of(task) if name not in ("f1", "ece")]
    plain = values_of([metric_named(name) for name in names], task, list(outputs[:, rows]), answers[rows])
    heavy = [weighted(metric_named(name), task) for name in names]
    found = values_of(heavy, task, list(outputs), answers, counts)
    for name in names:
        np.testing.assert_allclose(found[f"weighted_{name}"], plain[name], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("task", TASKS)
def test_equal_weights_are_none(task: str) -> None:
    outputs, answers = GIVEN[task](2)
    same = np.full(len(answers), 7.0)
    for name in names_of(task):
        if name != "f1":
            plain = metric_named(name)
            found = parts_of(weighted(plain, task), task, list(outputs), answers, same)
            wanted = parts_of(plain, task, list(outputs), answers)
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("task", TASKS)
def test_influences_are_the_derivatives_by_a_weight(task: str) -> None:
    outputs, answers = GIVEN[task](3, num=24, runs=1, ties=True)
    w = weights(24)
    for name, metric in TASKS[task].items():
        (parts,) = parts_of(weighted(metric_named(name), task), task, list(outputs), answers, w)
        value = metric(outputs[0], answers, w)
        assert parts - value == pytest.approx(influences(metric, outputs[0], answers, w), abs=3e-5), name


# Bins that move with the examples take some spread out of the calibration error, so its parts say too much; a median's
# error is known from few examples about it.
WIDTHS = {"ece": 0.5, "median_absolute_error": 0.35}


@pytest.mark.parametrize("task", TASKS)
def test_the_spread_is_that_of_the_bootstrap(task: str) -> None:
    """Examples are drawn again with their weights: which of them is heavy is a part of the draw."""
    outputs, answers = GIVEN[task](1, num=500, runs=2)
    w = np.random.default_rng(4).gamma(1.0, size=500) + 0.05
    metrics = [weighted(metric_named(name), task) for name in names_of(task) if name != "f1"]
    rng, drawn = np.random.default_rng(5), []
    for _ in range(200):
        rows = rng.integers(0, 500, 500)
        drawn.append(values_of(metrics, task, list(outputs[:, rows]), answers[rows], w[rows]))
    for metric in metrics:
        parts = np.stack(parts_of(metric, task, list(outputs), answers, w))
        error = parts.std(axis=1) / np.sqrt(500)
        boot = np.std([each[metric.name] for each in drawn], axis=0)
        width = WIDTHS.get(metric.of, 0.2)  # an error of 200 draws is itself known to 5 % (4 sd)
        assert error / boot == pytest.approx(np.ones(2), abs=width), metric.name


def test_a_mean_is_not_its_weighted_scores_alone() -> None:
    num, repeats, rng = 200, 1000, np.random.default_rng(3)
    w, error = rng.gamma(0.7, size=(repeats, num)), rng.normal(size=(repeats, num))
    metric, found, told = weighted(metric_named("mse"), "regression"), [], []
    for e_N, w_N in zip(error, w, strict=True):
        parts = parts_of(metric, "regression", [e_N], np.zeros(num), w_N)[0]
        found.append(float(np.average(e_N**2, weights=w_N)))
        told.append(parts.var(ddof=1) / num)
    assert np.mean(told) == pytest.approx(np.var(found), rel=0.15)
    unlinearized = np.mean(
        [np.var(v_N * e_N**2 / v_N.mean(), ddof=1) / num for e_N, v_N in zip(error, w, strict=True)]
    )
    assert unlinearized > 1.1 * np.var(found)  # w_i s_i / mean(w) alone would say too much


def test_a_score_without_an_end_counts_nothing_where_its_weight_is_0() -> None:
    logits = np.array([[0.0, np.finfo(np.float64).max], [2.0, 0.0], [0.0, 1.0]])
    metric = weighted(metric_named("log_loss"), "classification")
    w, answers = np.array([0.0, 1.0, 3.0]), np.array([0, 0, 0])
    found = values_of([metric], "classification", [logits], answers, w)["weighted_log_loss"]
    expected = np.average(np.log1p(np.exp([-2.0, 1.0])), weights=[1.0, 3.0])
    np.testing.assert_allclose(found, [expected], rtol=1e-12)
    (parts,) = parts_of(metric, "classification", [logits], answers, w)
    assert parts[0] == pytest.approx(expected, rel=1e-12)


def test_a_class_whose_examples_weigh_nothing_is_none() -> None:
    logits, answers = classes(0, 3, num=90)
    w = np.where(answers == 2, 0.0, 1.0)
    logits[:, :, 2] = -9.0
    for name in ("balanced_accuracy", "f1_macro"):
        metric = weighted(metric_named(name), "classification")
        found = values_of([metric], "classification", list(logits), answers, w)[metric.name]
        some = answers != 2
        wanted = values_of([metric_named(name)], "classification", list(logits[:, some]), answers[some])[name]
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
    auc = weighted(metric_named("roc_auc"), "classification")
    with pytest.raises(
        InputError,
        match=r"^metric = 'roc_auc': needs examples of every class, and there is none of 'c' in the test part with a "
        r"weight above 0$",
    ):
        check_answers(auc, "classification", answers, ("a", "b", "c"), "test", weights=w)


def test_a_run_that_is_not_finite_has_none() -> None:
    metric = weighted(metric_named("mse"), "regression")
    found = values_of([metric], "regression", [np.array([np.nan, 1.0])], np.zeros(2), np.ones(2))
    assert np.isnan(found["weighted_mse"]).all()


def test_names() -> None:
    metric = weighted(metric_named("accuracy"), "classification")
    assert (metric.name, metric.title, metric.asked, metric.binary) == (
        "weighted_accuracy",
        "weighted accuracy",
        "accuracy",
        False,
    )
    assert weighted(metric, "classification") is metric
    titles = [metric_named(name).title for name in names_of("classification")]
    assert not {f"weighted {title}" for title in titles} & set(titles)


def test_weights_are_for_weighted_metrics_alone() -> None:
    logits, answers = classes(1, 2)
    w, plain = weights(len(answers)), metric_named("f1")
    both = values_of([plain, weighted(plain, "classification")], "classification", list(logits), answers, w)
    alone = values_of([plain], "classification", list(logits), answers)
    assert both["f1"].tolist() == alone["f1"].tolist()
    assert both["weighted_f1"].tolist() != alone["f1"].tolist()


@pytest.mark.parametrize("name", ["balanced_accuracy", "f1", "f1_macro", "roc_auc"])
def test_what_one_example_weighs(name: str) -> None:
    """By how much one wrong answer beside right ones lowers the metric, times the number of examples, at most."""
    answers = np.repeat([0, 1], [900, 100])
    w = np.where(answers == 1, 4.0, 1.0)
    perfect, lost = 20.0 * np.eye(2)[answers], []
    metric = weighted(metric_named(name), "classification")
    for wrong in (0, 950):
        logits = perfect.copy()
        logits[wrong] = logits[wrong, ::-1] * 2.0
        (value,) = values_of([metric], "classification", [logits], answers, w)[metric.name]
        lost.append(1000 * (1.0 - value))
    assert max(lost) == pytest.approx(heaviest_of(metric, "classification", answers, 2, w), rel=0.05)


def test_examples_of_one_weight_are_as_many_as_kish_counts() -> None:
    w, answers = weights(200), np.arange(200) % 2
    metric = weighted(metric_named("accuracy"), "classification")
    num = 200 / heaviest_of(metric, "classification", answers, 2, w)
    assert num == pytest.approx(np.square(w.sum()) / np.square(w).sum(), rel=1e-6)
    metric = weighted(metric_named("f1"), "classification")
    own = w[answers == 1]
    num = 200 / heaviest_of(metric, "classification", answers, 2, w) / 2.0
    assert num == pytest.approx(np.square(own.sum()) / np.square(own).sum(), rel=1e-6)


@pytest.mark.parametrize("name", ["accuracy", "f1", "roc_auc"])
def test_intervals_cover_where_few_are_wrong_and_weights_differ(name: str) -> None:
    """Nearly all is right: without a limit on what few wrong examples say, 30 to 70 % of the intervals covered."""
    metric, rng = weighted(metric_named(name), "classification"), np.random.default_rng(0)

    def drawn(num: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        y = (rng.random(num) < 0.3).astype(int)
        y[:2] = [0, 1]
        z = np.stack([np.zeros(num), rng.normal(size=num) + 4.0 * y - 2.0], axis=1)
        return z, y, rng.gamma(0.5, size=num)

    z, y, w = drawn(100_000)
    truth = values_of([metric], "classification", [z], y, w)[metric.name][0]
    covered = []
    for _ in range(150):
        z, y, w = drawn(60)
        parts = np.stack(parts_of(metric, "classification", [z], y, w))
        heaviest = heaviest_of(metric, "classification", y, 2, w)
        low, high = mean_interval(parts, 0.05, binary=False, share=True, heaviest=heaviest, best=1.0)
        covered.append(low <= truth <= high)
    assert np.mean(covered) >= 0.93


def test_a_function_of_ones_own_gets_the_weights_it_has_a_parameter_for() -> None:
    found, answers = values(2, num=40, runs=2)
    w = weights(40)

    def rmse(predicted: np.ndarray, right: np.ndarray, weights: np.ndarray) -> float:
        return float(np.sqrt(np.average((predicted - right) ** 2, weights=weights)))

    own = weighted(own_metric("rmse", rmse, lower=True), "regression")
    known = weighted(metric_named("rmse"), "regression")
    values_ = values_of([own], "regression", list(found), answers, w)[own.name]
    np.testing.assert_allclose(
        values_, values_of([known], "regression", list(found), answers, w)["weighted_rmse"]
    )
    (mine, _), (exact, _) = (parts_of(each, "regression", list(found), answers, w) for each in (own, known))
    assert mine.mean() == pytest.approx(exact.mean(), abs=1e-12)
    assert np.corrcoef(mine, exact)[0, 1] > 0.99  # each example is left out by itself
    assert mine.std() == pytest.approx(exact.std(), rel=0.25)  # of 40 examples, some of them heavy
    plain = values_of([own_metric("r", rmse, lower=True)], "regression", list(found), answers)["r"]
    np.testing.assert_allclose(
        plain, values_of([metric_named("rmse")], "regression", list(found), answers)["rmse"]
    )


def test_a_function_of_ones_own_that_returns_a_number_for_each_example_is_a_weighted_mean() -> None:
    found, answers = values(2)
    w = weights(len(answers))
    own = weighted(own_metric("off", lambda p, y: np.abs(p - y), lower=True), "regression")
    known = weighted(metric_named("mae"), "regression")
    np.testing.assert_allclose(
        parts_of(own, "regression", list(found), answers, w),
        parts_of(known, "regression", list(found), answers, w),
    )
    one = weighted(own_metric("off", lambda p, y: float(np.abs(p - y).mean()), lower=True), "regression")
    with pytest.raises(
        InputError,
        match=r"^metric = 'off': returned one number, and data.weight_scores = true: must return one for each example, "
        r"or have a parameter weights$",
    ):
        values_of([one], "regression", list(found), answers, w)
