"""``--set``: what it takes, and one line for what it doesn't."""

import pytest

from ravine.errors import StudyError
from ravine.study import parse_definition, read_study
from ravine.study.override import override

CONTENT = {
    "name": "s",
    "data": "iris",
    "model": "mlp",
    "epochs": 2,
    "schedule": ["constant", {"kind": "cosine"}],
    "rules": [{"kind": "sgd", "lr": {"log": [0.1, 1.0], "num": 3}}, {"kind": "adam"}],
}

GOOD = [
    ("epochs=5", {"epochs": 5}),
    (" epochs = 5 ", {"epochs": 5}),
    ("epochs=0.5 # half of one", {"epochs": 0.5}),
    ("steps=9", {"steps": 9, "epochs": None}),
    ("data=wine", {"data": "wine"}),
    ('data="wine"', {"data": "wine"}),
    ("model=nets:Small", {"model": "nets:Small"}),
    ("model.hidden=[32]", {"model": {"kind": "mlp", "hidden": [32]}}),
    ("data.limit=90", {"data": {"kind": "iris", "limit": 90}}),
    ('model={kind="resnet", depth=8}', {"model": {"kind": "resnet", "depth": 8}}),
    ('model.args."a.b"=1', {"model": {"kind": "mlp", "args": {"a.b": 1}}}),
    ("data.decimal=,", {"data": {"kind": "iris", "decimal": ","}}),
    ("search.kind=random", {"search": {"kind": "random"}}),
    ("schedule=cosine", {"schedule": "cosine"}),
    ("schedule.0.final=0.1", {"schedule": [{"kind": "constant", "final": 0.1}, {"kind": "cosine"}]}),
    ("rules.0.lr=[0.1, 0.2]", {"rules": [{"kind": "sgd", "lr": [0.1, 0.2]}, {"kind": "adam"}]}),
    (
        "rules.0.lr.num=9",
        {"rules": [{"kind": "sgd", "lr": {"log": [0.1, 1.0], "num": 9}}, {"kind": "adam"}]},
    ),
    (
        "rules.0.lr.log.0=0.01",
        {"rules": [{"kind": "sgd", "lr": {"log": [0.01, 1.0], "num": 3}}, {"kind": "adam"}]},
    ),
    (
        'rules.2={kind="sgd", lr=1, label="x"}',
        {"rules": [*CONTENT["rules"], {"kind": "sgd", "lr": 1, "label": "x"}]},
    ),
    ("rules.2.kind=adagrad", {"rules": [*CONTENT["rules"], {"kind": "adagrad"}]}),
    ("rules.1.label=größe", {"rules": [CONTENT["rules"][0], {"kind": "adam", "label": "größe"}]}),
    ('rules=["adam"]', {"rules": ["adam"]}),
]


@pytest.mark.parametrize(("text", "changed"), GOOD)
def test_one_field_is_replaced(text, changed):
    before = str(CONTENT)
    expected = {key: value for key, value in {**CONTENT, **changed}.items() if value is not None}
    assert override(CONTENT, [text]) == expected
    assert str(CONTENT) == before


def test_several_apply_in_order():
    found = override(CONTENT, ["rules.0.lr=1", "rules.0.lr=2", "rules.2=adagrad", "rules.3=adamw"])
    assert found["rules"] == [{"kind": "sgd", "lr": 2}, {"kind": "adam"}, "adagrad", "adamw"]
    both = override(CONTENT, ["steps=3", "epochs=3"])
    assert (both["steps"], both["epochs"]) == (3, 3)


BAD = [
    ("epochs", "--set epochs: must be key=value, for example --set epochs=5"),
    ("=5", "--set =5: must be key=value"),
    ("epochs=", "--set epochs=: must be key=value"),
    ("epochs=5\nname='x'", r"--set epochs=5\nname='x': must be key=value"),
    ("epochs 2=5", "--set epochs 2=5: 'epochs 2' is not a key such as epochs or rules.0.lr"),
    ("#=5", "--set #=5: '#' is not a key"),
    ("a.=5", "--set a.=5: 'a.' is not a key"),
    ("rules.0.lr=[0.1", "--set rules.0.lr=[0.1: '[0.1' is not a TOML value: Unclosed array"),
    ('name="x', "--set name=\"x: '\"x' is not a TOML value"),
    (
        "rules.3.lr=1",
        "--set rules.3.lr=1: '3' is not an entry of rules: entries are numbered from 0, and 2 adds one",
    ),
    ("rules.-1.lr=1", "--set rules.-1.lr=1: '-1' is not an entry of rules"),
    ("rules.adam.lr=1", "--set rules.adam.lr=1: 'adam' is not an entry of rules"),
    ("epochs.x=1", "--set epochs.x=1: epochs is 2, so it has no 'x'"),
    ("rules.0.lr.num.x=1", "--set rules.0.lr.num.x=1: rules.0.lr.num is 3, so it has no 'x'"),
    ("epocs=5", "--set epocs=5: epocs: unknown key; did you mean 'epochs'?"),
    ("rules.0.lr=.1", "--set rules.0.lr=.1: rules.0.lr = '.1': must be a finite number above 0"),
    ("epochs=many", "--set epochs=many: epochs = 'many': must be a number above 0"),
]

TEXT = """\
name = "s"
data = "iris"
model = "mlp"
epochs = 2

[[rules]]  # two of them
kind = "sgd"
lr = { log = [0.1, 1.0], num = 3 }
[[rules]]
kind = "adam"
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "study.toml").write_text(TEXT)
    return tmp_path / "study.toml"


@pytest.mark.parametrize(("text", "line"), BAD)
def test_a_mistake_names_the_file_and_the_override(path, text, line):
    with pytest.raises(StudyError) as error:
        read_study(path, [text])
    told = str(error.value).removeprefix(str(path)).removeprefix(":").strip()
    assert told.startswith(line)
    assert str(error.value).startswith(str(path))
    assert str(error.value).isprintable()


def test_the_definition_is_the_file_or_says_what_was_set(path):
    study, text = read_study(path)
    assert text == TEXT
    assert parse_definition(text, str(path)) == study
    study, text = read_study(path, ["epochs=5", "rules.1.label=größe"])
    assert text.startswith("# study.toml --set epochs=5 --set rules.1.label=größe\nname = ")
    again = parse_definition(text, study.origin)
    assert again == study
    assert (again.epochs, again.rules[1].label) == (5.0, "größe")
