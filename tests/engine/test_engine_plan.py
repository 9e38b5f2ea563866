"""Which backend, how large a cohort, and what is said about it."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_runs import CPU, all_runs, dataset, network_of, random_dataset, study
from torch import Tensor, nn

from ravine import Hyper, Rule, free_memory
from ravine.engine import capacity
from ravine.engine import plan as plan_module
from ravine.engine.device import find_device
from ravine.engine.plan import Plan, plan
from ravine.engine.programs import TOGETHER
from ravine.engine.reasons import reason
from ravine.engine.step_times import StepTimes
from ravine.errors import InputError, ModelError, StudyError
from ravine.native.machine import machine
from ravine.study import Study


def planned(made: Study, choice: str = "auto", num: int | None = None) -> Plan:
    runs = all_runs(made)[:num]
    return plan(runs, network_of(made, runs), made.data, CPU, choice)


@pytest.mark.parametrize(
    ("choice", "backend"),
    [
        ("auto", "native"),
        ("native", "native"),
        ("fused", "fused"),
        ("serial", "serial"),
    ],
)
def test_a_network_that_can_be_fused_is_trained_as_asked(choice: str, backend: str) -> None:
    found = planned(study(), choice)
    assert found.backend == backend
    assert found.why == ""
    assert (found.size == 1) == (choice == "serial")


def test_an_unknown_choice_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        InputError,
        match=r"^backend = 'fussed': did you mean 'fused'\? Allowed: auto, compiled, fused, native, serial$",
    ):
        planned(study(), "fussed")


def test_torchs_compiler_is_for_accelerators() -> None:
    with pytest.raises(
        InputError, match=r"^backend = 'compiled': only for accelerators, .*; allowed here: auto, "
    ):
        planned(study(), "compiled")


def test_a_cohort_is_the_smaller_the_larger_the_network() -> None:
    sizes = [planned(study(model={"kind": "mlp", "hidden": [width]})).size for width in (8, 2048, 16384)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1] >= 2


class Sorting(nn.Module):
    """A convolution, and what there is no machine code for."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.output = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.conv(x).mean((-2, -1)).sort(-1).values)


@pytest.mark.parametrize("faster", ["fused", "serial"])
def test_convolutions_on_a_cpu_are_measured(faster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(runs: list[object], *args: object) -> float:
        backend = args[-1]
        assert isinstance(backend, str)
        return 1e-3 * len(runs) if (backend in TOGETHER) == (faster == "fused") else 2e-3 * len(runs)

    monkeypatch.setattr(plan_module, "_step_seconds", seconds)
    made = study(data=random_dataset((2, 6, 6)), model=Sorting)
    found = planned(made)
    assert (found.backend in TOGETHER) == (faster == "fused")
    assert found.why.startswith("no machine code for aten::sort; a step of a run takes ")
    assert (found.size == 1) == (faster == "serial")


def test_convolutions_of_a_run_alone_are_no_cohort() -> None:
    made = study(data=random_dataset((2, 6, 6)), model=Sorting)
    found = planned(made, num=1)
    assert (found.backend, found.why) == ("serial", "no machine code for aten::sort")
    assert planned(made, "fused", num=1).backend == "fused"


def test_the_measurement_itself() -> None:
    made = study(data=random_dataset((2, 6, 6)), model=Sorting)
    found = planned(made)
    assert "ms fused" in found.why
    assert "ms serially" in found.why


def test_where_a_step_takes_long_torchs_serial_program_is_measured_beside_machine_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The faster of the two is taken; here a step of any length is long, so that the test isn't."""
    monkeypatch.setattr(plan_module, "_LONG_STEP", 0.0)
    monkeypatch.setattr(plan_module, "_LONG_STUDY", 0.0)
    model = {"kind": "convnet", "channels": [3], "hidden": 0}
    made = study(data=random_dataset((2, 6, 6)), model=model, rules=[{"kind": "sgd", "lr": 0.1}])
    found = planned(made)
    told = re.fullmatch(r"a step of a run takes (\S+) ms as machine code, (\S+) ms in torch", found.why)
    assert told, found.why
    ours, serial = map(float, told.groups())
    if not 0.92 < serial / ours < 1.02:  # of about 0.97, as printed
        assert found.backend == ("serial" if serial < 0.97 * ours else "native")
    assert (found.size == 1) == (found.backend == "serial")
    asked = planned(made, "native")
    assert (asked.backend, asked.why) == ("native", "")


def test_machine_code_slowed_by_a_neighbour_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"native": iter([9.0, 1.0]), "serial": iter([2.0, 3.0])}
    monkeypatch.setattr(plan_module, "_step_seconds", lambda runs, *args: next(times[args[-1]]) * len(runs))
    model = {"kind": "convnet", "channels": [3], "hidden": 0}
    found = planned(study(data=random_dataset((2, 6, 6)), model=model, rules=[{"kind": "sgd", "lr": 0.1}]))
    assert (found.backend, found.why) == (
        "native",
        "a step of a run takes 1000 ms as machine code, 2000 ms in torch",
    )


def test_a_short_study_is_not_measured_again_even_if_other_programs_were_measured_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan_module, "_step_seconds", None)
    monkeypatch.setattr(StepTimes, "at_most", lambda *_: 0.1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # no fewer than runs
    monkeypatch.setattr(plan_module, "machine", lambda: replace(machine(), lanes=16))
    model = {"kind": "convnet", "channels": [3], "hidden": 0}
    data, rules = random_dataset((2, 6, 6)), [{"kind": "sgd", "lr": 0.1}]
    assert planned(study(data=data, model=model, rules=rules, steps=4)) == Plan(backend="native", size=512)
    with pytest.raises(TypeError):  # a long one would be
        planned(study(data=data, model=model, rules=rules, steps=4000))


def by_size(grad, state, param, hypers, t):  # type: ignore[no-untyped-def]
    return -hypers["lr"] * grad.sort(-1).values, state


def test_known_machine_code_of_one_rule_says_nothing_of_a_rule_of_ones_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An earlier launch has measured the first runs; beside them are some that cannot be compiled."""
    monkeypatch.setattr(StepTimes, "at_most", lambda *_: 1e-6)
    own = Rule(
        name="by_size", hypers={"lr": Hyper(about="learning rate", log=True)}, update=by_size, scope="tensor"
    )
    made = study(rules=[{"kind": "sgd", "lr": [0.1, 0.2]}, {"kind": own, "lr": 0.1}])
    runs = all_runs(made)
    found = plan(runs, replace(network_of(made, runs), name="known"), made.data, CPU)
    assert found.why.startswith("no machine code for aten::sort")


def test_an_mlp_is_fused_without_a_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "_step_seconds", None)
    assert planned(study(data=dataset("digits"))).backend in TOGETHER


def test_a_wrong_pattern_is_told_as_such_and_not_as_a_model_that_cannot_be_fused() -> None:
    rules = [{"kind": "sgd", "lr": 0.1, "weight_decay": 0.1, "exclude": "("}]
    with pytest.raises(StudyError, match="regular expression"):
        planned(study(rules=rules))


def test_a_device_that_is_not_there() -> None:
    assert find_device("auto").type in ("cpu", "cuda")
    with pytest.raises(InputError, match=r"^device = 'gpu': must be one of auto, cpu, cuda, mps$"):
        find_device("gpu")


class TakesNumbers(nn.Module):
    """Asks for the numbers in a tensor, in the way that a test wants."""

    how = staticmethod(float)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return y * (1.0 if self.how(y.detach().sum()) > 0 else -1.0)


def _filled(module: TakesNumbers, x: Tensor) -> Tensor:
    z = torch.zeros(len(x), 3)
    z[:, 0] = module.layer(x)[:, 0]
    return z


def _noisy(module: TakesNumbers, x: Tensor) -> Tensor:
    return module.layer(x + torch.rand_like(x))


def _picked(module: TakesNumbers, x: Tensor) -> Tensor:
    y = module.layer(x)
    return y + y[y > 0].sum()


NUMBERS = [
    ({"how": staticmethod(float)}, "it turns a tensor into a Python number, with .item() or the like"),
    ({"how": staticmethod(lambda y: y)}, "its control flow depends on the numbers in a tensor"),
    ({"how": staticmethod(lambda y: y.numpy())}, "it takes the numbers out of a tensor, for NumPy or Python"),
    ({"how": staticmethod(np.asarray)}, "it takes the numbers out of a tensor, for NumPy or Python"),
    (
        {"how": staticmethod(lambda y: y.tolist())},
        "it takes the numbers out of a tensor, for NumPy or Python",
    ),
    ({"forward": _filled}, "it writes in place into a tensor that is the same for all runs"),
    ({"forward": _noisy}, "it draws random numbers itself"),
    ({"forward": _picked}, "the shape of a result depends on the numbers in a tensor"),
]


@pytest.mark.parametrize(("does", "words"), NUMBERS)
def test_the_reason_for_serial_training_is_in_our_words(does: dict[str, object], words: str) -> None:
    found = planned(study(model=type("Mine", (TakesNumbers,), does)))
    assert found.why == f"Mine cannot be fused: {words}"
    assert found.backend not in TOGETHER


def test_a_users_own_words_are_left_and_long_ones_cut() -> None:
    assert reason(ValueError("vmap is not for .item()\nnor this")) == "vmap is not for .item()"
    assert reason(RuntimeError("x" * 500)) == "x" * 117 + "..."
    assert reason(KeyError()) == "KeyError"


@pytest.mark.parametrize(
    ("model", "about"),
    [
        ({"kind": "mlp", "hidden": [200_000, 200_000]}, r"model\.hidden = \[200000, 200000\]"),
        ({"kind": "mlp", "hidden": [200_000] * 2, "norm": "batch"}, r"model\.hidden = "),
        (lambda: nn.Sequential(nn.Linear(4, 400_000), nn.Linear(400_000, 400_000)), r"model: .*<lambda>"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_before_it_is_made(model: object, about: str) -> None:
    began = time.perf_counter()
    with pytest.raises(
        ModelError,
        match=rf"^{about}.*: [0-9,]+ parameters: a run needs at least [0-9,.]+ GiB of memory, .* free",
    ):
        planned(study(model=model))
    assert time.perf_counter() - began < 5.0


def test_memory_bounds_a_cohort_and_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    made = study(model={"kind": "mlp", "hidden": [1000]})  # 8 runs of 8,003 parameters and adam's two slots
    runs = all_runs(made)
    network = network_of(made, runs)
    run = 4 * network.layout.size * (2 + 2)
    monkeypatch.setattr(capacity, "free_bytes", lambda device: 6.1 * run)
    found = plan(runs, network, made.data, CPU)
    assert (found.size, found.backend) == (3, "native")  # half of it, the rest is for activations
    assert found.why.startswith(
        f"a run needs {free_memory.gib(run)} of memory or more, all {free_memory.gib(8 * run)}; "
    )
    assert plan(runs, network, made.data, CPU, "fused").size == 3
    monkeypatch.setattr(capacity, "free_bytes", lambda device: 0.9 * run)
    with pytest.raises(
        ModelError, match=r"^model.hidden = \[1000\]: 8,\d{3} parameters: a run needs at least"
    ):
        plan(runs, network, made.data, CPU)


def test_memory_that_runs_out_is_one_line() -> None:
    words = r'^model: Net: memory ran out with 8 runs at once; backend "serial" trains one after another$'
    with pytest.raises(ModelError, match=words), free_memory.memory_errors("model: Net", 8):
        torch.empty(1 << 50)
    with pytest.raises(RuntimeError, match="another"), free_memory.memory_errors("model: Net", 8):
        raise RuntimeError("another")
