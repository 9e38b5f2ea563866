"""A rate is a number of the run: by kind of layer or by its name, in built-in models and in a user's module."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_runs import CPU, NATIVE, PLAIN, SERIAL, all_runs, network_of, random_dataset, same, study, train
from torch import Tensor, nn

from ravine.engine.plan import plan
from ravine.errors import ModelError
from ravine.nn.dropout import Dropout
from ravine.study import Study
from ravine.study.definition import definition_of
from ravine.study.load import content_of, parse_study


class Own(nn.Sequential):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 8)
        self.early = nn.Dropout(0.5)
        self.b = nn.Linear(8, 8)
        self.late = nn.Dropout(0.25)
        self.c = nn.Linear(8, 3)


def rates(made: Study) -> list[list[float]]:
    runs = all_runs(made)
    found = network_of(made, runs).rates([run.recipe.hypers for run in runs], CPU)
    return np.round([rate.tolist() for rate in found.values()], 6).T.tolist()


ONE = [{"kind": "sgd", "lr": 0.1}]


def ids(**keys: object) -> list[str]:
    return [run.id for run in all_runs(study(seeds=1, steps=4, rules=ONE, **keys))]


def test_a_module_keeps_its_rates_unless_the_study_gives_them() -> None:
    def given(**table: object) -> list[list[float]]:
        return rates(study(model=Own, seeds=1, rules=ONE, rates=table))

    assert given() == [[0.5, 0.25]]
    assert given(dropout=[0.0, 0.1]) == [[0.0, 0.0], [0.1, 0.1]]
    assert given(**{"match:^late": [0.0, 0.1]}) == [[0.5, 0.0], [0.5, 0.1]]
    assert given(**{"dropout": 0.3, "match:l": 0.2, "match:early": 0.1}) == [[0.1, 0.2]]
    assert given(**{"match:early": 0.1, "match:l": 0.2}) == [[0.2, 0.2]]  # the later pattern


def test_a_pattern_makes_the_layers_of_a_built_in_model() -> None:
    made = {"kind": "mlp", "hidden": [8, 8], "rates": {"match:dropout2": [0.0, 0.4]}}
    made = study(model=made, seeds=1, rules=ONE)
    assert rates(made) == [[0.0, 0.0], [0.0, 0.4]]
    assert [run.chosen["model.match:dropout2"] for run in all_runs(made)] == [0.0, 0.4]


def test_zero_given_is_another_run_than_a_modules_own_rate() -> None:
    found = (
        ids(model=Own) + ids(model=Own, dropout=[0.0, 0.5]) + ids(model=Own, rates={"match:late": [0.0, 0.1]})
    )
    assert len(set(found)) == 5
    assert ids(model=Own, rates={}) == ids(model=Own)


def test_rates_of_a_built_in_model_are_the_short_form() -> None:
    short = {"kind": "mlp", "hidden": [8], "dropout": [0.0, 0.2]}
    long = {"kind": "mlp", "hidden": [8], "rates": {"dropout": [0.0, 0.2]}}
    assert ids(model=short) == ids(model=long)
    assert len({run.recipe.structure for run in all_runs(study(model=long))}) == 1


@pytest.mark.parametrize("table", [{"dropout": 0.2}, {"dropout": 0.2, "match:dropout1": (0.0, 0.1)}])
def test_rates_are_written_and_read_again(table: dict[str, object]) -> None:
    made = study(model={"kind": "mlp", "hidden": [8], "rates": table}, data="iris")
    assert parse_study(content_of(definition_of(made))).rates == made.rates == table


@pytest.mark.parametrize("backend", [NATIVE, SERIAL])
def test_a_run_is_the_same_run_with_any_neighbours(backend: str) -> None:
    made = study(model=Own, rates={"match:late": [0.0, 0.3], "dropout": 0.1}, steps=6, seeds=2)
    runs = all_runs(made)
    together = train(made, runs, backend) if backend == NATIVE else None
    alone = train(made, runs[-1:], backend)
    same(alone, together or train(made, runs[-1:], backend), runs[-1])
    other = train(made, runs[:1], backend)
    assert not np.array_equal(other.weights(runs[0])["a.weight"], alone.weights(runs[-1])["a.weight"])


@pytest.mark.parametrize(
    ("model", "table", "line"),
    [
        (
            Own,
            {"match:block": 0.1},
            "'match:block' is for no stochastic layer; those of Own are 'early' (dropout)",
        ),
        (nn.Flatten, {"dropout": 0.1}, "'dropout' is for no stochastic layer; Sequential has none"),
        (
            "mlp",
            {"match:dropout9": 0.1},
            "'match:dropout9' is for no stochastic layer; those of kind = 'mlp' are",
        ),
        ({"kind": "mlp", "hidden": []}, {"dropout": 0.1}, "'dropout' is for no stochastic layer"),
    ],
)
def test_a_rate_for_no_layer_is_refused(model: object, table: dict[str, object], line: str) -> None:
    plain = (lambda: nn.Sequential(nn.Linear(4, 3))) if model is nn.Flatten else model
    made = study(model=plain, rates=table)
    with pytest.raises(ModelError) as error:
        network_of(made, all_runs(made))
    assert str(error.value).startswith(f"model.rates: {line}")
    assert "\n" not in str(error.value)


def test_each_kind_has_streams_of_its_own() -> None:
    from ravine import rng
    from ravine.nn.stochastic import layer_keys

    keys = layer_keys({"a": "dropout", "b": "other"}, 3, 5)
    assert keys["a.key"] == rng.key(3, "dropout/a", 5)
    assert keys["b.key"] == rng.key(3, "other/b", 5)
    assert isinstance(Dropout(0.1).share, float)


class Attends(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True)
        self.output = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.layer(x).mean(1))


class Alpha(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(32, 8), nn.AlphaDropout(0.2), nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("model", "rates"),
    [
        pytest.param(Attends, {"dropout": [0.0, 0.2]}, marks=pytest.mark.slow),
        (Alpha, {"alpha_dropout": [0.0, 0.2]}),
    ],
)
def test_rates_make_attention_and_alpha_dropout_keyed(
    model: type[nn.Module], rates: dict[str, object]
) -> None:
    plain = study(model=model, data=random_dataset((4, 8)), rules=ONE, steps=3, seeds=1, batch_size=8)
    chosen = plan(all_runs(plain), network_of(plain, all_runs(plain)), plain.data, CPU)
    assert chosen.backend == PLAIN
    assert chosen.why.startswith(f"{model.__name__} cannot be fused: it draws random numbers itself; ")
    assert chosen.why.endswith(" does so, unless the study gives rates")
    made = replace(plain, rates=rates)
    runs = all_runs(made)
    together = train(made, runs, NATIVE)
    same(train(made, runs[-1:], NATIVE), together, runs[-1])
