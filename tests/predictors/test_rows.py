"""Predictions of all rows, from every kind of data, straight from the store: order, number, files, scores."""

from __future__ import annotations

import csv
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine
from ravine.cli import main
from ravine.data import Dataset, load
from ravine.data.builtin import read_builtin
from ravine.data.spec import IrisSpec
from ravine.errors import InputError
from ravine.predictors.stored import of_store
from ravine.store import Store
from ravine.study import read_study

FIXTURE = Path(__file__).parents[1] / "store" / "fixtures" / "format4"
X = np.random.default_rng(0).normal(3.0, 5.0, (60, 4))
Y = np.array(["low", "high"])[(X[:, 0] > 3.0).astype(int)]


def run(store: Path, data: Any, name: str = "s", **changes: Any) -> ravine.Results:
    given: dict[str, Any] = {
        "model": {"kind": "mlp", "hidden": [8]},
        "epochs": 20,
        "batch_size": 8,
        "seeds": 2,
    }
    study = ravine.Study(name=name, data=data, **given | {"rules": [{"kind": "adam", "lr": 0.03}]} | changes)
    return ravine.run(study, store=store, quiet=True, device="cpu")


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> ravine.Results:
    return run(tmp_path_factory.mktemp("rows") / "runs", (X, Y))


def raw(kind: str, folder: Path) -> tuple[Any, Any]:
    """The data of a study, and what can be predicted with it: the same examples."""
    if kind == "arrays":
        return (X, Y), (X, Y)
    if kind == "npz":
        np.savez(folder / "d.npz", x=X, y=Y)
        return {"kind": "npz", "path": str(folder / "d.npz")}, folder / "d.npz"
    if kind == "dataset":
        return ravine.from_arrays(X, Y), (X, Y)
    if kind == "bytes":
        x = np.random.default_rng(0).integers(0, 256, (60, 6, 5), dtype=np.uint8)
        return (x, (x.mean((1, 2)) > 127).astype(int)), (x, (x.mean((1, 2)) > 127).astype(int))
    if kind == "iris":
        data = load(ravine.Study(name="d", data="iris", model="mlp", steps=1, rules=["adam"]).data)
        source = read_builtin(IrisSpec())
        assert data.classes == ("setosa", "versicolor", "virginica")
        return "iris", (source.x, np.array(data.classes, dtype=object)[source.y.values.astype(int)])
    frame = {"a": X[:, 0], "colour": np.where(X[:, 1] > 3, "red", "blue"), "label": Y}
    if kind == "frame":
        pandas = pytest.importorskip("pandas")
        table = pandas.DataFrame(frame)
        return (table[["a", "colour"]], table["label"]), (table[["colour", "a"]], table["label"])
    if kind == "parquet":
        pandas = pytest.importorskip("pandas")
        pandas.DataFrame(frame).to_parquet(folder / "d.parquet")
        return {"kind": "parquet", "path": str(folder / "d.parquet"), "target": "label"}, folder / "d.parquet"
    if kind == "pictures":
        image = pytest.importorskip("PIL.Image")
        for i, pixels in enumerate(np.random.default_rng(0).integers(0, 128, (24, 6, 5, 3), dtype=np.uint8)):
            label = ("cat", "dog")[i % 2]
            (folder / "p" / label).mkdir(parents=True, exist_ok=True)
            image.fromarray(pixels + np.uint8(127 * (i % 2))).save(folder / "p" / label / f"{i}.png")
        return {"kind": "images", "path": str(folder / "p")}, folder / "p"
    raise AssertionError(kind)


@pytest.mark.parametrize(
    "kind",
    [
        "pictures",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("arrays", "npz", "dataset", "bytes", "parquet", "iris", "frame")
        ),
    ],
)
def test_every_kind_of_data_is_predicted_without_the_training_data(kind: str, tmp_path: Path) -> None:
    data, new = raw(kind, tmp_path)
    results = run(tmp_path / "runs", data)
    moved = new
    if isinstance(new, Path):  # the study's file is gone
        moved = new.with_name(f"moved{new.suffix}")
        new.rename(moved)
    found = ravine.predict("s", moved, what="ensemble", store=tmp_path / "runs")
    sizes = results.labels.sizes
    assert len(found) == sum(sizes)
    assert all("outside the range of training" in note for note in found.notes)
    assert found.num_scored == len(found)
    assert found.scores["accuracy"] > 0.8
    # What is predicted for the validation examples is what was stored for them.
    ids = [run.id for run in results.runs]
    logits = [
        Store(tmp_path / "runs", create=False).tensors("predictions", each)["validation"] for each in ids
    ]
    p = np.mean([np.exp(each - each.max(1, keepdims=True)) for each in logits], axis=0)
    assert p.shape == (sizes[1], len(found.classes))
    exported = ravine.export(results, out=tmp_path / "model", what="ensemble")
    again = ravine.predict(exported.folder, moved)
    assert found.probabilities is not None
    assert again.probabilities is not None
    assert found.probabilities.tobytes() == again.probabilities.tobytes()


@pytest.mark.slow
def test_a_dataset_that_says_nothing_of_raw_values_takes_prepared_ones(tmp_path: Path) -> None:
    made = ravine.from_arrays(X, Y)
    plain = Dataset(
        **{name: getattr(made, name) for name in ("name", "task", "train", "validation", "test", "classes")},
        fingerprint=made.fingerprint,
    )
    results = run(tmp_path / "runs", plain)
    found = ravine.predict(results, made.test.x)
    stored = results.source.tensors("predictions", results.runs[0].id)["test"]
    other = results.source.tensors("predictions", results.runs[1].id)["test"]
    best = [each.argmax(1).tolist() for each in (stored, other)]
    assert [made.classes.index(name) for name in found.predicted] in best


def test_a_regression_and_its_spread_are_in_the_targets_own_units(tmp_path: Path) -> None:
    """Trap 18: ten times the target, ten times the spread, a hundred times its square."""
    y = X @ [1.0, -2.0, 0.5, 0.0]
    found = []
    for name, unit in (("one", 1.0), ("ten", 10.0)):
        results = run(tmp_path / "runs", (X, unit * y), name=name)
        found.append(ravine.predict(results, (X, unit * y), what="ensemble"))
    one, ten = found
    np.testing.assert_allclose(ten.predicted, 10.0 * one.predicted, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(ten.disagreement**2, 100.0 * one.disagreement**2, rtol=0.05, atol=1e-3)
    assert ten.scores["rmse"] == pytest.approx(10 * one.scores["rmse"], rel=1e-2)
    off = one.predicted - y
    assert one.scores["rmse"] == pytest.approx(np.sqrt(np.mean(off**2)))
    assert one.scores["mae"] == pytest.approx(np.abs(off).mean())
    assert "which differ by" in one.sentences[0]


def test_rows_that_stay_empty_keep_their_place_in_the_file(arrays: ravine.Results, tmp_path: Path) -> None:
    results = arrays
    x = X[:5].copy()
    x[1, 0] = np.nan
    found = ravine.predict(results, x, what="ensemble")
    assert found.predicted[1] is None
    assert "1 row is left empty" in found.notes[-1]
    found.save(tmp_path / "p.csv", probabilities=True, members=True)
    with (tmp_path / "p.csv").open() as file:
        header, *lines = csv.reader(file)
    assert header == ["prediction", "p_high", "p_low", "disagreement"]
    assert lines[1] == ["", "", "", ""]
    assert [line[0] for line in lines] == ["" if name is None else name for name in found.predicted]
    assert float(lines[0][1]) == found.probabilities[0, 0]  # type: ignore[index]
    found.save(tmp_path / "q.csv")
    assert (tmp_path / "q.csv").read_text().splitlines()[2] == '""'  # no empty line, which readers pass over
    pyarrow = pytest.importorskip("pyarrow.parquet")
    found.save(tmp_path / "p.parquet", probabilities=True)
    table = pyarrow.read_table(tmp_path / "p.parquet")
    assert table.column("prediction").to_pylist() == list(found.predicted)
    assert table.column("p_low").null_count == 1
    assert "–" in str(found)
    assert found.json()["columns"]["prediction"][1] is None
    with pytest.raises(InputError, match="is a folder"):
        found.save(tmp_path)
    for name in ("p.json", "p.xlsx", "p", "-"):  # not a CSV file under a name that says something else
        with pytest.raises(InputError, match=r"end the name with \.csv or \.parquet$"):
            found.save(tmp_path / name)
    with pytest.raises(InputError, match="cannot be written"):
        found.save(tmp_path / "no" / "where.csv")
    with pytest.raises(InputError, match="no other row can be predicted"):
        ravine.predict(results, x[1:2])


def test_outputs_that_are_no_numbers_are_no_prediction(arrays: ravine.Results) -> None:
    found = ravine.predict(arrays, np.array([[3e38, -3e38, 3e38, 3e38], X[0]]))
    assert found.predicted[1] in ("low", "high")
    assert found.predicted[0] in ("low", "high") or "not finite numbers" in found.notes[-1]


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store that an earlier version wrote: it has no preparations."""
    place = tmp_path / "old"
    shutil.copytree(FIXTURE, place)
    with tarfile.open(place / "store.tar.gz") as archive:
        archive.extractall(place, filter="data")
    monkeypatch.chdir(place)
    sys.modules.pop("models", None)
    yield place
    sys.modules.pop("models", None)


@pytest.mark.parametrize("name", ["flowers", "own"])
def test_an_older_study_is_prepared_again_from_its_data(old: Path, name: str) -> None:
    with Store(old / "runs", create=False) as store:
        assert store.preparations.of(name) is None
        run = next(run for run in store.runs(name) if run.status == "done")
        stored = store.tensors("predictions", run.id)["test"]
        study = read_study(old / f"{name}.toml")[0]
        data = load(study.data, base=old)
        predictor = of_store(store, name, run.id, find=lambda: (study, old))
    ((_, outputs),) = predictor.outputs(data.test.x).items()
    np.testing.assert_allclose(outputs, stored, rtol=2e-5, atol=1e-5)
    model = study.model.target if name == "own" else None  # type: ignore[union-attr]
    ravine.export(name, out=old / "model", what=run.id, store=old / "runs", model=model)
    assert main(["predict", "model", "--check", *(["--model", model] if model else [])]) == 0


def test_an_older_study_whose_data_have_changed_is_refused(old: Path) -> None:
    file = old / "flowers.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(InputError, match="was trained on other data"):
        ravine.export("flowers", out=old / "model", store=old / "runs")


def test_a_folder_of_pictures_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, folder = raw("pictures", tmp_path)
    run(tmp_path / "runs", data)
    monkeypatch.chdir(tmp_path)
    (folder / "cat" / "broken.png").write_bytes(b"no")
    assert main(["predict", "s", "p", "--out", "p.csv"]) == 0
    printed = capsys.readouterr().out
    assert "24 of 25 rows predicted by one model." in printed
    assert "On 24 rows with an answer: accuracy" in printed
    assert "1 row is left empty: p/cat/broken.png: cannot be read as an image" in printed
    with (tmp_path / "p.csv").open() as file:
        header, *lines = csv.reader(file)
    assert header == ["file", "prediction"]
    assert [line[0] for line in lines] == sorted(str(file) for file in Path("p").rglob("*.png"))
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "q").mkdir()
    image.new("RGB", (3, 3)).save(tmp_path / "q" / "a.png")
    assert main(["predict", "s", "q"]) == 2
    assert "3 x 3 pixels, 6 x 5 are needed" in capsys.readouterr().err
    assert main(["predict", "s", "s.toml"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
