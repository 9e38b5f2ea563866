"""What runs get wrong: against scikit-learn, against labels that were flipped on purpose, on bad input."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix, log_loss, mean_absolute_error, precision_recall_fscore_support

import ravine
from ravine.cli.main import main
from ravine.data.as_read import values_of
from ravine.outcomes.confusion import Confusion
from ravine.outcomes.deviations import Deviations
from ravine.outcomes.mistakes import NOT_AT_HAND
from ravine.report import figures, page
from ravine.verdict.own_interval import mean_interval

FLIPPED = 36  # of the labels of digits: 2 %


def drawn(num_classes: int, num_runs: int = 3, num: int = 400) -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(num_classes)
    answers = np.concatenate([np.arange(num_classes), rng.integers(0, num_classes, num - num_classes)])
    outputs = []
    for _ in range(num_runs):
        logits = rng.standard_normal((num, num_classes)).astype(np.float32)
        logits[np.arange(num), answers] += 1.5
        outputs.append(logits)
    return outputs, answers


@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_a_confusion_matrix_is_scikit_learns_of_all_answers_together(num_classes: int) -> None:
    outputs, answers = drawn(num_classes)
    found = Confusion.of(outputs, answers, [f"c{k}" for k in range(num_classes)])
    right = np.tile(answers, len(outputs))
    said = np.concatenate([each.argmax(axis=1) for each in outputs])
    every = np.arange(num_classes)
    np.testing.assert_array_equal(found.counts, confusion_matrix(right, said, labels=every))
    np.testing.assert_allclose(
        found.shares, confusion_matrix(right, said, labels=every, normalize="true"), rtol=1e-12
    )
    theirs = precision_recall_fscore_support(right, said, labels=every, zero_division=np.nan)
    for name, wanted in zip(("precision", "recall", "f1"), theirs, strict=False):
        np.testing.assert_allclose([getattr(each, name) for each in found.by_class], wanted, rtol=1e-12)
    assert [each.num for each in found.by_class] == np.bincount(answers, minlength=num_classes).tolist()
    wrong = np.stack([each.argmax(axis=1) != answers for each in outputs])[:, answers == 1].astype(float)
    assert (found.by_class[1].low, found.by_class[1].high) == mean_interval(wrong, 0.05, binary=True)
    assert found.error == pytest.approx(float((right != said).mean()))


def test_pairs_are_the_cells_beside_the_diagonal() -> None:
    outputs, answers = drawn(100)
    found = Confusion.of(outputs, answers, [str(k) for k in range(100)])
    off = found.counts.copy()
    np.fill_diagonal(off, 0)
    pairs = found.pairs()
    assert sum(each.num for each in pairs) == off.sum()
    assert [each.num for each in pairs] == sorted((each.num for each in pairs), reverse=True)
    assert pairs[0].num == off.max()
    assert (
        pairs[0].share
        == off[int(pairs[0].right), int(pairs[0].said)] / found.counts[int(pairs[0].right)].sum()
    )
    assert found.grid().columns == ("class", "taken for", "times", "of its answers")
    assert len(found.grid().rows) == len(found.grids()[1].rows) == 20


def test_a_class_without_examples_or_answers_has_dashes() -> None:
    logits = np.array([[2.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    found = Confusion.of([logits], np.array([0, 1]), ("a", "b", "c"))
    assert np.isnan(found.by_class[2].recall)
    assert np.isnan(found.by_class[1].precision)
    assert found.by_class[1].f1 == 0.0
    assert [row[0] for row in found.grids()[1].rows] == ["b", "a", "c"]
    assert found.grids()[1].rows[2][2:] == ("–",) * 5
    json.dumps(found.json(), allow_nan=False)


def test_tenths_of_a_target_are_errors_of_their_examples() -> None:
    rng = np.random.default_rng(1)
    answers = np.round(rng.normal(50, 20, 300))  # many are equal
    outputs = [(answers + rng.normal(0, 5, 300)).astype(np.float32) for _ in range(4)]
    found = Deviations.of(outputs, answers)
    assert sum(each.num for each in found.tenths) == 300
    assert all(one.high < two.low for one, two in zip(found.tenths, found.tenths[1:], strict=False))
    fifth = found.tenths[5]
    inside = (answers >= fifth.low) & (answers <= fifth.high)
    assert fifth.num == inside.sum()
    predicted = np.concatenate([each[inside] for each in outputs])
    assert fifth.mae == pytest.approx(mean_absolute_error(np.tile(answers[inside], 4), predicted))
    assert fifth.mean == pytest.approx(float((np.tile(answers[inside], 4) - predicted).mean()))
    assert fifth.ends[0] < fifth.rmse < fifth.ends[1]
    np.testing.assert_allclose(found.residuals, answers - np.mean(outputs, axis=0), atol=1e-5)
    assert len(Deviations.of([np.zeros(3)], np.ones(3)).tenths) == 1


@pytest.fixture(scope="module")
def flipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[ravine.Results, set[int]]:
    """Digits with some labels wrong, two rules, one of whose learning rates is far too small."""
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(5)
    rows = rng.choice(len(y), FLIPPED, replace=False)
    wrong = y.copy()
    wrong[rows] = (wrong[rows] + rng.integers(1, 10, FLIPPED)) % 10
    data = ravine.from_arrays(x.reshape(-1, 1, 8, 8).astype(np.float32) / 16, wrong.astype(str))
    study = ravine.Study(
        name="flipped",
        data=data,
        model={"kind": "mlp", "hidden": [64]},
        epochs=12,
        batch_size=32,
        seeds=3,
        rules=[{"kind": "adam", "lr": [1e-6, 3e-3]}, {"kind": "momentum", "lr": 0.05}],
    )
    results = ravine.run(study, store=tmp_path_factory.mktemp("flipped"), quiet=True)
    places = {data.place("validation", row): row for row in range(len(data.validation))}
    return results, {places[f"arrays, x, row {row}"] for row in rows if f"arrays, x, row {row}" in places}


def test_flipped_labels_are_perhaps_mislabelled(flipped: tuple[ravine.Results, set[int]]) -> None:
    results, wrong = flipped
    found = results.mistakes(num=40)
    suspects = {each.number for each in found.examples if each.suspect}
    assert len(suspects) == found.num_suspects
    assert len(suspects & wrong) >= 0.8 * len(suspects)
    assert len(suspects & wrong) >= 0.5 * len(wrong)
    assert [each.suspect for each in found.examples] == sorted(
        (each.suspect for each in found.examples), reverse=True
    )
    assert "perhaps mislabelled" in found.suspicion
    assert all(each.place.startswith("arrays, x, row ") for each in found.examples)


def test_shares_and_losses_are_those_of_all_finished_runs(flipped: tuple[ravine.Results, set[int]]) -> None:
    results, _ = flipped
    found = results.mistakes()
    done = [run.id for run in results.runs if run.status == "done"]
    assert found.num_runs == len(done) == 9
    stored = [results.source.tensors("predictions", run)["validation"].astype(np.float64) for run in done]
    right = results.labels.validation
    for each in (found.examples[0], found.examples[-1]):
        said = [logits[each.number].argmax() for logits in stored]
        assert each.wrong == pytest.approx(np.mean([k != right[each.number] for k in said]))
        assert each.answer == results.labels.classes[right[each.number]]
        shares = [np.exp(z[each.number]) / np.exp(z[each.number]).sum() for z in stored]
        losses = [log_loss([right[each.number]], [p], labels=range(10)) for p in shares]
        assert each.loss == pytest.approx(np.mean(losses), rel=1e-5)
    ranks = [(each.wrong, each.loss) for each in found.examples if not each.suspect]
    assert ranks == sorted(ranks, reverse=True)
    best = found.confusion
    assert best is not None
    assert best.num_runs == 3
    assert 1 - best.error == pytest.approx(results.verdict.rules[0].validation)


def test_on_test_only_what_validation_chose_is_looked_at(flipped: tuple[ravine.Results, set[int]]) -> None:
    results, _ = flipped
    fingerprint = results.study.data_fingerprint
    before = results.source.scored.of(fingerprint)
    for rule in results.verdict.rules:
        found = results.mistakes(rule=rule.rule, split="test")
        assert found.num_runs == len(rule.runs)
        assert found.confusion is not None
        assert rule.test is not None
        assert 1 - found.confusion.error == pytest.approx(rule.test)
    assert results.source.scored.of(fingerprint) == before


def test_of_a_rule_only_its_own_runs_count(flipped: tuple[ravine.Results, set[int]]) -> None:
    results, _ = flipped
    assert results.mistakes(rule="adam").num_runs == 6
    assert results.mistakes(rule="momentum").num_runs == 3
    assert results.mistakes(rule="momentum").rule == "momentum"
    assert results.mistakes(num=1).examples[0] == results.mistakes().examples[0]


def test_a_store_alone_has_numbers_and_a_built_in_data_set_is_read_again(tmp_path: Path) -> None:
    study = ravine.Study(name="flowers", data="iris", model="mlp", epochs=8, seeds=2, rules=["adam"])
    results = ravine.run(study, store=tmp_path, quiet=True)
    assert results.data is not None
    alone = ravine.results("flowers", store=tmp_path)
    assert alone.data is None
    found = alone.mistakes()
    assert found.examples
    assert all(each.place == "" and not each.values for each in found.examples)
    assert NOT_AT_HAND in str(found)
    again = ravine.mistakes("flowers", store=tmp_path)
    assert [each.number for each in again.examples] == [each.number for each in found.examples]
    assert again.examples[0].place.startswith("iris, row ")
    assert f"{again.examples[0].place}: sepal length (cm) " in str(again)
    assert next(iter(again.examples[0].values)) == "sepal length (cm)"
    changed = replace(alone, study=replace(alone.study, data_fingerprint="0" * 64))
    assert not ravine.mistakes(changed).whole  # these are not the data that the runs were trained on


def test_values_are_those_of_the_file(tmp_path: Path) -> None:
    lines = ["size,colour,kind"]
    rng = np.random.default_rng(0)
    lines += [
        f"{rng.normal(3, 1):.3f},{rng.choice(['red', 'blue', 'green'])},{rng.choice(['yes', 'no'])}"
        for _ in range(60)
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "s.toml").write_text(
        'name = "s"\ndata = { kind = "csv", path = "t.csv", target = "kind" }\nmodel = "mlp"\nepochs = 1\nseeds = 1\n'
        'rules = ["adam"]\n'
    )
    results = ravine.run(tmp_path / "s.toml", store=tmp_path / "runs", quiet=True)
    data = results.data
    assert data is not None
    for row in range(len(data.validation)):
        line = int(data.place("validation", row).rpartition("line ")[2])
        size, colour, _ = lines[line - 1].split(",")
        found = values_of(data, "validation", row)
        assert found["colour"] == colour
        assert float(found["size"]) == pytest.approx(float(size), abs=1e-5)
    shown = results.mistakes()
    assert str(tmp_path / "t.csv") not in page.report(results).decode()
    assert str(tmp_path) not in str(shown)
    assert shown.json()["examples"][0]["place"].startswith(str(tmp_path))


def test_of_a_regression_residuals_and_tenths(tmp_path: Path) -> None:
    study = ravine.Study(name="sugar", data="diabetes", model="mlp", epochs=5, seeds=2, rules=["adam"])
    results = ravine.run(study, store=tmp_path, quiet=True)
    found = results.mistakes(split="test", num=5)
    assert found.confusion is None
    assert found.deviations is not None
    np.testing.assert_allclose(found.deviations.answers, results.labels.test)
    total = sum(each.num * each.rmse**2 for each in found.deviations.tenths) / len(results.labels.test)
    assert total == pytest.approx(-(results.verdict.rules[0].test or 0.0))
    off = [each.off for each in found.examples]
    assert off == sorted(off, reverse=True)
    drawn = figures.figure(results, "residuals")
    assert [view.label for view in drawn.views] == ["Test", "Validation"]
    assert len(drawn.views[0].panels[0]["data"][0]["x"]) == len(results.labels.test)
    html = page.report(results).decode()
    assert "By tenths of the target: test" in html
    assert "Residuals against predictions" in html
    json.dumps(found.json(), allow_nan=False)


def test_of_several_targets_each_is_in_its_own_unit(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(150, 4))
    y = np.stack([5.0 + x[:, 0], 1e4 * x[:, 1] * x[:, 2], 1.0 + 1e-3 * x[:, 3]], axis=1)
    study = ravine.Study(
        name="three",
        data=ravine.from_arrays(x, y, class_names=["kg", "kcal", "share"]),
        model={"kind": "mlp", "hidden": [8]},
        epochs=4,
        batch_size=16,
        seeds=3,
        rules=[{"kind": "adam", "lr": [0.01, 0.03]}],
    )
    results = ravine.run(study, store=tmp_path, quiet=True)
    found = results.mistakes(num=8)
    assert found.targets is not None
    stored = {
        run.id: results.source.tensors("predictions", run.id)["validation"].astype(np.float64)
        for run in results.runs
    }
    right = results.labels.validation.astype(np.float64)
    chosen = [stored[run] for run in results.verdict.rules[0].runs]
    for place, name in enumerate(("kg", "kcal", "share")):
        each = found.targets.targets[name]
        off = np.stack([values[:, place] - right[:, place] for values in chosen])
        assert each.rmse == pytest.approx(np.sqrt(np.square(off).mean()), rel=1e-6)
        of_all = np.median([np.abs(values[:, place] - right[:, place]) for values in stored.values()], axis=0)
        largest = found.targets.largest[name]
        assert [one.number for one in largest] == np.argsort(-of_all)[:5].tolist()
        assert largest[0].off == pytest.approx(of_all.max(), rel=1e-5)
    scale = np.array(results.labels.scale)
    losses = np.mean([np.square((values - right) / scale).mean(axis=1) for values in stored.values()], axis=0)
    assert [each.number for each in found.examples] == np.argsort(-losses)[:8].tolist()
    first = found.examples[0]
    assert first.loss == pytest.approx(losses.max(), rel=1e-5)
    medians = np.median(
        [np.abs(values[first.number] - right[first.number]) for values in stored.values()], axis=0
    )
    assert first.target == ("kg", "kcal", "share")[int((medians / scale).argmax())]
    assert results.mistakes(num=0).targets is not None
    drawn = figures.figure(results, "residuals")
    assert [view.label for view in drawn.views][:4] == [
        "kg: test",
        "kcal: test",
        "share: test",
        "kg: validation",
    ]
    html = page.report(results).decode()
    for words in ("kcal by tenths: test", "kcal, largest errors: test", "furthest off", "Where it is off"):
        assert words in html
    assert json.dumps(found.json(), allow_nan=False)
    assert "RMSE of kg" in str(found)


def test_the_report_has_pictures_where_the_data_are_at_hand(flipped: tuple[ravine.Results, set[int]]) -> None:
    results, _ = flipped
    html = page.report(results).decode()
    assert html.count('<figure class="card') == 48
    assert "Confusion matrix: test" in html
    assert "On validation: momentum" in html
    alone = page.report(replace(results, data=None)).decode()
    assert 'class="card' not in alone
    assert NOT_AT_HAND in alone


def test_labels_are_looked_at_one_by_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x = rng.uniform(0.3, 2.0, (600, 6)) * rng.choice([-1, 1], (600, 6))
    y = (x[:, :3] > 0).astype(int)
    rows = rng.choice(600, 30, replace=False)
    y[rows, 1] = 1 - y[rows, 1]  # wrong on purpose
    study = ravine.Study(
        name="tags",
        data=ravine.from_arrays(x, y, task="multilabel"),
        model={"kind": "mlp", "hidden": [16]},
        epochs=8,
        batch_size=32,
        seeds=3,
        rules=[{"kind": "adam", "lr": 0.01}],
    )
    results = ravine.run(study, store=tmp_path, quiet=True)
    found = results.mistakes(num=60)
    assert found.labels is not None
    stored = [
        results.source.tensors("predictions", run.id)["validation"].astype(np.float64) for run in results.runs
    ]
    right = np.tile(results.labels.validation, (3, 1))
    said = np.concatenate(stored) > 0
    theirs = precision_recall_fscore_support(right, said, zero_division=np.nan)
    for name, wanted in zip(("precision", "recall", "f1"), theirs, strict=False):
        np.testing.assert_allclose(
            [getattr(each, name) for each in found.labels.by_class], wanted, rtol=1e-12
        )
    np.testing.assert_allclose([each.error for each in found.labels.by_class], (right != said).mean(axis=0))
    first = found.examples[-1]
    answers = results.labels.validation[first.number]
    wrong = np.mean([(logits[first.number] > 0) != answers for logits in stored])
    assert first.wrong == pytest.approx(wrong)
    shares = [1 / (1 + np.exp(-logits[first.number])) for logits in stored]
    losses = [-np.log(np.where(answers == 1, p, 1 - p)).mean() for p in shares]
    assert first.loss == pytest.approx(np.mean(losses), rel=1e-6)
    flipped = {
        row
        for row in range(len(results.labels.validation))
        if results.data is not None and int(results.data.place("validation", row).rpartition(" ")[2]) in rows
    }
    suspects = {each.number for each in found.examples if each.suspect}
    assert len(suspects & flipped) >= max(0.8 * len(suspects), 0.5 * len(flipped))
    html = page.report(results).decode()
    assert "By label: test" in html
    json.dumps(found.json(), allow_nan=False)


@pytest.fixture
def stored(flipped: tuple[ravine.Results, set[int]]) -> str:
    return flipped[0].source.root


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--rule", "adan"], "rule 'adan': the study has none of that name; allowed: adam, momentum"),
        (["--num", "-1"], "num = -1: must be a whole number from 0 to 1,000"),
        (["--split", "train"], "--split train: must be one of validation, test"),
        (["--compare", "modle"], "compare"),
    ],
)
def test_bad_input_is_one_line(
    stored: str, options: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mistakes", "flipped", "--store", stored, *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert line in err


def test_the_verb_prints_tables_or_json(stored: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mistakes", "flipped", "--store", stored, "--num", "0"]) == 0
    assert "hardest" not in capsys.readouterr().out
    assert main(["mistakes", "flipped", "--store", stored, "--num", "3"]) == 0
    assert "taken for" in capsys.readouterr().out
    words = ["--split", "test", "--rule", "momentum", "--json"]
    assert main(["mistakes", "flipped", "--store", stored, *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rule"], found["split"], found["runs"]) == ("momentum", "test", 3)
    assert np.sum(found["confusion"]["counts"]) == 3 * sum(
        each["examples"] for each in found["confusion"]["by_class"]
    )


def test_a_rule_whose_runs_all_diverged_and_a_ladder_are_refused(tmp_path: Path) -> None:
    study = ravine.Study(
        name="lost", data="iris", model="mlp", epochs=2, seeds=1, rules=["adam", {"kind": "sgd", "lr": 1e30}]
    )
    results = ravine.run(study, store=tmp_path, quiet=True)
    with pytest.raises(ravine.InputError, match="rule 'sgd': all of its runs diverged"):
        results.mistakes(rule="sgd")
    with pytest.raises(ravine.InputError, match="split = 'tset'"):
        results.mistakes(split="tset")
    ladder = ravine.Study(
        name="few",
        data="digits",
        model={"kind": "mlp", "hidden": [8]},
        epochs=2,
        seeds=1,
        rules=["adam"],
        ladder={"per_class": [5, 10], "draws": 1},
    )
    with pytest.raises(ravine.InputError, match=r"has a ladder.* without `ladder`"):
        ravine.run(ladder, store=tmp_path, quiet=True).mistakes()
