"""The page on studies is true: its studies parse, its Python runs, and it names every key."""

import doctest
import re
import tomllib
from pathlib import Path

import pytest

from ravine.forms import REQUIRED, plain
from ravine.nn.spec import MLP, ConvNet, Module, ResNet
from ravine.study import parse_definition
from ravine.study.block import OWN_KEYS
from ravine.study.load import _KEYS
from ravine.study.override import override
from ravine.study.search import Search

PAGE = Path(__file__).parents[2] / "docs" / "study.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)


def test_every_example_parses_and_has_as_many_runs_as_it_says():
    assert [parse_definition(block).num_runs for block in BLOCKS] == [54, 84, 240, 30, 60, 45, 90]


def test_every_override_works():
    texts = re.findall(r"^\| `--set '?(.*?)'?` \|", TEXT, re.MULTILINE)
    assert len(texts) == 6
    for text in texts:
        override(tomllib.loads(BLOCKS[0]), [text])


def test_the_python_runs():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert tried == 8
    assert failed == 0


def test_every_key_is_named():
    for key in (*_KEYS, *OWN_KEYS, *Search.defaults):
        assert f"`{key}`" in TEXT, key


@pytest.mark.parametrize("model", [MLP, ConvNet, ResNet, Module])
def test_every_option_of_a_model_stands_there_with_its_default(model: type[MLP | ConvNet | ResNet | Module]):
    kind = model.defaults["kind"]
    told = dict(re.findall(rf"^\| {kind} \| `(\w+)` \| `?(.*?)`? \|", TEXT, re.MULTILINE))
    fields = {name: default for name, default in model.defaults.items() if name != "kind"}
    assert told.keys() == fields.keys()
    for name, default in fields.items():
        if default is REQUIRED:
            assert told[name] == "needed"
            continue
        assert tomllib.loads(f"x = {told[name]}")["x"] == plain(default)
