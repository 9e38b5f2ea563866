"""Rules of one's own: what makes one another rule, what is refused, and how a study has one."""

from __future__ import annotations

import copy
import functools
import importlib
import math
import pickle
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import own_rules
import pytest
import torch

import ravine
from ravine import Hyper, Rule, optim
from ravine.errors import StudyError
from ravine.rules import KINDS, rule
from ravine.rules.own import own
from ravine.study import Study, definition_of, parse_definition, read_study
from ravine.study.block import parse_rule

LR = Hyper(about="learning rate", low_open=True)
FACTOR = 2.0
TABLE = {"a": 1.0}


def step(grad, state, param, hypers, t):
    return -hypers["lr"] * FACTOR * helper(grad), state


def helper(x):
    return x * TABLE["a"]


def plain(**changes: Any) -> Rule:
    return Rule(**{"name": "mine", "hypers": {"lr": LR}, "update": step, **changes})


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Writes a module and imports it."""
    monkeypatch.syspath_prepend(tmp_path)
    names: list[str] = []

    def write(text: str, name: str = "") -> Any:
        name = name or f"own_module_{len(names)}"
        names.append(name)
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield write
    for name in names:
        sys.modules.pop(name, None)


TEXT = """
    from ravine import Hyper, Rule
    {globals}
    def factory(scale):
        def update(grad, state, param, hypers, t{defaults}):
            {body}
        return update
    mine = Rule(name="mine", hypers={{"lr": Hyper(about="{about}", low_open=True{hyper})}}, update=factory({scale}))
"""
WAYS = {"globals": "", "defaults": "", "body": "return -hypers['lr'] * scale * grad, state", "about": "lr", "hyper": "",
        "scale": "1.0"}  # fmt: skip


def kind_of(module: Callable[[str], Any], **changes: str) -> str:
    return own(module(TEXT.format(**{**WAYS, **changes})).mine)


@pytest.mark.parametrize(
    "changes",
    [
        {"about": "the learning rate"},
        {"globals": "# a comment"},
        {"globals": "UNUSED = 3"},
        {"body": "return  -hypers['lr']*scale*grad, state  # the same"},
        {"body": "'''A docstring.'''\n            return -hypers['lr'] * scale * grad, state"},
    ],
)
def test_what_computes_the_same_is_the_same_rule(module: Any, changes: dict[str, str]) -> None:
    assert kind_of(module) == kind_of(module, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"body": "return -hypers['lr'] * scale * grad * 1.0, state"},
        {"scale": "1.0 + 2**-50"},
        {"scale": "(1.0)*2"},
        {"defaults": ", more=0.5"},
        {"hyper": ", default=0.1"},
        {"hyper": ", high=3.0"},
        {"globals": "K = 2.0", "body": "return -hypers['lr'] * scale * K * grad, state"},
        {"globals": "import math", "body": "return -hypers['lr'] * math.pi * scale * grad, state"},
    ],
)
def test_what_computes_something_else_is_another_rule(module: Any, changes: dict[str, str]) -> None:
    found = kind_of(module, **changes)
    assert found != kind_of(module)
    assert found.startswith("mine@")
    assert len(found) == len("mine@") + 16


def test_a_global_number_a_helper_and_a_table_are_parts_of_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [own(plain())]
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    kinds.append(own(plain()))
    monkeypatch.setitem(TABLE, "a", 2.0)
    kinds.append(own(plain()))
    monkeypatch.setitem(globals(), "helper", lambda x: x)
    kinds.append(own(plain()))
    monkeypatch.setitem(globals(), "helper", torch.sin)
    kinds.append(own(plain()))
    kinds.append(own(plain(update=functools.partial(step))))
    assert len(set(kinds)) == 6
    assert rule(kinds[0]).update is step


def test_a_rule_keeps_its_kind_in_another_process_and_python(module: Any) -> None:
    """A value that is written down: it must not hang on memory, hashes of Python or its version."""
    text = """
        from ravine import Hyper, Rule
        def update(grad, state, param, hypers, t):
            return -hypers["lr"] * grad.sign(), state
        signs = Rule(name="signs", hypers={"lr": Hyper(about="learning rate", low_open=True)}, update=update)
    """
    assert own(module(text).signs) == "signs@16a5526ff294be9f"


def test_ravines_own_rules_keep_their_names() -> None:
    assert [own(each) for each in KINDS.values()] == list(KINDS)
    like = replace(rule("adam"), name="adam_like", torch=rule("sgd").torch)
    assert own(like).startswith("adam_like@")


class Thing:
    def __call__(self, grad, state, param, hypers, t):
        return -hypers["lr"] * grad, state


def typed_in() -> Any:
    made: dict[str, Any] = {}
    exec("def update(grad, state, param, hypers, t):\n    return -hypers['lr'] * grad, state", made)
    return made["update"]


@pytest.mark.parametrize("update", [Thing(), typed_in(), functools.partial(typed_in())])
def test_what_has_no_source_needs_a_version(update: Any) -> None:
    with pytest.raises(StudyError, match=r"^rule 'mine': .*; or give the rule a version = \"1\"$"):
        own(plain(update=update))
    one, two = (own(plain(update=update, version=version)) for version in "12")
    assert one != two
    assert one != own(plain(update=update, version="1", hypers={"lr": replace(LR, default=0.1)}))


def test_a_file_that_changed_after_it_was_imported_is_refused(module: Any, tmp_path: Path) -> None:
    mine = module(TEXT.format(**WAYS)).mine
    path = tmp_path / "own_module_0.py"
    path.write_text(path.read_text().replace("* grad", "* grad * 2"))
    with pytest.raises(StudyError, match="has changed since it was imported"):
        own(mine)


def in_place(grad, state, param, hypers, t):
    return grad.mul_(-hypers["lr"]), state


def branching(grad, state, param, hypers, t):
    return (-hypers["lr"] if grad.sum() > 0 else hypers["lr"]) * grad, state


def drawing(grad, state, param, hypers, t):
    return -hypers["lr"] * grad * torch.rand_like(grad), state


def nan_at_0(grad, state, param, hypers, t):
    return -grad * hypers["lr"] / (hypers["lr"] * 1.0), state


def normalized(grad, state, param, hypers, t):
    return -hypers["lr"] * grad / grad.norm(), state


def shared(grad, state, param, hypers, t):
    return -hypers["lr"] * grad, {"norm": grad.square().mean()}


WRONG = [
    ({"update": in_place}, "it changes a tensor that it was given"),
    ({"update": branching}, "control flow depends on the numbers in a tensor"),
    ({"update": drawing}, "draws random numbers"),
    ({"update": nan_at_0}, "'step' is not finite at lr = 0"),
    ({"update": normalized}, "scope is \"element\", but a step depends on other numbers"),
    ({"update": lambda grad, state, param, hypers, t: -hypers["lr"] * grad}, "update returns a Tensor: must be"),
    ({"update": lambda grad, state, param, hypers, t: (-grad.sum(), state)}, r"update's step has shape \(\)"),
    ({"update": lambda grad, state, param, hypers, t: (-0.1, state)}, "update's step is a float"),
    ({"update": lambda grad, state, param, hypers, t: (-grad.double(), state)}, "update's step has dtype"),
    ({"update": lambda grad, state, param, hypers, t: (-grad, {"a": grad})}, "update returns the slots 'a', and init"),
    ({"update": lambda grad, state, param, hypers, t: (-grad * hypers["rho"], state)}, "update reads 'rho'"),
    ({"update": lambda grad, state, param, hypers, t: (-grad * state["v"], state)}, "update reads 'v'"),
    ({"update": lambda grad, state, param, hypers: (-grad, state)}, "update failed: TypeError"),
    ({"update": lambda grad, state, param, hypers, t: (-grad.item(), state)}, "update failed: RuntimeError"),
    ({"init": lambda param: None}, "init returns a NoneType"),
    ({"init": lambda param: {"v": 0.0}}, "init's slot 'v' is a float"),
    (
        {"init": lambda param: {"v": param.new_zeros(3)}},
        r"init's slot 'v' has shape \(3,\): must be \(12,\) as its parameter has, or \(\) for one number$",
    ),
    ({"init": lambda param: {"norm": param.new_zeros(())}, "update": shared, "scope": "tensor"},
     "one number that depends on"),
    ({"points": {"deployed": lambda param, state, hypers: param.sum()}}, "deployed's result has shape"),
    ({"points": {"average": lambda param, state, hypers: param}}, "only 'deployed' is known"),
    ({"gradient_at": lambda param, state, hypers: param[:2]}, "gradient_at's result has shape"),
    ({"scope": "tensor", "gradient_at": lambda param, state, hypers: param}, "need scope = \"element\""),
    ({"scope": "runs"}, "scope = 'runs'"),
    ({"name": "adam"}, "the name of a rule of ravine's"),
    ({"name": "my rule"}, "its name must be"),
    ({"hypers": {}}, "with \"lr\" in it"),
    ({"hypers": {"lr": 0.1}}, "hyper 'lr' is of type float: must be a ravine.Hyper"),
    ({"hypers": {"lr": replace(LR, high=10**5000)}}, "hyper 'lr': high = an int too large to show: must be a number"),
    ({"hypers": {"lr": LR, "seed": LR}}, "means something else"),
    ({"hypers": {"lr": LR, "Rho": LR}}, "lower-case"),
    ({"hypers": {"lr": replace(LR, default=-1.0)}}, "lr = -1.0"),
    ({"decays": ("wd",)}, "it has no hyper 'wd'"),
    ({"refuses": frozenset({"l2"})}, "refuses: "),
    ({"update": 3}, "update must be a function"),
    ({"search": rule("bfgs").search}, "for ravine's own rules"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "told"), WRONG)
def test_a_wrong_rule_is_told_in_one_line(changes: dict[str, Any], told: str) -> None:
    wrong = plain(**changes)
    with pytest.raises(StudyError, match=told) as raised:
        Study(name="s", data="iris", model="mlp", steps=1, rules=[{"kind": wrong, "lr": 0.1}])
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("rules.0.kind: rule ")
    with pytest.raises(ValueError, match=r"^of: ") as raised:
        optim.of(wrong)
    assert "\n" not in str(raised.value)


def test_a_study_names_a_rule_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "signs_rule.py").write_text(textwrap.dedent(TEXT.format(**WAYS)))
    (tmp_path / "s.toml").write_text(
        'name = "s"\ndata = "iris"\nmodel = "mlp"\nsteps = 3\nseeds = 1\n'
        'rules = [{ kind = "signs_rule:mine", lr = [0.1, 0.2] }]'
    )
    study, text = read_study(tmp_path / "s.toml")
    assert [block.label for block in study.rules] == ["mine"]
    assert study.rules[0].kind.startswith("mine@")
    again = parse_definition(definition_of(study), search=tmp_path)
    assert again.rules == study.rules
    assert parse_definition(text, search=tmp_path).rules == study.rules
    for kind, told in (
        ("signs_rule:yours", "has no 'yours'"),
        ("signs_rule:factory", "is a function: must be a ravine.Rule"),
        ("nowhere_at_all:mine", "no module 'nowhere_at_all'"),
    ):
        with pytest.raises(StudyError, match=f"rules.0.kind = .*{told}"):
            parse_rule({"kind": kind, "lr": 0.1}, "rules.0", tmp_path)


def test_hypers_of_a_rule_are_checked_as_all_are() -> None:
    kind = own_rules.SOFT_SIGN
    with pytest.raises(StudyError, match=r"rules.0.lr: missing, it must be given for soft_sign"):
        parse_rule(kind, "rules.0")
    with pytest.raises(StudyError, match=r"rules.0.beta = 1.0: must be"):
        parse_rule({"kind": kind, "lr": 0.1, "beta": 1.0}, "rules.0")
    with pytest.raises(StudyError, match=r"rules.0.rho: unknown key"):
        parse_rule({"kind": kind, "lr": 0.1, "rho": 1.0}, "rules.0")
    with pytest.raises(StudyError, match=r"rules.0.preset = 'torch'"):
        parse_rule({"kind": kind, "lr": 0.1, "preset": "torch"}, "rules.0")


def test_runs_of_a_changed_rule_are_new_and_those_of_the_old_one_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def study() -> Study:
        model = {"kind": "mlp", "hidden": []}
        return Study(
            name="s", data="iris", model=model, steps=3, seeds=1, rules=[{"kind": plain(), "lr": 0.1}]
        )

    def trained() -> tuple[int, list[str]]:
        ravine.run(study(), store=tmp_path / "runs", quiet=True)
        store = ravine.Store(tmp_path / "runs")
        return len(store.runs("s", all=True)), [run.id for run in store.runs("s")]

    first = trained()
    assert trained() == first
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    num, changed = trained()
    assert num == 2
    assert changed != first[1]
    assert ravine.replay(changed[0], study=study(), store=tmp_path / "runs", quiet=True)


def test_surfaces_draw_a_rule_or_say_why_it_has_no_formula() -> None:
    from ravine.surfaces.scene import scene

    drawn = scene("ellipse", rules=[own_rules.SOFT_SIGN], steps=20)
    assert drawn.on == ("soft_sign",)
    assert "soft_sign" in {each.rule.name for each in drawn.traced}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_its_optimizer_is_copied(copied: Any) -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = optim.of(own_rules.SOFT_SIGN)([weight], lr=0.1, beta=0.5)
    weight.grad = torch.ones(2)
    optimizer.step()
    other_weight, other = copied((weight, optimizer))
    assert type(other) is type(optimizer)
    for param, each in ((weight, optimizer), (other_weight, other)):
        param.grad = torch.ones(2)
        each.step()
    assert torch.equal(weight, other_weight)
    assert math.isclose(float(other.state[other_weight]["sum"]), 0.2)


def test_its_optimizer_refuses_what_it_does_not_know() -> None:
    kind = optim.of(own_rules.SOFT_SIGN)
    weight = [torch.nn.Parameter(torch.ones(2))]
    for given, told in (
        ({"lr": 0.1, "gamma": 1.0}, "soft_sign: unknown hyper 'gamma'"),
        ({}, "soft_sign: lr is missing"),
        ({"lr": 0.1, "beta": 1.0}, "soft_sign: beta = 1.0: must be"),
    ):
        with pytest.raises(ValueError, match=told):
            kind(weight, **given)
    with pytest.raises(ValueError, match="sees all parameters at once"):
        optim.of(own_rules.NORMALIZED)
    assert optim.of(own_rules.SOFT_SIGN) is kind
