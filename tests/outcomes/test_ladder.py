"""A ladder from its runs to its words: one small study, looked at from all sides."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import ravine
from ravine.data import Dataset
from ravine.data.arrays import from_arrays
from ravine.data.parts import PartOf, part_of
from ravine.errors import InputError
from ravine.outcomes import Results
from ravine.outcomes.ladder import LadderResult
from ravine.outcomes.ladder_words import fall_rows
from ravine.report import facts, figures, page, terminal
from ravine.study.alone import arm_alone
from ravine.study.stored import parse_definition
from ravine.verdict import Fall

RUNGS, DRAWS = (2, 10), (0, 1)


def _raw() -> tuple[np.ndarray, np.ndarray]:
    """Three classes that two of eight numbers tell apart, by a line between each two."""
    rng = np.random.default_rng(0)
    y = np.arange(360) % 3
    x = rng.standard_normal((360, 8)).astype(np.float32)
    x[:, 0] += 1.5 * (y == 1)
    x[:, 1] += 1.5 * (y == 2)
    return x, y


def _data() -> Dataset:
    x, y = _raw()
    return from_arrays(x[:240], y[:240], x_test=x[240:], y_test=y[240:])


def _study(**changes: Any) -> ravine.Study:
    given: dict[str, Any] = {
        "name": "few",
        "data": _data(),
        "model": {"kind": "mlp", "hidden": []},
        "steps": 15,
        "seeds": 2,
        "rules": [{"kind": "sgd", "lr": [0.03, 0.3]}],
        "variants": [{"label": "line"}, {"label": "bent", "model": {"hidden": [4]}}],
        "ladder": {"per_class": list(RUNGS), "draws": len(DRAWS)},
    }
    return ravine.Study(**{**given, **changes})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ladder") / "runs"


@pytest.fixture(scope="module")
def results(store: Path) -> Results:
    return ravine.run(_study(), store=store, backend="fused", quiet=True)


@pytest.mark.slow
def test_the_head_of_a_report_says_what_a_ladder_is_made_of(results: Results) -> None:
    # For each draw 2 arms, 2 seeds, and one config at n = 2 or two at n = 10.
    assert facts.about_runs(results) == "24: 2 arms, 2 sizes with 2 draws each, 2 seeds"
    train, _, test = results.labels.sizes
    assert facts.about_examples(results) == [
        ("examples of each class", "2, 10, a fifth of them for validation from 10 on"),
        ("drawn from", f"{train} training examples"),
        ("test", f"{test} examples"),
    ]


@pytest.mark.slow
def test_runs_learn_from_their_part_and_are_scored_on_it(results: Results) -> None:
    """The stored validation score is that of the stored predictions against the part's own answers."""
    data = _data()
    for run in results.runs:
        part = PartOf.of(run.recipe["part"])
        validation = part_of(data, part).validation
        stored = results.source.tensors("predictions", run.id)
        assert len(stored["validation"]) == len(validation.y)
        share = float((stored["validation"].argmax(axis=1) == validation.y).mean())
        assert share == pytest.approx(run.metrics["validation_accuracy"], abs=1e-6)
        assert len(stored["test"]) == len(data.test.y)


def test_each_arm_is_tuned_on_each_part_alone(results: Results) -> None:
    ladder = results.ladder
    assert ladder is not None
    answers = _data().test.y
    assert len(ladder.chosen) == 2 * len(RUNGS) * len(DRAWS)
    for each in ladder.chosen:
        own = [
            run for run in results.runs if run.rule == each.arm and run.recipe["part"] == each.part.content()
        ]
        configs = {run.config for run in own}
        means = {
            config: float(np.mean([r.metrics["validation_accuracy"] for r in own if r.config == config]))
            for config in configs
        }
        assert len(configs) == (2 if each.part.tuned else 1)
        assert means[each.config] == pytest.approx(max(means.values()))
        tests = [
            results.source.tensors("predictions", run.id)["test"].argmax(axis=1) == answers
            for run in own
            if run.config == each.config
        ]
        assert each.test == pytest.approx(float(np.mean(tests)))
        rung = ladder.rung(each.arm, each.part.per_class)
        assert rung is not None
        assert rung.draws[each.part.draw] == pytest.approx(each.test)
        assert (each.validation is None) is not each.part.tuned
    # Only the chosen configs are in the log of what was scored on test.
    logged = {each.recipe for each in results.source.scored.of(results.study.data_fingerprint)}
    assert logged == {each.config for each in ladder.chosen}


def test_words_table_and_json(results: Results) -> None:
    (pair,) = results.ladder.pairs if results.ladder is not None else ()
    assert (pair.first, pair.second) == ("line", "bent")
    assert results.verdict.sentences[0] == pair.sentence
    assert "With 10 examples per class line reaches" in results.verdict.sentences[1]
    assert any(text.startswith("n = 2: fewer than 5 examples per class") for text in results.warnings)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(terminal.verdict(results))
    shown = console.export_text()
    assert "untuned" in shown
    assert "difference" in shown
    assert any(line.startswith("10  ") for line in str(results).splitlines())
    found = json.loads(json.dumps(results.json(), allow_nan=False))
    assert found["ladder"]["pairs"][0]["outcome"] == pair.outcome.name.lower()
    assert len(found["ladder"]["rungs"]) == 4
    assert [each["per_class"] for each in found["ladder"]["gaps"]] == [2, 10, 2, 10]
    assert found["ladder"]["falls"] == []  # one rung is tuned
    assert (
        found["ladder"]["chosen"][0] | {"arm": "line", "per_class": 2, "draw": 0}
        == found["ladder"]["chosen"][0]
    )
    assert {row["per_class"] for row in found["table"]} == set(RUNGS)


def test_figures(results: Results) -> None:
    ladder, gap = figures.figures(results)
    assert [ladder.name, gap.name] == ["ladder", "ladder-gap"]
    accuracies, difference = ladder.views[0].panels
    lines = [
        trace for trace in accuracies["data"] if trace.get("meta") == "line" and "lines" in trace["mode"]
    ]
    assert [trace["x"] for trace in lines] == [[2.0, 10.0]] * 2
    assert lines[0]["marker"]["color"][0] == "#fff"  # not tuned
    assert difference["data"][2]["y"] == pytest.approx(
        [100 * each.mean for each in results.ladder.pairs[0].rungs], rel=1e-4
    )  # type: ignore[union-attr]
    band, _, line = gap.views[0].panels[0]["data"][:3]
    own = [each.gap for each in results.ladder.chosen if each.arm == "line" and each.part.per_class == 10]  # type: ignore[union-attr]
    assert line["y"][1] == pytest.approx(100 * float(np.mean(own)), rel=1e-4)
    assert line["marker"]["color"][0] == "#fff"  # not tuned
    assert band["y"][1] < line["y"][1] < band["y"][2]
    assert figures.figure(results, "lr").caption.startswith("Nothing to draw: a variant of a ladder")
    html = page.report(results).decode()
    assert "How many examples it takes" in html
    assert "not separable" in html or "better" in html


def test_it_is_not_trained_again_and_more_draws_join_it(results: Results, store: Path) -> None:
    before = {run.id for run in results.runs}
    launches = len(results.study.launches)
    again = ravine.run(_study(), store=store, quiet=True)
    assert {run.id for run in again.runs} == before
    assert len(again.study.launches) == launches + 1
    assert again.study.launches[-1].hardware == {}
    assert again.verdict == results.verdict


def test_levels_of_the_ladder_itself_are_no_factor(results: Results, store: Path) -> None:
    with pytest.raises(InputError, match="compare = 'per_class': a ladder compares its arms at each n"):
        ravine.results("few", store=store, compare="per_class")
    other = ravine.results("few", store=store, compare="lr")
    assert other.ladder is not None
    assert other.ladder.arms == ("lr 0.03", "lr 0.3")


def test_what_needs_one_set_of_examples_is_refused(results: Results, store: Path) -> None:
    for refused in (
        lambda: ravine.ensemble("few", store=store),
        lambda: ravine.predict(_study(), _raw()[0][240:], store=store),
        lambda: ravine.soup(_study(), store=store),
        lambda: ravine.landscape("few", store=store),
        lambda: ravine.sharpness("few", store=store),
    ):
        with pytest.raises(InputError, match=r"study 'few' is a ladder.*run a study without \[ladder\]"):
            refused()
    one = next(run for run in results.runs if run.recipe["part"] == {"per_class": 10, "draw": 1})
    data = _data()
    found = ravine.predict(_study(), _raw()[0][240:], what=one.id, store=store)
    stored = results.source.tensors("predictions", one.id)["test"]
    assert [data.classes[i] for i in stored.argmax(axis=1)] == [str(each) for each in found.predicted]


def test_what_it_says_of_itself_is_short(results: Results) -> None:
    assert results.ladder is not None
    assert repr(results.ladder).startswith(
        "LadderResult(line, bent; n = 2, 10; 2 draws; rung(arm, n), best(n)"
    )
    (pair,) = results.ladder.pairs
    assert repr(pair) == f"Crossover({pair.sentence!r}, rungs at n = 2, 10)"
    assert "its numbers are in results.ladder" in repr(results.verdict)
    assert len(repr(results.verdict)) < 400
    assert {(type(row["per_class"]), type(row["draw"])) for row in results.table()} == {(int, int)}


def test_an_arm_is_a_study_of_its_own() -> None:
    text = """
name = "few"
data = "digits"
model = "mlp"
epochs = 3
ladder = { per_class = [5], draws = 3, default = { lr = 0.1 } }
variants = [{ label = "line", model = { hidden = [] } }, { label = "Bent & wide", model = { hidden = [4] } }]
rules = [{ kind = "sgd", lr = [0.1, 0.2] }]
"""
    alone = parse_definition(arm_alone(text, "Bent & wide") or "")
    assert (alone.name, alone.ladder, alone.variants) == ("few-bent-wide", None, ())
    whole = parse_definition(text)
    assert alone.models == (whole.parts[1].model,)
    assert alone.rules == whole.rules
    assert arm_alone(text, "sgd") is None
    assert arm_alone(text.replace('"sgd"', '"own:Rule"'), "line") is None


def test_falls_are_a_table_that_says_what_is_not_known() -> None:
    falls = tuple(
        Fall(arm=arm, few=5, many=20, before=0.4, after=0.15, low=low, high=high, draws={0: 0.2, 1: 0.3})
        for arm, low, high in (("head", -0.1, 0.6), ("all", -1.0, 1.5))
    )
    ladder = LadderResult(
        arms=("head", "all"), per_class=(5, 20), chosen=(), rungs=(), pairs=(), gaps=(), falls=falls
    )
    assert fall_rows(ladder) == (
        ("head", "40.0 at n = 5", "15.0 at n = 20", "25.0", "\N{MINUS SIGN}10.0 to 60.0"),
        ("all", "40.0 at n = 5", "15.0 at n = 20", "25.0", "not known"),
    )
    assert [each["interval"] for each in ladder.json()["falls"]] == [[-0.1, 0.6], [None, None]]
