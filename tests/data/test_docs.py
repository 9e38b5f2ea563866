"""The page on data is true: its studies parse, its Python runs, and it names every kind and option."""

import doctest
import re
import tomllib
from pathlib import Path
from typing import get_args

from ravine.data import DataSpec, parse_data

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
    for spec in get_args(get_args(DataSpec)[0]):
        kind = spec.model_fields["kind"].default
        assert f"`{kind}`" in TEXT or f"### {kind}\n" in TEXT, kind
        for option in spec.model_fields:
            assert option == "kind" or f"`{option}`" in TEXT, option
