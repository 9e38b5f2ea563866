"""What a Python program calls: errors in words that fit Python too, studies and modules found again."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from torch import nn

import ravine
from ravine.api.problems import problems
from ravine.errors import RavineError

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
    words = "study 'mine' in the store, its file not found: data.path = 'rows.csv': there is no such file"
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
    words = (
        f"run {run}: its study 's' was made in Python, from objects that text cannot represent; in Python, "
    )
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


INSTALLED = """
import os
from torch import nn


def net(command="true"):
    return nn.Linear(2, 2)


def shell(command):
    os.system(command)
"""


def test_a_function_of_an_installed_package_runs_only_if_trusted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "site").mkdir()
    (folder / "site" / "trust_me.py").write_text(INSTALLED)
    monkeypatch.syspath_prepend(str(folder / "site"))
    file = folder / "studies" / "mine.toml"
    file.write_text(STUDY.replace("net_beside_the_study:Small", "trust_me:net"))
    refused = "only with --trust trust_me"
    for call in (ravine.run, ravine.lr_range):
        with pytest.raises(ravine.ModelError, match=refused):
            call("studies/mine.toml", quiet=True)
    assert [refused in line for line in problems("studies/mine.toml")] == [True]
    assert problems("studies/mine.toml", trust=["trust_me"]) == []
    results = ravine.run("studies/mine.toml", quiet=True, trust=["trust_me"])
    run = results.runs[0].id
    assert results.source.study("mine").launches[0].command == "ravine run studies/mine.toml --trust trust_me"
    for look in (
        lambda trust: ravine.replay(run, quiet=True, trust=trust),
        lambda trust: ravine.sharpness("mine", quiet=True, trust=trust),
        lambda trust: ravine.landscape("mine", quiet=True, trust=trust, points=3),
    ):
        with pytest.raises(ravine.ModelError, match=refused):
            look(())
        look(["trust_me"])
    for package in ("os", "a b", 3):
        with pytest.raises(ravine.InputError, match=r"^trust = "):
            ravine.run("studies/mine.toml", quiet=True, trust=[package])
    sys.modules.pop("trust_me", None)


def test_code_does_not_run_because_a_store_names_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ravine.run("studies/mine.toml", quiet=True).runs[0].id
    (folder / "studies" / "mine.toml").rename(folder / "other.toml")
    (folder / "rows.csv").write_bytes((folder / "studies" / "rows.csv").read_bytes())
    (folder / "net_beside_the_study.py").write_text(NET)
    sys.modules.pop("net_beside_the_study")
    with pytest.raises(
        ravine.ModelError, match="ravine runs no code that only a store names: give the study file"
    ):
        ravine.replay(run, quiet=True)
    with pytest.raises(ravine.ModelError, match="give the study file"):
        ravine.sharpness("mine", quiet=True)
    assert ravine.replay(run, study="other.toml", quiet=True).largest < 1e-4
    # A file elsewhere is not looked for because a store names it.
    (folder / "other.toml").rename(folder / "studies" / "mine.toml")
    sys.modules.pop("net_beside_the_study")
    (folder / "net_beside_the_study.py").unlink()
    ravine.run(folder / "studies" / "mine.toml", quiet=True)
    assert ravine.replay(run, quiet=True).largest < 1e-4
    (folder / "away").mkdir()
    monkeypatch.chdir(folder / "away")
    with pytest.raises(ravine.DataError, match="its file not found"):
        ravine.replay(run, store="../runs", quiet=True)


def test_a_refused_model_leaves_no_study_behind(folder: Path) -> None:
    file = folder / "studies" / "mine.toml"
    (folder / "studies" / "net_beside_the_study.py").write_text(
        NET.replace("nn.Linear(2, 2)", "nn.Linear(2, 5)")
    )
    with pytest.raises(ravine.ModelError, match="returns shape"):
        ravine.run(file, quiet=True)
    with ravine.Store("runs") as store:
        assert store.studies() == []
        assert store.check() == []


def test_a_module_that_contains_itself_is_one_line(folder: Path) -> None:
    text = NET + "        self.again = self\n"
    (folder / "studies" / "net_beside_the_study.py").write_text(text)
    (line,) = problems("studies/mine.toml")
    assert "Small contains itself" in line


RULE_STUDY = """
name = "ruled"
data = "iris"
model = "mlp"
steps = 3
seeds = 1
rules = [{ kind = "rule_beside:mine" }]
"""


@pytest.mark.parametrize("kind", ["os:system", "builtins:exec", "pip.__main__:main", "torch:os.system"])
def test_a_rule_names_no_other_code_either(folder: Path, kind: str) -> None:
    (folder / "ruled.toml").write_text(RULE_STUDY.replace("rule_beside:mine", kind))
    (line,) = problems("ruled.toml")
    assert "standard library" in line or "is a program" in line


def test_a_rule_of_ones_own_does_not_run_because_a_store_names_it(folder: Path) -> None:
    from ravine.api.studies import study_named

    (folder / "rule_beside.py").write_text("raise SystemExit('run')\n")
    with ravine.Store("runs") as store:
        store.save_study("ruled", definition=RULE_STUDY, base="", data_fingerprint="")
        with pytest.raises(
            ravine.InputError, match="ravine runs no code that only a store names: give the study file"
        ):
            study_named(store, "ruled")


def test_an_argument_of_a_wrong_type_is_one_line(folder: Path) -> None:
    """Not a traceback out of the middle of the package."""
    study = ravine.Study(name="s", data="iris", model="mlp", epochs=1, seeds=1, rules=["adam"])
    ravine.run(study, store=folder / "runs", quiet=True)
    store = folder / "runs"

    def refused(call: Callable[[], object]) -> None:
        with pytest.raises(RavineError) as error:
            call()
        assert "\n" not in str(error.value)

    for value in (3, None, b"x", ["s"], np.zeros(2)):
        refused(lambda value=value: ravine.predict(value, [[0.0] * 4], store=store))  # type: ignore[misc]
        refused(lambda value=value: ravine.ensemble(value, store=store))  # type: ignore[misc]
        refused(lambda value=value: ravine.ensemble("s", store=value))  # type: ignore[misc]
        if value is None:  # the default
            continue
        refused(lambda value=value: ravine.predict("s", [[0.0] * 4], what=value, store=store))  # type: ignore[misc]
        refused(lambda value=value: ravine.ensemble("s", members=value, store=store))  # type: ignore[misc]
        refused(lambda value=value: ravine.ensemble("s", select=value, store=store))  # type: ignore[misc]
        refused(lambda value=value: ravine.soup("s", how=value, store=store))  # type: ignore[misc]
        refused(lambda value=value: ravine.average("s", run=value, ema=0.9, store=store))  # type: ignore[misc]
