"""What a Python program calls: errors in words that fit Python too, studies and modules found again."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

import ravine

STUDY = """
name = "mine"
data = { kind = "csv", path = "rows.csv", target = "y" }
model = "net_beside_the_study:Small"
steps = 5
batch_size = 8
seeds = 1
rules = ["adam"]
"""
NET = """
from torch import nn


class Small(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(2, 2))
"""


class Own(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 3))


def iris(**keys: object) -> ravine.Study:
    fields = {"name": "s", "data": "iris", "model": "mlp", "steps": 3, "seeds": 1, "rules": ["adam"]}
    return ravine.Study(**{**fields, **keys})  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a study, its data and its module in ``studies/``; it is the working directory."""
    studies = tmp_path / "studies"
    studies.mkdir()
    (studies / "mine.toml").write_text(STUDY)
    (studies / "net_beside_the_study.py").write_text(NET)
    (studies / "rows.csv").write_text(
        "a,b,y\n" + "".join(f"{i % 7},{i % 5},{'pq'[i % 2]}\n" for i in range(60))
    )
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("net_beside_the_study", None)


def test_a_replay_looks_for_data_and_module_beside_the_file_of_the_last_launch(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = ravine.run("studies/mine.toml", quiet=True)
    run = results.runs[0].id
    assert ravine.replay(run, quiet=True).largest < 1e-4
    assert ravine.replay(run, study="studies/mine.toml", quiet=True).largest < 1e-4
    monkeypatch.chdir(folder / "runs")
    words = "study 'mine' in the store, its file not at hand: data.path = 'rows.csv': there is no such file"
    with pytest.raises(ravine.DataError, match=f"^{words}"):
        ravine.replay(run, store=".", quiet=True)


def test_a_replay_with_another_file_names_that_file(folder: Path) -> None:
    run = ravine.run("studies/mine.toml", quiet=True).runs[0].id
    other = folder / "studies" / "other.toml"
    other.write_text(STUDY.replace('target = "y"', 'target = "y", limit = 20'))
    with pytest.raises(
        ravine.StoreError, match=rf"^{other}: run {run} was trained on other data than this study's"
    ):
        ravine.replay(run, study=other, quiet=True)
    (folder / "studies" / "net_beside_the_study.py").write_text(NET.replace("Sequential", "Sequential  "))
    sys.modules.pop("net_beside_the_study")
    with pytest.raises(
        ravine.StoreError, match=r"^studies/mine.toml: .* another model .* model.source: .* -> "
    ):
        ravine.replay(run, study="studies/mine.toml", quiet=True)


def test_errors_of_model_and_backend_name_the_study_file(folder: Path) -> None:
    study = folder / "studies" / "mine.toml"
    study.write_text(
        STUDY.replace('"net_beside_the_study:Small"', '{ kind = "mlp", hidden = [300000, 300000] }')
    )
    with pytest.raises(ravine.ModelError, match=rf"^{study}: model.hidden = \[300000, 300000\]: .* memory"):
        ravine.run(study, quiet=True)
    study.write_text(STUDY.replace('"net_beside_the_study:Small"', '"net_beside_the_study:small"'))
    with pytest.raises(ravine.ModelError, match=rf"^{study}: model.target = .*; did you mean 'Small'\?$"):
        ravine.run(study, quiet=True)
    study.write_text(STUDY.replace('"net_beside_the_study:Small"', '"convnet"'))
    with pytest.raises(ravine.ModelError, match=rf"^{study}: model.kind = 'convnet' needs pictures"):
        ravine.run(study, quiet=True)
    study.write_text(STUDY.replace('"rows.csv"', '"row.csv"'))
    with pytest.raises(
        ravine.DataError, match=rf"^{study}: data.path = 'row.csv': .*; did you mean 'rows.csv'\?$"
    ):
        ravine.run(study, quiet=True)


def test_a_run_of_a_study_made_in_python_is_replayed_with_it(tmp_path: Path) -> None:
    study = iris(model=Own)
    run = ravine.run(study, store=tmp_path, quiet=True).runs[0].id
    words = f"run {run}: its study 's' was made in Python, from objects that no text holds; there "
    with pytest.raises(ravine.InputError, match=f"^{re.escape(words)}ravine.replay"):
        ravine.replay(run, store=tmp_path, quiet=True)
    assert ravine.replay(run, study=study, store=tmp_path, quiet=True).largest < 1e-4


def test_device_and_backend_are_told_in_words_that_fit_python(tmp_path: Path) -> None:
    with pytest.raises(ravine.InputError, match=r"^device = 'gpu': must be one of auto, cpu, cuda, mps$"):
        ravine.run(iris(), store=tmp_path, device="gpu", quiet=True)
    ravine.run(iris(), store=tmp_path, quiet=True)
    # All runs are known: nothing is left to plan, and the mistake is one all the same.
    with pytest.raises(ravine.InputError, match=r"^backend = 'fussed': did you mean 'fused'\?"):
        ravine.run(iris(), store=tmp_path, backend="fussed", quiet=True)
    with pytest.raises(ravine.StudyError, match=r"^overrides: .* dataclasses.replace$"):
        ravine.run(iris(), store=tmp_path, overrides=["epochs=3"], quiet=True)
