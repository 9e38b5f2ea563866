"""What is trained in which precision, and what a device or a backend is no good for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_runs import CPU, FUSED, PLAIN, SERIAL, all_runs, network_of, study, train
from torch import nn
from torch.nn import functional as F

from ravine import rng
from ravine.engine.batches import Order
from ravine.engine.device import moved
from ravine.engine.loss import Loss
from ravine.engine.plan import plan
from ravine.engine.points import Points
from ravine.engine.state import Data
from ravine.errors import InputError
from ravine.study import Study


def planned(made: Study, choice: str = "auto") -> tuple[str, str]:
    runs = all_runs(made)
    found = plan(runs, network_of(made, runs), made.data, CPU, choice)
    return found.backend, found.why


def test_float64_has_no_machine_code() -> None:
    made = study(precision="float64")
    assert planned(made) == ("fused", "no machine code for float64")
    assert planned(made, "serial")[0] == "serial"
    with pytest.raises(
        InputError,
        match=r"^backend = 'native': float64 has no machine code, .*; allowed here: auto, fused, serial$",
    ):
        planned(made, "native")


def test_bfloat16_is_for_accelerators() -> None:
    with pytest.raises(
        InputError,
        match=r"^precision = 'bfloat16': only for accelerators, .*; allowed here: float32, float64$",
    ):
        planned(study(precision="bfloat16"))


def test_float64_is_refused_where_a_device_has_none() -> None:
    with pytest.raises(
        InputError, match=r"^device = 'mps': it has no float64, which Linear is in; allowed here: cpu$"
    ):
        moved(nn.Linear(2, 2).double(), torch.device("mps"))


class Whole(nn.Module):
    """Looks up in a table what the inputs say; without a float32 number."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(16, 3, dtype=torch.float64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.table(x.abs().long().clamp(max=15)).sum(1)


def test_a_module_in_float64_is_trained_so_and_looked_through_before() -> None:
    made = study(model=Whole)
    assert planned(made)[0] == "fused"
    runs = all_runs(made)
    weights = train(made).weights(runs[0])["table.weight"]
    assert weights.dtype == np.float64
    assert np.abs(weights - weights.astype(np.float32)).max() > 0.0


def test_points_of_such_a_model_are_evaluated_in_float64() -> None:
    made = study(precision="float64", seeds=1)
    runs = all_runs(made)
    trained = train(made)
    network = network_of(made, runs)
    stack = [trained.weights(run) for run in runs]
    params = network.layout.pack(
        {name: torch.from_numpy(np.stack([each[name] for each in stack])) for name in network.layout.names}
    )
    points = Points(network, Loss(task=made.data.task), Data.of(made.data.validation, CPU))

    def fill(first: int, last: int, rows: torch.Tensor) -> None:
        rows.copy_(params[first:last])

    ((loss, _),) = points.parts(len(runs), fill, {})
    expected = [trained.metrics(run)["validation_loss"] for run in runs]
    np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("backend", [FUSED, SERIAL, PLAIN])
def test_bfloat16_is_torchs_autocast(backend: str) -> None:
    """The code behind it runs on a processor too, where the plan refuses it."""
    made = study(
        model={"kind": "mlp", "hidden": [32, 16]},
        rules=[{"kind": "sgd", "lr": 0.1}],
        steps=12,
        precision="bfloat16",
        seeds=1,
    )
    (run,) = all_runs(made)
    with rng.keyed_init(0):
        module = network_of(made, [run]).make()
    x, y = torch.from_numpy(made.data.train.x), torch.from_numpy(made.data.train.y)
    order = Order((0,), len(x), 16, CPU)
    for step in range(12):
        rows = order.rows(step)[0, 0]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = module(x[rows])
        assert outputs.dtype == torch.bfloat16
        loss = F.cross_entropy(outputs.float(), y[rows])
        grads = torch.autograd.grad(loss, list(module.parameters()))
        with torch.no_grad():
            for param, grad in zip(module.parameters(), grads, strict=True):
                param -= 0.1 * grad
    found = train(made, backend=backend)
    for name, param in module.named_parameters():
        weights = found.weights(run)[name]
        assert weights.dtype == np.float32
        # A product may be rounded otherwise in its last bit of eight, in 12 steps of 0.1 times gradients of about 0.1.
        np.testing.assert_allclose(weights, param.detach().numpy(), rtol=0, atol=2e-3, err_msg=name)
    with torch.no_grad():  # evaluated with the weights as they are
        expected = network_of(made, [run]).pure(
            {name: torch.from_numpy(array) for name, array in found.weights(run).items()},
            {},
            torch.from_numpy(made.data.test.x),
        )[0]
    np.testing.assert_allclose(found.predictions(run), expected.numpy(), rtol=1e-5, atol=1e-6)
    exact = train(study(**{**_fields(made), "precision": "float32"}), backend=backend)
    (other,) = all_runs(study(**{**_fields(made), "precision": "float32"}))
    far = max(np.abs(found.weights(run)[n] - exact.weights(other)[n]).max() for n in found.weights(run))
    assert 1e-5 < far < 5e-2, "it was rounded"


def _fields(made: Study) -> dict[str, object]:
    names = ("model", "rules", "steps", "seeds", "batch_size")
    return {name: getattr(made, name) for name in names}
