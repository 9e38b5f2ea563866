"""What PyTorch's users expect of an optimizer, whatever its rule."""

from __future__ import annotations

import copy
import pickle
import socket
import time
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from test_optim_numbers import EXACT, PAIRS, data, distance, model, train
from torch import nn

import ravine
from ravine.optim import (
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    Lion,
    Momentum,
    NAdam,
    Nesterov,
    RMSProp,
    ScheduleFreeAdamW,
)

CLASSES = (SGD, Momentum, Nesterov, AdaGrad, RMSProp, Adam, AdamW, NAdam, Lion, ScheduleFreeAdamW)


def test_they_stand_in_ravine_optim() -> None:
    assert {kind.__name__ for kind in CLASSES} == set(ravine.optim.__all__) - {
        "LBFGS",
        "Muon",
        "SAM",
        "BFGS",
        "Newton",
        "Schedule",
        "estimate_batchnorm",
        "of",
    }


@pytest.mark.parametrize("kind", CLASSES)
def test_parameters_that_have_no_gradient_stay_and_may_come_later(kind: Any) -> None:
    module = model(torch.float32)
    optimizer = kind(module.parameters(), lr=0.01)
    frozen = module[0].weight
    frozen.requires_grad_(False)
    before = frozen.detach().clone()
    train(module, optimizer, 3)
    assert torch.equal(frozen, before)
    frozen.requires_grad_(True)
    train(module, optimizer, 3)
    assert not torch.equal(frozen, before)
    assert float(optimizer.state[frozen]["step"]) == 3.0
    assert float(optimizer.state[module[2].weight]["step"]) == 6.0


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_numbers_at_all_are_fine(kind: Any, dtype: torch.dtype) -> None:
    empty, full = nn.Parameter(torch.empty(0, 3, dtype=dtype)), nn.Parameter(torch.ones(2, dtype=dtype))
    optimizer = kind([empty, full], lr=0.1, ema=0.5)
    empty.grad, full.grad = torch.empty(0, 3, dtype=dtype), torch.ones(2, dtype=dtype)
    optimizer.step()
    assert empty.shape == (0, 3)
    assert float(full.detach().max()) < 1.0


@pytest.mark.parametrize("kind", CLASSES)
def test_groups_have_hypers_of_their_own(kind: Any) -> None:
    module = model(torch.float32)
    optimizer = kind(
        [{"params": module[0].parameters(), "lr": 0.0}, {"params": module[2].parameters()}], lr=0.1
    )
    before = copy.deepcopy(module)
    train(module, optimizer, 2)
    assert distance(module[0], before[0]) == 0.0
    assert distance(module[2], before[2]) > 0.0
    extra = nn.Parameter(torch.ones(2))
    optimizer.add_param_group({"params": [extra], "lr": 0.5})
    extra.grad = torch.ones(2)
    optimizer.step()
    assert float(extra.detach().max()) < 1.0
    with pytest.raises(ValueError, match="lr = -1"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr": -1})
    assert len(optimizer.param_groups) == 3


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_go_on_by_themselves(kind: Any, copied: Any) -> None:
    module = model()
    optimizer = kind(module.named_parameters(), lr=0.01, weight_decay=0.1, ema=0.9)
    train(module, optimizer, 3)
    other, other_optimizer = copied((module, optimizer))
    train(module, optimizer, 3)
    assert distance(module, other) > 0.0
    train(other, other_optimizer, 3)
    assert distance(module, other) == 0.0
    with optimizer.deployed(), other_optimizer.deployed():
        assert distance(module, other) == 0.0


def test_a_closure_is_evaluated_with_gradients_and_hooks_run() -> None:
    weight = nn.Parameter(torch.tensor([2.0]))
    optimizer, seen = Adam([weight], 0.1), []
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))

    def closure() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=False)
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert float(optimizer.step(closure).detach()) == 4.0
    assert seen == ["before", "after"]
    assert float(weight.detach()) < 2.0


def test_names_decide_what_decays() -> None:
    def moved(exclude: str | None) -> set[str]:
        module = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
        nn.init.ones_(module[0].bias)
        nn.init.ones_(module[1].bias)
        optimizer = SGD(module.named_parameters(), 0.1, weight_decay=0.5, exclude=exclude)
        before = {name: p.detach().clone() for name, p in module.named_parameters()}
        for param in module.parameters():
            param.grad = torch.zeros_like(param)
        optimizer.step()
        return {name for name, p in module.named_parameters() if not torch.equal(p, before[name])}

    assert moved(None) == {"0.weight"}
    assert moved("") == {"0.weight", "0.bias", "1.weight", "1.bias"}
    assert moved("^0") == {"1.weight", "1.bias"}


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda p: SGD(p, -0.1), "sgd: lr = -0.1: must be a finite number above 0"),
        (lambda p: SGD(p, float("nan")), "sgd: lr = nan"),
        (
            lambda p: Momentum(p, 0.1, 1.0),
            "momentum: momentum = 1.0: must be a number of at least 0 and below 1",
        ),
        (lambda p: Adam(p, betas=(0.9, 1.0)), r"adam: betas = 1.0"),
        (lambda p: Adam(p, betas=0.9), r"adam: betas = 0.9: must be a pair"),
        (lambda p: Adam(p, eps=0.0), "adam: eps = 0.0"),
        (lambda p: AdamW(p, weight_decay=-1), "adamw: weight_decay = -1"),
        (lambda p: SGD(p, 0.1, exclude="["), "exclude = '\\['"),
        (
            lambda p: SGD(p, 0.1, exclude="bias"),
            "exclude = 'bias': is looked for in names, and there are none",
        ),
        (lambda p: SGD(p, 0.1, ema=1.0), "sgd: ema = 1.0"),
        (lambda p: SGD(p, 0.1, preset="tf"), "preset = 'tf'"),
        (lambda p: Nesterov(p, 0.1, form="x"), "form = 'x'"),
        (lambda p: SGD([], 0.1), "empty parameter list"),
    ],
)
def test_wrong_values_are_refused(call: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        call([nn.Parameter(torch.ones(1))])


def test_what_torch_can_and_these_cannot_is_refused_when_loaded() -> None:
    module = model()
    theirs = torch.optim.Adam(module.parameters(), amsgrad=True)
    train(module, theirs, 1)
    with pytest.raises(ValueError, match="amsgrad = True: only False is supported"):
        Adam(module.parameters()).load_state_dict(theirs.state_dict())


@pytest.mark.parametrize(
    ("theirs", "ours"), [("Lion", Adam), ("Adam", Lion), ("Adagrad", Adam), ("Adam", Momentum)]
)
def test_a_state_of_another_rule_is_refused_and_changes_nothing(theirs: str, ours: Any) -> None:
    module = model()
    other = (
        Lion(module.parameters()) if theirs == "Lion" else getattr(torch.optim, theirs)(module.parameters())
    )
    train(module, other, 1)
    optimizer = ours(module.parameters(), lr=0.125)
    with pytest.raises(ValueError, match="a state of another rule: it"):
        optimizer.load_state_dict(other.state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.125
    assert not optimizer.state


def test_sparse_gradients_are_refused() -> None:
    table = nn.Embedding(5, 2, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="SGD does not support sparse gradients"):
        SGD(table.parameters(), 0.1).step()


@pytest.mark.parametrize("kind", CLASSES)
def test_lr_may_be_a_tensor_and_belongs_to_schedulers(kind: Any) -> None:
    first, second = model(), model()
    one, other = (
        kind(first.parameters(), lr=0.1),
        kind(second.parameters(), lr=torch.tensor(0.1, dtype=torch.float64)),
    )
    for module, optimizer in ((first, one), (second, other)):
        schedule = torch.optim.lr_scheduler.SequentialLR(
            optimizer,
            [
                torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3),
                torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5),
            ],
            [3],
        )
        for _ in range(8):
            train(module, optimizer, 1)
            schedule.step()
    assert distance(first, second) < EXACT
    assert float(one.param_groups[0]["lr"]) < 1e-3


def test_one_cycle_moves_the_momentum_too() -> None:
    module = model()
    for optimizer, key in (
        (Momentum(module.parameters(), 0.1), "momentum"),
        (Adam(module.parameters()), "betas"),
    ):
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10)
        found = []
        for _ in range(9):
            train(module, optimizer, 1)
            schedule.step()
            value = optimizer.param_groups[0][key]
            found.append(value if key == "momentum" else value[0])
        assert max(found) - min(found) > 0.05


def test_gradient_scaler_skips_a_step_with_infinite_gradients() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer, scaler = Adam([weight], 0.1), torch.amp.GradScaler("cpu", init_scale=4.0)
    for factor, moves in ((1.0, True), (float("inf"), False)):
        before = weight.detach().clone()
        optimizer.zero_grad()
        scaler.scale((weight * factor).sum()).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_([weight], 1.0)
        scaler.step(optimizer)
        scaler.update()
        assert torch.equal(before, weight) != moves


# The compiler looks at gradients of what it has replaced by stand-ins, and tells that it leaves a profiler out.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize(
    "kinds", [CLASSES[::4], pytest.param(CLASSES, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_compiled_training_steps_compute_the_same(kinds: Sequence[Any]) -> None:
    """With clipping and the optimizer's step in it; the backend "eager" compiles nothing, but is traced as all are.

    One after another in one process: what was traced for one class must not be taken for the next.
    """
    x, y = data(torch.float32)

    def trained(kind: Any, compiled: bool) -> nn.Module:
        module = model(torch.float32)
        optimizer = kind(module.parameters(), lr=0.01)
        schedule = ravine.optim.Schedule(optimizer, "cosine", num_steps=12)

        def step() -> None:
            optimizer.zero_grad()
            (module(x) - y).square().mean().backward()
            nn.utils.clip_grad_norm_(module.parameters(), 0.5)
            optimizer.step()

        call = torch.compile(step, backend="eager") if compiled else step
        for _ in range(12):
            call()
            schedule.step()
        assert float(optimizer.state[module[0].weight]["step"]) == 12.0
        return module

    for kind in kinds:
        assert distance(trained(kind, False), trained(kind, True)) < 1e-6, (
            kind
        )  # clipping may be rounded otherwise
    torch.compiler.reset()


@pytest.mark.parametrize("kind", CLASSES)
def test_accumulated_gradients_are_one_step(kind: Any) -> None:
    x, y = data()
    ends = []
    for parts in (1, 4):
        module = model()
        optimizer = kind(module.parameters(), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            for some, target in zip(x.chunk(parts), y.chunk(parts), strict=True):
                ((module(some) - target).square().mean() / parts).backward()
            optimizer.step()
        ends.append(module)
    assert distance(*ends) < 1e-9  # sums in another order; no gradient is so near to 0 that its sign turns


NOT_OURS = {"amsgrad", "capturable", "differentiable", "fused", "foreach", "centered", "lr_decay",
            "initial_accumulator_value", "dampening", "nesterov", "decoupled_weight_decay"}  # fmt: skip


TWINS = (
    (SGD, "SGD"),
    (AdaGrad, "Adagrad"),
    (RMSProp, "RMSprop"),
    (Adam, "Adam"),
    (AdamW, "AdamW"),
    (NAdam, "NAdam"),
)


@pytest.mark.usefixtures("float64_by_default")  # torch.optim.NAdam rounds a product to the default type
@pytest.mark.parametrize(("ours", "theirs"), [*TWINS, (Momentum, "SGD")])
def test_inputs_of_torchs_own_tests(ours: Any, theirs: str, torchs_tests: dict[str, Any]) -> None:
    info, compared = torchs_tests[theirs], 0
    for case in info.optim_inputs_func(device="cpu"):
        kwargs = dict(case.kwargs)
        if any(kwargs.get(name) for name in NOT_OURS) or (ours in (SGD, RMSProp) and kwargs.get("momentum")):
            continue  # torch.optim's alone
        kwargs = {name: value for name, value in kwargs.items() if name not in NOT_OURS}
        if ours is Momentum:
            kwargs.setdefault("momentum", 0.9)
        first, second = model(), model()
        if ours is not AdaGrad or "lr" in kwargs:
            kwargs.setdefault("lr", 0.01)
        train(first, ours(first.parameters(), **{"lr": 0.01, **kwargs}, preset="torch"), 20)
        train(second, info.optim_cls(second.parameters(), **{"lr": 0.01, **kwargs}), 20)
        assert distance(first, second) < EXACT, case.desc
        compared += 1
    assert compared > 1


@pytest.mark.parametrize(("ours", "theirs"), TWINS)
def test_error_inputs_of_torchs_own_tests(ours: Any, theirs: str, torchs_tests: dict[str, Any]) -> None:
    refused = 0
    for case in torchs_tests[theirs].optim_error_inputs_func(device="cpu", dtype=torch.float32):
        given = case.optimizer_error_input
        if any(name in given.kwargs for name in NOT_OURS) or (
            ours in (SGD, RMSProp) and "momentum" in given.kwargs
        ):
            continue  # torch.optim's alone
        if "both Tensors" in given.desc:
            continue  # numbers and tensors may be mixed here
        try:
            ours(given.params, **{"lr": 0.01, **given.kwargs})
        except case.error_type:
            refused += 1
        else:
            pytest.fail(f"not refused: {given.desc}")
    assert refused > 1


@pytest.mark.slow
def test_distributed_data_parallel_trains_as_one_process(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Gloo asks the network which address the machine's name has, and may wait for an answer forever.
    monkeypatch.setenv(
        "GLOO_SOCKET_IFNAME", next(name for _, name in socket.if_nameindex() if name[:2] == "lo")
    )
    replicas = torch.multiprocessing.spawn(_replica, (str(tmp_path),), nprocs=2, join=False)
    try:
        until = time.monotonic() + 120
        while not replicas.join(timeout=1):
            assert time.monotonic() < until, "the two processes wait for each other"
    finally:
        for process in replicas.processes:
            process.kill()
    alone = model()
    train(alone, Adam(alone.parameters(), 0.01), 5)
    for rank in range(2):
        for a, b in zip(torch.load(tmp_path / f"{rank}.pt"), alone.parameters(), strict=True):
            assert float((a - b).detach().abs().max()) < 1e-10


def _replica(rank: int, folder: str) -> None:
    from torch import distributed

    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    wrapped = nn.parallel.DistributedDataParallel(model())
    train(wrapped, Adam(wrapped.parameters(), 0.01), 5)
    torch.save([p.detach() for p in wrapped.module.parameters()], f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_the_same_pairs_are_covered() -> None:
    assert {name.partition(",")[0] for name in PAIRS} == {kind.__name__.lower() for kind in CLASSES} - {
        "lion",
        "schedulefreeadamw",
    }
