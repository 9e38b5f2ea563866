"""Which backend, how large a cohort, and what is said about it."""

from __future__ import annotations

import pytest
import torch
from engine_runs import CPU, all_runs, dataset, network_of, random_dataset, study
from torch import nn

from ravine.engine import plan as plan_module
from ravine.engine.backend import Backend
from ravine.engine.device import find_device
from ravine.engine.plan import Plan, plan
from ravine.errors import InputError, StudyError
from ravine.study import Study


def planned(made: Study, choice: str = "auto", num: int | None = None) -> Plan:
    runs = all_runs(made)[:num]
    return plan(runs, network_of(made, runs), made.data, CPU, choice)


@pytest.mark.parametrize(
    ("choice", "backend"),
    [
        ("auto", Backend(native=True)),
        ("native", Backend(native=True)),
        ("fused", Backend()),
        ("compiled", Backend(compiled=True)),
        ("serial", Backend(fused=False)),
    ],
)
def test_a_network_that_can_be_fused_is_trained_as_asked(choice: str, backend: Backend) -> None:
    found = planned(study(), choice)
    assert found.backend == backend
    assert found.why == ""
    assert (found.size == 1) == (choice == "serial")


def test_an_unknown_choice_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        InputError,
        match=r"^--backend fussed: did you mean 'fused'\? Allowed: auto, compiled, fused, native, serial$",
    ):
        planned(study(), "fussed")


def test_a_cohort_is_the_smaller_the_larger_the_network() -> None:
    sizes = [planned(study(model={"kind": "mlp", "hidden": [width]})).size for width in (8, 2048, 16384)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1] >= 2


class Grouped(nn.Module):
    """A convolution in groups, which there is no machine code for."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, groups=2)
        self.output = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.conv(x).mean((-2, -1)))


@pytest.mark.parametrize("faster", ["fused", "serial"])
def test_convolutions_on_a_cpu_are_measured(faster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(runs: list[object], *args: object) -> float:
        backend = args[-1]
        assert isinstance(backend, Backend)
        return 1e-3 * len(runs) if backend.fused == (faster == "fused") else 2e-3 * len(runs)

    monkeypatch.setattr(plan_module, "_step_seconds", seconds)
    made = study(data=random_dataset((2, 6, 6)), model=Grouped)
    found = planned(made)
    assert found.backend.fused == (faster == "fused")
    assert found.why.startswith("no machine code for a convolution in groups; a step of a run takes ")
    assert (found.size == 1) == (faster == "serial")


def test_the_measurement_itself() -> None:
    made = study(data=random_dataset((2, 6, 6)), model=Grouped)
    found = planned(made)
    assert "ms fused" in found.why
    assert "ms serially" in found.why


def test_an_mlp_is_fused_without_a_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "_step_seconds", None)
    assert planned(study(data=dataset("digits"))).backend.fused


def test_a_wrong_pattern_is_told_as_such_and_not_as_a_model_that_cannot_be_fused() -> None:
    rules = [{"kind": "sgd", "lr": 0.1, "weight_decay": 0.1, "exclude": "("}]
    with pytest.raises(StudyError, match="regular expression"):
        planned(study(rules=rules))


def test_a_device_that_is_not_there() -> None:
    assert find_device("auto").type in ("cpu", "cuda")
    with pytest.raises(InputError, match=r"^--device gpu: .*Allowed: auto, cpu, cuda, mps$"):
        find_device("gpu")
