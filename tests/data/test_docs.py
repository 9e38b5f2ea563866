"""The page on data is true: its studies parse, its Python runs, and it names every kind and option."""

import doctest
import re
import tomllib
from pathlib import Path

from ravine.data import parse_data
from ravine.data.spec import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_every_example_parses():
    blocks = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) >= 8
    for block in blocks:
        parse_data(tomllib.loads(block)["data"])


def test_the_python_runs():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 8
    assert failed == 0


def test_every_kind_and_option_is_named():
    for kind, spec in KINDS.items():
        assert f"`{kind}`" in TEXT or f"### {kind}\n" in TEXT, kind
        for option in spec.defaults:
            assert option == "kind" or f"`{option}`" in TEXT, option
