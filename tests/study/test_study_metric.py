"""``metric``: read, refused where it has no meaning, and no part of a run's id."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ravine import Study
from ravine.data import load
from ravine.errors import InputError, StudyError
from ravine.study import runs_of
from ravine.study.changes import changes
from ravine.study.definition import definition_of, objects_of
from ravine.study.load import parse_study
from ravine.study.metric import parse_metric
from ravine.study.stored import parse_definition

CONTENT = {"name": "s", "data": "iris", "model": "mlp", "steps": 9, "rules": ["adam"]}


def share(p: np.ndarray, y: np.ndarray) -> float:
    return float((p.argmax(axis=1) == y).mean())


def test_a_metric_is_no_part_of_a_run() -> None:
    plain, other = Study(**CONTENT), Study(**CONTENT, metric="f1_macro")
    data = load(plain.data)
    assert [run.id for run in runs_of(plain, data)] == [run.id for run in runs_of(other, data)]
    assert "metric f1_macro" in str(other)
    assert changes(definition_of(plain), definition_of(other)) == []


@pytest.mark.parametrize(
    "metric",
    ["f1_macro", "top_2", "mine:share", {"function": "mine.sub:cost", "better": "lower"}, None],
)
def test_it_is_in_the_text_of_a_study(metric: object) -> None:
    study = Study(**CONTENT, metric=metric)
    again = parse_definition(definition_of(study))
    assert again.metric == study.metric
    assert replace(study, name="t").metric == study.metric


def test_a_function_of_a_program_is_described() -> None:
    study = Study(**CONTENT, metric=share)
    assert objects_of(definition_of(study))["metric"].startswith("test_study_metric:share@")
    assert study.metric.metric().name == "share"
    assert parse_metric({"function": share, "better": "lower"}).metric().lower
    assert parse_metric('{ function = "m:share", better = "lower" }') == parse_metric(
        {"function": "m:share", "better": "lower"}
    )
    assert not parse_metric({"function": "m:cost", "better": "higher"}).lower


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("f1_makro", "metric = 'f1_makro': did you mean 'f1_macro'? Allowed: accuracy, "),
        ("auc", "metric = 'auc': did you mean 'roc_auc'? Allowed: accuracy, "),
        ("F1", "metric = 'F1': did you mean 'f1'? Allowed: accuracy, "),
        ("neg_mean_squared_error", "metric = 'neg_mean_squared_error': did you mean 'mse'? Allowed: "),
        (
            "my.module:cost",
            "metric = 'my.module:cost': must say whether lower or higher is better: { function = \"my",
        ),
        ("{ better = }", "metric = '{ better = }': must be a table such as { function = "),
        (3, 'metric = 3: must be a name such as "f1_macro", or of a function "package.module:name"'),
        ("", "metric = '': allowed: accuracy, "),
        ({"better": "lower"}, "metric.function = None: must be the name of a function"),
        ({"function": "f1"}, "metric.function = 'f1': must be the name of a function"),
        ({"function": "a:b", "better": "more"}, 'metric.better = \'more\': must be "higher" or "lower"'),
        ({"functoin": "a:b"}, "metric.functoin: unknown key; did you mean 'function'?"),
    ],
)
def test_what_is_no_metric_is_refused(metric: object, words: str) -> None:
    with pytest.raises(StudyError) as caught:
        parse_study({**CONTENT, "metric": metric})
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"metric": "r2"}, "metric = 'r2': is not a metric for classification; allowed: accuracy, "),
        ({"metric": "f1"}, "metric = 'f1': is of two classes, and there are 3; allowed: f1_macro, "),
        ({"metric": "top_5"}, "metric = 'top_5': is 1 for every run, since there are 3 classes"),
        ({"metric": "roc_auc", "data": "diabetes"}, "metric = 'roc_auc': is not a metric for regression; "),
        ({"metric": "nobody:knows"}, "metric = 'nobody:knows': no module 'nobody' in "),
        ({"metric": "json:dumps"}, "metric = 'json:dumps': json belongs to Python's standard library; "),
        (
            {"metric": "sklearn.metrics:accuracy_score"},
            "metric = 'sklearn.metrics:accuracy_score' is a function of the installed package 'sklearn'; ",
        ),
        ({"metric": lambda p, y: 1 / 0}, "metric = '<lambda>': failed: ZeroDivisionError: division by zero"),
        ({"metric": lambda p, y: p}, "metric = '<lambda>': returned an array of shape "),
    ],
)
def test_what_does_not_fit_the_data_is_refused_before_training(
    content: dict[str, object], words: str
) -> None:
    study = Study(**{**CONTENT, **content})
    with pytest.raises(InputError) as caught:
        runs_of(study, load(study.data))
    assert str(caught.value).startswith(words)


def test_auc_without_a_class_in_a_part_is_refused_before_training() -> None:
    study = Study(**{**CONTENT, "metric": "roc_auc"})
    data = load(study.data)
    short = replace(data, test=data.test.take(np.flatnonzero(data.test.y < 2)))
    with pytest.raises(StudyError) as caught:
        runs_of(study, short)
    name = data.classes[2]
    words = (
        f"metric = 'roc_auc': needs examples of every class, and there is none of {name!r} in the test part"
    )
    assert str(caught.value) == words


def test_a_function_beside_the_study_may_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_metrics.py").write_text(
        "def share(p, y):\n    return float((p.argmax(axis=1) == y).mean())\n"
    )
    monkeypatch.chdir(tmp_path)
    study = Study(**CONTENT, metric="my_metrics:share")
    assert study.metric.metric(tmp_path).name == "my_metrics:share"
    with pytest.raises(InputError, match="my_metrics has no 'shar'; did you mean 'share'"):
        Study(**CONTENT, metric="my_metrics:shar").metric.metric(tmp_path)
