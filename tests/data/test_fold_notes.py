"""Notes of the data of a study with folds: of all folds, each once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import ravine
from ravine.data import from_arrays
from ravine.data.deal_folds import FoldOf
from ravine.data.fold_notes import gathered, notes_in

PARTS = [FoldOf(fold=fold, repeat=0) for fold in range(4)]


def test_notes_are_told_once_with_the_folds_that_say_them() -> None:
    notes = {
        PARTS[0]: [
            "column a was cut",
            "2 of 10 test examples are copies",
            "the test split has no example of class 'x'",
        ],
        PARTS[1]: ["column a was cut", "3 of 11 test examples are copies"],
        PARTS[2]: ["column a was cut", "the test split has no example of class 'x'"],
        PARTS[3]: ["column a was cut", "3 of 10 test examples are copies"],
    }
    assert gathered(notes) == (
        "column a was cut",
        "2 of 10 test examples are copies (in fold 0 of repeat 0; with other numbers in 2 more of 4 folds)",
        "the test split has no example of class 'x' (in 2 of 4 folds)",
    )
    assert gathered({}) == ()


def test_a_sign_and_an_exponent_are_parts_of_a_number() -> None:
    means = ("-0.104", "0.0214", "-3.1e-05", "2e-07")
    notes = {part: [f"the mean, {mean}, of part-time"] for part, mean in zip(PARTS, means, strict=True)}
    assert gathered(notes) == (
        "the mean, -0.104, of part-time (in fold 0 of repeat 0; with other numbers in 3 more of 4 folds)",
    )


def test_copies_in_any_fold_are_noted_in_the_store(tmp_path: Path) -> None:
    """Some rows twice: where one is tested, the other may be in training."""
    x = np.random.default_rng(0).standard_normal((40, 3))
    y = np.arange(40) % 2
    x[20:28], y[20:28] = x[:8], y[:8]
    data = from_arrays(x, y, split={"folds": 4})
    assert data.folds is not None
    own = {part: data.folds.of(part).notes for part in data.folds.sizes}
    assert len({note for notes in own.values() for note in notes}) > 1
    found = notes_in(data)
    assert len(found) == len({note.partition(" (in ")[0] for note in found})
    study = ravine.Study(
        name="noted",
        data=data,
        model="mlp",
        steps=3,
        batch_size=8,
        seeds=1,
        rules=[{"kind": "sgd", "lr": 0.1}],
    )
    results = ravine.run(study, store=tmp_path / "runs", quiet=True)
    assert results.study.notes[: len(found)] == found
    assert any("of a training example" in note or "of training examples" in note for note in found)
    assert ravine.run(study, store=tmp_path / "runs", quiet=True).study.notes == results.study.notes


def test_without_folds_they_are_those_of_the_data() -> None:
    x = np.random.default_rng(0).standard_normal((40, 3))
    x[1] = x[0]
    data = from_arrays(x, np.zeros(40, dtype=int) + np.arange(40) % 2)
    assert notes_in(data) == data.notes
