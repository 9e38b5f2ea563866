"""States of torch.optim, tampered states, shared memory, other defaults: what PyTorch's own optimizers do there."""

from __future__ import annotations

import contextlib
import copy
import pickle
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
import torch
from test_optim_contract import CLASSES
from test_optim_numbers import EXACT, PAIRS, distance, model, train
from torch import Tensor, nn

from ravine import optim
from ravine.optim import (
    BFGS,
    LBFGS,
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    Momentum,
    Muon,
    NAdam,
    Nesterov,
    Newton,
    RMSProp,
    ScheduleFreeAdamW,
)
from thinning import thinned

TWINS: dict[str, Any] = {
    "SGD": (SGD, Momentum, Nesterov), "Adagrad": (AdaGrad,), "RMSprop": (RMSProp,), "Adam": (Adam,), "AdamW": (AdamW,),
    "NAdam": (NAdam,),
}  # fmt: skip


def bowl(optimizer: Any, weight: Tensor, steps: int) -> float:
    for _ in range(steps):
        weight.grad = weight.detach().clone()
        optimizer.step()
    return weight.item()


def double(value: float = 1.0) -> nn.Parameter:
    return nn.Parameter(torch.tensor([value], dtype=torch.float64))


# O1: states of torch.optim


@pytest.mark.parametrize("form", ["shifted", "torch"])
def test_nesterovs_velocity_of_torch_goes_on_as_it_was(form: Any) -> None:
    theirs, straight = double(), double()
    other = torch.optim.SGD([theirs], 0.01, momentum=0.9, nesterov=True)
    twin = torch.optim.SGD([straight], 0.01, momentum=0.9, nesterov=True)
    bowl(other, theirs, 10)
    bowl(twin, straight, 10)
    ours = double(theirs.item())
    optimizer = Nesterov([ours], 0.5, form=form)
    optimizer.load_state_dict(other.state_dict())
    for lr in (0.01, 0.005):  # also when lr changes
        optimizer.param_groups[0]["lr"] = twin.param_groups[0]["lr"] = lr
        assert bowl(optimizer, ours, 5) == pytest.approx(bowl(twin, straight, 5), abs=1e-14)


def test_nesterovs_shifted_velocity_goes_to_torch_at_its_lr() -> None:
    ours = double()
    optimizer = Nesterov([ours], 0.01)
    bowl(optimizer, ours, 10)
    theirs = double(ours.item())
    other = torch.optim.SGD([theirs], 0.01, momentum=0.9, nesterov=True)
    other.load_state_dict(optimizer.state_dict())
    assert bowl(other, theirs, 10) == pytest.approx(bowl(optimizer, ours, 10), abs=1e-14)


def test_nesterovs_shifted_state_goes_on_bit_for_bit() -> None:
    straight, begun = model(), model()
    train(straight, Nesterov(straight.parameters(), 0.02), 12)
    optimizer = Nesterov(begun.parameters(), 0.02)
    train(begun, optimizer, 6)
    again = Nesterov(begun.parameters(), 0.02)
    again.load_state_dict(optimizer.state_dict())
    assert "momentum_buffer" not in again.state[begun[0].weight]
    train(begun, again, 6)
    assert distance(straight, begun) == 0.0


@pytest.mark.usefixtures("float64_by_default")
@pytest.mark.parametrize(
    ("theirs", "ours"), [(name, ours) for name, kinds in TWINS.items() for ours in kinds]
)
def test_every_state_of_torchs_own_tests_goes_on_or_is_refused(
    theirs: str, ours: Any, torchs_tests: dict[str, Any]
) -> None:
    """Whatever the class was given: the state says what goes on."""
    info = torchs_tests[theirs]
    cannot = {"amsgrad", "centered", "dampening", "lr_decay", "initial_accumulator_value", "differentiable"}
    if ours in (SGD, RMSProp):
        cannot.add("momentum")
    if ours in (Adam, NAdam):
        cannot.add("decoupled_weight_decay")
    for case in info.optim_inputs_func(device="cpu"):
        if case.kwargs.get("fused"):
            continue
        begun, straight = model(), model()
        given = {"lr": 0.01, **case.kwargs}
        other = info.optim_cls(begun.parameters(), **given)
        train(begun, other, 4)
        optimizer = ours(begun.named_parameters(), lr=0.5)
        group = other.param_groups[0]
        if any(group.get(name) for name in cannot) or bool(group.get("nesterov")) != (ours is Nesterov):
            with pytest.raises(ValueError, match=r"^\w+: \w+ = [^\n]*: only [^\n]* is supported$"):
                optimizer.load_state_dict(copy.deepcopy(other.state_dict()))
            continue
        optimizer.load_state_dict(copy.deepcopy(other.state_dict()))
        train(begun, optimizer, 4)
        train(straight, info.optim_cls(straight.parameters(), **given), 8)
        assert distance(begun, straight) < EXACT, case.desc


@pytest.mark.parametrize(("ours", "theirs"), [(Adam, "RAdam"), (Adam, "Adamax"), (RMSProp, "Adadelta"),
                                              (SGD, "Rprop"), (Momentum, "ASGD"), (AdamW, "Adam"), (Adam, "AdamW"),
                                              (Adam, "NAdam"), (NAdam, "Adam"), (Momentum, "Muon")])  # fmt: skip
@pytest.mark.parametrize("steps", [0, 1])
def test_states_of_other_rules_are_refused(ours: Any, theirs: str, steps: int) -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    other = getattr(torch.optim, theirs)([weight])
    bowl_of(other, weight, steps)
    with pytest.raises(ValueError, match=r"a state of another rule|only .* is supported"):
        ours([weight], lr=0.1).load_state_dict(other.state_dict())


def bowl_of(optimizer: Any, weight: Tensor, steps: int) -> None:
    for _ in range(steps):
        weight.grad = weight.detach().clone()
        optimizer.step()


# O11


def test_muon_goes_both_ways() -> None:
    start = torch.arange(12.0).reshape(3, 4) / 10
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizer, other = Muon([ours], 0.1, preset="torch"), torch.optim.Muon([theirs], 0.1)
    for _ in range(2):
        bowl_of(optimizer, ours, 3)
        bowl_of(other, theirs, 3)
        torch.testing.assert_close(
            ours, theirs, rtol=0.0, atol=0.05
        )  # torch.optim's products are in bfloat16
        mine, its = copy.deepcopy(optimizer.state_dict()), copy.deepcopy(other.state_dict())
        optimizer.load_state_dict(its)
        other.load_state_dict(mine)
    changed = torch.optim.Muon([theirs], 0.1, eps=1.0)
    with pytest.raises(ValueError, match=r"muon: eps = 1.0: only 1e-07 is supported"):
        optimizer.load_state_dict(changed.state_dict())


# O2: slots are looked over as parameters are


@pytest.mark.parametrize("kind", [SGD, Momentum, Adam, ScheduleFreeAdamW])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda slot: slot.bfloat16(), "dtype torch.bfloat16: must be torch.float32"),
        (lambda slot: slot.double(), "dtype torch.float64: must be torch.float32"),
        (lambda slot: slot[:1], r"shape \(1, 4\): must be \(3, 4\)"),
        (lambda slot: slot.t(), r"shape \(4, 3\): must be \(3, 4\)"),
        (lambda slot: slot.to("meta"), "device meta: must be cpu"),
        (lambda slot: slot.view(torch.int32), "dtype torch.int32"),
        (lambda slot: slot.to_sparse(), "layout torch.sparse_coo"),
    ],
)
@pytest.mark.parametrize("way", ["data", "key"])
def test_a_slot_that_was_changed_between_steps_is_refused(
    kind: Any, change: Any, told: str, way: str
) -> None:
    weight = nn.Parameter(torch.ones(3, 4))
    optimizer = kind([weight], lr=0.1, ema=0.5)
    bowl_of(optimizer, weight, 2)
    for key, slot in list(optimizer.state[weight].items()):
        if slot.dim() < 2 or (way == "data" and ("sparse" in told or "meta" in told)):
            continue
        before, old = weight.detach().clone(), slot.detach().clone()
        if way == "data":
            slot.data = change(slot.data)
        else:
            optimizer.state[weight][key] = change(slot)
        with pytest.raises(RuntimeError, match=told):
            bowl_of(optimizer, weight, 1)
        assert torch.equal(weight, before)
        optimizer.state[weight][key] = old
    bowl_of(optimizer, weight, 1)


@pytest.mark.parametrize("change", [lambda slot: slot * 0.5, lambda slot: slot.t().contiguous().t()])
def test_a_slot_that_was_replaced_by_a_good_one_is_used(change: Any) -> None:
    ends = []
    for dtype in (torch.float32, torch.float64):
        weight = nn.Parameter(torch.ones(3, 4, dtype=dtype))
        optimizer = Adam([weight], lr=0.1)
        bowl_of(optimizer, weight, 2)
        slot = optimizer.state[weight]["exp_avg"]
        slot.data = change(slot.data)
        bowl_of(optimizer, weight, 2)
        ends.append(weight.detach().double())
    torch.testing.assert_close(*ends, rtol=1e-5, atol=1e-6)


# O3: a fixed key with another value


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [(SGD, "momentum", 0.9), (SGD, "nesterov", True), (Momentum, "dampening", 0.1), (Momentum, "nesterov", True),
     (Nesterov, "nesterov", False), (Nesterov, "form", "x"), (RMSProp, "momentum", 0.5), (RMSProp, "centered", True),
     (Adam, "amsgrad", True), (Adam, "betas", (0.9, 1.5)), (Adam, "betas", 0.9), (AdamW, "amsgrad", True),
     (Adam, "decoupled_weight_decay", True), (AdaGrad, "lr_decay", 0.1), (NAdam, "momentum_decay", -1.0),
     (Adam, "differentiable", True), (SGD, "weight_decay", -1.0), (SGD, "ema", 2.0), (SGD, "exclude", "["),
     (Momentum, "momentum", torch.tensor(1.5))],
)  # fmt: skip
def test_a_key_that_was_set_to_what_is_not_supported_is_refused_at_the_step(
    kind: Any, key: str, value: Any
) -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = kind([weight], lr=0.1)
    bowl_of(optimizer, weight, 1)
    old = optimizer.param_groups[0].get(key)
    optimizer.param_groups[0][key] = value
    before = weight.detach().clone()
    with pytest.raises(ValueError, match=f"{key} = "):
        bowl_of(optimizer, weight, 1)
    assert torch.equal(weight, before)
    if old is not None:
        optimizer.param_groups[0][key] = old
        bowl_of(optimizer, weight, 1)
        assert not torch.equal(weight, before)


@pytest.mark.parametrize("kind", [SGD, RMSProp])
def test_one_cycle_that_wants_to_move_a_momentum_which_is_not_there_is_refused(kind: Any) -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = kind([weight], lr=0.1)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=20)
    with pytest.raises(ValueError, match=r"momentum = 0.95: only 0 is supported"):
        bowl_of(optimizer, weight, 1)
    optimizer = kind([weight], lr=0.1)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=20, cycle_momentum=False)
    bowl_of(optimizer, weight, 1)


def test_maximize_may_be_switched() -> None:
    weight = double()
    optimizer = SGD([weight], 0.5)
    bowl(optimizer, weight, 1)
    optimizer.param_groups[0]["maximize"] = True
    assert bowl(optimizer, weight, 1) == 0.75


# O4: each parameter's own count


@pytest.mark.usefixtures("float64_by_default")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("ours", "theirs"), [(Adam, torch.optim.Adam), (NAdam, torch.optim.NAdam)])
def test_a_count_that_is_edited_is_its_parameters_alone(ours: Any, theirs: Any, dtype: torch.dtype) -> None:
    ends = []
    for kind in (ours, theirs):
        first, second = (nn.Parameter(torch.tensor([1.0, 2.0], dtype=dtype)) for _ in range(2))
        kwargs = {"preset": "torch"} if kind is ours else {}
        optimizer = kind([first, second], lr=0.1, **kwargs)
        for step in range(20):
            first.grad, second.grad = first.detach().clone(), second.detach().clone()
            optimizer.step()
            if step == 9:
                for value in optimizer.state[first].values():
                    value.zero_()
                if "mu_product" in optimizer.state[first]:
                    optimizer.state[first]["mu_product"].fill_(1.0)
        ends.append((first.detach(), second.detach()))
        assert [float(optimizer.state[p]["step"]) for p in (first, second)] == [10.0, 20.0]
    torch.testing.assert_close(*ends, rtol=1e-5 if dtype == torch.float32 else 0.0, atol=EXACT)


# O5: shared memory


def overlapping() -> dict[str, Callable[[], list[nn.Parameter]]]:
    def base(*spans: slice) -> Callable[[], list[nn.Parameter]]:
        def make() -> list[nn.Parameter]:
            memory = torch.arange(1.0, 9.0)
            return [nn.Parameter(memory[span]) for span in spans]

        return make

    return {
        "tied": base(slice(0, 8), slice(0, 8)),
        "overlap": base(slice(0, 6), slice(3, 8), slice(5, 7)),
        "views": base(slice(0, 4), slice(4, 8)),
        "interleaved": base(slice(0, 8, 2), slice(1, 8, 2)),
    }


@pytest.mark.parametrize("name", overlapping())
@pytest.mark.parametrize("kind", [*CLASSES, "Muon"])
def test_parameters_that_share_memory_are_as_before_after_deployed(kind: Any, name: str) -> None:
    params = overlapping()[name]()
    if kind == "Muon":
        params, kind = [nn.Parameter(p.detach()[None]) for p in params], Muon
    optimizer = kind(params, lr=0.1, ema=0.9)
    for _ in range(3):
        for param in params:
            param.grad = torch.ones_like(param)
        optimizer.step()
    before = [param.detach().clone() for param in params]
    with contextlib.suppress(KeyError), optimizer.deployed():
        assert any(not torch.equal(a, b) for a, b in zip(params, before, strict=True))
        raise KeyError  # whatever happens within
    assert all(torch.equal(a, b) for a, b in zip(params, before, strict=True))


@pytest.mark.parametrize("name", overlapping())
@pytest.mark.parametrize("pair", ["sgd", "momentum", "nesterov", "adam", "rmsprop", "adagrad", "nadam"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parameters_that_share_memory_step_as_in_torch(name: str, pair: str, dtype: torch.dtype) -> None:
    ends = []
    for make, more in zip(PAIRS[pair], ({}, {"foreach": False}), strict=True):
        params = overlapping()[name]()
        if dtype == torch.float64:
            memory = torch.arange(1.0, 9.0, dtype=dtype)
            params = [
                nn.Parameter(torch.as_strided(memory, p.shape, p.stride(), p.storage_offset()))
                for p in params
            ]
        optimizer = make(params)
        for group in optimizer.param_groups:
            group.update(more)
        for _ in range(5):
            for i, param in enumerate(params):
                param.grad = torch.full_like(param, i + 1.0)
            optimizer.step()
        ends.append([param.detach().clone() for param in params])
    torch.testing.assert_close(*ends, rtol=1e-5, atol=1e-6)


# O7: PyTorch's defaults


@pytest.fixture
def defaults(request: pytest.FixtureRequest) -> Iterator[None]:
    name = request.param
    if name == "meta":
        with torch.device("meta"):
            yield
        return
    torch.set_default_dtype(name)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("defaults", "kind"),
    thinned(product([torch.float16, torch.bfloat16, torch.float64, "meta"], [*CLASSES, Muon]), strength=1),
    indirect=["defaults"],
)
@pytest.mark.usefixtures("defaults")
def test_the_defaults_of_pytorch_change_nothing(kind: Any) -> None:
    ends = []
    for dtype in (torch.float32, torch.float64):
        weight = nn.Parameter(torch.ones(3, 4, dtype=dtype, device="cpu"))
        optimizer = (
            kind([weight], lr=0.01, ema=0.5, max_norm=0.0)
            if "max_norm" in _keys(kind)
            else kind([weight], lr=0.01)
        )
        for _ in range(3):
            weight.grad = weight.detach().clone()
            optimizer.step()
        assert optimizer.state[weight]["step"].dtype == torch.float32
        optimizer.state[weight]["step"] = torch.tensor(2048.0, dtype=torch.float32, device="cpu")
        weight.grad = weight.detach().clone()
        optimizer.step()
        assert float(optimizer.state[weight]["step"]) == 2049.0
        ends.append(weight.detach().double())
    torch.testing.assert_close(*ends, rtol=1e-5, atol=1e-6)


def _keys(kind: Any) -> set[str]:
    import inspect

    return set(inspect.signature(kind).parameters)


@pytest.mark.parametrize("defaults", [torch.float16, torch.bfloat16, "meta"], indirect=True)
@pytest.mark.parametrize("kind", [LBFGS, BFGS, Newton])
@pytest.mark.usefixtures("defaults")
def test_the_defaults_of_pytorch_change_no_search(kind: Any) -> None:
    x = nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float32, device="cpu"))
    optimizer = kind([x], max_iter=30)
    for _ in range(2):
        optimizer.step(lambda: rosenbrock(x, optimizer, backward=kind is not Newton))
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert (x.detach() - 1).abs().max() < 1e-3


def rosenbrock(x: Tensor, optimizer: Any, backward: bool = True) -> Tensor:
    if backward:
        optimizer.zero_grad()
    loss = (1 - x[0]) ** 2 + 10 * (x[1] - x[0] ** 2) ** 2
    if backward:
        loss.backward()
    return loss


# O8: numbers keep their digits


WAYS = {
    "state_dict": torch.float16,
    "saved": torch.bfloat16,
    "pickle": torch.float16,
    "deepcopy": torch.float32,
}


@pytest.mark.parametrize(
    ("kind", "way", "dtype"),
    thinned([(kind, way, dtype) for kind in (*CLASSES, Muon) for way, dtype in WAYS.items()], strength=1),
)
def test_resumed_is_uninterrupted(kind: Any, dtype: torch.dtype, way: str, tmp_path: Any) -> None:
    straight, begun = (nn.Parameter(torch.linspace(0.5, 2.0, 12).reshape(3, 4).to(dtype)) for _ in range(2))
    optimizer, twin = kind([begun], lr=0.01), kind([straight], lr=0.01)
    bowl_of(twin, straight, 14)
    bowl_of(optimizer, begun, 7)
    if way in ("pickle", "deepcopy"):
        begun, again = (
            pickle.loads(pickle.dumps((begun, optimizer)))
            if way == "pickle"
            else copy.deepcopy((begun, optimizer))
        )
    else:
        state = optimizer.state_dict()
        if way == "saved":
            torch.save(state, tmp_path / "state.pt")
            state = torch.load(tmp_path / "state.pt", weights_only=True)
        begun = nn.Parameter(begun.detach().clone())
        again = kind([begun], lr=0.7)
        again.load_state_dict(state)
    bowl_of(again, begun, 7)
    assert torch.equal(begun, straight)
    mine, its = again.state[begun], twin.state[straight]
    assert {key: value.dtype for key, value in mine.items()} == {
        key: value.dtype for key, value in its.items()
    }
    assert all(torch.equal(mine[key], its[key]) for key in its)


def test_a_search_that_was_resumed_is_the_uninterrupted_one() -> None:
    ends = []
    for resumed in (False, True):
        x = nn.Parameter(torch.tensor([-1.2, 1.0]))
        optimizer = LBFGS([x], max_iter=3)
        for _ in range(6):
            optimizer.step(lambda: rosenbrock(x, optimizer))  # noqa: B023 (called at once)
            if resumed:
                again = LBFGS([x], max_iter=3)
                again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
                optimizer = again
                assert optimizer.state[x]["sy"].dtype == torch.float64
        ends.append(x.detach().clone())
    assert torch.equal(*ends)


# O9: inference tensors


@pytest.mark.parametrize("kind", CLASSES)
def test_inference_tensors_are_changed_only_in_inference_mode(kind: Any) -> None:
    with torch.inference_mode():
        weight = nn.Parameter(torch.ones(3), requires_grad=False)
        weight.grad = torch.ones(3)
    optimizer = kind([weight], lr=0.1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="inference_mode"):
            optimizer.step()
        assert weight.tolist() == [1.0, 1.0, 1.0]
    with torch.inference_mode():
        optimizer.step()
    assert weight[0].item() < 1.0


# O10


@pytest.mark.parametrize("kind", [LBFGS, BFGS, Newton])
def test_a_search_is_loaded_as_often_as_one_likes(kind: Any) -> None:
    x = nn.Parameter(torch.tensor([-1.2, 1.0]))
    optimizer = kind([x], max_iter=2)
    optimizer.step(lambda: rosenbrock(x, optimizer, kind is not Newton))
    state = copy.deepcopy(optimizer.state_dict())
    copies = [copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer)), optimizer]
    for each in copies:
        for _ in range(2):
            each.load_state_dict(state)
        assert each.num_evaluations == state["state"][0]["num_evaluations"]
    other = torch.optim.Adam([x])
    with pytest.raises(ValueError, match="a state of another optimizer"):
        optimizer.load_state_dict(other.state_dict())


# O12: no gradient, or a sparse one


@pytest.mark.parametrize("kind", [LBFGS, BFGS])
def test_a_loss_that_reaches_no_parameter_leaves_them_alone(kind: Any) -> None:
    x = nn.Parameter(torch.tensor([1.0]))
    assert kind([x]).step(lambda: torch.tensor(3.0)).item() == 3.0
    assert x.item() == 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", CLASSES)
def test_a_sparse_gradient_after_dense_ones_is_refused(kind: Any, dtype: torch.dtype) -> None:
    weight = nn.Parameter(torch.ones(3, 2, dtype=dtype))
    optimizer = kind([weight], lr=0.1)
    for _ in range(2):
        bowl_of(optimizer, weight, 2)
        weight.grad = None
        weight.grad = torch.eye(3, 2, dtype=dtype).to_sparse()
        with pytest.raises(RuntimeError, match=f"{kind.__name__} does not support sparse gradients"):
            optimizer.step()


def test_every_class_is_tried() -> None:
    others = {"LBFGS", "BFGS", "Newton", "Muon", "SAM", "Schedule", "estimate_batchnorm", "of"}
    assert {kind.__name__ for kind in CLASSES} | others == set(optim.__all__)
