"""Which regular expressions a study takes: none whose search could take for ever."""

from __future__ import annotations

import re
import time

import pytest

from ravine.errors import StudyError
from ravine.study.patterns import parse_pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "^head", "block3_.*", r"block[0-9]+\.conv", "(conv|norm)1", "(?:a|b)?c", "(ab)+", "(ab){3}", "(a+){1}",
        r"\(a+\)+", "[(a+)]+", "[]+*]+", "(?i)late", "(?P<which>a+)b", "(?#why (a+)a", ".*conv.*weight.*", "x{2,3}?",
        "|".join(f"layer{i}" for i in range(100)), "a{,b}", "(?<=a)b+", "^(layer1|layer2|fc)$",
    ],
)  # fmt: skip
def test_what_ends_is_taken(pattern: str) -> None:
    assert parse_pattern(pattern, "key") == pattern
    began = time.perf_counter()
    re.search(pattern, "a" * 60 + "!")
    assert time.perf_counter() - began < 1.0


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("(a+)+$", "'+' repeats a group in which there is a choice or a repetition"),
        ("(a*)*b", "'*' repeats a group"),
        ("(?:a|aa)+$", "'+' repeats a group"),
        ("((a?)){40}b", "'{40}' repeats a group"),
        ("(a+){2,}$", "'{2,}' repeats a group"),
        ("(a{1,9}){,9}$", "'{,9}' repeats a group"),
        ("(?P<x>a+)*?$", "'*' repeats a group"),
        ("(a+)(?#x)+$", "'+' repeats a group"),
        ("((?:(a)+))+$", "'+' repeats a group"),
        (".*" * 7, "it has 7 repetitions of any length; at most 6 are allowed"),
        ("a?" * 30 + "a" * 30, "it has too many choices"),
        ("(a|a)" * 30 + "b", "it has too many choices"),
    ],
)
def test_what_could_take_for_ever_is_refused_in_one_line(pattern: str, line: str) -> None:
    with pytest.raises(StudyError) as fault:
        parse_pattern(pattern, "model.rates.match:x")
    assert f": could take for ever: {line}" in str(fault.value)
    assert str(fault.value).startswith("model.rates.match:x = ")


def test_verbose_patterns_are_refused() -> None:
    with pytest.raises(StudyError, match=r"\(\?x\) is not allowed here"):
        parse_pattern("(?x) ( a+ ) +", "key")
