"""Rules that search keep the contracts of all others: bit by bit the same run anywhere, and after any interruption."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby, pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_runs import (
    CPU,
    FUSED,
    NATIVE,
    PLAIN,
    SERIAL,
    Trained,
    all_runs,
    compiling,
    dataset,
    distance,
    network_of,
    random_dataset,
    same,
    study,
    train,
    training_of,
)
from scipy.optimize import minimize
from test_contract_cohorts import Noisy, cut, shuffled
from torch.nn import functional as F

from ravine import optim, rng
from ravine.engine import capacity
from ravine.engine.plan import plan
from ravine.engine.programs import TOGETHER
from ravine.errors import InputError, ModelError
from ravine.rules import SEARCHING
from ravine.study import Run, Study, parse_study
from thinning import thinned

KINDS = sorted(SEARCHING)
EVERY = [
    *((kind, backend) for kind in KINDS for backend in (FUSED, SERIAL, PLAIN)),
    *((kind, NATIVE) for kind in KINDS if not SEARCHING[kind].search.hessian),
]
MANY = [(kind, backend) for kind, backend in EVERY if backend in TOGETHER]


def ways(found: Sequence[tuple[str, str]], strength: int = 2) -> pytest.MarkDecorator:
    """A test of each kind of rule with each of its backends, on batches or the whole training set."""
    cases = [(kind, backend, batch_size) for kind, backend in found for batch_size in (13, "full")]
    return pytest.mark.parametrize(("kind", "backend", "batch_size"), thinned(cases, strength))


OWN: dict[str, dict[str, object]] = {
    "lbfgs": {"lr": [0.5, 1.0], "history": 4},
    "bfgs": {"c2": [0.9, 0.3]},
    "newton": {"damping": [0.01, 0.1], "saddle_free": [0, 1], "line_search": [0, 1]},
}


@cache
def searching(kind: str, batch_size: int | str = 13, steps: int = 16) -> Study:
    dropout = [0.0, 0.3] if kind == "lbfgs" else 0.0
    return study(
        data=dataset("wine"),
        model={"kind": "mlp", "hidden": [5], "activation": "tanh"},
        rules=[{"kind": kind, "weight_decay": [0.0, 0.01], **OWN[kind]}],
        steps=steps,
        batch_size=batch_size,
        dropout=dropout,
        schedule=["constant", "cosine"] if kind == "lbfgs" else "constant",
        evaluations=4,
    )


@cache
def together(kind: str, batch_size: int | str = 13, backend: str = FUSED) -> Trained:
    return train(searching(kind, batch_size), backend=backend)


# Going on at any step is compared to all runs together too.
@ways(MANY, strength=1)
def test_a_run_does_not_depend_on_its_neighbours(kind: str, backend: str, batch_size: int | str) -> None:
    made = searching(kind, batch_size)
    runs = shuffled(all_runs(made), 1)[:8]
    for some in (runs[:1], runs[1:4]):
        apart = train(made, some, backend)
        for run in some:
            same(apart, together(kind, batch_size, backend), run)


# The L-BFGS of these studies keeps four pairs of vectors.
@pytest.mark.parametrize("steps", [(4, 11), pytest.param(range(1, 17), marks=pytest.mark.slow)], ids=str)
@ways(EVERY, strength=1)
def test_going_on_at_any_step_changes_no_bit(
    kind: str, backend: str, batch_size: int | str, steps: Sequence[int]
) -> None:
    made = searching(kind, batch_size)
    runs = shuffled(all_runs(made), 5)[: 4 if backend in TOGETHER else 1]
    whole = together(kind, batch_size, backend) if backend in TOGETHER else train(made, runs, backend)
    for resumed in cut(made, runs, backend, steps):
        for run in runs:
            same(resumed, whole, run)


@pytest.mark.parametrize(("kind", "batch_size"), thinned(product(KINDS, [13, "full"]), strength=1))
def test_all_backends_are_one_training(kind: str, batch_size: int | str) -> None:
    """Eight evaluations: a search amplifies rounding more than any other rule, by taking or refusing a step."""
    made = searching(kind, batch_size, 8)
    # An indefinite Hessian as it is, with eigenvalues near minus the damping, makes of a rounding any step.
    runs = [run for run in all_runs(made) if run.recipe.hypers.get("saddle_free", 1.0) == 1.0]
    fused = train(made, runs)
    native = None if SEARCHING[kind].search.hessian else train(made, runs, NATIVE)
    for run in shuffled(runs, 2)[:2]:
        serial, plain = train(made, [run], SERIAL), train(made, [run], PLAIN)
        same(serial, plain, run)
        assert distance(fused, serial, run) < 1e-3, run.label
        if native is not None:
            assert distance(native, serial, run) < 1e-3, run.label
            for metric in native.evaluations[0].scores:
                (_, ours), (_, theirs) = native.curve(run, metric)[0], serial.curve(run, metric)[0]
                assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6), (run.label, metric)


@pytest.mark.parametrize("kind", [kind for kind, backend in EVERY if backend == NATIVE])
def test_new_numbers_are_not_compiled_anew(kind: str) -> None:
    for lr, c2, decay in ((1.0, 0.9, 0.1), (0.3, 0.4, 0.0)):
        made = study(rules=[{"kind": kind, "lr": lr, "c2": c2, "weight_decay": decay}], seeds=1, steps=3)
        with compiling() as texts:
            train(made, backend=NATIVE)
    assert not texts


class Recorded:
    """The loss of each step of one run: what the engine tells."""

    def __init__(self, made: Study, run: Run) -> None:
        self.training = training_of(made, [run])
        self.points: list[torch.Tensor] = []
        for _ in range(run.recipe.steps):
            self.training.advance()
            self.points.append(self.training.setting.point()[0].clone())


def logistic(steps: int, decays: Sequence[float], kind: str = "lbfgs") -> Study:
    return study(
        data=dataset("breast_cancer"),
        model={"kind": "mlp", "hidden": []},
        rules=[{"kind": kind, "weight_decay": list(decays)}],
        steps=steps,
        batch_size="full",
        seeds=1,
    )


class Objective:
    """Logistic regression with its penalty in float64, as a function of a flat vector."""

    def __init__(self, made: Study, run: Run) -> None:
        self.network, self.decay = network_of(made, [run]), run.recipe.hypers["weight_decay"]
        self.x = torch.from_numpy(made.data.train.x).double()  # type: ignore[union-attr]
        self.y = torch.from_numpy(made.data.train.y)  # type: ignore[union-attr]
        found = self.network.initial(run.seed)
        self.names = list(self.network.layout.names)
        self.start = torch.cat([found[name].flatten() for name in self.names]).double()
        self.calls: list[float] = []

    def loss(self, point: torch.Tensor) -> torch.Tensor:
        weight, bias = point[: 2 * self.x.shape[1]].reshape(2, -1), point[2 * self.x.shape[1] :]
        return F.cross_entropy(self.x @ weight.T + bias, self.y) + 0.5 * self.decay * weight.square().sum()

    def __call__(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        x = torch.from_numpy(point.copy()).requires_grad_()
        loss = self.loss(x)
        loss.backward()
        self.calls.append(loss.item())
        assert x.grad is not None
        return loss.item(), x.grad.numpy()

    def of_row(self, row_P: torch.Tensor) -> float:
        views = self.network.layout.view_one(row_P)
        return self.loss(torch.cat([views[name].flatten() for name in self.names]).double()).item()


def test_lbfgs_is_as_good_as_scipys_and_as_ravine_optims() -> None:
    """The same optimum, and within 1.3 times SciPy's evaluations to 1e-2 and 1e-4 of it; float32 against float64."""
    made = logistic(120, (1e-1, 1e-3))
    for run in all_runs(made):
        objective = Objective(made, run)
        best = minimize(
            objective, objective.start.numpy(), jac=True, method="L-BFGS-B",
            options={"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-9},
        )  # fmt: skip
        ours = [objective.of_row(row) for row in Recorded(made, run).points]
        assert ours[-1] == pytest.approx(best.fun, rel=1e-6)
        for tolerance in (1e-2, 1e-4):
            theirs = int(np.argmax(np.array(objective.calls) <= best.fun * (1 + tolerance))) + 1
            mine = int(np.argmax(np.array(ours) <= best.fun * (1 + tolerance))) + 1
            assert mine <= 1.3 * theirs, (run.recipe.hypers["weight_decay"], tolerance, mine, theirs)
        x = torch.nn.Parameter(objective.start.clone())
        optimizer = optim.LBFGS([x], max_iter=300)

        def closure(
            x: torch.nn.Parameter = x, own: Objective = objective, by: optim.LBFGS = optimizer
        ) -> torch.Tensor:
            by.zero_grad()
            loss = own.loss(x)
            loss.backward()
            return loss

        optimizer.step(closure)
        assert ours[-1] == pytest.approx(closure().item(), rel=1e-6)


@pytest.mark.parametrize("kind", ["bfgs", "newton"])
def test_dense_methods_find_the_same_optimum(kind: str) -> None:
    made = logistic(100, (1e-2,), kind)
    for run in all_runs(made)[:1]:
        objective = Objective(made, run)
        best = minimize(
            objective, objective.start.numpy(), jac=True, method="L-BFGS-B", options={"ftol": 1e-15}
        )
        ours = [objective.of_row(row) for row in Recorded(made, run).points]
        assert ours[-1] == pytest.approx(best.fun, rel=1e-6)
        if kind == "newton":
            assert min(i for i, loss in enumerate(ours) if loss < best.fun * (1 + 1e-6)) < 12


def test_what_is_told_never_rises_on_a_full_batch() -> None:
    """Trials on the way are worse now and then; the run has not come to them."""
    made = logistic(60, (0.0,))
    run = all_runs(made)[0]
    objective = Objective(made, run)
    losses = [objective.of_row(row) for row in Recorded(made, run).points]
    assert all(b <= a * (1 + 1e-6) for a, b in pairwise(losses))
    curve = [loss for _, loss in train(made, [run]).curve(run, "train_loss")]
    assert curve == sorted(curve, reverse=True)


@pytest.mark.slow
def test_a_module_that_draws_keeps_its_draw_while_a_search_lasts() -> None:
    made = study(model=Noisy, steps=30, rules=["lbfgs"], batch_size="full", seeds=1)
    run = all_runs(made)[0]
    training = training_of(made, [run], PLAIN)
    numbers = []
    for _ in range(30):
        training.advance()
        slots = training.setting.state.slots[0]
        numbers.append((int(slots["batch_number"]), bool(slots["searching"] > 0)))
    assert numbers[0] == (0, True)
    for (number, searching_on), (after, _) in pairwise(numbers):
        assert (after == number) == searching_on
    assert 5 < len({number for number, _ in numbers}) < 20
    same(train(made, [run], PLAIN), train(made, [run], PLAIN), run)


def test_a_batch_is_that_of_the_step_at_which_its_search_began() -> None:
    made = searching("lbfgs", 13)
    run = next(run for run in all_runs(made) if run.recipe.hypers["model.dropout"] == 0.0)
    training = training_of(made, [run])
    per_epoch = len(made.data.train) // 13  # type: ignore[union-attr, arg-type]
    for _ in range(16):
        training.advance()
        slots = training.setting.state.slots[0]
        epoch, batch = divmod(int(slots["batch_number"]), per_epoch)
        order = rng.permutation(rng.key(run.seed, "order", epoch), len(made.data.train))  # type: ignore[union-attr, arg-type]
        assert torch.equal(slots["batch_rows"][0], order[batch * 13 : (batch + 1) * 13])


@pytest.mark.parametrize("kind", KINDS)
def test_the_plan_is_machine_code_but_for_second_derivatives(kind: str) -> None:
    made = searching(kind)
    runs = all_runs(made)
    network = network_of(made, runs)
    chosen = plan(runs, network, made.data, CPU)  # type: ignore[arg-type]
    if kind != "newton":
        assert (chosen.backend, chosen.why) == (NATIVE, "")
        return
    assert chosen.backend == FUSED
    assert chosen.why == "no machine code for newton, which takes second derivatives"
    with pytest.raises(InputError, match=r"^backend = 'native': .*newton, which takes second derivatives"):
        plan(runs, network, made.data, CPU, "native")  # type: ignore[arg-type]


@pytest.mark.parametrize("num_runs", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_bits_do_not_depend_on_the_number_of_threads(num_runs: int) -> None:
    """Of so many parameters that torch would share out the sums of a run alone."""
    made = study(
        data=random_dataset((60,)), model={"kind": "mlp", "hidden": [600]}, rules=["lbfgs"], seeds=5, steps=12
    )
    runs, threads = all_runs(made)[:num_runs], torch.get_num_threads()
    trained = []
    try:
        for num in (1, 3):
            torch.set_num_threads(num)
            trained.append(train(made, runs, NATIVE))
            assert torch.get_num_threads() == num
    finally:
        torch.set_num_threads(threads)
    for run in runs:
        same(*trained, run)


@pytest.mark.slow
@pytest.mark.parametrize("backend", [pytest.param(FUSED, marks=pytest.mark.slow), NATIVE], ids=str)
def test_one_that_diverges_leaves_its_neighbours_as_they_are(backend: str) -> None:
    """One example overflows; some runs meet it, and the program is made smaller."""
    data = random_dataset((4,), num=240)
    data.train.x[17] = 3e38
    made = study(data=data, rules=["lbfgs"], steps=24, seeds=8, batch_size=6)
    runs = all_runs(made)
    whole = train(made, runs, backend, repay_steps=0)
    lost = whole.finished.diverged
    assert 2 <= len(lost) <= 6
    for some in (lost, [run.id for run in runs if run.id not in lost]):
        for run in [run for run in runs if run.id in some][:1]:
            same(train(made, [run], backend, repay_steps=0), whole, run)


def test_rules_that_search_do_not_take_machine_code_from_the_others() -> None:
    made = study(rules=["lbfgs", {"kind": "sgd", "lr": 0.1}, {"kind": "lbfgs", "label": "few", "history": 3}])
    structures = {run.label: run.recipe.structure for run in all_runs(made)}
    assert len(set(structures.values())) == 3


@pytest.mark.parametrize("kind", ["bfgs", "newton"])
def test_a_matrix_that_does_not_fit_is_refused_with_its_size(kind: str) -> None:
    made = study(model={"kind": "mlp", "hidden": [3000, 3000]}, rules=[kind])
    runs = all_runs(made)
    network = network_of(made, runs)
    with pytest.raises(
        ModelError, match=rf'^rules: kind = "{kind}": a dense matrix of .* takes [0-9,]+ TB, .* use L-BFGS$'
    ):
        plan(runs, network, made.data, CPU)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_example_shows_where_it_stops_winning() -> None:
    """Final training loss after 100 evaluations, mean of two seeds, at the best learning rate of each rule."""
    content = tomllib.loads(
        (Path(__file__).parents[2] / "examples" / "second-order.toml").read_text(encoding="utf-8")
    )
    made = replace(parse_study(content, "second-order.toml"), seeds=2, data=dataset("digits"))
    losses: dict[str, dict[float, list[float]]] = {}
    runs = sorted(all_runs(made), key=lambda run: run.recipe.structure)
    for _, members in groupby(runs, key=lambda run: run.recipe.structure):
        some = list(members)
        trained = train(made, some, NATIVE)
        for run in some:
            found = trained.metrics(run)["train_loss"]
            losses.setdefault(run.label, {}).setdefault(run.recipe.hypers["lr"], []).append(found)
    best = {label: min(np.mean(seeds) for seeds in of.values()) for label, of in losses.items()}
    assert best["lbfgs"] < 0.1 * best["momentum"]
    assert best["lbfgs, noise 1e-2"] > 3.0 * best["momentum, noise 1e-2"]


def test_a_hessian_of_convolutions_is_refused_and_its_passes_bound_a_cohort(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = study(data=random_dataset((1, 6, 6)), model={"kind": "convnet", "channels": [2]}, rules=["newton"])
    runs = all_runs(made)
    with pytest.raises(ModelError, match=r'^rules: kind = "newton": no Hessian .* convolutions; use lbfgs$'):
        plan(runs, network_of(made, runs), made.data, CPU)  # type: ignore[arg-type]
    made = study(rules=[{"kind": "newton", "damping": [0.1, 0.2, 0.3]}], batch_size="full")
    runs = all_runs(made)
    network = network_of(made, runs)
    assert plan(runs, network, made.data, CPU).size >= 6  # type: ignore[arg-type]
    # Six times as many numbers as an example makes (44 and more), for 90 examples and 144 rows: 27 MB a run,
    # all there at once if traced, and of 64 rows if not.
    monkeypatch.setattr(capacity, "free_bytes", lambda device: 60e6)
    assert plan(runs, network, made.data, CPU).size <= 2  # type: ignore[arg-type]
    monkeypatch.setattr(capacity, "free_bytes", lambda device: 30e6)
    chosen = plan(runs, network, made.data, CPU)  # type: ignore[arg-type]
    assert (chosen.backend, chosen.size) == (PLAIN, 1)
    assert "passes for a Hessian" in chosen.why
    with pytest.raises(ModelError, match="a run needs at least"):
        plan(runs, network, made.data, CPU, "fused")  # type: ignore[arg-type]
