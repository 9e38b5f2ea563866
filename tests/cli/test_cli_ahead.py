"""PyTorch's library is loaded ahead where a study is going to be trained, and PyTorch is imported as ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ravine import ahead
from ravine.cli import train
from ravine.store.opening import DATABASE

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="loads nothing elsewhere")
LOADED = "'libtorch_cpu' in open('/proc/self/maps').read()"


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@LINUX
def test_the_library_is_there_before_pytorch_is_imported_and_pytorch_works() -> None:
    code = f"""import sys
from ravine.ahead import load_pytorch
thread = load_pytorch()
thread.join()
print({LOADED}, "torch" in sys.modules)
import torch
print((torch.ones(2, 2) @ torch.ones(2, 2)).sum().item(), load_pytorch())
"""
    assert python(code).split() == ["True", "False", "8.0", "None"]


@LINUX
def test_where_memory_is_limited_nothing_is_loaded() -> None:
    code = f"""import resource
from ravine.ahead import load_pytorch
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
print(load_pytorch(), {LOADED})
"""
    assert python(code).split() == ["None", "False"]


def test_a_study_that_is_newer_than_its_store_is_going_to_be_trained(tmp_path: Path) -> None:
    study, store = tmp_path / "s.toml", tmp_path / "runs"
    assert not train._changed_since(study, str(store))  # there is none
    study.write_text("")
    assert train._changed_since(study, str(store))  # there is no store
    store.mkdir()
    (store / DATABASE).write_text("")
    for moment, changed in (
        (study.stat().st_mtime_ns - 10**9, True),
        (study.stat().st_mtime_ns + 10**9, False),
    ):
        os.utime(store / DATABASE, ns=(moment, moment))
        assert train._changed_since(study, str(store)) == changed
    assert not train._changed_since(Path("\0"), str(store))


def test_a_study_that_is_not_newer_loads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, store = tmp_path / "s.toml", tmp_path / "runs"
    study.write_text(
        'name = "s"\ndata = "iris"\nmodel = "mlp"\nseeds = 1\nepochs = 1\nrules = [{ kind = "sgd", lr = 0.1 }]\n'
    )
    begun: list[bool] = []
    monkeypatch.setattr(ahead, "load_pytorch", lambda: begun.append(True))
    for expected in (1, 1):
        train.run(study, store=str(store), quiet=True)
        assert len(begun) == expected
