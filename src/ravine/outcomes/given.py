"""Scores that were given, as arrays or as a table with a row per score, by run.

Shapes: S seed, N example.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravine.data.column import Cells, Place, absent
from ravine.data.containers import as_numpy
from ravine.errors import DataError, InputError, choices, nearest, short
from ravine.outcomes.elsewhere import Run, Scored

Array = NDArray[np.float64]

NEEDED, OPTIONAL = ("method", "seed", "score"), ("config", "example", "split")
DATASET = "dataset"
_TEST, _VALIDATION = "test", "validation"
_WHOLE = re.compile("-?[0-9]{1,18}")
_LARGEST = 1e100  # a score whose square is a finite number, and so is its square
_SPLITS = {"test": _TEST, "validation": _VALIDATION, "val": _VALIDATION, "valid": _VALIDATION}


def of_arrays(scores: Mapping[Any, Any], validation: Mapping[Any, Any] | None) -> dict[Run, Scored]:
    """Runs of arrays by method, or by method and config.

    Args:
        scores: method -> (S, N) or (S,), or method -> config -> the same; row s is of seed s.
        validation: the same methods and configs, with validation scores; None: there are none.

    Raises:
        InputError: an array of another shape, or methods, configs or seeds that do not match.
    """
    test = _flat(scores, "scores")
    chosen_by = None if validation is None else _flat(validation, "validation")
    if chosen_by is not None and chosen_by.keys() != test.keys():
        odd = sorted(chosen_by.keys() ^ test.keys())[0]
        lacks = "scores" if odd in chosen_by else "validation"
        raise InputError(f"{lacks}: {_named(odd)} is missing; each method and config needs both")
    found: dict[Run, Scored] = {}
    for key, table in test.items():
        other = None if chosen_by is None else chosen_by[key]
        if other is not None and len(other) != len(table):
            raise InputError(
                f"validation: {_named(key)} has {len(other)} seeds, and {len(table)} in scores; the same are needed"
            )
        for seed, row in enumerate(table):
            run = Run(method=key[0], config=key[1], seed=seed)
            found[run] = Scored(test=row, validation=None if other is None else other[seed])
    return _checked(found)


def of_datasets(
    scores: Mapping[Any, Any], validation: Mapping[Any, Any] | None
) -> dict[str, dict[Run, Scored]]:
    """Runs of each data set, of arrays by data set and method, or by data set, method and config.

    Args:
        scores, validation: data set -> what `of_arrays` takes.

    Raises:
        InputError: no data set, validation scores of others, or what `of_arrays` refuses.
    """
    if not scores:
        raise InputError("scores: there is no data set in it; allowed: {dataset: {method: array}}")
    for name, part in (("scores", scores), ("validation", validation or {})):
        for dataset, value in part.items():
            if not isinstance(value, Mapping):
                raise InputError(
                    f"{name}: data set {dataset!r} is a {type(value).__name__}; allowed: arrays by method"
                )
    if validation is not None and validation.keys() != scores.keys():
        odd = sorted(map(str, validation.keys() ^ scores.keys()))[0]
        lacks = "scores" if odd in map(str, validation) else "validation"
        raise InputError(f"{lacks}: data set {odd!r} is missing; each data set needs both")
    found = {}
    for dataset, value in scores.items():
        try:
            found[str(dataset)] = of_arrays(value, None if validation is None else validation[dataset])
        except InputError as error:
            raise InputError(f"data set {str(dataset)!r}: {error}") from None
    return found


def _flat(given: Mapping[Any, Any], where: str) -> dict[tuple[str, str], Array]:
    found = {}
    for method, value in given.items():
        for config, array in value.items() if isinstance(value, Mapping) else (("", value),):
            key = str(method), str(config)
            found[key] = _table(array, f"{where}: {_named(key)}")
    if not found:
        raise InputError(f"{where}: there is no method in it; allowed: {{method: (seeds, examples) array}}")
    return found


def _table(array: Any, where: str) -> Array:
    try:
        numbers = as_numpy(array, where)
        if numbers.dtype.kind == "c":
            raise TypeError
        table = numbers.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{where} is {short(repr(array))}; allowed: an array of numbers") from None
    table = np.atleast_1d(table)
    if table.ndim not in (1, 2) or not table.size:
        raise InputError(
            f"{where} has shape {table.shape}; allowed: (seeds, examples), or (seeds,) for one score per run"
        )
    return table if table.ndim == 2 else table[:, None]


def _named(key: tuple[str, str]) -> str:
    return f"method {key[0]!r}" + (f", config {key[1]!r}" if key[1] else "")


def of_table(columns: Mapping[str, Cells], place: Place, where: str) -> dict[Run, Scored]:
    """Runs of a table with a row per score.

    Args:
        columns: `NEEDED`, and any of `OPTIONAL`; others are passed over. Without seeds, each run has the same one.
        place: where a row is, for errors.
        where: the file or argument, for errors.

    Raises:
        DataError: a cell is empty or no number, a row twice, or runs that have not the same examples.
    """
    seedless = "seed" not in columns
    scores = _numbers(columns["score"], place)
    num_rows = len(scores)
    if not num_rows:
        raise DataError(f"{where}: there are no rows in it")

    def texts(name: str, blank: str = "") -> list[str]:
        if name not in columns:
            return [blank] * num_rows
        found = [_text(value) for value in columns[name].values]
        if name != "config" and "" in found:
            raise DataError(f"{place(found.index(''))}: column {name!r} is empty")
        return found

    methods, configs, examples = texts("method"), texts("config"), texts("example")
    seeds = texts("seed", "0")
    splits = [_split(text, row, place) for row, text in enumerate(texts("split", _TEST))]
    numbers = _seeds(seeds)
    cells: dict[tuple[Run, str], dict[str, int]] = {}
    keys = zip(methods, configs, seeds, examples, splits, strict=True)
    for row, (method, config, seed, example, split) in enumerate(keys):
        run = Run(method=method, config=config, seed=numbers[seed])
        rows = cells.setdefault((run, split), {})
        if example in rows:
            who = f"{_named((method, config))}, seed {seed}"
            what = f"{split} example {example!r}" if example else f"a {split} score"
            needed = "several runs of a method need a column 'seed', and " * seedless
            hint = "" if example else f"; {needed}scores of single examples need a column 'example'"
            raise DataError(f"{place(row)}: {who} has {what} for the second time{hint}")
        rows[example] = row
    found = {part: _aligned(cells, part, scores, place) for part in (_TEST, _VALIDATION)}
    for run in found[_TEST].keys() ^ found[_VALIDATION].keys() if found[_VALIDATION] else ():
        part = _TEST if run in found[_VALIDATION] else _VALIDATION
        who = f"{_named((run.method, run.config))}, seed {run.seed}"
        raise DataError(f"{where}: {who} has no {part} rows; each run needs both, or none validation rows")
    return _checked(
        {run: Scored(test=test, validation=found[_VALIDATION].get(run)) for run, test in found[_TEST].items()}
    )


def of_tables(columns: Mapping[str, Cells], place: Place, where: str) -> dict[str, dict[Run, Scored]]:
    """Runs of each data set, of a table with a row per score: those of the data set "" where there is no such column.

    Args:
        columns, place, where: as in `of_table`; where there are data sets, the seed may be missing.

    Raises:
        DataError: as in `of_table`, or a column is missing or a cell of it empty.
    """
    _check_columns(columns, where)
    if DATASET not in columns:
        return {"": of_table(columns, place, where)}
    names = [_text(value) for value in columns[DATASET].values]
    if "" in names:
        raise DataError(f"{place(names.index(''))}: column {DATASET!r} is empty")
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows_of.setdefault(name, []).append(row)
    if len(rows_of) < 2:
        return {"": of_table(columns, place, where)}
    return {name: _of_rows(columns, rows, place, f"{where}, {name}") for name, rows in rows_of.items()}


def _check_columns(columns: Mapping[str, Cells], where: str) -> None:
    """Refuse a table that lacks a column which is needed; one of several data sets needs no seeds."""
    needed = [name for name in NEEDED if name != "seed" or DATASET not in columns]
    for name in needed:
        if name not in columns:
            other = [column for column in columns if column not in (*NEEDED, *OPTIONAL, DATASET)]
            close = nearest(name, other)
            unused = f"; not used: {short(', '.join(other), 120)}" if other else ""
            hint = f"; did you mean {close!r}?" if close else unused
            words = f"{', '.join(needed[:-1])} and {needed[-1]}"
            raise DataError(f"{where}: there is no column {name!r}; {words} are needed{hint}")


def _of_rows(columns: Mapping[str, Cells], rows: list[int], place: Place, where: str) -> dict[Run, Scored]:
    some = {name: Cells(values=cells.values[rows]) for name, cells in columns.items()}
    return of_table(some, lambda row: place(rows[row]), where)


def _aligned(
    cells: Mapping[tuple[Run, str], Mapping[str, int]], split: str, scores: Array, place: Place
) -> dict[Run, Array]:
    """The scores of each run in one order of examples."""
    of_split = {run: rows for (run, part), rows in cells.items() if part == split}
    order = sorted({example for rows in of_split.values() for example in rows})
    found = {}
    for run, rows in of_split.items():
        if len(rows) < len(order):
            lost = next(example for example in order if example not in rows)
            who = f"{_named((run.method, run.config))}, seed {run.seed}"
            raise DataError(
                f"{place(next(iter(rows.values())))}: {who} lacks {split} example {lost!r}, which other runs have"
            )
        found[run] = scores[[rows[example] for example in order]]
    return found


def _numbers(cells: Cells, place: Place) -> Array:
    try:
        found = cells.values.astype(np.float64)
    except (TypeError, ValueError):
        found = np.array([_number(value, row, place) for row, value in enumerate(cells.values)])
    return np.where(np.isfinite(found), found, np.nan)


def _number(value: object, row: int, place: Place) -> float:
    if absent(value) or value == "":
        return np.nan
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise DataError(
            f"{place(row)}: score is {short(repr(str(value)))}; allowed: a number, or nothing where the run diverged"
        ) from None


def _text(value: object) -> str:
    if absent(value):
        return ""
    number = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if number else str(value).strip()  # type: ignore[call-overload]


def _split(text: str, row: int, place: Place) -> str:
    if text.lower() not in _SPLITS:
        raise DataError(f"{place(row)}: split is {text!r}; {choices(text, (_TEST, _VALIDATION))}")
    return _SPLITS[text.lower()]


def _seeds(texts: list[str]) -> dict[str, int]:
    """Seeds as whole numbers: their own where they are, else places in their order."""
    different = sorted(set(texts))
    if all(_WHOLE.fullmatch(text) for text in different):
        return {text: int(text) for text in different}
    return {text: place for place, text in enumerate(different)}


def _checked(found: dict[Run, Scored]) -> dict[Run, Scored]:
    """Runs whose numbers of scores agree."""
    read: tuple[Callable[[Scored], Array | None], ...] = (
        lambda each: each.test,
        lambda each: each.validation,
    )
    for part, get in zip((_TEST, _VALIDATION), read, strict=True):
        sizes: dict[int, Run] = {}
        for run, each in found.items():
            if (scores := get(each)) is not None:
                sizes.setdefault(len(scores), run)
        if len(sizes) > 1:
            (n, one), (m, other) = sorted(sizes.items())[:2]
            names = (f"{_named((run.method, run.config))}, seed {run.seed}" for run in (one, other))
            raise InputError(
                f"{part} scores: {next(names)} has {n}, and {next(names)} has {m}; one set of examples is needed"
            )
        for run, each in found.items():
            if (scores := get(each)) is not None and (large := scores[np.abs(scores) > _LARGEST]).size:
                who = f"{_named((run.method, run.config))}, seed {run.seed}"
                raise InputError(
                    f"{part} scores: {who} has {large[0]:g}; allowed: numbers from -1e100 to 1e100, or another unit"
                )
    return found
