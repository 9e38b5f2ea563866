"""The examples in the docstrings of this part run."""

from __future__ import annotations

import doctest
import importlib

import pytest

NAMES = (
    "rng.words rng.torch_draws tensors nn.spec nn.stochastic nn.dropout nn.models nn.target nn.example "
    "nn.build nn.functional"
)


@pytest.mark.parametrize("name", NAMES.split())
def test_examples(name: str) -> None:
    failed, attempted = doctest.testmod(importlib.import_module(f"ravine.{name}"))
    assert attempted > 0
    assert failed == 0
