"""What is said to have changed between two texts of a study."""

from dataclasses import replace

import pytest
from torch import nn

from ravine.study import Study, definition_of
from ravine.study.changes import changes

TEXT = """
name = "s"
data = { kind = "csv", path = "x.csv", target = "y" }
model = "mlp"
epochs = 5
rules = ["adam"]
"""

CASES = [
    ("epochs = 5", "epochs = 5.0\nbatch_size = 64\nevaluations = 20", []),
    ("epochs = 5", "epochs = 9", ["epochs: 5 -> 9"]),
    ("epochs = 5", "steps = 9", ["epochs: 5 -> not given", "steps: not given -> 9"]),
    ("epochs = 5", "epochs = 5\nbatch_size = [32, 64]", ["batch_size: 64 -> 32"]),
    ("epochs = 5", 'epochs = 5\nbatch_size = "full"', ["batch_size: 64 -> 'full'"]),
    ("epochs = 5", "epochs = 5\nevaluations = 3", ["evaluations: 20 -> 3"]),
    ('"mlp"', '{ kind = "mlp", hidden = [64], dropout = 0.1 }', ["model.hidden: [128, 128] -> [64]"]),
    ('"mlp"', '"convnet"', ["model.kind: 'mlp' -> 'convnet'"]),
    ('"mlp"', '"net:Small"', ["model.kind: 'mlp' -> 'module'"]),
    ('target = "y"', 'target = "z"', ["data.target: 'y' -> 'z'"]),
    ('target = "y"', 'target = "y", limit = 9', ["data.limit: not given -> 9"]),
    ('rules = ["adam"]', 'rules = ["adamw"]\nseeds = 9', []),
    ("epochs = 5", "epochs = ", []),
]


@pytest.mark.parametrize(("old", "new", "told"), CASES)
def test_each_changed_key_is_told_with_both_values(old: str, new: str, told: list[str]) -> None:
    assert changes(TEXT, TEXT.replace(old, new)) == told


class First(nn.Linear):
    pass


class Second(nn.Linear):
    pass


def test_of_a_study_made_in_python_too() -> None:
    made = Study(name="s", data="iris", model=First, epochs=2, rules=["adam"])
    before = definition_of(made)
    [model] = changes(before, definition_of(replace(made, model=Second)))
    assert "First@" in model
    assert "Second@" in model
    assert model.startswith("model: ")
    assert " -> " in model
    assert changes(before, definition_of(replace(made, data="wine"))) == ["data.kind: 'iris' -> 'wine'"]
    assert changes(before, definition_of(replace(made, evaluations=2))) == ["evaluations: 20 -> 2"]
    assert changes(before, before) == []
