"""Sharpness of stored runs: against the exact Hessian, kept, refused, and blind to what it should be blind to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_runs import CPU, dataset, study
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

import ravine
from ravine.engine.traced.threads import Threads
from ravine.errors import InputError, ModelError
from ravine.landscapes import sharpness as module_under_test
from ravine.landscapes.choice import chosen_runs
from ravine.landscapes.curvature import Curvature
from ravine.landscapes.findings import Measuring, Settings, Sharpness
from ravine.landscapes.sharpness import _measured, measure
from ravine.launch.trained import Trained
from ravine.native.tensors import Unsupported
from ravine.store import RunRecord, Store
from ravine.study import Study

SINGLE = 2e-3  # relative: Lanczos stops at 1e-3, and all is float32


@pytest.fixture(scope="module")
def made() -> Study:
    return study(
        model={"kind": "mlp", "hidden": [6], "activation": "tanh"},
        rules=[{"kind": "adam", "lr": [0.01, 0.1]}],
    )


@pytest.fixture(scope="module")
def store(made: Study, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("sharp")
    ravine.run(made, store=folder, quiet=True)
    with Store(folder) as opened:
        yield opened


def records(store: Store) -> list[RunRecord]:
    return store.runs("small")


def measured(made: Study, store: Store, settings: Settings) -> list[Sharpness]:
    *_, found = measure(made, store, records(store), settings)
    assert isinstance(found, list)
    return found


def unsupported(*_: object, **__: object) -> None:
    raise Unsupported("left out")


def exact(weights: dict[str, np.ndarray]) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, gradient and Hessian of a run in float64, by torch alone."""
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    of = {
        "0.weight": "linear1.weight",
        "0.bias": "linear1.bias",
        "2.weight": "output.weight",
        "2.bias": "output.bias",
    }
    shapes = {name: p.shape for name, p in net.named_parameters()}
    flat = torch.cat([torch.from_numpy(weights[of[name]]).double().flatten() for name in shapes])
    x, y = torch.from_numpy(dataset().train.x).double(), torch.from_numpy(dataset().train.y)

    def loss(flat: Tensor) -> Tensor:
        pieces = flat.split([shape.numel() for shape in shapes.values()])
        params = {n: p.view(s) for (n, s), p in zip(shapes.items(), pieces, strict=True)}
        return functional.cross_entropy(functional_call(net, params, (x,)), y)

    gradient = torch.func.grad(loss)(flat)
    rise = loss(flat + 0.05 * gradient / gradient.norm()) - loss(flat)
    adaptive = loss(flat + 0.5 * flat**2 * gradient / (flat * gradient).norm()) - loss(flat)
    return torch.stack([loss(flat), gradient.norm(), rise, adaptive]), torch.func.hessian(loss)(flat), flat


@pytest.mark.parametrize("machine_code", [True, False])
def test_everything_against_the_exact_hessian(
    made: Study, store: Store, machine_code: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not machine_code:
        monkeypatch.setattr(module_under_test, "NativeProducts", unsupported)
    found = measured(made, store, Settings(probes=200 + machine_code))
    assert [each.run for each in found] == [record.id for record in records(store)]
    for each, record in zip(found, records(store), strict=True):
        numbers, hessian, _ = exact(store.tensors("weights", each.run))
        values = torch.linalg.eigvalsh(hessian).numpy()
        assert abs(each.top[0] - values[-1]) <= SINGLE * values[-1]
        for value, error in zip((*each.top, each.lowest), (*each.top_error, each.lowest_error), strict=True):
            assert np.abs(values - value).min() <= error + 1e-5 * values[-1]
        assert abs(each.lowest - values[0]) <= 0.05 * values[-1]
        assert abs(each.trace - hessian.trace().item()) <= 4.5 * each.trace_error
        assert 0 < each.trace_error < 0.2 * each.trace
        told = [each.loss, each.gradient_norm, each.rise, each.adaptive_rise]
        np.testing.assert_allclose(told, numbers.numpy(), rtol=2e-4, atol=1e-6)
        assert each.loss == pytest.approx(record.metrics["train_loss"], rel=1e-5)
        assert each.num_examples == len(dataset().train)
        logits = torch.from_numpy(store.tensors("predictions", each.run)["test"]).double()
        y = torch.from_numpy(dataset().test.y)
        assert each.test_loss == pytest.approx(functional.cross_entropy(logits, y).item())
        assert each.test_accuracy == pytest.approx((logits.argmax(1) == y).double().mean().item())


def test_the_standard_error_of_the_trace_falls_with_the_root_of_the_probes(made: Study, store: Store) -> None:
    few, many = (measured(made, store, Settings(probes=num))[0] for num in (20, 320))
    assert many.trace_error == pytest.approx(few.trace_error / 4, rel=0.5)


def test_what_is_known_is_not_measured_again(
    made: Study, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(rho=0.07)
    first = measured(made, store, settings)

    def never(*_: object) -> list[Sharpness]:
        raise AssertionError("it was known")

    monkeypatch.setattr(module_under_test, "_measured", never)
    assert measured(made, store, settings) == first
    with pytest.raises(AssertionError, match="it was known"):
        measured(made, store, replace(settings, rho=0.08))


def test_an_interrupted_measurement_goes_on(
    made: Study, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module_under_test, "_MOST_RUNS", 1)
    settings = Settings(examples=50)
    events = measure(made, store, records(store), settings)
    assert [next(events), next(events)] == [Measuring(done=0, all=4), Measuring(done=1, all=4)]
    events.close()  # type: ignore[attr-defined]
    assert next(measure(made, store, records(store), settings)) == Measuring(done=1, all=4)
    found = measured(made, store, settings)
    assert {each.num_examples for each in found} == {50}


def test_rescaling_a_relu_network_changes_all_but_the_adaptive_rise(tmp_path: Path) -> None:
    """Dinh et al., 2017: the function is the same, and the sharpness as you like."""
    made = study(model={"kind": "mlp", "hidden": [8]}, rules=[{"kind": "adam", "lr": 0.01}], seeds=1)
    ravine.run(made, store=tmp_path, quiet=True)
    with Store(tmp_path) as store:
        (record,) = store.runs("small")
        trained = Trained.of(made, store, [record])
        labels = store.labels.of(trained.data.fingerprint)
        params, _ = trained.weights([record.id])
        scaled = params.clone()
        views = trained.network.layout.views(scaled)
        views["linear1.weight"].mul_(10)
        views["linear1.bias"].mul_(10)
        views["output.weight"].div_(10)

        def at(weights: Tensor) -> Sharpness:
            class Elsewhere(Trained):
                def weights(self, run_ids: object) -> tuple[Tensor, dict[str, Tensor]]:
                    return weights, {}

            fields = {name: getattr(trained, name) for name in Trained.__dataclass_fields__}
            place, threads = Elsewhere(**fields), Threads(CPU, adapt=True)
            return _measured(place, [record.id], Settings(), labels, threads, True)[0]

        plain, other = at(params), at(scaled)
    assert other.loss == pytest.approx(plain.loss, rel=1e-5)
    assert other.adaptive_rise == pytest.approx(plain.adaptive_rise, rel=1e-3)
    assert other.top[0] > 5 * plain.top[0]
    assert other.rise > 2 * plain.rise


def test_regression_is_told_in_the_targets_units(tmp_path: Path) -> None:
    made = study(data=dataset("diabetes"), rules=[{"kind": "adam", "lr": 0.01}], seeds=1)
    ravine.run(made, store=tmp_path, quiet=True)
    (found,) = ravine.sharpness(made, store=tmp_path, quiet=True)
    with Store(tmp_path) as store:
        (record,) = store.runs("small")
        predicted = store.tensors("predictions", record.id)["test"]
        right = store.labels.of(dataset("diabetes").fingerprint).test
    assert found.loss == pytest.approx(record.metrics["train_loss"], rel=1e-4)
    assert found.test_loss == pytest.approx(np.square(predicted.astype(float) - right).mean())
    assert found.test_accuracy is None


class Turning(nn.Module):
    """Looks at a number in a tensor: vmap cannot carry it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x)
        return out if out.sum().item() > -1e30 else -out


class Flat(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:  # type: ignore[override]
        return x.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: object, grad: Tensor) -> Tensor:  # type: ignore[override]
        return grad


class Once(nn.Module):
    """PyTorch leaves its middle out of second derivatives, and says nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.last = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(Flat.apply(self.linear(x)))
        return out


@pytest.mark.slow
def test_a_module_that_cannot_be_fused_is_measured_run_by_run(tmp_path: Path) -> None:
    made = study(model=Turning, rules=[{"kind": "sgd", "lr": 0.1}])
    plain = study(model=lambda: nn.Sequential(nn.Linear(4, 3)), rules=[{"kind": "sgd", "lr": 0.1}])
    for name, each in (("a", made), ("b", plain)):
        ravine.run(each, store=tmp_path / name, quiet=True)
    one = ravine.sharpness(made, store=tmp_path / "a", quiet=True)
    other = ravine.sharpness(plain, store=tmp_path / "b", quiet=True)
    for left, right in zip(one, other, strict=True):
        assert left.top == pytest.approx(right.top, rel=1e-3)
        assert left.trace == pytest.approx(right.trace, rel=1e-4)


def test_a_module_without_second_derivatives_is_refused_in_a_line(tmp_path: Path) -> None:
    made = study(model=Once, rules=[{"kind": "sgd", "lr": 0.1}], seeds=1)
    ravine.run(made, store=tmp_path, quiet=True)
    with pytest.raises(
        ModelError, match="model: Once has a second derivative that is not that of its gradient"
    ):
        ravine.sharpness(made, store=tmp_path, quiet=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rho": 0.0}, "rho = 0.0: must be a finite number above 0"),
        ({"rho": math.nan}, "rho = nan: must be a finite number"),
        ({"rho": 10**5000}, "rho = an int too large to show: must be a finite number above 0"),
        ({"examples": 0}, "examples = 0: must be a whole number of at least 1"),
        ({"probes": 2.5}, "probes = 2.5: must be a whole number from 2 to 10,000"),
        ({"probes": 1}, "probes = 1: must be a whole number from 2"),
        ({"runs": ["zzzz"]}, "run 'zzzz': in study 'small' no id begins with it"),
    ],
)
def test_what_cannot_be_measured_is_told(
    made: Study, store: Store, options: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        ravine.sharpness(made, store=store.folder, quiet=True, **options)  # type: ignore[arg-type]


def test_runs_are_found_by_the_beginning_of_their_ids(store: Store) -> None:
    all_of_them = records(store)
    assert chosen_runs(all_of_them, None, "small") == all_of_them
    assert chosen_runs(all_of_them, [all_of_them[2].id[:6]], "small") == [all_of_them[2]]
    with pytest.raises(InputError, match="is named twice"):
        chosen_runs(all_of_them, [all_of_them[2].id[:6]] * 2, "small")
    lost = [replace(all_of_them[0], status="diverged")]
    with pytest.raises(InputError, match="is diverged: only runs that are done have weights"):
        chosen_runs(lost, [lost[0].id], "small")
    with pytest.raises(InputError, match="no run has finished with a finite loss"):
        chosen_runs(lost, None, "small")


def test_other_data_are_refused(made: Study, store: Store) -> None:
    with pytest.raises(InputError, match="was trained on other data"):
        ravine.sharpness(replace(made, data=dataset("wine")), store=store.folder, quiet=True)


def test_curvature_of_a_float64_copy_agrees(made: Study, store: Store) -> None:
    trained = Trained.of(made, store, records(store))
    params, others = trained.weights([records(store)[0].id])
    around = Curvature(trained.objective(fused=True), trained.train, params.double(), others)
    _, hessian, flat = exact(store.tensors("weights", records(store)[0].id))
    names = ["linear1.weight", "linear1.bias", "output.weight", "output.bias"]
    vector = torch.arange(len(flat), dtype=torch.float64).sin()
    shapes = [trained.network.layout.shapes[trained.network.layout.names.index(name)] for name in names]
    pieces = dict(zip(names, vector.split([math.prod(s) for s in shapes]), strict=True))
    packed = trained.network.layout.pack(
        {n: pieces[n].view(1, *s) for n, s in zip(names, shapes, strict=True)}
    )
    views = trained.network.layout.views(around.product(packed))
    product = torch.cat([views[name].flatten() for name in names])
    np.testing.assert_allclose(product, hessian @ vector, rtol=1e-9, atol=1e-11)
