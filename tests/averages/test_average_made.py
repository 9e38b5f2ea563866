"""Averages made when a run is over, against those that training had moved along, and against sums in float64."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ravine
from ravine.averages.asked import Asked
from ravine.averages.made import combination
from ravine.averages.profiles import Profile, combine, profiles_of
from ravine.averages.vectors import Stored
from ravine.cli.main import main
from ravine.errors import InputError
from ravine.outcomes.lengths import lengths
from ravine.report.figures import figure
from ravine.rules.averages import ema, power, uniform
from ravine.study.bank import bank_steps

STEPS = 100
# Two norms of the same shape: what is matched by its place, and not by its name, would be seen.
MODEL = {"kind": "mlp", "hidden": [6, 6], "norm": "batch"}


def study(**changes: object) -> ravine.Study:
    given = {
        "name": "bank", "data": "iris", "model": MODEL, "steps": STEPS, "seeds": 2, "evaluations": 2,
        "batch_size": 16, "rules": [{"kind": "adam", "lr": 0.02}], "keep": {"every": 1},
        "averages": {"ema": [0.97], "bank": True},
    }  # fmt: skip
    return ravine.Study(**{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("averages") / "runs"
    ravine.run(study(), store=found, quiet=True, device="cpu")
    values = study(
        name="values",
        data="diabetes",
        model={"kind": "mlp", "hidden": [4]},
        keep=None,
        steps=1000,
        averages={"bank": True},
    )
    ravine.run(values, store=found, quiet=True, device="cpu")
    alone = study(name="alone", keep=None, seeds=[7], averages={"bank": True})
    ravine.run(alone, store=found, quiet=True, device="cpu")
    ravine.run(study(name="bare", keep={"every": 25}, averages=None, rules=["adam"]), store=found, quiet=True)
    return found


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[ravine.Store]:
    with ravine.Store(folder, create=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def banked(store: ravine.Store) -> Stored:
    """The first run, as if it had stored nothing but its bank and its end."""
    stored = Stored.of(store, store.runs("bank")[0])
    few = tuple(vector for vector in stored.vectors if vector.part in ("bank", "weights"))
    assert len(few) == 61
    return replace(stored, vectors=few)


def path_of(stored: Stored, name: str) -> np.ndarray:
    """The weights after each step, (T, ...)."""
    _, along = stored.store.kept.path(stored.record.id)
    end = stored.store.tensors("weights", stored.record.id)
    return np.concatenate([along[name][1:], end[name][None]]).astype(np.float64)


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(Asked(kind="ema", value=0.97), marks=pytest.mark.slow),
        Asked(kind="ema", value=0.999),
        pytest.param(Asked(kind="width", value=0.03), marks=pytest.mark.slow),
        Asked(kind="width", value=0.15),
        Asked(kind="tail", value=0.25),
        pytest.param(Asked(kind="tail", value=1.0), marks=pytest.mark.slow),
    ],
    ids=lambda wanted: wanted.name,
)
def test_weights_are_off_by_no_more_than_the_error_of_the_profile_allows(
    banked: Stored, wanted: Asked
) -> None:
    found = combination(banked, wanted)
    assert found.error < 0.03
    average = wanted.average(STEPS, ())
    P = profiles_of([vector.profile for vector in banked.vectors], STEPS)
    right_T = profiles_of([Profile(average=average, at=STEPS)], STEPS)[:, 0]
    off_T = np.abs(P @ found.coefficients - right_T)
    names = [name for name in banked.store.tensors("weights", banked.record.id) if "running" not in name]
    names = [name for name in names if "num_batches" not in name]
    paths = {name: path_of(banked, name) for name in names}
    made = banked.weighted(found.coefficients.tolist(), names)
    errors, distances_T, largest = 0.0, np.zeros(STEPS), 0.0
    for name, path in paths.items():
        errors += np.square(made[name] - np.tensordot(right_T, path, 1)).sum()
        apart = (path - path.mean(0)).reshape(STEPS, -1)
        distances_T += np.square(apart).sum(1)
        largest = max(largest, float(np.abs(path).max()))
    bound = float(off_T @ np.sqrt(distances_T))
    # What is stored is rounded to 24 bits, and an average moves along in so many.
    num = sum(path[0].size for path in paths.values())
    rounding = 4 * found.amplification * 2.0**-24 * largest * num**0.5
    assert errors**0.5 <= bound + rounding


def test_an_ema_that_was_tracked_is_the_one_that_is_made(store: ravine.Store, banked: Stored) -> None:
    found = combination(banked, Asked(kind="ema", value=0.97))
    tracked = store.tensors("ema 0.97/weights", banked.record.id)
    made = banked.weighted(found.coefficients.tolist(), ["linear1.weight"])["linear1.weight"]
    moved = np.linalg.norm(path_of(banked, "linear1.weight")[-1] - tracked["linear1.weight"])
    assert np.linalg.norm(made - tracked["linear1.weight"]) < 0.01 * moved
    whole = Stored.of(store, banked.record)  # which has it as it is
    again = combination(whole, Asked(kind="ema", value=0.97))
    exact = whole.weighted(again.coefficients.tolist(), ["linear1.weight"])["linear1.weight"]
    np.testing.assert_array_equal(exact, tracked["linear1.weight"])


def test_variances_are_those_of_the_training_data_though_coefficients_are_negative(folder: Path) -> None:
    made = ravine.average("alone", store=folder, tail=0.25, device="cpu")
    assert made.coefficients["bank mean at step 75"] == pytest.approx(-3.0)
    assert made.error < 1e-9
    from ravine.data import load

    train = load(study().data).train
    x = (
        train.x.astype(np.float64) @ made.weights["linear1.weight"].T.astype(np.float64)
        + made.weights["linear1.bias"]
    )
    np.testing.assert_allclose(made.weights["norm1.running_mean"], x.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made.weights["norm1.running_var"], x.var(0), rtol=1e-5)
    assert (made.weights["norm2.running_var"] >= 0).all()
    assert made.examples == len(train)


def test_it_is_scored_on_validation_beside_the_last_weights(folder: Path, store: ravine.Store) -> None:
    run = store.runs("bank")[1]
    made = ravine.average("bank", run=run.id[:8], ema=0.97, store=folder, device="cpu")
    assert made.run == run.id
    # It is the average that training tracked, and evaluated.
    assert made.own == {name: run.metrics[name] for name in ("validation_loss", "validation_accuracy")}
    for name, value in made.scores.items():
        assert value == pytest.approx(run.metrics[f"ema 0.97/{name}"], rel=1e-6)
    for name, array in store.tensors("ema 0.97/weights", run.id).items():
        np.testing.assert_allclose(made.weights[name], array, rtol=1e-6, err_msg=name)
    values = ravine.average("values", width=0.2887, store=folder, device="cpu")
    assert set(values.scores) == {"validation_loss"}
    assert values.examples == 0
    assert values.error < 1e-9  # the mean of all steps
    assert "profile is off by 0 %" in values.sentences[0]


def test_it_is_stored_where_that_is_asked_for(folder: Path, store: ravine.Store) -> None:
    run = store.runs("alone")[0].id
    for _ in range(2):  # once more changes nothing
        made = ravine.average("alone", run=run, tail=0.5, keep=True, store=folder, device="cpu")
    assert store.averages.names([run])[run] == ("made tail 0.5",)
    assert made.stored_as == "made tail 0.5"
    for name, array in store.tensors("made tail 0.5/weights", run).items():
        np.testing.assert_array_equal(array, made.weights[name])
    logits = store.tensors("made tail 0.5/predictions", run)["validation"]
    answers = store.labels.of(store.study("alone").data_fingerprint).validation
    assert (logits.argmax(1) == answers).mean() == pytest.approx(made.scores["validation_accuracy"])
    assert store.run(run).metrics["made tail 0.5/validation_accuracy"] == made.scores["validation_accuracy"]
    assert store.check() == []
    assert [row.average for row in ravine.results("alone", store=folder).averages] == ["made tail 0.5"]
    assert figure(ravine.results("alone", store=folder), "averages").views == ()  # it has no curve
    pooled = ravine.ensemble("alone", members=[run, f"{run}#made tail 0.5"], store=folder)
    assert len(pooled.weights) == 2


def test_kept_weights_are_averaged_exactly(folder: Path, store: ravine.Store) -> None:
    run = store.runs("bare")[0]
    made = ravine.average("bare", run=run.id, last=3, store=folder, device="cpu")
    _, along = store.kept.path(run.id)
    end = store.tensors("weights", run.id)
    right = (along["linear1.weight"][[2, 3]].sum(0, dtype=np.float64) + end["linear1.weight"]) / 3
    np.testing.assert_allclose(made.weights["linear1.weight"], right, rtol=2e-7)  # rounded once


@pytest.mark.parametrize(
    ("study_name", "given", "said"),
    [
        ("bare", {"ema": 0.99}, "averages = { bank = true } keeps enough for it"),
        ("bare", {"tail": 0.5}, "averages = { bank = true } keeps enough for it"),
        (
            "bare",
            {"last": 9},
            'the run stored its weights 4 times, its end included; keep = { every = "epoch" }',
        ),
        ("values", {"ema": 0.9}, "averages = { ema = 0.9 } keeps it"),
        ("values", {"tail": 0.33}, "averages = { polyak = { from = 0.67 } } keeps it"),
        ("values", {"width": 0.01}, "averages = { bank = { steps = 40 } } keeps enough for it"),
        ("bank", {}, "exactly one of them says which average; none is given"),
        ("bank", {"ema": 0.9, "tail": 0.5}, "ema and tail are given"),
        ("bank", {"ema": 1.0}, "ema = 1.0: must be a decay above 0 and below 1"),
        ("bank", {"tail": 0.0}, "tail = 0.0: must be a part of the run above 0, 1 at most"),
        ("bank", {"width": 0.3}, "width = 0.3: must be a relative width above 0 and at most 0.2887"),
        ("bank", {"last": 0}, "last"),
        ("bank", {"ema": 0.9, "run": "ffff"}, "run 'ffff': in study 'bank' no id begins with it"),
    ],
)
def test_what_is_refused(folder: Path, study_name: str, given: dict[str, float], said: str) -> None:
    with pytest.raises(InputError) as caught:
        ravine.average(study_name, store=folder, device="cpu", **given)  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_scores_against_the_length_are_stored_and_read(folder: Path, store: ravine.Store) -> None:
    results = ravine.results("bank", store=folder)
    assert lengths(results, "validation_accuracy") == ()
    [found] = ravine.average_lengths("bank", store=folder, device="cpu", quiet=True)
    assert (found.rule, found.num_seeds) == ("adam", 2)
    assert found.widths[0] == 0.02
    assert found.widths[-1] == pytest.approx(0.288675)
    assert set(found.scores) == {"again", "last"}
    runs = [run.id for run in store.runs("bank")]
    place = found.widths.index(0.1)
    made = [ravine.average("bank", run=run, width=0.1, store=folder, device="cpu") for run in runs]
    scores = [each.scores["validation_accuracy"] for each in made]
    spread = found.scores["again"][place]
    assert (spread.mean, spread.low, spread.high) == pytest.approx(
        (np.mean(scores), min(scores), max(scores))
    )
    assert found.own.mean == pytest.approx(np.mean([each.own["validation_accuracy"] for each in made]))
    assert store.check() == []
    views = figure(ravine.results("bank", store=folder), "averaging-length").views
    assert [chip.label for chip in views[0].chips] == [
        "last weights", "BatchNorm's statistics estimated again", "BatchNorm's statistics of the last weights",
    ]  # fmt: skip
    traces = views[0].panels[0]["data"]
    again = next(t for t in traces if t["legendgroup"].endswith("again") and t["meta"] == "line")
    assert again["x"] == list(found.widths)
    assert again["y"][place] == pytest.approx(max(100 * (1 - spread.mean), results.error_floor), rel=1e-4)
    nothing = figure(ravine.results("bare", store=folder), "averaging-length")
    assert nothing.views == ()
    assert "--lengths stores them" in nothing.caption
    with pytest.raises(
        InputError, match=r"no run of a chosen config has a bank; averages = \{ bank = true \}"
    ):
        ravine.average_lengths("bare", store=folder, device="cpu", quiet=True)


def test_the_command_prints_a_table_or_one_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["average", "bank", "--tail", "0.5", "--store", str(folder), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "its profile is off by 0 %" in " ".join(printed.split())
    assert "tail 0.5" in printed
    assert (
        main(["average", "bank", "--width", "0.1", "--json", "--store", str(folder), "--device", "cpu"]) == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert found["average"] == "width 0.1"
    assert sum(found["coefficients"].values()) == pytest.approx(1.0)
    assert main(["average", "bank", "--lengths", "--ema", "0.9", "--store", str(folder)]) == 2
    assert "--lengths, --ema: only one of them at a time" in capsys.readouterr().err


@pytest.mark.parametrize("steps", [7, 20, 495, 1001])
def test_the_mean_of_each_last_part_is_exact_where_a_bank_has_its_beginning(steps: int) -> None:
    at = bank_steps(20, steps)
    vectors = [Profile(average=uniform(), at=step) for step in at]
    for part in range(1, 21):
        wanted = Asked(kind="tail", value=part / 20).average(steps, ())
        assert wanted.first == uniform((20 - part) * steps // 20 + 1).first
        assert combine(vectors, wanted, steps).error < 1e-9


def test_averages_of_every_kind_are_of_the_right_steps() -> None:
    t = np.arange(1, 101)
    for wanted, right in (
        (Asked(kind="tail", value=0.25), uniform(76)),
        (Asked(kind="tail", value=1.0), uniform(1)),
        (Asked(kind="ema", value=0.9), ema(0.9)),
        (Asked(kind="width", value=0.1), power(0.1)),
    ):
        np.testing.assert_array_equal(wanted.average(100, ()).share(t), right.share(t))
