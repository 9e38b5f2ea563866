"""A study made in Python, and its text."""

import functools
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import IterableDataset, TensorDataset

import ravine
from ravine.errors import DataError, StudyError
from ravine.nn.spec import MLP, Module
from ravine.study import Study, base_of, definition_of, parse_definition, parse_study, runs_of

X = np.arange(120.0, dtype=np.float32).reshape(40, 3)
Y = np.arange(40) % 2


class Small(nn.Module):
    def __init__(self, width=2):
        super().__init__()
        self.linear = nn.Linear(3, width)

    def forward(self, x):
        return self.linear(x)


class Pairs(torch.utils.data.Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, i):
        if i >= 40:
            raise IndexError
        return torch.tensor(X[i]), int(Y[i])


def made(**keys):
    return Study(**{"name": "s", "data": "iris", "model": "mlp", "epochs": 2, "rules": ["adam"], **keys})


def test_it_is_the_same_study_as_the_file(plain, data):
    keys = {
        "seeds": [3],
        "schedule": ["cosine"],
        "rules": [{"kind": "sgd", "lr": {"log": [0.1, 1], "num": 3}}],
    }
    assert made(**plain(**keys)) == parse_study(plain(**keys))
    arrays = made(**plain(**keys) | {"rules": ({"kind": "sgd", "lr": np.geomspace(0.1, 1, 3)},)})
    assert len(runs_of(arrays, data)) == 3


FORMS = [
    (X, Y),
    (torch.tensor(X), torch.tensor(Y)),
    TensorDataset(torch.tensor(X), torch.tensor(Y)),
    Pairs(),
    ravine.from_arrays(X, Y),
]


def test_every_form_of_the_same_data_is_the_same_data():
    found = {made(data=form).data.fingerprint for form in FORMS}
    assert len(found) == 1
    given = made(data=(X, Y, X[:7], Y[:7])).data
    assert len(given.test) == 7


def test_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    assert made(data=(frame, pandas.Series(Y))).data.features == ("a", "b", "c")
    with pytest.raises(
        StudyError, match=r"^data: an array or a table alone has no target: give a pair \(x, y\)$"
    ):
        made(data=frame)


class Endless(IterableDataset):
    def __iter__(self):
        yield from ()


BAD = [
    ({"data": X}, StudyError, "data: an array or a table alone has no target"),
    ({"data": torch.tensor(X)}, StudyError, "data: an array or a table alone has no target"),
    ({"data": (X,)}, StudyError, r"data: must be \(x, y\) or \(x, y, x_test, y_test\), not a tuple of 1"),
    ({"data": (X, Y[:3])}, DataError, "arrays: x has 40 examples, y has 3"),
    ({"data": [X, Y]}, StudyError, "data = "),
    ({"data": Endless()}, DataError, "dataset: Endless has no length"),
    ({"data": None}, StudyError, "data = None: must be the name of a data set"),
    (
        {"model": Small()},
        StudyError,
        "model: must be a class or a function that builds a Small, not one already",
    ),
    (
        {"model": Small, "dropout": 0.1, "rates": {"match:a": 0.1}},
        StudyError,
        "dropout: cannot be given beside",
    ),
    ({"model": Small, "rates": 0.1}, StudyError, "rates = 0.1: must be a table such as"),
    (
        {"model": Small, "rates": {"dropuot": 0.1}},
        StudyError,
        "rates.dropuot: unknown key; did you mean 'dropout'",
    ),
    ({"model": Small, "rates": {"match:(": 0.1}}, StudyError, "rates.match:.*: must be a regular expression"),
    ({"model": {"kind": "mlp", "dropout": 0.1}, "dropout": 0.1}, StudyError, "dropout: given twice"),
    ({"dropout": [0.1, 1]}, StudyError, r"dropout.1 = 1: must be a number of at least 0 and below 1"),
    ({"epochs": "many"}, StudyError, "epochs = 'many': must be a number above 0"),
    ({"rules": [{"kind": "adam", "lr": -1}]}, StudyError, "rules.0.lr = -1"),
]


@pytest.mark.parametrize(("keys", "kind", "line"), BAD)
def test_mistakes_are_one_line(keys, kind, line):
    with pytest.raises(kind, match=f"^{line}") as error:
        made(**keys)
    assert str(error.value).isprintable()


def test_models(data):
    wide = functools.partial(Small, width=2)
    for model in (Small, wide, lambda: Small(), MLP(hidden=(3,)), Module(target="torch.nn:Identity")):
        study = made(model=model, batch_size=10)
        assert study.model == model
        assert runs_of(study, data)[0].id == runs_of(made(model=model, batch_size=10), data)[0].id


def test_two_factories_of_one_source_are_two_models(data):
    def factory(width):
        return lambda: Small(width)

    bases = {base_of(made(model=factory(width)), data) for width in (2, 2, 3)}
    assert len(bases) == 2


def test_dropout_of_a_specification_is_kept(data):
    study = made(model=MLP(hidden=(3,), dropout=0.25), batch_size=10)
    assert study == made(model={"kind": "mlp", "hidden": [3], "dropout": 0.25}, batch_size=10)
    assert study == made(model=MLP(hidden=(3,)), dropout=0.25, batch_size=10)
    assert runs_of(study, data)[0].recipe.hypers["model.dropout"] == 0.25


def test_it_is_frozen_and_can_be_copied_with_a_change():
    study = made(dropout=[0.0, 0.1], seeds=[5], batch_size=["full", 3], schedule=["cosine"])
    with pytest.raises(FrozenInstanceError):
        study.epochs = 3
    assert replace(study) == study
    longer = replace(study, epochs=3)
    assert (longer.epochs, longer.dropout, longer.seeds) == (3.0, (0.0, 0.1), (5,))
    assert (replace(study, steps=3).epochs, replace(study, steps=3).steps) == (None, 3)


TEXTS = [
    {},
    {"epochs": 0.5, "seeds": [3, 1], "evaluations": 7, "batch_size": [16, "full"]},
    {"keep": {"every": "epoch"}},
    {"keep": {"every": 12}, "epochs": 0.5},
    {"epochs": None, "steps": 7, "schedule": ["constant", {"kind": "step", "every": 0.25, "warmup": 2}]},
    {"data": {"kind": "csv", "path": 'a "b"\\c\x7fü\n.csv', "target": "y", "drop": ["a", "b"], "test": 0.25}},
    {"model": {"kind": "mlp", "hidden": [3], "norm": "layer", "dropout": [0.0, 0.1]}},
    {"model": {"kind": "resnet", "dropout": {"linear": [0.0, 0.5], "num": 3}}},
    {"model": {"kind": "module", "target": "a.b:C", "args": {"x": [1, 2.0], "a b": {"on": True}, "e": {}}}},
    {
        "rules": [
            {"kind": "adam", "lr": {"log": [1e-5, 1e-1], "num": 9}, "beta1": [0.5, 0.9], "label": "größe 🙂"},
            {"kind": "adam", "preset": "torch", "exclude": r"bias|\.1\.", "bias_correction": [True, False]},
        ]
    },
    {
        "search": {"kind": "random", "trials": 5, "seed": 3},
        "rules": [{"kind": "sgd", "lr": {"log": [0.1, 1]}}],
    },
]


@pytest.mark.parametrize("keys", TEXTS)
def test_the_text_reads_as_the_same_study(plain, keys):
    study = Study(**plain(**keys))
    assert parse_definition(definition_of(study)) == study


def test_objects_of_a_program_are_told_and_cannot_be_read_again():
    study = made(data=(X, Y), model=Small, seeds=[0, 1])
    text = definition_of(study)
    first, second, *rest = text.splitlines()
    assert first.startswith("# made in Python; data: arrays, 24 + 8 + 8 examples, fingerprint ")
    assert second.startswith("# made in Python; model: ")
    assert "Small@" in second
    assert rest[:3] == ['name = "s"', "epochs = 2", 'batch_size = "auto"']
    with pytest.raises(
        StudyError,
        match=r"^stored study s: it was made in Python, from objects that text cannot represent; give the Study",
    ):
        parse_definition(text, "stored study s")


def test_an_unknown_or_a_missing_key_is_told_as_of_a_file():
    with pytest.raises(StudyError, match=r"^epocs: unknown key; did you mean 'epochs'\? Allowed: a"):
        made(epocs=3)
    with pytest.raises(StudyError, match=r"^nme: unknown key; did you mean 'name'\? Allowed: "):
        Study(nme="s", data="iris", model="mlp", epochs=2, rules=["adam"])
    with pytest.raises(StudyError, match=r"^data, rules: missing, must be given$"):
        Study(name="s", model="mlp", epochs=2)
    with pytest.raises(TypeError):
        Study("s")


def test_a_study_is_made_anew_from_steps_to_epochs_and_back():
    long = made(epochs=None, steps=100)
    short = replace(long, epochs=5)
    assert (short.epochs, short.steps) == (5.0, None)
    assert short == made(epochs=5)
    again = replace(short, steps=100)
    assert (again.epochs, again.steps) == (None, 100)
    assert again == long
    assert replace(again, seeds=2).steps == 100
    assert replace(short, epochs=7).epochs == 7.0
    with pytest.raises(StudyError, match="both are given"):
        replace(long, epochs=5, steps=7)
    with pytest.raises(StudyError, match="neither is given"):
        replace(long, steps=None)


def test_numbers_of_numpy_are_the_same_numbers():
    schedule = {"kind": "step", "every": np.int64(3), "warmup": np.float32(0.25), "factor": np.float64(0.5)}
    lr = {"log": np.array([0.25, 1.0], dtype=np.float32), "num": np.int8(3)}
    same = {"kind": "step", "every": 3, "warmup": 0.25, "factor": 0.5}
    given = made(schedule=schedule, rules=[{"kind": "sgd", "lr": lr}])
    wanted = made(schedule=same, rules=[{"kind": "sgd", "lr": {"log": [0.25, 1.0], "num": 3}}])
    assert repr(given.schedule) == repr(wanted.schedule)
    assert definition_of(given) == definition_of(wanted)
