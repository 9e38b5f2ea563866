"""Every independent problem of a study, and not only the first.

Each key is read alone, and so is each rule. Where a table has a fault, the key at fault, which the error names as
data, is left out and the rest is read again. What is sound is then read as one study, for what its parts have to do
with each other. So there is one reader of studies, which knows nothing of this, and what only follows from another
problem is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ravine.errors import InputError
from ravine.messages import unknown
from ravine.study.augment import parse_augment
from ravine.study.averages import parse_averages
from ravine.study.block import parse_rule
from ravine.study.compare import parse_compare
from ravine.study.fields import (
    MOST_RULES,
    MOST_STEPS,
    batch_sizes,
    label_smoothings,
    num_epochs,
    rules_of,
    schedules_of,
    seeds_of,
    study_name,
    tuning,
    whole,
)
from ravine.study.keep import parse_keep
from ravine.study.ladder import parse_ladder
from ravine.study.load import ELSEWHERE, parse_study
from ravine.study.loss import parse_loss
from ravine.study.metric import parse_metric
from ravine.study.modes import parse_test_time
from ravine.study.parts import parse_models
from ravine.study.phases import parse_phases
from ravine.study.precision import parse_precision
from ravine.study.search import parse_search
from ravine.study.source import parse_source
from ravine.study.spec import Study
from ravine.study.stages import parse_regularize
from ravine.study.stop import parse_stop
from ravine.study.variants import parse_variants

Reader = Callable[[Any], object]

# In the order in which a study is read.
READERS: Mapping[str, Reader] = {
    "name": study_name,
    "epochs": num_epochs,
    "steps": lambda value: whole(value, "steps", 1, MOST_STEPS),
    "phases": parse_phases,
    "batch_size": batch_sizes,
    "seeds": seeds_of,
    "schedule": schedules_of,
    "ladder": parse_ladder,
    "search": parse_search,
    "tune": tuning,
    "regularize": parse_regularize,
    "variants": parse_variants,
    "compare": parse_compare,
    "metric": parse_metric,
    "evaluations": lambda value: whole(value, "evaluations", 1, 10_000),
    "stop": parse_stop,
    "keep": parse_keep,
    "averages": parse_averages,
    "test_time": parse_test_time,
    "rules": rules_of,
    "model": parse_models,
    "loss": parse_loss,
    "label_smoothing": label_smoothings,
    "precision": parse_precision,
    "augment": parse_augment,
    "data": parse_source,
}
# In the place of what is beyond repair. Other parts can be left out.
_RULE: Mapping[str, Any] = {"kind": "sgd", "lr": 0.1}
_SOUND: Mapping[str, Any] = {
    "name": "study",
    "data": "iris",
    "model": "mlp",
    "rules": [_RULE],
    "steps": 1,
    "phases": [{"steps": 1}],
}
_MUST: Mapping[str, Any] = {"lr": 0.1, "path": "x", "target": "y:y"}  # what a table may need
_MOST = 100  # faults of one table, and of all parts together
_SHOWN = 10  # problems of one kind that are listed one by one


def faults_of(
    content: Mapping[str, Any], search: Path | None = None
) -> tuple[list[InputError], Study | None, set[str]]:
    """What is wrong with a study's keys and values.

    Args:
        content: a study file's keys and values.
        search: the file's folder, where modules of rules are looked for.

    Returns:
        An error for each problem, in the order in which the study is read; the study with these put right, None
        where that could not be done; and the parts of it that are not what the user wrote.

    Example:
        >>> content = {"name": "s", "data": "irish", "model": "mlp", "epoch": 5, "rules": [{"kind": "adm"}]}
        >>> for fault in faults_of(content)[0]:
        ...     print(str(fault).partition("?")[0])
        epoch: unknown key; did you mean 'epochs'
        rules.0.kind = 'adm': no such rule; did you mean 'adam'
        data.kind = 'irish': did you mean 'iris'
    """
    faults: list[InputError] = []
    now, parts, meant = dict(content), set[str](), set[str]()
    for key in content:
        if key not in READERS:
            fault = unknown("", key, READERS)
            faults.append(_own(fault, key) if key in ELSEWHERE else fault)
            parts.add(key)
            value = now.pop(key)
            if fault.meant is not None and fault.meant not in content:
                # So that it is not called missing. Faults of its value wait until it is spelt right.
                meant.add(fault.meant)
                now[fault.meant] = value
    for key, read in READERS.items():
        if key in now:
            found, sound = _rules(now[key], search) if key == "rules" else _part(now[key], key, read)
            if found:
                faults += found if key not in meant else []
                parts.add(key)
                now[key] = _SOUND.get(key) if sound is None else sound
    now = {key: value for key, value in now.items() if value is not None}
    if {"epochs", "steps"} & parts and not now.keys() & {"epochs", "steps", "phases"}:
        now["steps"] = 1
    study, parts = _whole(now, faults, parts, search)
    return faults, study, parts | meant & {"data", "model"}  # which others go on to try


def _own(fault: InputError, key: str) -> InputError:
    """What the reader of studies says of a key that it knows and does not take."""
    try:
        parse_study({key: None})
    except InputError as error:
        return error
    return fault


def _whole(
    now: dict[str, Any], faults: list[InputError], parts: set[str], search: Path | None
) -> tuple[Study | None, set[str]]:
    """The parts, each of them sound, read as one study; what is wrong with it is added to the faults."""
    excused = set(parts)  # problems of these only follow from others
    for _ in range(_MOST):
        try:
            return parse_study(now, search=search), parts
        except InputError as error:
            fault = error
        touched = {place[0] for place in fault.at}
        if not touched & excused:
            faults.append(fault)
        if not touched:
            return None, parts
        parts = parts | touched
        if (
            len(fault.at) == 1 and len(fault.at[0]) > 2 and fault.at[0][0] == "rules"
        ):  # the others may have it too
            number = int(fault.at[0][1])
            rules = list(now["rules"])
            rules[number] = {**_RULE, "label": f"rule {number}"}
            now = {**now, "rules": rules}
        else:
            excused = excused | touched
            now = _without(now, touched)
    return None, parts


def _without(now: Mapping[str, Any], touched: set[str]) -> dict[str, Any]:
    """A study with sound values in the place of some parts."""
    new = {key: value for key, value in now.items() if key not in touched}
    if "phases" in touched:
        new = {key: value for key, value in new.items() if key not in ("epochs", "steps")}
        touched = touched - {"epochs", "steps"}
    elif touched & {"epochs", "steps"}:
        new = {key: value for key, value in new.items() if key != "epochs"}
        touched = touched | {"steps"}
    if "seeds" in touched:
        new["seeds"] = 1
    return {**new, **{key: _SOUND[key] for key in touched if key in _SOUND}}


def _rules(value: Any, search: Path | None) -> tuple[list[InputError], Any]:
    """The faults of a study's rules, and sound rules in their place; None where they are no list."""
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MOST_RULES:
        return _part(value, "rules", rules_of)
    faults: list[InputError] = []
    sound = list(value)
    for number, rule in enumerate(value):
        where = f"rules.{number}"
        found, repaired = _part(rule, where, lambda each, where=where: parse_rule(each, where, search))  # type: ignore[misc]
        if found:
            faults += found
            label = f"rule {number}"
            sound[number] = {**_RULE, "label": label}
            if isinstance(repaired, Mapping):
                sound[number] = {**repaired, "label": label}
    if not faults:
        read = [parse_rule(rule, f"rules.{number}", search) for number, rule in enumerate(value)]
        found, _ = _part(read, "rules", rules_of)
        return found, None
    return faults, sound


def _part(value: Any, where: str, read: Reader) -> tuple[list[InputError], Any]:
    """The faults of a part, and the part without them; None where that would be nothing."""
    depth = where.count(".") + 1
    faults: list[InputError] = []
    excused: set[str] = set()
    while len(faults) < _MOST:
        try:
            read(value)
        except InputError as error:
            inner = {place[depth] for place in error.at if len(place) > depth}
            key = next(iter(inner), None)
            if not excused if key is None else key not in excused:
                faults.append(error)
            if key is None or not isinstance(value, Mapping) or key == "kind" or f"{key}!" in excused:
                return faults, None
            if key in excused:  # leaving it out was not enough
                excused.add(f"{key}!")
            excused.add(key)
            rest = {name: item for name, item in value.items() if str(name) != key}
            if error.what == "missing" and key not in value:
                return faults, None
            if key in _MUST and error.what != "unknown":
                rest[key] = _MUST[key]
            if error.meant is not None and error.meant not in value:
                excused.add(error.meant)
                rest[error.meant] = next(item for name, item in value.items() if str(name) == key)
            value = rest
        else:
            return faults, value
    return faults, None


def summary(faults: Sequence[InputError]) -> list[str]:
    """The problems, at most ten of a kind.

    Example:
        >>> summary([unknown("", key, ["name"]) for key in "abcdefghijklm"])[-1]
        'and 3 more of this kind'
    """
    kinds: defaultdict[object, list[str]] = defaultdict(list)
    for fault in faults:
        kinds[_kind(fault)].append(str(fault))
    lines: list[str] = []
    for alike in kinds.values():
        lines += alike[:_SHOWN]
        if len(alike) > _SHOWN:
            lines.append(f"and {len(alike) - _SHOWN:,} more of this kind")
    return lines


def _kind(fault: InputError) -> object:
    """What alike problems have in common: what is wrong, and where, whichever place in a list it is."""
    if not fault.at:
        return str(fault)
    places = [
        tuple(part for part in (place[:-1] if fault.what == "unknown" else place) if not part.isdigit())
        for place in fault.at
    ]
    return fault.what, tuple(places)
