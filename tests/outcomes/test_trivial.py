"""The predictor without inputs, against scikit-learn's; where it is shown, and what it does not change."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import brier_score_loss, log_loss, mean_absolute_error, mean_squared_error, r2_score

import ravine
from ravine.data import load, parse_data
from ravine.launch.enter import labels_of
from ravine.outcomes import words
from ravine.outcomes.trivial import trivial_of
from ravine.report import figures, page, trivial_mark
from ravine.report.chart import accuracy_axis, log_axis
from ravine.store import Labels


def coins(**changes: object) -> Labels:
    answers = np.array([0, 1, 1, 0, 2, 1])
    made = Labels(
        name="coins",
        task="classification",
        classes=("heads", "tails", "edge"),
        sizes=(100, 6, 6),
        validation=answers,
        test=answers[::-1][:5],
        training_mean=np.array([0.5, 0.4, 0.1]),
    )
    return replace(made, **changes)


def test_a_classs_share_is_what_scikit_learns_prior_predicts() -> None:
    labels = coins()
    train = np.repeat([0, 1, 2], [50, 40, 10])
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((100, 1)), train)
    found = trivial_of(labels)
    assert found is not None
    assert (found.name, found.answer) == ("most frequent class", "heads")
    for split, right in (("validation", labels.validation), ("test", labels.test)):
        x = np.zeros((len(right), 1))
        shares = dummy.predict_proba(x)
        assert found.metrics[f"{split}_accuracy"] == dummy.score(x, right)
        assert found.scores[split] == dummy.score(x, right)
        assert found.metrics[f"{split}_loss"] == pytest.approx(
            log_loss(right, shares, labels=[0, 1, 2]), rel=1e-12
        )
        brier = brier_score_loss(right, shares, labels=[0, 1, 2])
        assert found.metrics[f"{split}_brier"] == pytest.approx(brier, rel=1e-12)


def test_the_brier_score_of_two_classes_and_of_labels_is_of_one_probability() -> None:
    shares, right = np.array([0.3, 0.7]), np.array([0, 1, 1])
    two = trivial_of(coins(classes=("a", "b"), validation=right, test=right, training_mean=shares))
    assert two is not None
    assert two.metrics["test_brier"] == pytest.approx(brier_score_loss(right, [0.7] * 3), rel=1e-12)
    marks = np.array([[0, 1], [1, 1], [0, 0]])
    some = trivial_of(
        coins(task="multilabel", classes=("a", "b"), validation=marks, test=marks, training_mean=shares)
    )
    assert some is not None
    each = [brier_score_loss(column, [share] * 3) for column, share in zip(marks.T, shares, strict=True)]
    assert some.metrics["test_brier"] == pytest.approx(np.mean(each), rel=1e-12)


def test_of_a_regression_it_is_the_mean() -> None:
    rng = np.random.default_rng(0)
    train, validation, test = rng.normal(3, 2, 50), rng.normal(3, 2, 20), rng.normal(3, 2, 30)
    labels = coins(
        task="regression",
        classes=(),
        validation=validation,
        test=test,
        training_mean=np.array([train.mean()]),
    )
    guess = DummyRegressor().fit(np.zeros((50, 1)), train).predict(np.zeros((30, 1)))
    found = trivial_of(labels)
    assert found is not None
    assert found.test_errors is not None
    assert found.metrics["test_loss"] == pytest.approx(mean_squared_error(test, guess), rel=1e-12)
    assert found.scores["test"] == pytest.approx(-mean_squared_error(test, guess), rel=1e-12)
    assert found.test_errors.mae == pytest.approx(mean_absolute_error(test, guess), rel=1e-12)
    assert found.test_errors.r2 == pytest.approx(r2_score(test, guess), rel=1e-12)


def test_a_store_of_an_older_version_has_validation_in_the_place_of_training() -> None:
    found = trivial_of(coins(training_mean=None))
    assert found is not None
    assert found.answer == "tails"
    assert found.about == "always tails, the class of 50.0 % of the validation examples"


def test_a_class_that_training_lacks_has_an_infinite_loss_and_is_not_drawn() -> None:
    found = trivial_of(coins(training_mean=np.array([0.5, 0.5, 0.0])))
    assert found is not None
    assert found.metrics["validation_loss"] == math.inf
    assert trivial_of(coins(task="something else")) is None
    assert trivial_of(coins(test=np.array([], dtype=np.int64))) is None


@pytest.mark.parametrize("name", ["wine", "diabetes"])
def test_a_launch_stores_what_training_answers_are(name: str) -> None:
    data = load(parse_data(name))
    mean = labels_of(data).training_mean
    raw = data.in_own_units(data.train.y)
    assert mean is not None
    if name == "wine":
        assert mean.tolist() == [float((raw == k).mean()) for k in range(3)]
    else:
        assert mean.tolist() == [pytest.approx(float(raw.astype(np.float64).mean()), rel=1e-12)]


@pytest.fixture(scope="module")
def hopeless(tmp_path_factory: pytest.TempPathFactory) -> ravine.Results:
    """One rule that learns, and one whose steps are too small to."""
    study = ravine.Study(
        name="hopeless",
        data="wine",
        model="mlp",
        epochs=12,
        seeds=2,
        rules=[{"kind": "adam", "lr": 0.01}, {"kind": "sgd", "lr": 1e-9}],
    )
    return ravine.run(study, store=tmp_path_factory.mktemp("store"), quiet=True)


def test_a_rule_that_it_beats_gets_a_caution_and_keeps_its_place(hopeless: ravine.Results) -> None:
    assert hopeless.trivial is not None
    assert [rule.rule for rule in hopeless.verdict.rules] == ["adam", "sgd"]
    bar = hopeless.trivial.scores["test"]
    sgd = hopeless.verdict.rules[1]
    caution = [text for text in hopeless.warnings if "most frequent class" in text]
    assert sgd.test is not None
    assert len(caution) == (sgd.test <= bar)
    adam_below = replace(
        hopeless.verdict, rules=tuple(replace(rule, test=bar) for rule in hopeless.verdict.rules)
    )
    assert words.beaten_by_trivial(adam_below, hopeless.trivial) == [
        f"adam and sgd are no better on the test data than always predicting the most frequent class "
        f"(accuracy {100 * bar:.1f}\u00a0%)."
    ]
    assert words.beaten_by_trivial(adam_below, None) == []


def test_figures_show_a_line_or_a_note_at_the_edge(hopeless: ravine.Results) -> None:
    assert hopeless.trivial is not None
    validation, training = figures.figure(hopeless, "lr").views
    value = hopeless.trivial.metrics["validation_accuracy"]
    panel = validation.panels[1]["layout"]
    assert panel["annotations"][0]["text"].startswith(f"most frequent class {100 * value:.2f} %")
    dashed = [shape for shape in panel["shapes"] if shape["type"] == "line"]
    assert [shape["y0"] for shape in dashed] == [pytest.approx(100 * (1 - value), rel=1e-4)]
    assert all("annotations" not in each["layout"] for each in training.panels)
    html = page.report(hopeless).decode()
    assert html.count("<tfoot>") == 2
    assert "most frequent class" in html


def test_a_line_far_away_leaves_the_axis_alone(hopeless: ravine.Results) -> None:
    errors = [1.0, 2.0]  # per cent: accuracies of 98 and 99 %
    assert trivial_mark.reaching(errors, 60.0) == errors
    assert trivial_mark.reaching([40.0, 50.0], 51.0) == [40.0, 50.0, 51.0]
    panel = {"data": [], "layout": {"yaxis": accuracy_axis(errors)}}
    marked = trivial_mark.mark(hopeless.trivial, panel, "validation_accuracy", 0.1)["layout"]
    assert "shapes" not in marked
    assert marked["annotations"][0]["text"].endswith(" ↓")  # a lower accuracy, although its error is higher
    assert marked["annotations"][0]["y"] == 0
    panel = {"data": [], "layout": {"yaxis": log_axis([1e-3, 2e-3])}}
    assert trivial_mark.mark(hopeless.trivial, panel, "validation_loss")["layout"]["annotations"][0][
        "text"
    ].endswith(" ↑")


def test_a_stored_study_shows_it_again(hopeless: ravine.Results, tmp_path: Path) -> None:
    again = ravine.results("hopeless", store=hopeless.source.root)
    assert again.trivial is not None
    assert hopeless.trivial is not None
    assert again.trivial.metrics == hopeless.trivial.metrics
    assert again.json()["trivial"]["answer"] == hopeless.trivial.answer


def test_zero_has_no_minus() -> None:
    """R² of the mean of training on test is a little below 0."""
    right = np.array([1.0, 2.0, 3.0])
    found = trivial_of(
        coins(task="regression", classes=(), validation=right, test=right, training_mean=np.array([2.01]))
    )
    assert found is not None
    assert found.test_errors is not None
    assert -0.005 < found.test_errors.r2 < 0.0
    assert words.shown_r2(found.test_errors) == "0.00"
    assert words.signed("-0.01") == "−0.01"
