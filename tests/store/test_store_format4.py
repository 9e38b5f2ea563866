"""A store that an earlier version wrote: nothing in it is trained again, all of it can be read, and it goes on."""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import ravine
from ravine.cli.main import main
from ravine.launch.progress import Planned, Trained
from ravine.store import Store
from ravine.study import read_study

FIXTURES = Path(__file__).parent / "fixtures"
FORMAT4 = FIXTURES / "format4"
NUM_RUNS = {"flowers": 16, "scheduled": 12, "staged": 12, "own": 4, "arrays": 2, "halfway": 4}
FINISHED = [name for name in NUM_RUNS if name not in ("arrays", "halfway")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The studies, and in `runs` the store that they were trained into."""
    place = tmp_path / "format4"
    shutil.copytree(FORMAT4, place)
    with tarfile.open(place / "store.tar.gz") as archive:
        archive.extractall(place, filter="data")
    monkeypatch.chdir(place)
    sys.modules.pop("models", None)  # another test's copy of it
    yield place
    sys.modules.pop("models", None)


def launched(name: str) -> tuple[Planned, Trained]:
    from ravine.launch.launch import launch

    study, definition = read_study(f"{name}.toml")
    with Store("runs") as store:
        first, *_, last = launch(study, store, definition=definition, search=Path.cwd())
    assert isinstance(first, Planned)
    assert isinstance(last, Trained)
    return first, last


@pytest.mark.parametrize("name", FINISHED)
def test_nothing_is_trained_again(folder: Path, name: str) -> None:
    planned, trained = launched(name)
    assert planned.num_runs == planned.num_known == NUM_RUNS[name]
    assert trained.num_trained == 0


def test_nothing_of_a_study_made_in_python_is_trained_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ravine.launch.launch import launch
    from ravine.study import definition_of

    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.syspath_prepend(str(FIXTURES))
    from make_format4 import arrays
    from models import small_net

    study = ravine.Study(name="arrays", data=arrays(), model=small_net, steps=6, seeds=2, rules=["adam"])
    with Store("runs") as store:
        *_, last = launch(study, store, definition=definition_of(study))
    assert isinstance(last, Trained)
    assert last.num_trained == 0


def test_an_unfinished_cohort_goes_on_from_its_checkpoint(folder: Path) -> None:
    planned, trained = launched("halfway")
    assert planned.num_resumed == 4
    assert (trained.num_trained, trained.num_diverged) == (4, 2)
    with Store("runs", create=False) as store:
        runs = store.runs("halfway")
        assert [run.status for run in runs] == ["done", "done", "diverged", "diverged"]
        first = runs[0].id
        steps, losses = store.curves([first], "validation_loss")[first]
        assert steps.tolist() == list(range(1_000, 6_001, 1_000))
        assert (losses > 0).all()
        assert store.kept.steps([first]) == {first: [0, 2_000, 4_000]}
        assert store.check() == []


def test_it_is_sound_listed_shown_and_reported(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["check"]) == 0
    assert "sound" in capsys.readouterr().out
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    for name, num in NUM_RUNS.items():
        assert f"{name}" in listed
        assert main(["show", name]) == 0
        shown = capsys.readouterr().out
        assert re.search(rf"(\b{num} runs|runs +{num}\b)", shown), shown
        if name != "halfway":
            assert main(["report", name, "--out", str(tmp_path / "page.html")]) == 0
            assert "<html" in (tmp_path / "page.html").read_text()[:200]
            capsys.readouterr()


def test_what_was_measured_of_sharpness_is_not_measured_again(folder: Path) -> None:
    with Store("runs") as store:
        before = store.sharpness.read([run.id for run in store.runs("flowers")])
    found = ravine.sharpness("flowers", quiet=True)
    assert len(found) == len(before) == 12
    with Store("runs", create=False) as store:
        assert store.sharpness.read([each.run for each in found]) == before


def test_the_file_of_a_launch_comes_from_its_command_where_no_column_says_it(folder: Path) -> None:
    with Store("runs") as store:
        files = {record.name: {launch.file for launch in record.launches} for record in store.studies()}
    no_command_line = ("arrays", "halfway")  # their launches were called from Python
    assert files == {name: {None if name in no_command_line else f"{name}.toml"} for name in NUM_RUNS}


def test_a_run_of_it_is_replayed(folder: Path) -> None:
    with Store("runs") as store:
        run = store.runs("own")[0]
    replayed = ravine.replay(run.id, quiet=True)
    assert replayed.relative < 1e-4
