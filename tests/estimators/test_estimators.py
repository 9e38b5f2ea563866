"""`ravine.Classifier` and `Regressor`: as scikit-learn's users expect them, and honest about what they chose."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.special import softmax
from sklearn.base import clone
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import ravine
from ravine.api.estimators.grid import Wanted, batch_size, default_epochs
from ravine.data.arrays import without_test
from ravine.errors import DataError, InputError
from ravine.launch.pace import Pace
from ravine.study import runs_of

SMALL = {"runs": 3, "epochs": 5}
X, Y = load_iris(return_X_y=True)
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def iris() -> ravine.Classifier:
    return ravine.Classifier(runs=4, epochs=20).fit(X, Y)


@pytest.fixture(scope="module")
def line() -> ravine.Regressor:
    return ravine.Regressor(runs=4, epochs=40).fit(X[:, :3], 100 + 10 * X[:, 3])


def test_it_learns(iris: ravine.Classifier, line: ravine.Regressor) -> None:
    assert iris.score(X, Y) > 0.9
    assert line.score(X[:, :3], 100 + 10 * X[:, 3]) > 0.85
    assert line.predict(X[:, :3]).dtype == np.float64


def test_probabilities_sum_to_one_and_the_largest_is_predicted(iris: ravine.Classifier) -> None:
    p = iris.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(iris.classes_[p.argmax(axis=1)], iris.predict(X))
    np.testing.assert_allclose(np.exp(iris.predict_log_proba(X)), p)


def test_it_predicts_the_weighted_mean_of_its_members_by_hand(iris: ravine.Classifier) -> None:
    """In NumPy and float64: standardized inputs, one hidden layer, softmax, weighted mean, temperature."""
    predictor = iris.predictor_
    scaling = predictor.preparation.inputs.scaling
    x = (X - np.array(scaling.mean)) / np.array(scaling.deviation)
    pooled = np.zeros((len(X), 3))
    for part in predictor.members:
        w1, b1, w2, b2 = (tensor.numpy() for tensor in part.model.module.parameters())
        pooled += part.share * softmax(np.maximum(x @ w1.T + b1, 0.0) @ w2.T + b2, axis=1)
    by_hand = softmax(np.log(pooled) / predictor.temperature, axis=1)
    np.testing.assert_allclose(iris.predict_proba(X), by_hand, rtol=2e-5, atol=1e-7)


def test_a_row_is_predicted_the_same_alone_and_among_others(iris: ravine.Classifier) -> None:
    alone = np.concatenate([iris.predict_proba(X[row : row + 1]) for row in range(0, 150, 10)])
    np.testing.assert_allclose(alone, iris.predict_proba(X)[::10], rtol=1e-12)


def test_it_takes_a_studys_augmentation_smoothing_and_stopping() -> None:
    keys = {"augment": {"noise": [0.0, 0.2]}, "label_smoothing": [0.0, 0.1], "stop": {"patience": 2}}
    data = without_test(X, Y, task="classification", name="fit", validation=0.2, split_seed=0)
    study = Wanted(model="mlp", rules="auto", epochs=2, batch_size=8, **keys, seed=0).study(data, 16)
    hypers = [run.recipe.hypers for run in runs_of(study, data)]
    assert {(each.get("augment.noise", 0.0), each.get("label_smoothing", 0.0)) for each in hypers} == {
        (noise, smoothing) for noise in (0.0, 0.2) for smoothing in (0.0, 0.1)
    }
    assert {each["stop.patience"] for each in hypers} == {2.0}
    assert study.evaluations == 20
    with pytest.raises(InputError, match=r"^label_smoothing = 0\.1: fit is a regression"):
        ravine.Regressor(**SMALL, label_smoothing=0.1).fit(X[:, :3], X[:, 3])
    with pytest.raises(InputError, match=r"^augment\.flip"):
        ravine.Classifier(**SMALL, augment={"flip": 0.5}).fit(X, Y)
    double = Wanted(model="mlp", rules="auto", epochs=2, batch_size=8, precision="float64", seed=0)
    assert {run.recipe.precision for run in runs_of(double.study(data, 2), data)} == {"float64"}
    assert ravine.Classifier(**SMALL, precision="float64").fit(X, Y).score(X, Y) > 0.5
    with pytest.raises(InputError, match=r"^precision = 'double': "):
        ravine.Classifier(**SMALL, precision="double").fit(X, Y)
    with pytest.raises(InputError, match=r"^stop = 5: must be a table"):
        ravine.Classifier(**SMALL, stop=5).fit(X, Y)


def test_the_table_has_every_run_and_its_weight(iris: ravine.Classifier) -> None:
    assert len(iris.results_) == iris.runs_ == 4
    weights = {row["run"]: row["weight"] for row in iris.results_ if row["weight"]}
    assert weights == pytest.approx(iris.ensemble_)
    assert sum(weights.values()) == pytest.approx(1.0)
    assert {"rule", "lr", "validation_loss", "validation_accuracy", "status"} <= set(iris.results_[0])


@pytest.mark.parametrize(
    "classes",
    [np.array(["setosa", "versicolor", "virginica"]), np.array([3, 7, 11], dtype=np.int16)],
    ids=["texts", "int16"],
)
def test_classes_come_back_as_they_were_given(classes: np.ndarray) -> None:
    model = ravine.Classifier(runs=1, epochs=3).fit(X, classes[Y])
    np.testing.assert_array_equal(model.classes_, classes)
    assert model.predict(X).dtype == classes.dtype


def test_two_classes_of_bools() -> None:
    model = ravine.Classifier(**SMALL).fit(X[:100], Y[:100] == 1)
    assert model.classes_.dtype == bool
    assert model.predict_proba(X).shape == (150, 2)
    assert model.score(X[:100], Y[:100] == 1) == 1.0


def test_it_is_deterministic_by_its_random_state() -> None:
    first, again, other = (
        ravine.Classifier(**SMALL, random_state=seed).fit(X, Y).predict_proba(X) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_pickled_and_copied_it_predicts_the_same(iris: ravine.Classifier) -> None:
    for same in (pickle.loads(pickle.dumps(iris)), copy.deepcopy(iris)):
        np.testing.assert_array_equal(same.predict_proba(X), iris.predict_proba(X))
    assert not hasattr(clone(iris), "predictor_")
    assert clone(iris).get_params() == iris.get_params()


def test_it_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ravine.Classifier(runs=1, epochs=1).fit(X, Y)
    assert not list(tmp_path.iterdir())


def test_columns_of_names_and_missing_cells() -> None:
    colours = np.array(["red", "green", "blue"])[RNG.integers(0, 3, 200)]
    size = RNG.normal(size=200)
    y = 2.0 * (colours == "red") + size
    frame = pd.DataFrame({"colour": colours, "size": size})
    frame.loc[::17, "size"] = np.nan
    frame.loc[5, "colour"] = None
    model = ravine.Regressor(runs=2, epochs=60).fit(frame, y)
    assert list(model.feature_names_in_) == ["colour", "size"]
    assert model.score(frame, y) > 0.8
    new = pd.DataFrame({"colour": ["red", "blue", "violet", None], "size": [0.0, 0.0, np.nan, 1.0]})
    assert np.isfinite(model.predict(new)).all()
    assert model.predict(new)[0] - model.predict(new)[1] == pytest.approx(2.0, abs=0.5)


def test_a_polars_frame_is_as_good_as_pandas(iris: ravine.Classifier) -> None:
    names = ["a", "b", "c", "d"]
    by_pandas = ravine.Classifier(**SMALL).fit(pd.DataFrame(X, columns=names), Y)
    by_polars = ravine.Classifier(**SMALL).fit(pl.DataFrame(X, schema=names), Y)
    np.testing.assert_array_equal(
        by_pandas.predict_proba(pd.DataFrame(X, columns=names)),
        by_polars.predict_proba(pl.DataFrame(X, schema=names)),
    )
    with pytest.raises(ValueError, match="feature names should match"):
        by_pandas.predict(pd.DataFrame(X, columns=names[::-1]))
    with pytest.raises(ValueError, match="X has 3 features, but Classifier is expecting 4"):
        iris.predict(X[:, :3])


def test_missing_numbers_in_an_array_are_imputed_by_the_mean(iris: ravine.Classifier) -> None:
    gone = X.copy()
    gone[:, 2] = np.nan
    filled = X.copy()
    filled[:, 2] = iris.predictor_.preparation.inputs.columns[2].fill
    np.testing.assert_array_equal(iris.predict_proba(gone), iris.predict_proba(filled))
    with pytest.raises(DataError, match=r"column 'x1' is inf"):
        iris.predict(np.where(np.arange(4) == 1, np.inf, X))


def test_refusals_are_one_line() -> None:
    import scipy.sparse

    def refused(model: ravine.Classifier, x: object = X, y: object = Y) -> str:
        with pytest.raises((DataError, InputError)) as error:
            model.fit(x, y)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert refused(ravine.Classifier(), scipy.sparse.csr_matrix(X)).startswith("X is sparse (150 x 4)")
    assert refused(ravine.Classifier(), {"a": X[:, 0]}).startswith("X is a dict; an array or a data frame")
    assert refused(ravine.Classifier(), X[:50], Y[:50]).startswith("y has only one class, ")
    assert refused(ravine.Classifier(), X[:51], Y[:51]).startswith(
        "fit: class '1' has 1 example, too few to split"
    )
    assert refused(ravine.Classifier(runs=0)) == "runs = 0: must be a whole number from 1 to 10,000"
    backbone = {"kind": "backbone", "weights": "builtin:efficientnet-lite0"}
    assert refused(ravine.Classifier(model=["mlp", backbone])).startswith(
        "model: kind = 'backbone': an estimator has"
    )
    assert refused(ravine.Classifier(runs=1, rules=["adam", "adamw"])).startswith(
        "runs = 1: each of the 2 rules"
    )
    assert refused(ravine.Classifier(budget="soon")).startswith(
        "budget = 'soon': must be a time such as \"60s\""
    )
    assert refused(ravine.Classifier(validation_fraction=1.5)).startswith("fit: validation = 1.5: must be")
    assert refused(ravine.Classifier(batch_size=0)).startswith(
        "batch_size = 0: must be a whole number from 1 to"
    )
    assert refused(ravine.Classifier(size=0)).startswith("size = 0: must be a whole number")
    assert refused(ravine.Classifier(model="mpl")).startswith(
        "model.kind = 'mpl': no such model; did you mean 'mlp'?"
    )
    assert refused(ravine.Classifier(rules="adma")).startswith(
        "rules.0.kind = 'adma': no such rule; did you mean"
    )
    assert issubclass(DataError, ValueError)
    with pytest.raises(NotFittedError):
        ravine.Classifier().predict(X)


def test_a_target_of_one_column_warns_as_in_scikit_learn() -> None:
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        ravine.Classifier(runs=1, epochs=1).fit(X, Y[:, None])


def test_in_a_pipeline_and_cross_validation() -> None:
    pipeline = make_pipeline(StandardScaler(), ravine.Classifier(runs=1, epochs=2))
    assert len(cross_val_score(pipeline, X, Y, cv=2)) == 2


@pytest.mark.slow
def test_a_grid_search_in_two_processes() -> None:
    search = GridSearchCV(ravine.Classifier(runs=1), {"epochs": [1, 20]}, cv=2, n_jobs=2).fit(X, Y)
    assert search.best_params_ == {"epochs": 20}


def test_pictures_and_a_model_of_ones_own_kind() -> None:
    pictures = np.zeros((60, 8, 8), dtype=np.uint8)
    y = np.arange(60) % 2
    pictures[y == 1, 2:6, 2:6] = 200
    model = ravine.Classifier(
        {"kind": "convnet", "channels": [4], "hidden": 0}, runs=1, rules="adam", epochs=10
    )
    assert model.fit(pictures, y).score(pictures, y) == 1.0


def _data(rows: int = 100) -> ravine.Dataset:
    x = {"a": np.arange(rows) / rows}
    return without_test(x, np.arange(rows) % 2, task="classification", name="d", validation=0.2, split_seed=0)


def _wanted(rules: object) -> Wanted:
    return Wanted(model="auto", rules=rules, epochs="auto", batch_size="auto", seed=7)


def _ids(study: ravine.Study, data: ravine.Dataset) -> set[str]:
    return {run.id for run in runs_of(study, data)}


TWO = [{"kind": "adam", "lr": {"log": [1e-3, 1e-1]}}, {"kind": "sgd", "lr": [0.1, 0.01, 0.001]}]


@pytest.mark.parametrize(
    ("rules", "runs", "trained"),
    [
        ("auto", 7, 7),
        (TWO, 24, 24),  # 21 points of a range; 3 values x 4 ... dropout rates
        (TWO, 5, 4),
        ([{"kind": "adam", "lr": 0.01}], 3, 3),  # 3 of 4 dropout rates
        ([{"kind": "adam", "lr": 0.01}], 9, 8),  # 4 dropout rates x 2 seeds
    ],
)
def test_runs_fill_all_rules_evenly_and_asking_for_so_many_gives_the_same(
    rules: object, runs: int, trained: int
) -> None:
    wanted, data = _wanted(rules), _data()
    study = wanted.study(data, runs)
    assert study.num_runs == trained
    assert _ids(wanted.study(data, trained), data) == _ids(study, data)


def test_more_runs_are_the_same_ones_and_others() -> None:
    wanted, data = _wanted("auto"), _data()
    few, many = (_ids(wanted.study(data, number), data) for number in (6, 17))
    assert few < many
    assert len(many) == 17


def test_the_default_length_and_batch_suit_few_and_many_examples() -> None:
    assert [batch_size("auto", n) for n in (5, 100, 400, 2000, 50_000)] == [5, 8, 16, 64, 64]
    assert batch_size(500, 120) == 120
    assert batch_size("full", 120) == "full"
    lengths = [default_epochs(n, batch_size("auto", n)) for n in (100, 2000, 16_000)]
    assert lengths == sorted(lengths, reverse=True)
    assert default_epochs(100, "full") == 100
    assert 25 <= default_epochs(100, [8, 16]) <= 100


def test_no_example_is_spent_on_a_test() -> None:
    data = _data(100)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [80, 20, 0]


def test_a_budget_becomes_a_number_of_runs_that_gives_the_same_again() -> None:
    model = ravine.Classifier(budget="0.6s", epochs=20).fit(X, Y)
    assert model.runs_ >= 1
    again = ravine.Classifier(runs=model.runs_, epochs=20).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), again.predict_proba(X))
    assert Pace(ready=1.0, run=0.5).runs_in(0.1) == 0


def test_a_notebook_shows_parameters_and_members(iris: ravine.Classifier) -> None:
    html = iris._repr_html_()
    assert "runs" in html
    assert "of 4 runs" in html
    assert "of 4 runs" in iris._repr_mimebundle_()["text/html"]
    assert "of 4 runs" not in ravine.Classifier()._repr_html_()
    assert str(iris.grid()).splitlines()[2].split()[:2] == ["rule", "lr"]


def test_a_score_is_that_of_scikit_learn(line: ravine.Regressor) -> None:
    y = 100 + 10 * X[:, 3]
    assert line.score(X[:, :3], y) == r2_score(y, line.predict(X[:, :3]))


@pytest.mark.slow
def test_making_one_does_not_import_torch() -> None:
    code = "import sys, ravine; ravine.Classifier(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    code = """if True:
        import pathlib, sys, tempfile, threading, time, os, signal
        tempfile.tempdir = sys.argv[1]
        def stop():
            while not list(pathlib.Path(sys.argv[1]).glob("ravine-*/*")):
                time.sleep(0.01)
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=stop, daemon=True).start()
        import numpy as np, ravine
        ravine.Classifier(epochs=100_000).fit(np.random.rand(200, 3), np.arange(200) % 2)
    """
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("KeyboardInterrupt")
    assert not list(tmp_path.iterdir())


def test_a_frame_without_rows_is_refused_in_one_line() -> None:
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = ravine.Classifier(runs=1, epochs=1).fit(frame, Y)
    with pytest.raises(DataError, match=r"^X has no rows; at least one is needed$"):
        model.predict(frame[:0])


def test_a_regressor_predicts_several_numbers_each_in_its_own_unit() -> None:
    y = np.stack([100 + 10 * X[:, 3], X[:, 2] / 1000], axis=1)
    model = ravine.Regressor(runs=4, epochs=40).fit(X[:, :3], y)
    found = model.predict(X[:, :3])
    assert found.shape == y.shape
    assert r2_score(y, found, multioutput="raw_values").min() > 0.85
    assert model.score(X[:, :3], y) == pytest.approx(r2_score(y, found))
    frame = ravine.Regressor(**SMALL).fit(pd.DataFrame(X[:, :3]), pd.DataFrame(y, columns=["a", "b"]))
    assert frame.predict(pd.DataFrame(X[:3, :3])).shape == (3, 2)


def test_a_classifier_finds_labels() -> None:
    x, y = make_multilabel_classification(200, 6, n_classes=3, random_state=0)
    model = ravine.Classifier(runs=4, epochs=40).fit(x, y)
    found, p = model.predict(x), model.predict_proba(x)
    np.testing.assert_array_equal(found, (p > 0.5).astype(int))
    assert (found == y).mean() > 0.8
    assert model.score(x, y) == pytest.approx((found == y).all(axis=1).mean())
    np.testing.assert_allclose(np.exp(model.predict_log_proba(x)), p)
    with pytest.raises(ValueError, match="multiclass-multioutput"):
        ravine.Classifier(**SMALL).fit(x, np.cumsum(y, axis=1))


def _mostly_zeros() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(400, 2))
    return x, (x[:, 0] + rng.normal(size=400) > 1.8).astype(int)


def test_it_takes_a_studys_loss() -> None:
    x, y = _mostly_zeros()
    balanced = {"kind": "cross_entropy", "class_weights": "balanced"}
    plain, found = (
        ravine.Classifier(runs=3, epochs=20, loss=loss).fit(x, y).predict(x).mean()
        for loss in (None, balanced)
    )
    assert found > 2.0 * plain  # a balanced loss finds the rare class more often
    written = ravine.Classifier(runs=3, epochs=20, loss="cross_entropy").fit(x, y)
    without = ravine.Classifier(runs=3, epochs=20).fit(x, y)
    np.testing.assert_array_equal(written.predict_proba(x), without.predict_proba(x))
    assert clone(ravine.Classifier(loss=balanced)).get_params()["loss"] == balanced


def test_a_regressor_learns_rates_of_counts() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(300, 2))
    rates = np.exp(0.5 + x[:, 0])
    found = ravine.Regressor(runs=3, epochs=30, loss="poisson").fit(x, rng.poisson(rates)).predict(x)
    assert found.min() > 0.0
    assert np.corrcoef(np.log(found), np.log(rates))[0, 1] > 0.8


def test_a_quantile_and_a_loss_of_another_task_are_refused_in_one_line() -> None:
    for loss in ("quantile", {"kind": "quantile", "q": 0.9}):
        with pytest.raises(
            InputError, match=r"^loss: kind = 'quantile': an estimator chooses its ensemble by"
        ):
            ravine.Regressor(runs=2, epochs=1, loss=loss).fit(X[:, :3], X[:, 3])
    with pytest.raises(
        InputError, match=r"^loss = 'mae': .* is a classification; allowed there: cross_entropy"
    ):
        ravine.Classifier(runs=2, epochs=1, loss="mae").fit(X, Y)
