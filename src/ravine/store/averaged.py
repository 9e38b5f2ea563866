"""Averages of the weights of runs: which there are, and what kind of tensors they are.

An average of a run has its own weights and predictions, each with a row of a kind such as "ema 0.99/weights".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from sqlalchemy import select, update

from ravine.errors import StoreError, choices
from ravine.store import digests
from ravine.store.core import Core
from ravine.store.database import add_all, portions
from ravine.store.ends import KIND as ENDS
from ravine.store.entries import add_block
from ravine.store.records import AveragedTensors
from ravine.store.schema import metrics, rows, runs
from ravine.store.studies import check_run, run_digest

KINDS = ("weights", "predictions")
PORTION = "portion "  # before the number of a part of the predictions; no average is called so


class Averages:
    """The part of a store that knows the averages of runs. A store has one: ``store.averages``.

    Args:
        core: of an open store.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    def names(self, run_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The averages of each run, in alphabetical order; () for a run without any."""
        found: dict[str, list[str]] = {run: [] for run in run_ids}
        with self._core.read() as connection:
            for some in portions(found):
                here = rows.c.run_id.in_(some), rows.c.kind.endswith("/weights")
                for row in connection.execute(select(rows).where(*here)):
                    digests.verify(rows, row, f"averages of run {row.run_id}")
                    found[row.run_id].append(average_of(row.kind))
        return {run: tuple(sorted(names)) for run, names in found.items()}

    def add(self, averages: Mapping[str, AveragedTensors], scores: Mapping[str, Mapping[str, float]]) -> None:
        """Store averages of runs that have finished without them; nothing else of the runs changes.

        Args:
            averages: by name, of runs that have none of this name.
            scores: final numbers of the averages, by run and name; those that are not finite are left out.

        Raises:
            StoreError: a run is damaged, or there is no such run.
        """
        contents, runs_of = contents_of(averages)
        finite = {
            run: {name: float(value) for name, value in values.items() if math.isfinite(value)}
            for run, values in scores.items()
        }
        with self._core.entered(contents) as (connection, written, _):
            for kind, block in written.items():
                number = add_block(connection, block)
                places = [{"kind": kind, "run_id": run, "row": row} for row, run in enumerate(runs_of[kind])]
                digests.add(connection, rows, [{**place, "block_id": number} for place in places])
            for run, values in finite.items():
                measured = {
                    row.name: row.value
                    for row in connection.execute(select(metrics).where(metrics.c.run_id == run))
                }
                found = connection.execute(select(runs).where(runs.c.id == run)).one()
                check_run(found, measured)
                digest = run_digest(found._asdict(), {**measured, **values})
                connection.execute(update(runs).where(runs.c.id == run).values(digest=digest))
                more = [{"run_id": run, "name": name, "value": value} for name, value in values.items()]
                add_all(connection, metrics, more)


def contents_of(
    found: Mapping[str, AveragedTensors],
) -> tuple[dict[str, Mapping[str, np.ndarray]], dict[str, Sequence[str]]]:
    """What runs leave, and the runs that leave it, both by kind of tensors.

    Args:
        found: of each average; "" for the runs' own.
    """
    contents: dict[str, Mapping[str, np.ndarray]] = {}
    runs_of: dict[str, Sequence[str]] = {}
    for average, each in found.items():
        for word, tensors in zip(KINDS, (each.weights, each.predictions), strict=True):
            kind = kind_of(average, word) if average else word
            for name, tensor in tensors.items():
                shape = np.shape(tensor)
                assert shape[:1] == (len(each.runs),), f"{kind} {name}: {shape} for {len(each.runs)} runs"
            if tensors:
                contents[kind], runs_of[kind] = tensors, each.runs
    return contents, runs_of


def cut_to(
    lengths: Mapping[str, Sequence[int]], predictions: Mapping[str, np.ndarray], run_ids: Sequence[str]
) -> dict[str, tuple[Sequence[str], Mapping[str, np.ndarray]]]:
    """Predictions of runs that have different numbers of examples: those of equal numbers, by a name of their own.

    Args:
        lengths: by name of a prediction, the examples of each run; {}: all have as many, and nothing is cut.
        predictions: (R, n, ...) by name.
        run_ids: of the runs.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, each in enumerate(zip(*lengths.values(), strict=True)):
        groups.setdefault(each, []).append(row)
    return {
        f"{PORTION}{i}/{KINDS[1]}": (
            [run_ids[row] for row in rows],
            {
                name: predictions[name][rows, :length]
                for name, length in zip(lengths, of, strict=True)
                if name in predictions
            },
        )
        for i, (of, rows) in enumerate(groups.items())
    }


def stored_kind(key: str) -> str:
    """The kind of what is written by a name: of one of several portions that of the whole.

    Example:
        >>> stored_kind("portion 1/predictions"), stored_kind("ema 0.99/predictions"), stored_kind("weights")
        ('predictions', 'ema 0.99/predictions', 'weights')
    """
    return key.rpartition("/")[2] if key.startswith(PORTION) else key


def check_kind(kind: str) -> None:
    """See that there can be tensors of this kind.

    Raises:
        StoreError: it is neither "weights" nor "predictions", nor either of an average.
    """
    if kind.rpartition("/")[2] not in KINDS and kind != ENDS:
        raise StoreError(f"tensors {kind!r}: {choices(kind, KINDS)}")


def kind_of(average: str, kind: str) -> str:
    """The kind of an average's tensors, or the name of its metric.

    Example:
        >>> kind_of("ema 0.99", "weights")
        'ema 0.99/weights'
    """
    return f"{average}/{kind}"


def average_of(kind: str) -> str:
    """The average that a kind of tensors is of; "" for the run's own.

    Example:
        >>> average_of("ema 0.99/weights"), average_of("weights")
        ('ema 0.99', '')
    """
    return kind.rpartition("/")[0]
