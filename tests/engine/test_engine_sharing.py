"""Runs of a seed that share the copy of a batch have the bits that they have alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from engine_runs import CPU, made

from ravine.engine.cohort import Cohort
from ravine.engine.native import sharing
from ravine.engine.native.rounds import grouped
from ravine.engine.native.sharing import Shared
from ravine.engine.network import Network
from ravine.engine.programs import NativeProgram
from ravine.engine.state import Data
from ravine.engine.training import Training
from ravine.study import Run, Study, runs_of

RULES = (
    {"kind": "adam", "lr": [1e-3, 1e-2]},
    {"kind": "nesterov", "lr": [1e-2, 1e38]},
)
SAM = {"kind": "sgd", "lr": [0.1, 0.2], "sam_radius": 0.05}


def _study(model: dict[str, object], batch_size: int, rules: Sequence[object]) -> Study:
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(180, 320)), draw.integers(0, 3, 180)
    data = made(x, y, 3, counts=(140, 20, 20))
    return Study(
        name="shared",
        data=data,
        model=model,
        rules=list(rules),
        steps=4,
        batch_size=batch_size,
        seeds=2,
        evaluations=1,
    )


def _trained(study: Study, runs: Sequence[Run]) -> tuple[dict[str, np.ndarray], Shared | None]:
    """Weights and outputs by run."""
    network = Network.of(study.model, study.data.input_shape, study.data.num_outputs, device=CPU)
    training = Training(Cohort.of(runs), network, study.data, "native", CPU)
    for _ in training.losses():
        pass
    weights = training.setting.state.params_RP.numpy()
    program = training._program
    assert isinstance(program, NativeProgram)
    outputs = program.scores(Data.of(study.data.train, CPU))[0].flatten(1).numpy()
    rows = zip(training.cohort.runs, np.concatenate([weights, outputs], 1), strict=True)
    return {run.id: row for run, row in rows}, program._steps._shared


@pytest.mark.parametrize(
    ("model", "batch_size"),
    [
        ({"kind": "mlp", "hidden": []}, 33),
        ({"kind": "mlp", "hidden": []}, 130),
        ({"kind": "mlp", "hidden": [5], "norm": "batch", "dropout": 0.3}, 130),
    ],
)
def test_a_run_is_the_same_alone(model: dict[str, object], batch_size: int) -> None:
    study = _study(model, batch_size, RULES)
    runs = list(runs_of(study, study.data))
    together, shared = _trained(study, runs)
    assert shared is not None
    for run in runs[::3]:
        alone, not_shared = _trained(study, [run])
        assert not_shared is None
        np.testing.assert_array_equal(alone[run.id], together[run.id])


def test_what_would_take_too_much_memory_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    study = _study({"kind": "mlp", "hidden": []}, 33, RULES)
    runs = list(runs_of(study, study.data))
    together, _ = _trained(study, runs)
    monkeypatch.setattr(sharing, "MOST_BYTES", 0)
    apart, not_shared = _trained(study, runs)
    assert not_shared is None
    for run in runs:
        np.testing.assert_array_equal(apart[run.id], together[run.id])


def test_second_gradients_share_the_batch_too() -> None:
    study = _study({"kind": "mlp", "hidden": []}, 40, [SAM])
    runs = list(runs_of(study, study.data))
    together, shared = _trained(study, runs)
    assert shared is not None
    for run in runs[:1]:
        np.testing.assert_array_equal(_trained(study, [run])[0][run.id], together[run.id])


def test_groups_have_one_batch_and_are_as_many_for_each_thread() -> None:
    batch_index_R = np.array([0, 1] * 5 + [2])
    runs = np.array([0, 1, 2, 3, 4, 6, 7, 9, 10])  # the others have stopped
    order, sizes = grouped(runs, batch_index_R, 2, 3)
    assert sorted(order) == sorted(runs)
    assert max(sizes) <= 3
    assert len(sizes) % 2 == 0
    for part in np.split(order, np.cumsum(sizes)[:-1]):
        assert len(set(batch_index_R[part])) == 1
    order, sizes = grouped(np.array([], dtype=np.int64), batch_index_R, 2, 3)
    assert len(order) == len(sizes) == 0
    order, sizes = grouped(np.array([3]), batch_index_R, 2, 3)
    assert order.tolist() == [3]
    assert sizes.tolist() == [1]


def test_a_run_with_more_numbers_than_its_batch_shares_nothing() -> None:
    study = _study({"kind": "mlp", "hidden": [64]}, 16, RULES[:1])
    assert _trained(study, list(runs_of(study, study.data)))[1] is None
