"""The precision as a key of a study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import ravine
from ravine.data import load
from ravine.errors import InputError, StudyError
from ravine.launch.subject import Subject
from ravine.study import Run, Study, runs_of
from ravine.study.changes import changes
from ravine.study.definition import definition_of
from ravine.study.expand import base_of
from ravine.study.load import content_of, parse_study
from ravine.study.recipe import Recipe

BASE = {"name": "s", "data": "iris", "model": "mlp", "epochs": 2, "seeds": 1, "rules": ["adam"]}


def runs(**given: object) -> list[Run]:
    study = Study(**{**BASE, **given})  # type: ignore[arg-type]
    return runs_of(study, load(study.data))


def test_float32_is_the_run_without_the_key_and_others_are_programs_of_their_own() -> None:
    (plain,), (single,), (double,), (brief,) = (
        runs(), runs(precision="float32"), runs(precision="float64"), runs(precision="bfloat16"),
    )  # fmt: skip
    assert single.id == plain.id
    assert "precision" not in plain.recipe.content()
    assert len({plain.id, double.id, brief.id}) == 3
    assert len({each.recipe.structure for each in (plain, double, brief)}) == 3
    assert Recipe.of(double.recipe.content()) == double.recipe


def test_every_phase_has_it() -> None:
    phases = [{"train": "head", "steps": 2}, {"train": "all", "steps": 3}]
    (run,) = runs(epochs=None, phases=phases, precision="float64")
    assert [each.precision for each in run.recipe.chain] == ["float64", "float64"]


@pytest.mark.parametrize("value", ["float32", "float64", "bfloat16"])
def test_the_text_of_a_study_has_it(value: str) -> None:
    study = parse_study({**BASE, "precision": value})
    assert parse_study(content_of(definition_of(study))).precision == study.precision == value
    assert ("precision" in str(study)) == (value != "float32")


def test_it_must_not_change_under_one_name() -> None:
    one, other = parse_study(BASE), parse_study({**BASE, "precision": "float64"})
    data = load(one.data)
    assert (
        base_of(one, data)
        == base_of(parse_study({**BASE, "precision": "float32"}), data)
        != base_of(other, data)
    )
    assert changes(definition_of(one), definition_of(other)) == ["precision: 'float32' -> 'float64'"]


def test_variants_compare_precisions() -> None:
    study = parse_study({**BASE, "variants": [{}, {"precision": "float64"}]})
    assert study.compare == "variant"
    found = {run.chosen["variant"]: run.recipe.precision for run in runs_of(study, load(study.data))}
    assert found == {"plain": "float32", "float64": "float64"}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("flaot64", r"^precision = 'flaot64': did you mean 'float64'\? Allowed: bfloat16, float32, float64$"),
        (64, r"^precision = 64: "),
        (["float32", "float64"], r"^precision = \['float32', 'float64'\]: "),
    ],
)
def test_another_word_is_refused(value: object, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        parse_study({**BASE, "precision": value})


@pytest.mark.parametrize("kind", ["lbfgs", "newton"])
def test_a_search_has_no_bfloat16(kind: str) -> None:
    said = (
        rf"^precision = 'bfloat16': not with rule '{kind}', whose search .*; allowed here: float32, float64$"
    )
    with pytest.raises(StudyError, match=said):
        runs(rules=["adam", kind], precision="bfloat16")
    with pytest.raises(StudyError, match=r"^variants\.1: precision = 'bfloat16': not with rule"):
        runs(rules=["adam", kind], variants=[{}, {"precision": "bfloat16"}])


class Double(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3, dtype=torch.float64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.double())


def test_a_module_that_insists_on_float64_gets_it() -> None:
    study = Study(**{**BASE, "model": Double})  # type: ignore[arg-type]
    subject = Subject.of(study, device="cpu")
    network = subject.network(subject.runs())
    assert network.dtype == torch.float64
    assert network.remark == "the parameters of Double are float64, so it is trained in float64"
    asked = Subject.of(Study(**{**BASE, "model": Double, "precision": "float64"}), device="cpu")  # type: ignore[arg-type]
    assert asked.network(asked.runs()).remark == ""


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        (
            "float32",
            r"^precision = 'float32': the parameters of Double are float64; leave the key out, or .double\(\)$",
        ),
        (
            "bfloat16",
            r"^precision = 'bfloat16': the parameters of Double are float64; allowed here: float64$",
        ),
    ],
)
def test_and_no_other(precision: str, said: str) -> None:
    subject = Subject.of(Study(**{**BASE, "model": Double, "precision": precision}), device="cpu")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=said):
        subject.network(subject.runs())


def test_float32_is_refused_where_such_a_module_has_been_trained_already(tmp_path: Path) -> None:
    plain = Study(**{**BASE, "model": Double})  # type: ignore[arg-type]
    ravine.run(plain, store=tmp_path, quiet=True)
    with pytest.raises(
        StudyError, match=r"^precision = 'float32': the parameters of Double are float64; leave the"
    ):
        ravine.run(replace(plain, precision="float32"), store=tmp_path, quiet=True)
    assert ravine.run(plain, store=tmp_path, quiet=True).study.name == "s"
