"""The grid, the ids of its runs, and what may be added to a study under its name."""

import json
import subprocess
import sys
from dataclasses import dataclass, fields, replace

import pytest

from ravine.data import load
from ravine.nn.spec import MLP
from ravine.study import Recipe, Run, base_of, content_id, parse_study, runs_of
from ravine.study.model import structure_of
from ravine.study.recipe import lasting_hypers

RECIPE = Recipe(
    data="d" * 64,
    model={"kind": "mlp", "hidden": [32, 32], "activation": "relu", "norm": "none"},
    rule="adam",
    hypers={"lr": 0.001, "beta1": 0.9, "model.dropout": 0.0},
    exclude=None,
    schedule={"kind": "constant", "warmup": 0},
    steps=440,
    batch_size=64,
    evaluate_every=22,
)


def runs(plain, data, **keys):
    return runs_of(parse_study(plain(**keys)), data)


def ids(plain, data, **keys):
    return {run.id for run in runs(plain, data, **keys)}


def test_the_grid_is_the_product_in_reading_order(plain, data):
    found = runs(
        plain,
        data,
        rules=[{"kind": "momentum", "lr": [0.1, 1], "rho": [0.5, 0.9]}, {"kind": "adam", "label": "a"}],
        schedule=["constant", "cosine"],
        seeds=[4, 2],
        batch_size=[10, 20],
        model={"kind": "mlp", "dropout": [0, 0.2]},
    )
    assert len(found) == (4 + 1) * 2 * 2 * 2 * 2
    assert found[0].chosen == {
        "lr": 0.1,
        "rho": 0.5,
        "model.dropout": 0.0,
        "schedule": "constant",
        "batch_size": "10",
    }
    assert [run.seed for run in found[:4]] == [4, 2, 4, 2]
    assert [run.label for run in found] == ["momentum"] * 64 + ["a"] * 16
    assert len({run.id for run in found}) == len(found)


def test_steps_and_evaluations(plain, data):
    one = runs(plain, data, epochs=2.5, batch_size=25)[0].recipe  # 60 examples: 2 batches an epoch
    assert (one.steps, one.evaluate_every, one.batch_size, one.full_batch) == (5, 1, 25, False)
    one = runs(plain, data, epochs=None, steps=101, evaluations=10, batch_size="full")[0].recipe
    assert (one.steps, one.evaluate_every, one.batch_size, one.full_batch) == (101, 11, 60, True)
    assert runs(plain, data, epochs=0.01)[0].recipe.steps == 1


def test_dropout_varies_by_run_and_is_no_part_of_the_structure(plain, data):
    found = runs(plain, data, model={"kind": "mlp", "dropout": {"linear": [0, 0.5], "num": 3}}, seeds=1)
    assert [run.chosen["model.dropout"] for run in found] == [0.0, 0.25, 0.5]
    assert len({run.recipe.structure for run in found}) == 1
    assert found[0].recipe.id == runs(plain, data, seeds=1)[0].recipe.id
    assert "dropout" not in found[0].recipe.model


def test_golden_ids():
    """These may change only together with `NUMERICS`: a store knows runs by them."""
    assert RECIPE.id == "a49600f41adf72cf"
    assert Run(recipe=RECIPE, seed=1, label="x", chosen={}).id == "80fba8bac01612f8"
    assert content_id({"b": [1, 2.5, None], "a": "ü"}) == "703dceec79c30480"


def test_golden_id_of_a_study(plain):
    study = parse_study(plain(rules=["adam"], model={"kind": "mlp", "hidden": [32, 32]}))
    data = load(study.data)
    recipe = replace(runs_of(study, data)[0].recipe, data="d" * 64)  # scaling may differ in the last bit
    assert recipe.id == "658f8d55e378e490"


def test_an_id_does_not_hang_on_order_label_or_name(plain, data):
    one = runs(plain, data, rules=[{"kind": "momentum", "lr": 1, "rho": 0.9}])[0]
    two = runs(plain, data, name="t", rules=[{"rho": 0.9, "label": "m", "lr": 1.0, "kind": "momentum"}])[0]
    assert one.id == two.id
    assert (one.label, two.label) == ("momentum", "m")
    default = runs(plain, data, rules=[{"kind": "momentum", "lr": 1}, {"kind": "sgd", "lr": 1}])[0]
    assert default.id == one.id
    assert runs(plain, data, rules=[{"kind": "momentum", "lr": 1, "l1": 0.0}])[0].id == one.id
    reordered = replace(RECIPE, hypers=dict(reversed(list(RECIPE.hypers.items()))))
    assert reordered.id == RECIPE.id


def test_everything_else_changes_it(plain, data):
    (same,) = ids(plain, data, seeds=1)
    rule = {"kind": "sgd", "lr": 0.1}
    for keys in (
        {"seeds": [1]},
        {"epochs": 3},
        {"batch_size": 20},
        {"schedule": "cosine"},
        {"evaluations": 3},
        {"model": {"kind": "mlp", "hidden": [3]}},
        {"model": {"kind": "mlp", "dropout": 0.1}},
        {"rules": [rule | {"lr": 0.2}]},
        {"rules": [rule | {"weight_decay": 0.1}]},
        {"rules": [rule | {"exclude": ""}]},
        {"rules": [rule | {"kind": "adagrad"}]},
    ):
        assert same not in ids(plain, data, **{"seeds": 1} | keys), keys


def test_a_recipe_survives_json(plain, data):
    model = {"kind": "mlp", "dropout": [0, 0.2]}
    for run in runs(plain, data, model=model, schedule=["cosine", {"kind": "step", "warmup": 1}]):
        again = Recipe.of(json.loads(json.dumps(run.recipe.content())))
        assert (again.id, again.structure) == (run.recipe.id, run.recipe.structure)


EXTENSIONS = [
    {"rules": [{"kind": "adam"}, {"kind": "sgd", "lr": 0.1}]},
    {"rules": [{"kind": "sgd", "lr": [0.01, 0.1, 1]}]},
    {"rules": [{"kind": "sgd", "lr": 0.1, "weight_decay": [0, 0.1]}]},
    {"rules": [{"kind": "sgd", "lr": 0.1, "label": "other"}]},
    {"seeds": 5},
    {"schedule": ["cosine", "constant"]},
    {"batch_size": [10, 20]},
    {"model": {"kind": "mlp", "dropout": [0.2, 0]}},
]


@pytest.mark.parametrize("keys", EXTENSIONS)
def test_what_may_be_added(plain, data, keys):
    before = parse_study(plain())
    after = parse_study(plain(**keys))
    assert base_of(before, data) == base_of(after, data)
    assert {run.id for run in runs_of(before, data)} <= {run.id for run in runs_of(after, data)}


CHANGES = [
    {"epochs": 3},
    {"epochs": None, "steps": 2},
    {"model": {"kind": "mlp", "hidden": [3]}},
    {"batch_size": 20},
    {"batch_size": [20, 10]},
    {"evaluations": 10},
]


@pytest.mark.parametrize("keys", CHANGES)
def test_what_may_not_change(plain, data, keys):
    before, after = parse_study(plain()), parse_study(plain(**keys))
    assert base_of(before, data) != base_of(after, data)


def test_other_data_change_the_base(plain, data):
    study = parse_study(plain())
    assert base_of(study, data) != base_of(study, replace(data, fingerprint="0" * 64))


def test_reading_and_expanding_needs_no_torch(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(
        'name = "s"\ndata = "iris"\nmodel = { kind = "mlp", dropout = [0.0, 0.1] }\nepochs = 2\nseeds = 2\n'
        'schedule = ["constant", "cosine"]\nsearch = { kind = "random", trials = 9 }\n'
        '[[rules]]\nkind = "adam"\nlr = { log = [1e-4, 0.1] }\n'
    )
    program = (
        "import sys; from ravine.study import *; from ravine.data import load;"
        "study, _ = read_study(sys.argv[1], ['epochs=3']); print(len(runs_of(study, load(study.data))));"
        "definition_of(study); assert 'torch' not in sys.modules and 'scipy.stats' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("18\n", "")


def test_a_key_that_came_later_leaves_older_ids_alone():
    @dataclass(frozen=True, kw_only=True)
    class Later(Recipe):
        average: str = "none"

    old = {field.name: getattr(RECIPE, field.name) for field in fields(RECIPE)}
    assert Later(**old).id == RECIPE.id
    assert Later(**old, average="ema").id != RECIPE.id
    hypers = {**RECIPE.hypers, "model.dropconnect": 0.0, "noise": 0.0, "sam_radius": 0.0}
    assert lasting_hypers(hypers) == RECIPE.hypers
    assert lasting_hypers({**hypers, "model.dropconnect": 0.5}) == {**RECIPE.hypers, "model.dropconnect": 0.5}


def test_a_models_key_that_came_later_leaves_older_ids_alone():
    class Later(MLP):
        skip: bool = False

    assert structure_of(Later(), None) == structure_of(MLP(), None)
    assert structure_of(Later(skip=True), None) == {**structure_of(MLP(), None), "skip": True}


def test_dropout_behind_the_last_batch_norm_only_is_marked_and_is_no_other_structure(plain, data):
    """Before, it came between the norms too: those runs alone have new ids."""

    def found(**model):
        return runs(plain, data, model={"kind": "mlp", "dropout": [0, 0.2], **model}, seeds=1)

    without, dropping = found(norm="batch")
    assert "dropout_at" not in without.recipe.model
    assert dropping.recipe.model["dropout_at"] == "end"
    assert without.recipe.structure == dropping.recipe.structure
    for same in (*found(norm="batch", hidden=[8]), *found(norm="layer"), *found()):
        assert "dropout_at" not in same.recipe.model
