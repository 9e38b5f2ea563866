"""Every metric is scikit-learn's number, for random predictions with and without ties."""

from __future__ import annotations

import copy
import pickle
from fractions import Fraction

import numpy as np
import pytest
from given_runs import classes, labels, values
from sklearn import metrics as sk

from ravine.ensembles.reliability import reliability
from ravine.ensembles.scoring import calibration_error
from ravine.metrics import metric_named, names_of, parts_of, values_of
from ravine.metrics.given import Classes

TOLERANCE = 1e-9  # float64 on both sides; the issue asks for 1e-6


def probabilities(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def f1(average: str):
    return lambda z, y: sk.f1_score(y, z.argmax(axis=1), average=average)


def brier(z: np.ndarray, y: np.ndarray) -> float:
    p = probabilities(z)
    return sk.brier_score_loss(y, p[:, 1] if p.shape[1] == 2 else p, labels=np.arange(p.shape[1]))


def rest(one):
    """A metric of two sides, of several classes as the mean over each against the rest.

    Where probabilities are equal by mathematics and not by rounding, scores in logarithms may differ: so it is given
    the same scores.
    """

    def mean(z: np.ndarray, y: np.ndarray) -> float:
        if z.shape[1] == 2:
            return one(y, z[:, 1].astype(np.float64) - z[:, 0])
        log_p = Classes([z], y).log_p[:, 0]
        return float(np.mean([one(y == k, log_p[k]) for k in range(z.shape[1])]))

    return mean


def ece_by_hand(confidence: np.ndarray, right: np.ndarray, num_bins: int = 15) -> float:
    """In fractions, place by place: the examples of a tie are all as right as they are on average."""
    known = [Fraction(float(each)) for each in confidence]
    places = sorted(range(len(known)), key=known.__getitem__)
    gaps = []
    for place in places:
        tied = [other for other in places if known[other] == known[place]]
        gaps.append(known[place] - Fraction(sum(bool(right[other]) for other in tied), len(tied)))
    size, more = divmod(len(gaps), num_bins)
    sizes = [size + (number < more) for number in range(num_bins)]
    ends = [sum(sizes[: number + 1]) for number in range(num_bins)]
    sums = [sum(gaps[end - of : end], Fraction(0)) for end, of in zip(ends, sizes, strict=True)]
    return float(sum(map(abs, sums), Fraction(0)) / len(gaps))


OF_CLASSES = {
    "accuracy": lambda z, y: sk.accuracy_score(y, z.argmax(axis=1)),
    "balanced_accuracy": lambda z, y: sk.balanced_accuracy_score(y, z.argmax(axis=1)),
    "f1_macro": f1("macro"),
    "f1_micro": f1("micro"),
    "f1_weighted": f1("weighted"),
    "roc_auc": rest(sk.roc_auc_score),
    "average_precision": rest(sk.average_precision_score),
    "log_loss": lambda z, y: sk.log_loss(y, probabilities(z)),
    "brier": brier,
    "ece": lambda z, y: ece_by_hand(probabilities(z).max(axis=1), z.argmax(axis=1) == y),
}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_of_classes(num_classes: int, ties: bool) -> None:
    assert set(OF_CLASSES) == set(names_of("classification")) - {"f1"}
    for seed in range(6):
        logits, answers = classes(seed, num_classes, ties=ties)
        wanted = {"f1_macro", *OF_CLASSES} - ({"ece"} if ties else set())  # ties may be in other bins
        found = values_of([metric_named(name) for name in wanted], "classification", list(logits), answers)
        for name in wanted:
            expected = [OF_CLASSES[name](each, answers) for each in logits]
            assert found[name] == pytest.approx(expected, abs=TOLERANCE), (name, seed)


def test_several_classes_against_the_rest_as_scikit_learn_does() -> None:
    for seed in range(3):
        logits, answers = classes(seed, 4)
        found = values_of(
            [metric_named("roc_auc"), metric_named("average_precision")],
            "classification",
            list(logits),
            answers,
        )
        p = [probabilities(each) for each in logits]
        auc = [sk.roc_auc_score(answers, each, multi_class="ovr", average="macro") for each in p]
        ap = [sk.average_precision_score(answers, each, average="macro") for each in p]
        assert found["roc_auc"] == pytest.approx(auc, abs=TOLERANCE)
        assert found["average_precision"] == pytest.approx(ap, abs=TOLERANCE)


@pytest.mark.parametrize("ties", [False, True])
def test_f1_of_two_classes_is_that_of_the_second(ties: bool) -> None:
    for seed in range(6):
        logits, answers = classes(seed, 2, ties=ties)
        found = values_of([metric_named("f1")], "classification", list(logits), answers)["f1"]
        assert found == pytest.approx(
            [sk.f1_score(answers, each.argmax(axis=1)) for each in logits], abs=TOLERANCE
        )


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k(k: int, ties: bool) -> None:
    for seed in range(6):
        logits, answers = classes(seed, 7, ties=ties)
        found = values_of([metric_named(f"top_{k}")], "classification", list(logits), answers)[f"top_{k}"]
        expected = [sk.top_k_accuracy_score(answers, each, k=k, labels=np.arange(7)) for each in logits]
        assert found == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
def test_classes_that_a_part_lacks() -> None:
    """As in scikit-learn: balanced accuracy is over classes with examples, F1 over those that occur anywhere."""
    for seed in range(6):
        logits, answers = classes(seed, 6, num=40)
        answers = answers % 3  # nobody is of the last three
        logits[:, :, 5] = -9.0  # and nobody is taken for the last
        names = ["balanced_accuracy", "f1_macro", "f1_weighted", "f1_micro"]
        found = values_of([metric_named(name) for name in names], "classification", list(logits), answers)
        for name in names:
            expected = [OF_CLASSES[name](each, answers) for each in logits]
            assert found[name] == pytest.approx(expected, abs=TOLERANCE), name


def test_log_loss_of_runs_that_are_almost_certain() -> None:
    """scikit-learn cuts probabilities at 2e-16; ours is the cross-entropy itself, and AUC still tells them apart."""
    logits = np.array([[[0.0, 800.0], [0.0, 50.0], [60.0, 0.0]]])
    answers = np.array([0, 1, 0])
    names = ["log_loss", "roc_auc", "brier"]
    found = values_of([metric_named(name) for name in names], "classification", list(logits), answers)
    assert found["log_loss"][0] == pytest.approx((800.0 + np.exp(-50.0) + np.exp(-60.0)) / 3.0)
    assert found["roc_auc"][0] == 0.5
    assert found["brier"][0] == pytest.approx(1.0 / 3.0)
    three = np.array([[[90.0, 0.0, -5.0], [80.0, 0.0, -5.0], [0.0, 1.0, -5.0], [0.0, -5.0, 1.0]]])
    sure = Classes(list(three), np.array([0, 0, 1, 2])).log_p[0, 0]
    assert -1e-30 < sure[0] < 0.0
    assert sure[1] < sure[0]


def test_the_calibration_error_does_not_depend_on_the_order_of_tied_examples() -> None:
    logits, answers = classes(1, 3, num=200, runs=2, ties=True)
    ece = metric_named("ece")
    found = values_of([ece], "classification", list(logits), answers)["ece"]
    rows = np.random.default_rng(0).permutation(200)
    mixed = values_of([ece], "classification", list(logits[:, rows]), answers[rows])["ece"]
    assert mixed == pytest.approx(found, abs=TOLERANCE)
    constant = np.zeros((200, 3))
    (value,) = values_of([ece], "classification", [constant], answers)["ece"]
    assert value == pytest.approx(abs(1.0 / 3.0 - (answers == 0).mean()), abs=TOLERANCE)
    for each in (*logits, constant):
        (parts,) = parts_of(ece, "classification", [each], answers)
        assert parts.mean() == pytest.approx(
            values_of([ece], "classification", [each], answers)["ece"][0], abs=1e-12
        )


def test_ensembles_have_the_same_calibration_error() -> None:
    for seed, num_classes, ties in ((1, 3, True), (2, 10, False)):
        logits, answers = classes(seed, num_classes, num=203, runs=1, ties=ties)
        log_p = Classes(list(logits), answers).log_p[:, 0].T.astype(np.float64)
        (value,) = values_of([metric_named("ece")], "classification", list(logits), answers)["ece"]
        rows = np.random.default_rng(0).permutation(203)
        for some in (np.arange(203), rows):
            found = calibration_error(log_p[some], log_p[some].argmax(axis=1), answers[some])
            assert found == pytest.approx(value, abs=1e-12)
            bins = reliability(log_p[some], log_p[some].argmax(axis=1), answers[some])
            gaps = [each.examples * abs(each.confidence - each.accuracy) for each in bins]
            assert sum(gaps) / 203 == pytest.approx(value, abs=1e-12)


def test_a_run_with_outputs_that_are_not_finite_has_no_metric() -> None:
    logits, answers = classes(0, 3)
    logits[1, 7, 2] = np.nan
    for name in names_of("classification"):
        if name == "f1":
            continue
        found = values_of([metric_named(name)], "classification", list(logits), answers)[name]
        assert np.isfinite(found).tolist() == [True, False, True], name
        parts = parts_of(metric_named(name), "classification", list(logits), answers)
        assert [bool(np.isfinite(row).all()) for row in parts] == [True, False, True], name


OF_VALUES = {
    "r2": sk.r2_score,
    "mse": sk.mean_squared_error,
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
    "median_absolute_error": sk.median_absolute_error,
    "pinball_0.9": lambda y, found: sk.mean_pinball_loss(y, found, alpha=0.9),
    "pinball_.25": lambda y, found: sk.mean_pinball_loss(y, found, alpha=0.25),
}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("num_targets", [1, 3])
def test_of_values(num_targets: int, ties: bool) -> None:
    assert {name for name in OF_VALUES if "pinball" not in name} == set(names_of("regression"))
    for seed in range(6):
        found, answers = values(seed, num_targets, ties=ties)
        of_runs = values_of([metric_named(name) for name in OF_VALUES], "regression", list(found), answers)
        for name, metric in OF_VALUES.items():
            expected = [metric(answers, each) for each in found]
            assert of_runs[name] == pytest.approx(expected, abs=TOLERANCE), name


def over_labels(one):
    return lambda z, y: float(
        np.mean([one(y[:, k], 1.0 / (1.0 + np.exp(-z[:, k].astype(np.float64)))) for k in range(y.shape[1])])
    )


OF_LABELS = {
    "label_accuracy": lambda z, y: 1.0 - sk.hamming_loss(y, z > 0),
    "subset_accuracy": lambda z, y: sk.accuracy_score(y, z > 0),
    "f1_macro": lambda z, y: sk.f1_score(y, z > 0, average="macro"),
    "f1_micro": lambda z, y: sk.f1_score(y, z > 0, average="micro"),
    "f1_weighted": lambda z, y: sk.f1_score(y, z > 0, average="weighted"),
    "f1_samples": lambda z, y: sk.f1_score(y, z > 0, average="samples", zero_division=0.0),
    "roc_auc": lambda z, y: sk.roc_auc_score(y, z, average="macro"),
    "average_precision": lambda z, y: sk.average_precision_score(y, z, average="macro"),
    "log_loss": over_labels(sk.log_loss),
    "brier": over_labels(sk.brier_score_loss),
}


@pytest.mark.parametrize("ties", [False, True])
def test_of_labels(ties: bool) -> None:
    assert set(OF_LABELS) == set(names_of("multilabel"))
    for seed in range(6):
        logits, answers = labels(seed, ties=ties)
        found = values_of([metric_named(name) for name in OF_LABELS], "multilabel", list(logits), answers)
        for name, metric in OF_LABELS.items():
            expected = [metric(each, answers) for each in logits]
            assert found[name] == pytest.approx(expected, abs=TOLERANCE), name


def test_many_runs_are_looked_at_a_few_at_a_time() -> None:
    logits, answers = classes(0, 5, num=4000, runs=150)
    found = values_of([metric_named("roc_auc")], "classification", list(logits), answers)["roc_auc"]
    some = [
        values_of([metric_named("roc_auc")], "classification", [each], answers)["roc_auc"][0]
        for each in logits[::30]
    ]
    assert found[::30].tolist() == some
    assert values_of([metric_named("roc_auc")], "classification", [], answers)["roc_auc"].shape == (0,)


@pytest.mark.parametrize("name", ["f1", "top_3", "pinball_0.9"])
def test_a_metric_is_pickled_and_copied_by_its_name(name: str) -> None:
    metric = metric_named(name)
    for same in (pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric)):
        assert (same.name, same.title, set(same.formulas)) == (
            metric.name,
            metric.title,
            set(metric.formulas),
        )
