"""Models that look things up with numbers of the data: trained in machine code, and refused where a number is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_runs import CPU, FUSED, NATIVE, all_runs, distance, made, network_of, same, study, train
from torch import Tensor, nn

from ravine.data import Dataset
from ravine.engine.indices import check_indices
from ravine.engine.plan import plan
from ravine.errors import ModelError

NUM_WORDS = 7


def words(bad: int | None = None, part: int = 0) -> Dataset:
    """Sentences of five words whose class is that of the first word; one number of a part may be another."""
    x = np.random.default_rng(0).integers(0, NUM_WORDS, size=(60, 5))
    y = (x[:, 0] % 3).astype(np.int64)
    if bad is not None:
        x[(0, 30, 45)[part] + 7, 2] = bad
    return made(x, y, 3, counts=(30, 15, 15))


class Sentences(nn.Module):
    """An embedding, a bag, a table of parameters, a choice by index, numbers spread over places."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.bag = nn.Embedding(NUM_WORDS, 4), nn.EmbeddingBag(NUM_WORDS, 4)
        self.table = nn.Parameter(torch.linspace(-1, 1, NUM_WORDS))
        self.output = nn.Linear(4 + NUM_WORDS, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x.long()
        counts = torch.zeros(len(x), NUM_WORDS).scatter_add(1, x, self.table[x])
        best = self.embedding(x).max(1).values.take_along_dim(x[:, :4] % 4, 1)
        return self.output(torch.cat([best + self.bag(x), counts], 1))


def test_lookups_train_in_machine_code_and_a_run_is_the_same_alone() -> None:
    rules = [{"kind": "momentum", "lr": [0.05, 0.1]}]
    given = study(model=Sentences, data=words(), rules=rules, steps=6, seeds=1, evaluations=1, batch_size=8)
    runs = all_runs(given)
    assert plan(runs, network_of(given, runs), given.data, CPU).backend == NATIVE
    ours, theirs = train(given, backend=NATIVE), train(given, backend=FUSED)
    for run in runs:
        assert distance(ours, theirs, run) < 1e-5  # float32, six steps
    same(train(given, runs[1:2], NATIVE), ours, runs[1])


class Table(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows, self.output = nn.Parameter(torch.ones(NUM_WORDS, 2)), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.rows[x.long()].flatten(1))


@pytest.mark.parametrize(("bad", "part", "name"), [(7, 0, "train"), (-1, 1, "validation"), (9, 2, "test")])
@pytest.mark.parametrize("model", [Sentences, Table])
def test_a_number_that_is_not_there_is_refused_before_training(
    model: type[nn.Module], bad: int, part: int, name: str
) -> None:
    given = study(model=model, data=words(bad, part), batch_size=8)
    runs = all_runs(given)
    if model is Table and bad == -1:  # counts from the end, as in NumPy
        assert plan(runs, network_of(given, runs), given.data, CPU).backend == NATIVE
        return
    with pytest.raises(
        ModelError, match=rf"^model: {model.__name__} .*{bad}.* in the {name} part; normalize"
    ):
        plan(runs, network_of(given, runs), given.data, CPU)


class Shuffling(nn.Module):
    """Looks up places that are always the same, and counts the examples that it meets."""

    seen = 0

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        Shuffling.seen += len(x)
        return self.output(x[:, torch.tensor([4, 0, 1, 2, 3])])


def test_a_model_whose_indices_are_its_own_does_not_meet_all_examples() -> None:
    given = study(model=Shuffling, data=words(), batch_size=8)
    network = network_of(given, all_runs(given))
    Shuffling.seen = 0
    check_indices(network, given.data)
    assert Shuffling.seen == 16
