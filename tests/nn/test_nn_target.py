from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ravine.errors import ModelError
from ravine.nn.build import build, check_output
from ravine.nn.dropout import Dropout
from ravine.nn.spec import Module
from ravine.nn.target import describe_factory, find_factory

SOURCE = """
from torch import nn

CONSTANT = 3

class SmallNet(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.linear = nn.Linear(6, width)
        self.drop = nn.Dropout(0.2)
        self.output = nn.Linear(width, 3)
    def forward(self, x):
        return self.output(self.drop(self.linear(x)))

class Space:
    Inner = SmallNet

def factory():
    return SmallNet(5)

def fails():
    raise ValueError("no\\nweights")

def number():
    return 7
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    study, cwd = tmp_path / "study", tmp_path / "cwd"
    study.mkdir()
    cwd.mkdir()
    (study / "zoo_models.py").write_text(SOURCE)
    (study / "zoo_broken.py").write_text("import zoo_not_there\n")
    (study / "zoo_syntax.py").write_text("def (:\n")
    (cwd / "zoo_here.py").write_text(SOURCE)
    monkeypatch.chdir(cwd)
    path = list(sys.path)
    yield study
    assert sys.path == path
    for name in [n for n in sys.modules if n.startswith("zoo_")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "target", ["zoo_models:SmallNet", "zoo_models:Space.Inner", "zoo_models:factory", "zoo_here:SmallNet"]
)
def test_found_beside_the_study_and_in_the_working_directory(folder: Path, target: str) -> None:
    module = build(Module(target=target), (6,), 3, search=folder)
    check_output(module, (6,), 3)
    assert isinstance(module.drop, Dropout)


def test_arguments_are_passed(folder: Path) -> None:
    module = build(Module(target="zoo_models:SmallNet", args={"width": 9}), (6,), 3, search=folder)
    assert module.linear.out_features == 9


@pytest.mark.parametrize(
    ("target", "args", "message"),
    [
        ("zoo_modls:SmallNet", {}, "no module 'zoo_modls' in .*study or .*cwd, and none is installed"),
        ("torch.nnn:Linear", {}, "no module 'torch.nnn'"),
        (
            "zoo_broken:X",
            {},
            "importing zoo_broken failed: ModuleNotFoundError: No module named 'zoo_not_there'",
        ),
        ("zoo_syntax:X", {}, "importing zoo_syntax failed: SyntaxError"),
        ("zoo_models:SmalNet", {}, "zoo_models has no 'SmalNet'; did you mean 'SmallNet'"),
        ("zoo_models:CONSTANT", {}, "is an int, not a class or function"),
        ("zoo_models:SmallNet", {"widht": 3}, r"SmallNet\(widht=3\) failed: TypeError.*unexpected.*'widht'"),
        ("zoo_models:fails", {}, r"fails\(\) failed: ValueError: no \(.*zoo_models.py:[0-9]+\)$"),
        ("zoo_models:number", {}, r"number\(\) returned an int, not an nn.Module"),
    ],
)
def test_errors_are_one_line(folder: Path, target: str, args: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        build(Module(target=target, args=args), (6,), 3, search=folder)
    assert "\n" not in str(caught.value)


def test_a_namesake_from_another_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    find_factory("zoo_models:SmallNet", folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "zoo_models.py").write_text(SOURCE)
    with pytest.raises(ModelError, match=r"another module named 'zoo_models' is loaded from .*study"):
        find_factory("zoo_models:SmallNet", other)
    assert find_factory("zoo_models:SmallNet", folder).__name__ == "SmallNet"


class Reshaped(nn.Module):
    """Returns whatever a test wants."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.how = how

    def forward(self, x: Tensor) -> object:
        y = self.linear(x)
        if self.how == "one example":
            return y[0]
        if self.how == "tuple":
            return y, y
        if self.how == "integers":
            return y.argmax(-1, keepdim=True).expand(-1, 3)
        if self.how == "eval":
            return y if self.training else y.mean(-1)
        return y


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(6, 4), r"Linear returns shape \(2, 4\) in training mode.*needed is \(2, 3\)"),
        (nn.Linear(5, 3), r"Linear fails in training mode on an input of shape \(2, 6\): RuntimeError: mat1"),
        (nn.Flatten(), "Flatten has no parameter that requires a gradient"),
        (nn.Linear(6, 3).requires_grad_(False), "no parameter that requires a gradient"),
        (Reshaped("one example"), r"returns shape \(3,\) in training mode"),
        (Reshaped("tuple"), "returns a tuple in training mode"),
        (Reshaped("integers"), "returns torch.int64"),
        (Reshaped("eval"), r"returns shape \(2,\) in eval mode"),
    ],
)
def test_wrong_outputs_are_named(module: nn.Module, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        check_output(module, (6,), 3)
    assert "\n" not in str(caught.value)


def test_the_check_leaves_no_trace() -> None:
    module = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    module[1].eval()
    before = {n: t.clone() for n, t in module.state_dict().items()}
    state = torch.get_rng_state()
    check_output(module, (6,), 3)
    assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert [m.training for m in module] == [True, False, True]


def test_python_factories(folder: Path) -> None:
    assert build(lambda: nn.Linear(6, 3), (6,), 3).out_features == 3
    assert isinstance(build(functools.partial(nn.Dropout, 0.5), (6,), 3), Dropout)
    with pytest.raises(ModelError, match="not one already built: each run starts from weights of its own"):
        build(nn.Linear(6, 3), (6,), 3)


@pytest.mark.slow
def test_description_follows_the_source_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    described = describe_factory(find_factory("zoo_models:SmallNet", folder))
    assert described.startswith("zoo_models:SmallNet@")
    # In another process: another place in the file, the same source; then another source.
    code = """
import sys
from pathlib import Path
from ravine.nn.target import describe_factory, find_factory
for text in sys.argv[2:]:
    (Path(sys.argv[1]) / "zoo_models.py").write_text(text)
    sys.modules.pop("zoo_models", None)
    print(describe_factory(find_factory("zoo_models:SmallNet", Path(sys.argv[1]))))
"""
    texts = (SOURCE.replace("CONSTANT = 3", "# moved\n\n"), SOURCE.replace("0.2", "0.3"))
    command = [sys.executable, "-c", code, str(folder), *texts]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [each == described for each in told] == [True, False]


def test_descriptions_of_partials_differ_by_argument() -> None:
    a, b = functools.partial(nn.Linear, 6, bias=False), functools.partial(nn.Linear, 6, bias=True)
    assert describe_factory(a) != describe_factory(b)
    assert describe_factory(a).endswith("(6, bias=False)")
