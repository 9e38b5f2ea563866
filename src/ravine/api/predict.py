"""What a Python program calls to use a model: predictions for new data."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravine.api.metric import metric_for
from ravine.api.studies import stored_study
from ravine.data.fresh_files import fresh
from ravine.errors import InputError, StoreError
from ravine.host_memory import check_address_space
from ravine.outcomes import Results
from ravine.outcomes.folds import has_folds
from ravine.predictors.rows import PredictedRows
from ravine.store import Store
from ravine.study import Study
from ravine.study.metric import MetricLike
from ravine.study.views import check_views

if TYPE_CHECKING:
    from torch import nn

    from ravine.predictors.predictor import Predictor
    from ravine.study.modes import Mode


def predict(
    where: Results | Study | Path | str,
    new: Any,
    *,
    what: str | None = None,
    mode: str = "mean",
    samples: int | None = None,
    views: str | Mapping[str, Any] | Sequence[Any] | None = None,
    metric: MetricLike | None = None,
    model: str | Callable[..., nn.Module] | None = None,
    store: Path | str = "runs",
    device: str = "auto",
    trust: Sequence[str] = (),
) -> PredictedRows:
    """Predict new data with an exported model, or with finished runs of a study.

    New data are read as training read its own: columns by name and in any order, empty cells filled in as in training.
    Rows keep their order and number; one that cannot be decided stays empty, and a note says why. If the data have the
    target too, the predictions are scored.

    Args:
        where: a folder that `export` wrote; or the results of a study, its name in the store, its file, or the
            `Study` itself.
        new: a CSV, Parquet or npz file, a folder of pictures, a data frame or a mapping of columns, an array, or a pair
            of it with its answers.
        what: of a study: "winner" (the default), of the config with the best mean validation score the seed that is
            best on validation; "ensemble", all seeds of that config; "greedy", the ensemble that greedy selection
            finds among all runs; "average", the best stored average of the weights; "soup", weights averaged over runs;
            or the id of a run, or its beginning, perhaps with a stored average, "8e79#ema 0.99". Of a study with folds
            "winner" pools the best seed of each fold's winner, and "ensemble" all of their seeds; it needs the data.
        mode: "mean", one deterministic pass; or "mc": the mean of the probabilities of many passes in which the
            stochastic layers of each member draw, with the entropy of each prediction and how much of it is about the
            weights. An exported model has only the mean pass.
        samples: how many passes "mc" makes of each row; None: 50.
        views: of pictures, whose predictions are averaged: "flips", "crops", or a list, as in a study's `test_time`.
        metric: what configs are compared by: "f1_macro", or a function, as in a study. None: what the study says;
            a function of a module is used where its file is found here, or given.
        model: builds the network, where it is a module of yours: a class or function, or its name, "net:Net". None:
            the study says it, or the folder's ONNX graph evaluates it.
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
    from ravine.predictors.passes import asked_mode

    asked = asked_mode(mode, samples, views)
    predictor = _predictor(where, what, metric, model, store, device, trust, asked)
    return PredictedRows.of(predictor, fresh(predictor.preparation, new))


def check_model(
    folder: Path | str, *, model: str | Callable[..., nn.Module] | None = None, trust: Sequence[str] = ()
) -> tuple[int, float, float]:
    """Predict the test vectors of an exported model again.

    Returns:
        How many there are, the largest difference of a probability, or of a value in units of the target's deviation,
        and how large it may be.

    Raises:
        InputError: it is no model, was changed, or is off by more.
    """
    check_address_space()
    from ravine.predictors.loading import load_model

    _, manifest, off = load_model(folder, model=model, trust=trust, device="cpu")
    return len(manifest.vectors.outputs), off, manifest.vectors.allowed


def check_onnx(folder: Path | str) -> tuple[str, float, float] | None:
    """Run the test vectors of an exported model's ONNX graph, one by one, in threes and 128 at a time.

    Returns:
        Its path, the largest difference from what the model said where it was exported, and how large it may be; None
        where there is no graph, or no onnxruntime to run it.

    Raises:
        InputError: it cannot be read, or is off by more.
    """
    from ravine.predictors.graph.door import check_graph
    from ravine.predictors.loading import GRAPH

    path = Path(folder) / GRAPH
    if not path.is_file() or find_spec("onnxruntime") is None:
        return None
    checked = check_graph(path)
    if not checked.agrees:
        raise InputError(
            f"{path}: does not say what it said where it was exported: off by {checked.worst:.2g} on its test vectors, "
            f"at most {checked.allowed:.2g} is allowed"
        )
    return checked.path, checked.worst, checked.allowed


def is_exported(where: object) -> bool:
    """Whether something is the folder of an exported model."""
    from ravine.predictors.manifest import is_model

    return isinstance(where, str | Path) and is_model(Path(where))


def _predictor(
    where: Results | Study | Path | str,
    what: str | None,
    metric: MetricLike | None,
    model: str | Callable[..., nn.Module] | None,
    store: Path | str,
    device: str,
    trust: Sequence[str],
    mode: Mode | None,
) -> Predictor:
    from ravine.predictors.folds import of_folds
    from ravine.predictors.loading import load_model
    from ravine.predictors.stored import of_store

    if isinstance(where, str | Path):
        if is_exported(where):
            if what is not None:
                raise InputError(f"what = {what!r}: {where} is one exported model; leave it out")
            if metric is not None:
                raise InputError(f"metric: {where} is one exported model, which was chosen; leave it out")
            if mode is not None and mode.samples:
                raise InputError(
                    f"mode = 'mc': {where} is an exported model, which has the mean pass only; give the study instead"
                )
            found = load_model(where, model=model, trust=trust, device=device)[0]
            if mode is None:
                return found
            check_views(mode.views, found.preparation.inputs.shape, "views")
            return replace(found, mode=mode, temperature=1.0)  # which was fitted to mean passes
        if os.path.isdir(where) and not _is_study(where, store):  # noqa: PTH112 (a name may be no path)
            raise InputError(
                f"{where}: no exported model (there is no ravine.json in it), and no study in the store"
            )
    opened, name, find = stored_study(where, store, trust)
    by = metric_for(opened, name, metric, where)
    wanted = "winner" if what is None else what
    if has_folds(opened.runs(name)):
        data = where.data if isinstance(where, Results) else None
        return of_folds(
            opened,
            name,
            wanted,
            find=find,
            model=model,
            trust=trust,
            device=device,
            mode=mode,
            data=data,
            metric=by,
        )
    return of_store(
        opened, name, wanted, find=find, model=model, trust=trust, device=device, mode=mode, metric=by
    )


def _is_study(name: Path | str, store: Path | str) -> bool:
    try:
        with Store(store, create=False) as opened:
            return any(study.name == str(name) for study in opened.studies())
    except StoreError:
        return False
