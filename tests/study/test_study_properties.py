"""Any study that is right has the runs it should; any that is wrong is one line."""

import math
import string

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ravine.errors import DataError, ModelError, StudyError
from ravine.rules import RULES
from ravine.study import definition_of, parse_definition, parse_study, read_study, runs_of
from ravine.study.definition import _key, _value

NEEDS_NO_LR = [kind for kind, rule in RULES.items() if rule.hypers["lr"].default is not None]
MUTABLE = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def numbers(low, high):
    return st.floats(low, high, allow_subnormal=False)


def values(low, high):
    """A number, a list or a range, with how many values it is."""
    ends = st.tuples(numbers(low, high / 2), numbers(1.01, 2.0), st.integers(2, 4))
    return st.one_of(
        numbers(low, high).map(lambda value: (value, 1)),
        st.lists(numbers(low, high), min_size=1, max_size=3, unique=True).map(lambda v: (v, len(v))),
        ends.map(lambda e: ({"log": [e[0], e[0] * e[1]], "num": e[2]}, e[2])),
        ends.map(lambda e: ({"linear": [e[0], e[0] * e[1]], "num": e[2]}, e[2])),
    )


@st.composite
def studies(draw):
    """A study as plain data, and how many runs it is."""
    num_configs = 0
    rules = []
    for number in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(sorted(RULES)))
        rule = {"kind": kind, "label": f"{kind} {number}"}
        count = 1
        if kind not in NEEDS_NO_LR or draw(st.booleans()):
            # a range of lr for each rule, so that no two of them hold the same run
            rule["lr"], count = draw(values(10.0 ** (3 * number), 99.0 * 10.0 ** (3 * number)))
        else:
            rule["lr"] = 10.0 ** (3 * number)
        if draw(st.booleans()):
            rule["weight_decay"], more = draw(values(1e-6, 1.0))
            count *= more
        num_configs += count
        rules.append(rule)
    dropout, num_dropouts = draw(values(0.01, 0.9))
    schedule = draw(st.lists(st.sampled_from(["constant", "cosine", "linear"]), min_size=1, unique=True))
    batch_size = draw(st.lists(st.sampled_from([8, 16, 60, "full"]), min_size=1, unique=True))
    seeds = draw(
        st.one_of(st.integers(1, 3), st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True))
    )
    content = {
        "name": draw(st.text(string.ascii_letters, min_size=1, max_size=9)),
        "data": "iris",
        "model": {"kind": "mlp", "hidden": [4], "dropout": dropout},
        "batch_size": batch_size,
        "seeds": seeds,
        "schedule": schedule if len(schedule) > 1 or draw(st.booleans()) else schedule[0],
        draw(st.sampled_from(["epochs", "steps"])): draw(st.integers(1, 9)),
        "rules": rules,
    }
    each = (
        num_configs,
        num_dropouts,
        len(batch_size),
        len(schedule),
        seeds if isinstance(seeds, int) else len(seeds),
    )
    return content, math.prod(each)


@given(studies())
@settings(max_examples=30, deadline=None)
def test_the_grid_is_the_product(data, drawn):
    content, num_runs = drawn
    study = parse_study(content, "s.toml")
    runs = runs_of(study, data)
    assert len(runs) == len({run.id for run in runs}) == study.num_runs == num_runs
    assert parse_definition(definition_of(study), "s.toml") == study


JUNK = st.recursive(
    st.one_of(
        st.none().map(lambda _: ""),
        st.booleans(),
        st.integers(-(10**20), 10**20),
        st.floats(),
        st.text(max_size=8),
        st.dates(),
        st.sampled_from(["adam", "full", "constant", "random", "mlp", "iris", "a:b", "x.y:z"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value, at=()):
    """The paths of everything inside a value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*at, key)
        yield from places(item, (*at, key))


def changed(value, path, how, new):
    """The value with one thing inside it replaced, taken away, or renamed."""
    (key, *rest) = path
    if isinstance(value, list):
        items = list(value)
        if rest:
            items[key] = changed(value[key], rest, how, new)
        elif how == "replace":
            items[key] = new
        else:
            del items[key]
        return items
    items = dict(value)
    if rest:
        items[key] = changed(value[key], rest, how, new)
    else:
        old = items.pop(key)
        if how != "delete":
            items[key if how == "replace" else f"{key[:-1]}x"] = new if how == "replace" else old
    return items


def one_line_or_a_study(path, overrides=()):
    """Read a study file: that works, or it is one line that begins with the file's name."""
    try:
        study, text = read_study(path, overrides)
    except (StudyError, DataError, ModelError) as error:
        line = str(error)
    else:
        assert parse_definition(text, study.origin) == study
        return
    assert line.startswith(str(path))
    assert line.isprintable()
    assert len(line) < 600


@given(studies(), st.data(), st.sampled_from(["replace", "delete", "rename"]), JUNK)
@MUTABLE
def test_a_change_anywhere_is_told_in_one_line(tmp_path, drawn, choice, how, new):
    content, _ = drawn
    path = choice.draw(st.sampled_from(list(places(content))))
    file = tmp_path / "study.toml"
    mutated = changed(content, path, how, new)
    text = "".join(f"{_key(key)} = {_value(item)}\n" for key, item in mutated.items())
    file.write_bytes(text.encode("utf-8", "replace"))
    one_line_or_a_study(file)


PHASED = {
    "name": "few",
    "data": "digits",
    "model": {
        "kind": "backbone",
        "weights": "builtin:efficientnet-lite0",
        "cut": "classifier",
        "norm": "affine",
        "head": {"hidden": [4], "dropout": [0.0, 0.2]},
        "input": {"size": 32, "crop": 0.9, "mean": [0.5], "std": [0.1, 0.2, 0.3], "range": [0.0, 1.0]},
    },
    "seeds": 1,
    "batch_size": "full",
    "phases": [
        {"train": "head", "epochs": 2, "lr": 0.003},
        {"train": "from:1", "steps": 3, "lr_factor": 0.1, "schedule": {"kind": "cosine", "warmup": 1}},
        {"train": "match:conv", "epochs": 1.5},
    ],
    "rules": [{"kind": "adamw", "lr": [0.001, 0.01], "layer_decay": [0.5, 1.0], "anchor": 0.1}],
    "ladder": {
        "per_class": [2, 5],
        "draws": [0, 3],
        "arms": ["head", "all"],
        "trials": 2,
        "default": {"lr": 0.1},
    },
}


@given(st.sampled_from(list(places(PHASED))), st.sampled_from(["replace", "delete", "rename"]), JUNK)
@MUTABLE
def test_a_change_of_a_backbone_its_phases_or_its_ladder_is_told_in_one_line(tmp_path, path, how, new):
    file = tmp_path / "study.toml"
    mutated = changed(PHASED, path, how, new)
    text = "".join(f"{_key(key)} = {_value(item)}\n" for key, item in mutated.items())
    file.write_bytes(text.encode("utf-8", "replace"))
    one_line_or_a_study(file)


TEXT = (
    b'name = "s"\ndata = "iris"\nmodel = { kind = "mlp", hidden = [4] }\nepochs = 2\nseeds = 2\n'
    b'[[rules]]\nkind = "adam"\nlr = { log = [1e-4, 0.1], num = 3 }\n'
)


@given(st.integers(0, len(TEXT)), st.integers(0, 9), st.binary(max_size=6))
@MUTABLE
def test_junk_bytes_are_told_in_one_line(tmp_path, start, length, junk):
    file = tmp_path / "study.toml"
    file.write_bytes(TEXT[:start] + junk + TEXT[start + length :])
    one_line_or_a_study(file)


@given(st.text(max_size=12), JUNK)
@MUTABLE
def test_junk_overrides_are_told_in_one_line(tmp_path, key, value):
    file = tmp_path / "study.toml"
    file.write_bytes(TEXT)
    one_line_or_a_study(file, [f"{key}={value}"])
    one_line_or_a_study(file, [f"rules.0.lr={value}", f"model.hidden = {value}"])
