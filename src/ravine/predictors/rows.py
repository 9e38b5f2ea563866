"""Predictions for all rows of new data: in their order, empty where a row cannot be decided, as a table and a file.

Shapes: N row, K class or label, T target.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ravine.data.answers import ClassTarget, NumberTarget
from ravine.data.fresh import Fresh
from ravine.data.preparation import AnyTarget
from ravine.data.several import LabelsTarget, NumbersTarget
from ravine.errors import InputError
from ravine.grid import Grid
from ravine.messages import count, printable, shown
from ravine.metrics import Metric
from ravine.predictors.row_scores import row_scores, score_words
from ravine.whole_file import write_whole

if TYPE_CHECKING:
    from ravine.predictors.predictor import Predictor

Array = NDArray[np.float64]

_SHOWN = 10  # rows of the table
_CLASSES = 6  # whose probabilities it shows
_CSV, _PARQUET = (".csv", ".txt"), (".parquet", ".pq")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class PredictedRows:
    """What a predictor says about new data. `ravine.predict` makes one.

    Attributes:
        where: the new data.
        task: "classification", "regression" or "multilabel".
        classes: names of the classes or labels; empty for a regression.
        target: what is predicted.
        predicted: (N,) names of classes, None where a row cannot be decided; of a regression float64, NaN there, of
            several targets (N, T); of labels a text with all of them, or where each has a column 1 or 0, (N, K).
        probabilities: (N, K), rows of NaN there; None for a regression.
        disagreement: (N,) the weight of the members that choose another class, of labels the mean over these; of a
            regression the standard deviation between members, in the target's own units, (N,) or (N, T).
        entropy: (N,) of each prediction's probabilities, in nats, of labels the mean; None by the mean pass, and for a
            regression.
        information: (N,) mutual information between the answer and what was drawn: passes, views, members (BALD); None
            likewise, and where probabilities are not pooled by their mean.
        spread: of a regression the standard deviation over passes and members, (N,) or (N, T); None by the mean pass.
        files: of pictures, one for each row; else empty.
        num_members: how many members the predictor has.
        passes: how each of them predicts, in words; "" for the mean pass.
        scores: where the data have answers: the study's metric, where that is another; ``accuracy`` and ``nll``, or
            ``rmse`` and ``mae``, behind which is the name of each target where there are several.
        num_scored: rows with an answer that were decided.
        metric: the study's, where it is among the scores beside what is usual; else None.
        notes: what is unusual about the data.
    """

    where: str
    task: str
    classes: tuple[str, ...]
    target: AnyTarget
    predicted: NDArray[Any]
    probabilities: Array | None
    disagreement: Array
    entropy: Array | None
    information: Array | None
    spread: Array | None
    files: tuple[str, ...]
    num_members: int
    passes: str
    scores: Mapping[str, float]
    num_scored: int
    metric: Metric | None
    notes: tuple[str, ...]

    @staticmethod
    def of(predictor: Predictor, fresh: Fresh) -> PredictedRows:
        """Predict new examples.

        Raises:
            DataError: no row can be decided.
            ModelError: a member fails.
        """
        target = predictor.preparation.target
        regression, num = predictor.task == "regression", fresh.num
        # Classes are one number each; several targets and labels are as many as the model has outputs.
        several = (target.num_outputs,) if isinstance(target, NumbersTarget | LabelsTarget) else ()
        values = np.full((num, *several), np.nan)
        disagreement = np.full((num, *(several if regression else ())), np.nan)
        log_p, log_q = (None if regression else np.full((num, target.num_outputs), np.nan) for _ in range(2))
        unsure: dict[str, Array] = {}
        for rows, x in fresh.parts():
            if not len(rows):
                continue
            found = predictor.predict_prepared(x, np.asarray(rows, dtype=np.int64))
            numbers = np.isfinite(found.predicted) if found.log_p is None else ~np.isnan(found.log_p)
            fine = numbers if numbers.ndim == 1 else numbers.all(axis=1)
            for row in rows[~fine]:
                fresh.undecided[int(row)] = "the model's outputs are not finite numbers"
            for name in ("entropy", "information", "spread"):
                if (of := getattr(found, name)) is not None:
                    unsure.setdefault(name, np.full((num, *of.shape[1:]), np.nan))[rows[fine]] = of[fine]
            rows = rows[fine]
            disagreement[rows], values[rows] = found.disagreement[fine], found.predicted[fine]
            if log_p is not None and found.log_p is not None:
                log_p[rows] = found.log_p[fine]
            if log_q is not None and found.log_q is not None:
                log_q[rows] = found.log_q[fine]
        fresh.check_any()
        scored = row_scores(target, fresh.answers, values, log_p, log_q, predictor.metric)
        return PredictedRows(
            where=fresh.where,
            task=predictor.task,
            classes=predictor.classes,
            target=target,
            predicted=_predicted(target, values),
            probabilities=None if log_p is None else np.exp(log_p),
            disagreement=disagreement,
            entropy=unsure.get("entropy"),
            information=unsure.get("information"),
            spread=unsure.get("spread"),
            files=fresh.files,
            num_members=len(predictor.members),
            passes="" if predictor.mode is None else predictor.mode.words,
            scores=scored.scores,
            num_scored=scored.num,
            metric=scored.metric,
            notes=(*fresh.all_notes(), *filter(None, (scored.note,))),
        )

    def __len__(self) -> int:
        return len(self.predicted)

    def columns(self, *, probabilities: bool = False, members: bool = False) -> dict[str, list[Any]]:
        """The predictions as columns; None where a row cannot be decided.

        Args:
            probabilities: with a column for each class, ``p_`` and its name.
            members: with ``disagreement``, or ``spread`` of a regression.

        Returns:
            ``prediction``, or ``prediction_`` and the name of each of several targets or labels; and so on.
        """
        found: dict[str, list[Any]] = {"file": list(self.files)} if self.files else {}
        found |= self._by_target("prediction", self.predicted)
        if probabilities and self.probabilities is not None:
            for name, of in zip(self.classes, self.probabilities.T, strict=True):
                found[f"p_{name}"] = _plain(of)
        for name, of in (
            ("entropy", self.entropy),
            ("mutual_information", self.information),
            ("spread", self.spread),
        ):
            if of is not None:
                found |= self._by_target(name, of)
        if members and self.spread is None:
            name = "disagreement" if self.probabilities is not None else "spread"
            found |= self._by_target(name, self.disagreement)
        return found

    def _by_target(self, name: str, values: NDArray[Any]) -> dict[str, list[Any]]:
        """Values as a column, or as one for each target or label, whose name is behind its own."""
        if values.ndim == 1:
            return {name: _plain(values)}
        return {f"{name}_{each}": _plain(of) for each, of in zip(self.target.columns, values.T, strict=True)}

    def save(self, path: Path | str, *, probabilities: bool = False, members: bool = False) -> None:
        """Write the columns to a CSV or Parquet file, all at once.

        Raises:
            InputError: the file cannot be written.
        """
        if not isinstance(path, str | Path):
            raise InputError(f"path = {shown(path)}: must be the path of a file")
        check_file(Path(path), str(path))
        target, columns = Path(path), self.columns(probabilities=probabilities, members=members)
        data = _parquet(columns, target) if target.suffix.lower() in _PARQUET else _csv(columns)
        write_whole(target, data)

    def grid(self, *, probabilities: bool = False, members: bool = False) -> Grid:
        """The first rows, how often each class is predicted, scores and notes."""
        columns = self.columns(probabilities=probabilities and len(self.classes) <= _CLASSES, members=members)
        titles = ("row", *columns)
        rows = tuple(
            (f"{row:,}", *(_shown(column[row]) for column in columns.values()))
            for row in range(min(len(self), _SHOWN))
        )
        left = ("file",) if self.probabilities is None else ("file", "prediction")
        return Grid(
            title=self.where,
            columns=titles,
            rows=rows,
            left=left,
            after=(*self.sentences, *(f"note: {text}" for text in self.notes)),
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was predicted, and how good it is where the data have answers."""
        first_of = self.predicted if self.predicted.ndim == 1 else self.predicted[:, 0]
        decided = len(self) - sum(each is None for each in _plain(first_of))
        of = count(decided, "row") if decided == len(self) else f"{decided:,} of {count(len(self), 'row')}"
        model = "one model" if self.num_members == 1 else f"{self.num_members} models"
        by = f", {self.passes}" if self.passes else ""
        first = f"{of} predicted by {model}{by}{self._spread()}."
        if not self.scores:
            return (first,)
        rows = count(self.num_scored, "row")
        return first, f"On {rows} with an answer: {score_words(self.target, self.scores, self.metric)}."

    def json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "data": self.where,
            "task": self.task,
            "classes": list(self.classes),
            **({"targets": list(self.target.names)} if isinstance(self.target, NumbersTarget) else {}),
            "rows": len(self),
            "members": self.num_members,
            "scores": {name: value if np.isfinite(value) else None for name, value in self.scores.items()},
            "scored": self.num_scored,
            "notes": list(self.notes),
            "columns": self.columns(probabilities=True, members=True),
        }

    def _spread(self) -> str:
        fine = ~np.isnan(self.disagreement)
        known = self.disagreement[fine if fine.ndim == 1 else fine.all(axis=1)]
        if self.num_members == 1 or not len(known):
            return ""
        if known.ndim == 2:
            each = zip(self.target.columns, known.mean(axis=0), strict=True)
            apart = ", ".join(f"{value:.3g} in {name}" for name, value in each)
            return f", which differ by {apart} (mean standard deviation)"
        if isinstance(self.target, LabelsTarget):
            return f", of which {100 * known.mean():.1f} % decide otherwise about a label (mean)"
        if self.probabilities is None:
            return f", which differ by {known.mean():.3g} (mean standard deviation)"
        return f", of which {100 * known.mean():.1f} % choose another class (mean)"

    def __str__(self) -> str:
        return str(self.grid(members=True))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return self.grid(members=True).html()


def check_file(path: Path, where: str) -> None:
    """See that predictions may have this path: a name that says CSV or Parquet, and no device or pipe.

    Args:
        path: of the file, which may be there or not.
        where: what errors call it.

    Raises:
        InputError: they may not.
    """
    if "\0" in str(path):
        raise InputError(f"{printable(where)}: is no path of a file")
    if os.path.isdir(path):  # noqa: PTH112 (a path that cannot be is found when it is written)
        raise InputError(f"{where}: is a folder; a file is needed")
    if path.suffix.lower() not in (*_CSV, *_PARQUET):
        raise InputError(
            f"{where}: predictions are written as CSV or Parquet: end the name with .csv or .parquet"
        )
    if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113 (as above)
        raise InputError(f"{where}: is a device or a pipe; a file is needed")


def _predicted(target: AnyTarget, values: Array) -> NDArray[Any]:
    """What is shown of predictions: values, names of classes, or labels."""
    if isinstance(target, NumberTarget | NumbersTarget):
        return values
    indices = np.where(np.isnan(values), -1, values).astype(np.int64)
    if isinstance(target, ClassTarget):
        return np.array([*target.names, None], dtype=object)[indices]
    if not target.separator:
        return np.array([0, 1, None], dtype=object)[indices]
    undecided = indices[:, 0] < 0
    return np.array(
        [None if empty else text for empty, text in zip(undecided, target.undo(indices == 1), strict=True)],
        dtype=object,
    )


def _plain(values: NDArray[Any]) -> list[Any]:
    return [None if value is None or value != value else value for value in values.tolist()]


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))


def _csv(columns: Mapping[str, list[Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    # An empty row of one column is written as "": an empty line would be passed over.
    writer.writerows(
        ["" if value is None else value for value in row] for row in zip(*columns.values(), strict=True)
    )
    return text.getvalue().encode()


def _parquet(columns: Mapping[str, list[Any]], path: Path) -> bytes:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(f'{path}: Parquet needs pyarrow: pip install "ravine[tables]"') from None
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(dict(columns)), file)
    return file.getvalue()
