"""What is refused is refused before the store is written: not even the study's text changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import nn

import ravine
from ravine.errors import InputError
from ravine.store import Store


def _study(**changes: Any) -> ravine.Study:
    small: dict[str, Any] = {"kind": "mlp", "hidden": [4]}
    return ravine.Study(
        **{"name": "s", "data": "iris", "model": small, "steps": 3, "seeds": 2, "rules": ["adam"], **changes}
    )


def _rows(root: Path) -> tuple[object, ...]:
    with Store(root, create=False) as store:
        return store.studies(), store.runs("s", all=True), store.evaluated.asked("s")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"rates": {"match:foo": 0.1}}, "is for no stochastic layer"),
    ({"test_time": {"views": "flips"}}, "only pictures have views"),
    ({"test_time": {"modes": ["mean", "mc"]}}, "needs a stochastic layer"),
    ({"averages": {"swa": {"from": 0.9, "every": 5}}}, "no run has an end of so many epochs"),
    ({"augment": {"flip": 0.5}}, "augment"),
    ({"steps": 4}, "has changed"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refused") / "runs"
    ravine.run(_study(), store=folder, quiet=True)
    return folder


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_nothing_is_written_where_a_changed_study_is_refused(
    root: Path, changes: dict[str, Any], words: str
) -> None:
    before = _rows(root)
    with pytest.raises(InputError, match=words):
        ravine.run(_study(**changes), store=root, quiet=True)
    assert _rows(root) == before


class NoLayer(nn.Module):
    """A module without stochastic layers."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):  # type: ignore[no-untyped-def]
        return self.linear(x)


def test_a_second_stage_that_cannot_be_is_refused_before_the_first(tmp_path: Path) -> None:
    study = _study(name="new", model=NoLayer, dropout=[0.0, 0.2], tune="regularize")
    with pytest.raises(InputError, match="'dropout' is for no stochastic layer"):
        ravine.run(study, store=tmp_path / "runs", quiet=True)
    with Store(tmp_path / "runs") as store:
        assert store.studies() == []
