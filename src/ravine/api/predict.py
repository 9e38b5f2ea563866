"""What a Python program calls to use a model: predictions for new data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ravine.api.studies import name_of, study_named
from ravine.data.fresh_files import fresh
from ravine.host_memory import check_address_space
from ravine.outcomes import Results
from ravine.predictors.rows import PredictedRows
from ravine.store import Store
from ravine.study import Study


def predict(
    where: Results | Study | Path | str,
    new: Any,
    *,
    what: str = "winner",
    store: Path | str = "runs",
    device: str = "auto",
    trust: Sequence[str] = (),
) -> PredictedRows:
    """Predict new data with finished runs of a study.

    New data are read as training read its own: columns by name and in any order, empty cells filled in as in training.
    Rows keep their order and number; one that cannot be decided stays empty, and a note says why. If the data have the
    target too, the predictions are scored.

    Args:
        where: the results of a study, its name in the store, its file, or the `Study` itself.
        new: a CSV, Parquet or npz file, a folder of pictures, a data frame or a mapping of columns, an array, or a pair
            of it with its answers.
        what: "winner", of the config with the best mean validation score the seed that is best on validation;
            "ensemble", all seeds of that config; "greedy", the ensemble that greedy selection finds among all runs;
            "average", the best stored average of the weights; or the id of a run, or its beginning.
        store: where the study is, unless results are given.
        device: "auto", "cpu", "cuda" or "mps".
        trust: as in `run`.

    Returns:
        The predictions: ``predicted``, ``probabilities``, ``disagreement``, ``scores``, ``notes``; ``save(path)``
        writes a file. They print as a table.

    Raises:
        InputError: one line that says what is wrong.

    Example:
        >>> import tempfile, ravine
        >>> study = ravine.Study(name="flowers", data="iris", model="mlp", epochs=20, seeds=3, rules=["adam"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     results = ravine.run(study, store=folder, quiet=True)
        ...     found = predict(results, [[5.1, 3.5, 1.4, 0.2]], what="ensemble")
        >>> found.predicted[0]
        'setosa'
    """
    check_address_space()
    from ravine.predictors.stored import of_store

    if isinstance(where, Results):
        opened, name = where.source, where.name
    else:
        opened, name = Store(store, create=False), name_of(where)
    predictor = of_store(
        opened,
        name,
        what,
        find=lambda: study_named(opened, name if isinstance(where, Results) else where, trust),
        device=device,
    )
    return PredictedRows.of(predictor, fresh(predictor.preparation, new))
