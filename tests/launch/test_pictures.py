"""Studies of pictures: how they are read, what is kept of them, and what is refused before results are written."""

import json
import os

import numpy as np
import pytest
import torch

import ravine
from ravine.cli.main import main
from ravine.data import Examples, decoding, room
from ravine.data.scale import Scaling
from ravine.engine.state import Data
from ravine.errors import DataError, StudyError
from ravine.study import Study
from ravine.study.reading import sheet_of

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(decoding, "_WORTH_FILES", 10)
    rng = np.random.default_rng(0)
    for number in range(24):
        path = tmp_path / "pets" / "ab"[number % 2] / f"{number:02}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(path)
    return tmp_path / "pets"


def study(folder, **options):
    model = {"kind": "mlp", "hidden": [2]}
    data = {"kind": "images", "path": str(folder)}
    return Study(
        name="pets", data=data, model=model, steps=2, seeds=1, rules=[{"kind": "sgd", "lr": 0.1}], **options
    )


@pytest.mark.slow
def test_files_that_changed_in_secret_stop_a_run_before_its_results_are_written(folder, tmp_path):
    ravine.run(study(folder), store=tmp_path / "one", quiet=True)
    file = folder / "a" / "04.bmp"
    known = file.stat()
    content = bytearray(file.read_bytes())
    content[-1] ^= 255
    file.write_bytes(content)
    os.utime(file, ns=(known.st_atime_ns, known.st_mtime_ns))
    with pytest.raises(DataError, match=r"a/04.bmp: the content has changed, although size and time"):
        ravine.run(study(folder), store=tmp_path / "two", quiet=True)
    with pytest.raises(ravine.StoreError, match="its only run has not finished"):
        ravine.results("pets", store=tmp_path / "two")
    ravine.run(study(folder), store=tmp_path / "three", quiet=True)  # decoded anew
    ids = [
        {run.id for run in ravine.results("pets", store=tmp_path / name).runs} for name in ("one", "three")
    ]
    assert not ids[0] & ids[1]


def test_check_names_broken_pictures_and_those_of_two_splits(folder, tmp_path, capsys):
    file = tmp_path / "pets.toml"
    file.write_text(
        f'name = "pets"\ndata = {{ kind = "images", path = "{folder}" }}\nmodel = {{ kind = "mlp", hidden = [2] }}\n'
        'steps = 2\nseeds = 1\nrules = [{ kind = "sgd", lr = 0.1 }]\n'
    )
    assert main(["check", str(file)]) == 0
    assert "no picture is in two splits (24 compared)" in capsys.readouterr().out
    content = (folder / "a" / "00.bmp").read_bytes()
    for number in range(2, 12):
        (folder / "a" / f"{number:02}x.bmp").write_bytes(content)
    assert main(["check", str(file)]) == 0
    said = capsys.readouterr().out
    assert "in another split too" in said
    assert "same file" in said
    assert main(["check", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == []
    assert {copy["how"] for copy in found["duplicates"]["copies"]} == {"same file"}
    whole = (folder / "b" / "01.bmp").read_bytes()
    for name in ("01", "03"):
        (folder / "b" / f"{name}.bmp").write_bytes(whole[:-20])  # whose header is fine
    assert main(["check", str(file)]) == 2
    said = capsys.readouterr()
    assert said.out.count("cannot be read as an image: image file is truncated") == 2
    assert "2 problems found" in said.err
    assert main(["check", "--json"]) == 2


def test_backbones_of_a_study_want_their_pictures_alike():
    lite0 = {"kind": "backbone", "weights": "builtin:efficientnet-lite0"}
    rest = {
        "name": "s",
        "data": "digits",
        "phases": [{"steps": 2}],
        "seeds": 1,
        "rules": [{"kind": "sgd", "lr": 0.1}],
    }
    alike = Study(model=[lite0, {**lite0, "norm": "affine"}, "mlp"], **rest)
    assert sheet_of(alike, None).size == (224, 224)
    assert sheet_of(Study(model="mlp", **rest), None) is None
    apart = Study(model=[lite0, {**lite0, "input": {"crop": 1.0}}], **rest)
    with pytest.raises(StudyError, match=r"want their pictures in different ways \(crop\), and all runs"):
        sheet_of(apart, None)


def test_pictures_that_fit_as_bytes_and_not_as_numbers_are_refused(monkeypatch):
    x = np.zeros((1000, 3, 8, 8), dtype=np.uint8)
    examples = Examples(x=x, y=np.zeros(1000, dtype=np.int64), scaling=Scaling(values="bytes"))
    monkeypatch.setattr(room, "host_bytes", lambda: 500_000.0)
    with pytest.raises(
        DataError, match=r"^1,000 examples of shape \(3, 8, 8\), as a network takes them: .* are needed"
    ):
        Data.of(examples, torch.device("cpu"))
