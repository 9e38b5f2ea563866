"""What `check` finds when it tries a model with the data: the same lines that `run` refuses with."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ravine.data import from_arrays
from ravine.errors import DataError, ModelError
from ravine.launch.launch import launch
from ravine.launch.problems import problems, remarks
from ravine.launch.progress import Planned
from ravine.store import Store
from ravine.study import parse_study

STUDY: dict[str, Any] = {
    "name": "small",
    "data": "iris",
    "steps": 2,
    "seeds": 1,
    "rules": [{"kind": "sgd", "lr": 0.1}],
}
MODULES = """
from torch import nn

class Casting(nn.Linear):
    def __init__(self):
        super().__init__(4, 3, dtype=__import__("torch").float16)

    def forward(self, x):
        return super().forward(x.half()).float()
"""


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"model": {"kind": "mlp", "norm": "batch"}, "batch_size": 1},
            "batch_size = 1: Sequential cannot be trained",
        ),
        (
            {"model": {"kind": "module", "target": "casting_models:Casting"}},
            "model: parameter 'weight' of Casting is ",
        ),
    ],
)
def test_check_and_run_refuse_alike(tmp_path: Path, keys: dict[str, Any], said: str) -> None:
    (tmp_path / "casting_models.py").write_text(MODULES)
    content = {**STUDY, **keys}
    (line,) = problems(content, tmp_path)
    assert str(line).startswith(said)
    with Store(tmp_path / "store") as store, pytest.raises(ModelError) as refused:
        list(launch(parse_study(content), store, definition="", search=tmp_path))
    assert str(refused.value) == str(line)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"missing": "impute"}, "f.csv: column 'b' is empty in all training rows; put it in drop"),
        ({"weight": "b"}, "f.csv: all 16 weights of the training part are 0: nothing to learn"),
    ],
)
def test_what_is_wrong_in_a_later_fold_is_told_by_check_too(
    tmp_path: Path, keys: dict[str, Any], said: str
) -> None:
    split = {"folds": 3}
    known = from_arrays(np.arange(30.0)[:, None], np.arange(30) % 2, split=split)
    assert known.folds is not None
    trained = [set(known.folds.of(part).train.at) for part in known.folds.sizes]
    column = ["0" if "weight" in keys else ""] * 30
    for row in (trained[0] & trained[1]) - trained[2]:
        column[row] = "1.5"
    rows = [f"{row},{cell},{'ab'[row % 2]}" for row, cell in enumerate(column)]
    (tmp_path / "f.csv").write_text("\n".join(["a,b,y", *rows]))
    data = {"kind": "csv", "path": "f.csv", "target": "y", "split": split, **keys}
    content = {**STUDY, "data": data, "model": "mlp"}
    (line,) = problems(content, tmp_path)
    assert str(line).endswith(f"{said} (in fold 2 of repeat 0)")
    with Store(tmp_path / "store") as store:
        with pytest.raises(DataError) as refused:
            list(launch(parse_study(content), store, definition="", search=tmp_path))
        assert store.studies() == []
    assert str(refused.value) == str(line)


def test_outputs_that_are_probabilities_are_told_by_check_and_run(tmp_path: Path) -> None:
    (tmp_path / "soft_models.py").write_text(
        "from torch import nn\n\nclass Soft(nn.Sequential):\n    def __init__(self):\n"
        "        super().__init__(nn.Linear(4, 3), nn.Softmax(1))\n"
    )
    study = parse_study({**STUDY, "model": "soft_models:Soft"}, search=tmp_path)
    (said,) = remarks(study, tmp_path)
    assert said.startswith("! the outputs of Soft look like probabilities")
    with Store(tmp_path / "store") as store:
        planned = next(iter(launch(study, store, definition="", search=tmp_path)))
    assert isinstance(planned, Planned)
    assert planned.lines[-1] == said
    assert remarks(parse_study({**STUDY, "model": "mlp"})) == []


def test_a_layer_that_is_called_twice_and_draws_the_same_each_time_is_named(tmp_path: Path) -> None:
    (tmp_path / "twice_models.py").write_text(
        "from torch import nn\n\nclass Twice(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.one, self.drop, self.out = nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 3)\n\n"
        "    def forward(self, x):\n        return self.out(self.drop(self.one(self.drop(x))))\n"
    )
    (said,) = remarks(parse_study({**STUDY, "model": "twice_models:Twice"}, search=tmp_path), tmp_path)
    assert said.startswith("! layer 'drop' is called 2 times in a pass, and draws the same each time")
    assert remarks(parse_study({**STUDY, "model": {"kind": "mlp", "dropout": 0.5}})) == []
