"""What a study's target may be: networks that lie beside it or are installed, and no other code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

from ravine.errors import ModelError
from ravine.nn.build import build
from ravine.nn.spec import Module
from ravine.nn.target import find_factory

OWN = """
import contextlib, functools, os, subprocess
from os import system
from subprocess import run
import torch
from torch import nn
import prov_installed
from prov_installed import typed, untyped

class Net(nn.Linear):
    def __init__(self):
        super().__init__(4, 3)
    @classmethod
    def small(cls):
        return cls()

class Maker:
    def __call__(self):
        return Net()

class NoModule:
    def __new__(cls):
        return Net()

def plain():
    return Net()

made = functools.partial(plain)
cached = functools.lru_cache(plain)
maker = Maker()
@torch.no_grad()
def decorated():
    return Net()
shell = functools.partial(os.system, "true")
deeper = functools.partial(functools.partial(run), "true")
mapped = functools.partial(map, os.system, ["true"])
"""
INSTALLED = """
import os
from pathlib import Path
from torch import nn

class Net(nn.Linear):
    def __init__(self):
        super().__init__(4, 3)

class Runner:
    def __init__(self, command="true"):
        os.system(command)

def typed() -> nn.Module:
    return Net()

def typed_text() -> "Net":
    return Net()

def untyped():
    return Net()

def wrong() -> "NotThere":
    return Net()

def other() -> int:
    return 1

class Space:
    shell = os.system
    @staticmethod
    def build():
        return Net()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    study, cwd, site = tmp_path / "study", tmp_path / "cwd", tmp_path / "cwd" / ".venv" / "site-packages"
    study.mkdir()
    site.mkdir(parents=True)
    (study / "prov_own.py").write_text(OWN)
    (study / "code.py").write_text(OWN)  # shadows a module of the standard library that nobody has imported
    (cwd / "prov_here.py").write_text(OWN)
    (site / "prov_installed").mkdir()
    (site / "prov_installed" / "__init__.py").write_text(INSTALLED)
    (site / "prov_installed" / "__main__.py").write_text("raise AssertionError('run')\n")
    (site / "prov_exits.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.chdir(cwd)
    monkeypatch.syspath_prepend(str(site))
    ours = {"code", *(f"prov_{name}" for name in ("own", "here", "installed", "exits"))}
    before = {name: sys.modules.pop(name, None) for name in ours}
    yield study
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


@pytest.mark.parametrize(
    "target",
    [
        *(
            f"prov_own:{name}"
            for name in ("Net", "Net.small", "plain", "made", "cached", "maker", "decorated")
        ),
        *("prov_own:typed", "prov_own:nn.Linear", "prov_here:plain", "code:plain"),
        *("prov_installed:Net", "prov_installed:typed", "prov_installed:typed_text", "torch.nn:Linear"),
    ],
)
def test_networks_may_run(folder: Path, target: str) -> None:
    args = {"in_features": 4, "out_features": 3} if target.endswith("Linear") else {}
    assert isinstance(build(Module(target=target, args=args), (4,), 3, search=folder), nn.Module)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("os:system", "os belongs to Python's standard library"),
        ("builtins:exec", "builtins belongs to"),
        ("functools:partial", "functools belongs to"),
        ("subprocess:Popen", "subprocess belongs to"),
        ("runpy:run_path", "runpy belongs to"),
        ("antigravity:geohash", "antigravity belongs to"),
        ("os.path:join", "os.path belongs to"),
        ("posix:system", "posix belongs to"),
        ("prov_own:os.system", "os belongs to"),
        ("prov_own:system", "builtin or extension function"),
        ("prov_own:run", "subprocess belongs to"),
        ("prov_own:shell", "builtin or extension function"),
        ("prov_own:deeper", "subprocess belongs to"),
        ("prov_own:mapped", "builtin or extension function"),
        ("prov_own:NoModule", "is a class, but not an nn.Module"),
        ("prov_own:prov_installed.os.system", "os belongs to"),
        ("prov_own:prov_installed.untyped", "only with --trust prov_installed"),
        ("prov_own:untyped", "only with --trust prov_installed"),
        ("prov_installed:untyped", "only with --trust prov_installed"),
        ("prov_installed:wrong", "only with --trust prov_installed"),
        ("prov_installed:other", "only with --trust prov_installed"),
        ("prov_installed:Space.build", "only with --trust prov_installed"),
        ("prov_installed:Space.shell", "builtin or extension function"),
        ("prov_installed:Runner", "is a class, but not an nn.Module"),
        ("prov_installed:Path", "is a class, but not an nn.Module"),
        ("prov_installed.__main__:x", "is a program"),
        ("__main__:entry", "is a program|has no 'entry'"),
        ("prov_exits:Net", "importing prov_exits failed: SystemExit"),
        ("torch.hub:load", "only with --trust torch"),
        ("torch:serialization.pickle.loads", "pickle belongs to"),
        ("torch:Tensor.add", "builtin or extension function"),
        ("torch.fx:GraphModule", "belongs to torch.fx.graph_module; of PyTorch itself"),
        ("torch.fx.graph_module:reduce_graph_module", "only with --trust torch"),
        ("prov_own:torch.fx.graph_module.reduce_graph_module", "only with --trust torch"),
        ("torch.ao.quantization:QuantStub", "only with --trust torch"),
    ],
)
def test_other_code_does_not(folder: Path, target: str, words: str) -> None:
    with pytest.raises(ModelError, match=words) as error:
        build(Module(target=target), (4,), 3, search=folder)
    assert "\n" not in str(error.value)


def test_a_trusted_package_may_run_its_functions_and_nothing_else(folder: Path) -> None:
    for target in ("prov_installed:untyped", "prov_own:untyped", "prov_installed:Space.build"):
        assert callable(find_factory(target, folder, ["prov_installed"]))
        with pytest.raises(ModelError, match="only with --trust"):
            find_factory(target, folder, ["prov_instal", "prov_installed.models"])
    for target in ("prov_installed:Runner", "prov_installed:Space.shell", "prov_installed:os.system"):
        with pytest.raises(ModelError):
            find_factory(target, folder, ["prov_installed"])


def test_a_study_gives_no_source_text_to_torch(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    args = {
        "body": {"_code": "def forward(self, x): return x"},
        "import_block": f"open({str(mark)!r}, 'w')\n",
    }
    target = "torch.fx.graph_module:reduce_graph_module"
    with pytest.raises(ModelError, match="only with --trust torch"):
        build(Module(target=target, args=args), (4,), 3, search=folder)
    assert not mark.exists()
    assert callable(find_factory("torch.fx:GraphModule", folder, ["torch"]))
