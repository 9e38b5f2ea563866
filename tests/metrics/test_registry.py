"""Metrics by name, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from ravine.errors import InputError
from ravine.metrics import (
    DEFAULT,
    METRICS,
    check_answers,
    check_task,
    lower_named,
    metric_named,
    names_of,
    own_metric,
    title_of,
    weighted,
)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("f1_makro", "metric = 'f1_makro': did you mean 'f1_macro'? Allowed: "),
        ("F1", "metric = 'F1': did you mean 'f1'? Allowed: "),
        ("auc", "metric = 'auc': "),
        ("top_0", "metric = 'top_0': "),
        ("pinball_0", "metric = 'pinball_0': "),
        ("pinball_1.5", "metric = 'pinball_1.5': "),
        ("pinball_0.0", "metric = 'pinball_0.0': "),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(name: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        metric_named(name)
    assert str(caught.value).startswith(words)
    assert "top_5" in str(caught.value)


def test_every_metric_is_found_and_each_task_has_a_default() -> None:
    assert all(metric_named(name) is METRICS[name] for name in METRICS)
    assert all(DEFAULT[task] in names_of(task) for task in ("classification", "multilabel", "regression"))


@pytest.mark.parametrize(
    ("name", "task", "num_classes", "words"),
    [
        ("r2", "classification", 3, "metric = 'r2': is not a metric for classification; allowed: accuracy, "),
        (
            "f1_macro",
            "regression",
            0,
            "metric = 'f1_macro': is not a metric for regression; allowed: r2, mse, ",
        ),
        ("f1", "classification", 3, "metric = 'f1': is of two classes, and there are 3; allowed: f1_macro, "),
        ("top_5", "classification", 5, "metric = 'top_5': is 1 for every run, since there are 5 classes"),
    ],
)
def test_metrics_of_another_task_are_refused(name: str, task: str, num_classes: int, words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_task(metric_named(name), task, num_classes)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    ("name", "task", "answers", "words"),
    [
        ("roc_auc", "classification", [0, 0, 0], "needs examples of every class, and there is none of 'b'"),
        ("average_precision", "classification", [1, 1, 1], "and there is none of 'a'"),
        ("roc_auc", "multilabel", [[0, 1], [0, 0]], "needs examples with each label, and none has 'a'"),
        ("roc_auc", "multilabel", [[0, 1], [1, 1]], "needs examples without each label, and all have 'b'"),
        ("r2", "regression", [2.0, 2.0], "needs answers that differ, and all are the same"),
        ("r2", "regression", [[1.0, 2.0], [2.0, 2.0]], "needs answers that differ, and all are the same"),
    ],
)
def test_answers_without_a_value_are_refused(name: str, task: str, answers: list[object], words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_answers(metric_named(name), task, np.array(answers), ("a", "b"), "test")
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"metric = '{name}': ")
    assert str(caught.value).endswith(" in the test part")


def test_answers_with_a_value_pass() -> None:
    check_answers(METRICS["roc_auc"], "classification", np.array([0, 1]), ("a", "b"), "test")
    check_answers(METRICS["f1_macro"], "classification", np.array([0, 0]), ("a", "b"), "test")
    check_answers(METRICS["average_precision"], "multilabel", np.array([[1, 1], [1, 0]]), ("a", "b"), "test")
    check_answers(METRICS["r2"], "regression", np.array([1.0, 2.0]), (), "validation")


def test_what_one_example_weighs() -> None:
    """By how much one wrong answer beside right ones lowers the metric, times the number of examples, at most."""
    from ravine.metrics import values_of

    answers = np.repeat([0, 1], [90, 10])
    perfect = 20.0 * np.eye(2)[answers]
    for name in ("accuracy", "balanced_accuracy", "f1", "f1_macro", "f1_weighted", "roc_auc"):
        metric = METRICS[name]
        lost = []
        for wrong in (0, 95):
            logits = perfect.copy()
            logits[wrong] = logits[wrong, ::-1] * 2.0
            (value,) = values_of([metric], "classification", [logits], answers)[name]
            lost.append(len(answers) * (1.0 - value))
        heaviest = metric.formulas["classification"].heaviest(answers, 2)
        assert max(lost) == pytest.approx(heaviest, rel=0.12), name


@pytest.mark.parametrize("num_positives", [1, 5, 40])
def test_what_one_example_weighs_in_an_average_precision(num_positives: int) -> None:
    """A negative above all positives costs more than a positive below all negatives, where positives differ."""
    answers = np.repeat([0, 1], [200, num_positives])
    score = np.concatenate([np.zeros(200), np.linspace(1.0, 2.0, num_positives)])
    lost = []
    for wrong, at in ((0, 3.0), (-1, -1.0)):
        changed = score.copy()
        changed[wrong] = at
        lost.append(len(answers) * (1.0 - average_precision_score(answers, changed)))
    heaviest = METRICS["average_precision"].formulas["classification"].heaviest(answers, 2)
    assert max(lost) == pytest.approx(heaviest, rel=0.01)
    of_labels = METRICS["average_precision"].formulas["multilabel"].heaviest
    assert of_labels(np.stack([answers, answers], axis=1), 2) == pytest.approx(heaviest)


@pytest.mark.parametrize("num_positives", [[3], [100], [197], [199, 20]])
def test_what_one_example_weighs_in_an_auc_of_labels(num_positives: list[int]) -> None:
    """An example of the rarer side beyond all others, whether few have the label or few lack it."""
    answers = np.stack([np.arange(200) >= 200 - num for num in num_positives], axis=1).astype(int)
    lost = 0.0
    for own in answers.T:
        of_label = []
        for wrong, at in ((0, 2.0), (-1, -1.0)):
            score = own.astype(float)
            score[wrong] = at
            of_label.append(len(answers) * (1.0 - roc_auc_score(own, score)))
        lost += max(of_label) / len(num_positives)
    found = METRICS["roc_auc"].formulas["multilabel"].heaviest(answers, len(num_positives))
    assert lost == pytest.approx(found, rel=0.01)


def test_the_name_of_a_column_says_which_end_is_better() -> None:
    named = [*METRICS.values(), metric_named("top_3"), metric_named("pinball_0.1")]
    weighed = [weighted(each, task) for each in named for task in each.formulas]
    names = (
        "met:cost",
        "a.b:C.loss",
        "rmse",
        "F1",
        "accuracy",
        "no_loss",
        "pinball_x",
        "<lambda>",
        "weighted_mse",
    )
    own = [own_metric(name, max, lower=lower) for name in names for lower in (False, True)]
    for each in [*named, *weighed, *own]:
        assert lower_named(each.column) == each.lower, each.column
    assert not {each.column for each in own} & {each.column for each in [*named, *weighed]}
    assert not {each.name for each in own} & {each.name for each in named}
    assert not {each.title for each in own} & {each.title for each in named}


def test_a_function_is_called_by_its_own_name() -> None:
    assert title_of("my.metrics:cost", lower=True) == "cost"
    mine = own_metric("my.metrics:Costs.of_all", max, lower=True)
    assert (mine.name, mine.title, mine.column) == ("my.metrics:Costs.of_all", "of_all", "of_all_loss")
