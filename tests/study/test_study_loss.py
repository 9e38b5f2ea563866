"""The key `loss`: what is read, what is refused, and what it does to a run's id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from ravine import InputError
from ravine.data import from_arrays, load
from ravine.errors import StudyError
from ravine.study import Run, Study, definition_of, runs_of
from ravine.study.load import content_of, parse_study
from ravine.study.stored import parse_definition

CLASSES = {"name": "s", "data": "iris", "model": "mlp", "steps": 5, "seeds": 1, "rules": ["sgd"]}
NUMBERS = {**CLASSES, "data": "diabetes"}


def runs(study: Study) -> list[Run]:
    return runs_of(study, load(study.data))  # type: ignore[arg-type]


def made(base: dict[str, Any], loss: Any, **changes: Any) -> Study:
    rules = [{"kind": "sgd", "lr": 0.1}]
    return Study(**{**base, "rules": rules, "loss": loss, **changes})


def own(outputs: Tensor, answers: Tensor, *, power: float = 2.0) -> Tensor:
    return (outputs - answers).abs() ** power


@pytest.mark.parametrize(("base", "kind"), [(CLASSES, "cross_entropy"), (NUMBERS, "mse")])
def test_the_default_written_out_is_the_same_run(base: dict[str, Any], kind: str) -> None:
    assert [run.id for run in runs(made(base, kind))] == [run.id for run in runs(made(base, None))]


def test_numbers_are_hypers_and_part_of_the_grid() -> None:
    study = made(CLASSES, {"kind": "focal", "gamma": [0, 2]})
    assert study.num_runs == 2
    assert [run.chosen["loss.gamma"] for run in runs(study)] == [0.0, 2.0]
    first, second = (run.recipe for run in runs(study))
    assert first.loss == second.loss == {"kind": "focal"}
    assert second.hypers["loss.gamma"] == 2.0
    assert first.structure == second.structure
    assert len({run.id for run in runs(study)}) == 2
    assert runs(made(CLASSES, "focal"))[0].id == runs(study)[1].id


def test_class_weights_by_name_are_those_by_place() -> None:
    by_name = made(CLASSES, {"kind": "cross_entropy", "class_weights": {"virginica": 3}})
    by_place = made(CLASSES, {"kind": "cross_entropy", "class_weights": [1, 1, 3]})
    assert runs(by_name)[0].id == runs(by_place)[0].id != runs(made(CLASSES, None))[0].id


@pytest.mark.parametrize(
    "loss",
    [
        "mae",
        {"kind": "huber", "delta": 3.0},
        {"kind": "quantile", "q": [0.1, 0.9]},
        {"kind": "huber", "delta": {"log": [1.0, 100.0], "num": 3}},
    ],
)
def test_text_of_a_study_has_its_loss(loss: Any) -> None:
    study = made(NUMBERS, loss)
    again = parse_definition(definition_of(study))
    assert again.loss == study.loss
    assert [run.id for run in runs(again)] == [run.id for run in runs(study)]


def test_text_has_weights_of_classes_and_variants() -> None:
    weighted = {"kind": "cross_entropy", "class_weights": {"setosa": 2.0}}
    study = made(CLASSES, weighted, variants=[{}, {"loss": "focal"}, {"loss": weighted}])
    again = parse_study(content_of(definition_of(study)))
    assert again.loss == study.loss
    assert [each.label for each in again.variants] == ["plain", "loss focal", "cross_entropy, setosa 2"]


def test_a_function_is_known_by_what_it_computes(tmp_path: Path) -> None:
    file, ids = tmp_path / "own_losses.py", []
    # Of different lengths: Python takes a compiled file of the same second and length for up to date.
    for body in ("(outputs - answers) ** 2", "(outputs - answers).abs() ** 3"):
        file.write_text(f"def mine(outputs, answers):\n    return {body}\n")
        import importlib
        import sys

        sys.modules.pop("own_losses", None)
        importlib.invalidate_caches()
        study = parse_study(
            {**NUMBERS, "rules": [{"kind": "sgd", "lr": 0.1}], "loss": "own_losses:mine"}, "", tmp_path
        )
        assert study.loss is not None
        assert study.loss.name == "mine"
        assert 'loss = "own_losses:mine"' in definition_of(study)
        ids.append(runs(study)[0].id)
        file.unlink()
    sys.modules.pop("own_losses", None)
    assert len(set(ids)) == 2


def test_a_variant_may_name_a_function_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "variant_losses.py").write_text(
        "def mine(outputs, answers):\n    return (outputs - answers) ** 4\n"
    )
    content = {
        **NUMBERS,
        "rules": [{"kind": "sgd", "lr": 0.1}],
        "variants": [{}, {"loss": "variant_losses:mine"}, {"label": "half", "loss": "huber"}],
    }
    with pytest.raises(StudyError, match=r"^variants.2: loss.delta: missing"):
        parse_study(content, "", tmp_path)
    content["variants"] = content["variants"][:2]
    study = parse_study(content, "", tmp_path)
    assert [each.label for each in study.variants] == ["plain", "loss variant_losses:mine"]
    assert parse_study(content_of(definition_of(study)), "", tmp_path).variants == study.variants


def test_a_function_of_a_program_is_described_in_the_text() -> None:
    study = made(NUMBERS, {"kind": own, "power": [2, 3]})
    assert "# made in Python; loss: " in definition_of(study)
    assert len({run.id for run in runs(study)}) == 2
    with pytest.raises(StudyError, match="made in Python"):
        parse_definition(definition_of(study))


WRONG: list[tuple[dict[str, Any], Any, str]] = [
    (CLASSES, "focall", r"loss = 'focall': no such loss; did you mean 'focal'\?"),
    (CLASSES, {"gamma": 2}, "loss.kind: missing"),
    (CLASSES, {"kind": "focal", "gama": 2}, r"loss.gama: unknown key; did you mean 'gamma'\?"),
    (CLASSES, {"kind": "focal", "gamma": -1}, "loss.gamma = -1: must be"),
    (CLASSES, {"kind": "focal", "gamma": []}, r"loss.gamma = \[\]: must have"),
    (NUMBERS, "huber", "loss.delta: missing, it must be given for huber"),
    (NUMBERS, {"kind": "quantile", "q": 1.0}, "loss.q = 1.0: must be"),
    (CLASSES, {"kind": "cross_entropy", "class_weights": "balance"}, "loss.class_weights = 'balance': must be"),
    (
        CLASSES,
        {"kind": "cross_entropy", "class_weights": ["balanced", None]},
        r"loss.class_weights = \['balanced', None\]: a list has a number for each class; .* variants",
    ),
    (CLASSES, {"kind": "cross_entropy", "class_weights": [1, -1, 2]}, "loss.class_weights.1 = -1: must be"),
    (CLASSES, {"kind": "cross_entropy", "class_weights": {"a": "b"}}, "loss.class_weights.a = 'b': must be"),
    (CLASSES, 7, "loss = 7: must be a kind"),
    (NUMBERS, {"kind": own, "power": "x"}, "loss.power = 'x': must be"),
    (NUMBERS, {"kind": own, "pwer": 1}, r"loss.pwer: unknown key; did you mean 'power'\?"),
    (NUMBERS, lambda outputs: outputs, "loss: .*lambda.* must take outputs and answers"),
    (NUMBERS, lambda outputs, answers, size: outputs, "loss.size: missing, and .*lambda.* takes it"),
    (CLASSES, "ravine_no_such_module:f", "loss = 'ravine_no_such_module:f': no module"),
    (CLASSES, "os:getcwd", "loss = 'os:getcwd': os belongs to Python's standard library"),
    (CLASSES, "torch.nn.functional:l1_loss", "loss = .* is a function of the installed package 'torch'"),
    (CLASSES, "torch.nn:Linear", "loss = .* is not a function that is written in Python"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "loss", "words"), WRONG, ids=[words for *_, words in WRONG])
def test_what_is_no_loss_is_refused_in_a_line(base: dict[str, Any], loss: Any, words: str) -> None:
    with pytest.raises(StudyError, match=f"^{words}") as found:
        made(base, loss)
    assert "\n" not in str(found.value)


UNFIT: list[tuple[dict[str, Any], Any, dict[str, Any], str]] = [
    (
        CLASSES,
        "mae",
        {},
        "loss = 'mae': iris is a classification; allowed there: cross_entropy, focal, or a function",
    ),
    (
        CLASSES,
        "bce",
        {},
        "loss = 'bce': iris has classes, of which one is right; say 'cross_entropy', which of two",
    ),
    (NUMBERS, "focal", {}, "loss = 'focal': diabetes is a regression; allowed there: mse, mae"),
    (
        NUMBERS,
        {"kind": "mae", "class_weights": "balanced"},
        {},
        "loss.class_weights: diabetes is a regression",
    ),
    (
        CLASSES,
        {"kind": "focal", "class_weights": [1, 2]},
        {},
        r"loss.class_weights = .*: 2 weights for the 3",
    ),
    (CLASSES, {"kind": "focal", "class_weights": [0, 0, 0]}, {}, "loss.class_weights = .* must not all be 0"),
    (
        CLASSES,
        {"kind": "focal", "class_weights": {"setoso": 1}},
        {},
        r"loss.class_weights.setoso = 1.0: no such class; did you mean 'setosa'\?",
    ),
    (CLASSES, "focal", {"augment": {"mixup": 0.2}}, "augment.mixup: mixes answers"),
]


@pytest.mark.parametrize(("base", "loss", "changes", "words"), UNFIT, ids=str)
def test_what_data_have_no_loss_for_is_refused_in_a_line(
    base: dict[str, Any], loss: Any, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=f"^{words}") as found:
        runs(made(base, loss, **changes))
    assert "\n" not in str(found.value)


def test_labels_are_mixed_in_their_own_loss_whether_it_is_written_out_or_not() -> None:
    rng = np.random.default_rng(0)
    data = from_arrays(rng.normal(size=(60, 3)), rng.integers(0, 2, (60, 4)), task="multilabel")
    default, written = (
        made({**CLASSES, "data": data}, loss, augment={"mixup": 0.2}) for loss in (None, "bce")
    )
    assert [run.id for run in runs_of(written, data)] == [run.id for run in runs_of(default, data)]
    with pytest.raises(
        StudyError, match=r"^augment.mixup: mixes answers, which the loss bce takes, but not focal"
    ):
        runs_of(made({**CLASSES, "data": data}, "focal", augment={"mixup": 0.2}), data)


def test_answers_are_smoothed_in_cross_entropy_alone() -> None:
    made(CLASSES, {"kind": "cross_entropy", "class_weights": "balanced"}, label_smoothing=0.1)
    with pytest.raises(
        StudyError, match=r"^label_smoothing = 0.1: belongs to the loss cross_entropy, not to focal"
    ):
        made(CLASSES, "focal", label_smoothing=0.1)
