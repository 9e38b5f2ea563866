"""Random search: Sobol's points, and what a study makes of them."""

import numpy as np
import pytest
from scipy.stats import kstest, qmc

from ravine.errors import StudyError
from ravine.study import parse_study, runs_of
from ravine.study.search import MOST_AXES, _directions, sobol


def unshifted(num: int, dimensions: int) -> np.ndarray:
    """The same points with the shift of every axis undone: the first point of the sequence is 0."""
    words = (sobol(0, num, [str(i) for i in range(dimensions)], seed=0) * 2.0**32).astype(np.uint64)
    return (words ^ words[0]) / 2.0**32


def test_but_for_the_shift_the_points_are_scipys():
    expected = qmc.Sobol(MOST_AXES, scramble=False, bits=32).random(1024)
    np.testing.assert_array_equal(unshifted(1024, MOST_AXES), expected)


def test_direction_numbers_fill_every_bit_once():
    for axis in range(MOST_AXES):
        assert [word & -word for word in _directions(axis)] == [1 << (31 - i) for i in range(32)]


def test_they_cover_a_box_far_better_than_independent_draws():
    for seed in range(5):
        points = sobol(0, 256, ["lr", "rho", "eps"], seed)
        independent = np.random.default_rng(seed).random((256, 3))
        assert qmc.discrepancy(points) < 0.1 * qmc.discrepancy(independent)


def test_drawing_on_gives_the_following_points():
    whole = sobol(0, 100, ["a", "b"], seed=3)
    np.testing.assert_array_equal(
        np.concatenate([sobol(0, 37, ["a", "b"], 3), sobol(37, 63, ["a", "b"], 3)]), whole
    )
    assert not np.array_equal(whole, sobol(0, 100, ["a", "b"], seed=4))


def lrs(study, data, label):
    return [run.recipe.hypers["lr"] for run in runs_of(study, data) if run.label == label and run.seed == 0]


RULES = [
    {"kind": "momentum", "rho": [0.5, 0.9, 0.99], "lr": {"log": [1e-4, 1.0]}},
    {"kind": "adam", "lr": {"log": [1e-5, 1e-1], "num": 9}, "beta1": {"linear": [0.5, 0.99]}},
]


def random_study(plain, trials, **keys):
    keys = {
        "rules": RULES,
        "seeds": 2,
        "batch_size": 10,
        "search": {"kind": "random", "trials": trials},
    } | keys
    return parse_study(plain(**keys))


def test_every_rule_gets_the_same_number_of_trials(plain, data):
    study = random_study(plain, 30)
    runs = runs_of(study, data)
    assert len(runs) == study.num_runs == 2 * 30 * 2
    for label in ("momentum", "adam"):
        configs = {run.recipe.id for run in runs if run.label == label}
        assert len(configs) == 30


def test_more_trials_keep_the_first_and_the_seed_changes_them(plain, data):
    few, many = (lrs(random_study(plain, n), data, "adam") for n in (30, 600))
    assert many[:30] == few
    assert len(set(many)) == 600
    other = random_study(plain, 30, search={"kind": "random", "trials": 30, "seed": 1})
    assert not set(lrs(other, data, "adam")) & set(few)


def test_draws_are_log_uniform_and_lists_are_choices(plain, data):
    study = random_study(plain, 512, seeds=1)
    assert kstest(np.log10(lrs(study, data, "momentum")), "uniform", args=(-4, 4)).statistic < 0.01
    rhos = [run.recipe.hypers["rho"] for run in runs_of(study, data) if run.label == "momentum"]
    assert {rho: rhos.count(rho) // 10 for rho in rhos} == {0.5: 17, 0.9: 17, 0.99: 17}
    beta1 = [run.recipe.hypers["beta1"] for run in runs_of(study, data) if run.label == "adam"]
    assert kstest(beta1, "uniform", args=(0.5, 0.49)).statistic < 0.01


@pytest.mark.parametrize(("trials", "expected"), [(2, 2), (7, 7), (8, 8), (50, 8)])
def test_choices_alone_are_never_tried_twice(plain, data, trials, expected):
    rules = [{"kind": "sgd", "lr": [0.1, 0.2, 0.4, 0.8]}]
    study = random_study(plain, trials, rules=rules, schedule=["constant", "cosine"], seeds=1)
    runs = runs_of(study, data)
    assert len({run.id for run in runs}) == len(runs) == study.num_runs == expected


def test_nearly_all_choices_are_found_and_a_range_may_be_too_narrow(plain, data):
    rules = [{"kind": "sgd", "lr": [i / 50 for i in range(1, 51)], "l1": [i / 20 for i in range(20)]}]
    assert len(runs_of(random_study(plain, 999, rules=rules, seeds=1), data)) == 999
    study = random_study(plain, 30, rules=[{"kind": "sgd", "label": "s", "lr": {"log": [1, 1 + 1e-12]}}])
    with pytest.raises(StudyError, match=r"^rules: 's' has fewer than 30 different configs; widen"):
        runs_of(study, data)


def test_model_schedule_and_batch_size_are_searched_too(plain, data):
    model = {"kind": "mlp", "dropout": {"linear": [0.0, 0.5]}}
    study = random_study(plain, 64, model=model, schedule=["constant", "cosine"], batch_size=[10, "full"])
    runs = runs_of(study, data)
    assert {run.recipe.schedule["kind"] for run in runs} == {"constant", "cosine"}
    assert {run.recipe.batch_size for run in runs} == {10, 60}
    assert len({run.chosen["model.dropout"] for run in runs}) == 64
