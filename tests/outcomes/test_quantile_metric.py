"""A study that learns a quantile is judged by its pinball loss, unless it says otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import mean_pinball_loss

import ravine
from ravine.outcomes.metric import judged_by
from ravine.outcomes.trials import Predicted
from ravine.study.definition import definition_of
from ravine.study.expand import judged_of

TEXT = """
name = "high"
data = "diabetes"
model = { kind = "mlp", hidden = [4] }
steps = 40
seeds = 2
loss = { kind = "quantile", q = 0.9 }
rules = [{ kind = "sgd", lr = [0.001, 0.1] }, { kind = "adam", lr = [0.001, 0.03] }]
"""


def test_hypers_are_chosen_and_judged_by_pinball_of_that_level(tmp_path: Path) -> None:
    file = tmp_path / "high.toml"
    file.write_text(TEXT)
    ran = ravine.run(file, store=tmp_path / "runs", quiet=True)
    results = ravine.results("high", store=tmp_path / "runs")
    assert results.verdict == ran.verdict
    assert results.metric.name == "pinball_0.9"
    assert not results.asks_otherwise
    assert "pinball loss at 0.9" in str(results)
    predicted = Predicted(store=results.source, labels=results.labels)
    validation = predicted.outputs("validation", [run.id for run in results.runs])
    for rule in results.verdict.rules:
        means = {
            config: np.mean(
                [
                    mean_pinball_loss(results.labels.validation, validation[run.id], alpha=0.9)
                    for run in results.runs
                    if run.config == config
                ]
            )
            for config in {run.config for run in results.runs if run.rule == rule.rule}
        }
        assert rule.config == min(means, key=lambda each: means[each])
        tested = predicted.outputs("test", rule.runs)
        losses = [mean_pinball_loss(results.labels.test, tested[run], alpha=0.9) for run in rule.runs]
        assert -rule.test == pytest.approx(np.mean(losses))
    by_squares = ravine.results("high", store=tmp_path / "runs", metric="mse")
    assert by_squares.is_usual
    assert by_squares.asks_otherwise
    chosen = {run.id: run.config for run in results.runs}
    best = min(results.verdict.rules, key=lambda rule: -rule.validation)
    assert {chosen[each.run] for each in ravine.ensemble("high", store=tmp_path / "runs").members} == {
        best.config
    }


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, "pinball_0.9"),
        ({"metric": "mae"}, "mae"),
        ({"loss": {"kind": "quantile", "q": 0.25}}, "pinball_0.25"),
        ({"loss": {"kind": "quantile", "q": [0.1, 0.9]}}, None),
        ({"loss": "mae"}, None),
        ({"variants": [{"label": "a"}, {"label": "b", "loss": "mse"}]}, None),
        ({"variants": [{"label": "a"}, {"label": "b", "model": {"hidden": [2]}}]}, "pinball_0.9"),
    ],
)
def test_where_one_level_is_learned_and_nothing_else_is_said(
    more: dict[str, object], name: str | None
) -> None:
    study = ravine.Study(
        **{
            "name": "s",
            "data": "diabetes",
            "model": "mlp",
            "steps": 9,
            "rules": ["adam"],
            "loss": {"kind": "quantile", "q": 0.9},
            **more,
        }
    )
    judged, stored = judged_of(study), judged_by(definition_of(study))
    assert (None if judged is None else judged.name) == name
    assert stored == judged
