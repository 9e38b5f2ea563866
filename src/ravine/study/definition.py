"""A study as text: what a store keeps and a report shows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from itertools import takewhile
from typing import Any

from ravine.data import Dataset
from ravine.forms import Form
from ravine.nn.target import describe_factory
from ravine.study.block import RuleBlock
from ravine.study.ladder import compared, search_of
from ravine.study.metric import described
from ravine.study.parts import NamedModel, models_in
from ravine.study.search import Search
from ravine.study.spec import Study
from ravine.study.values import plain

_OBJECT = "# made in Python; "  # begins a line that describes an object, which TOML cannot represent
_HEADED = ("phases", "rules")  # lists of tables, at the end of a text
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def definition_of(study: Study) -> str:
    """The study as TOML, defaults left out; `stored.parse_definition` reads it again.

    Objects of a Python program, which a text cannot represent, are described in comments instead (`objects_of`);
    such a text cannot be read again.

    Example:
        >>> print(definition_of(Study(name="s", data="iris", model="mlp", epochs=5, rules=["adam"])), end="")
        name = "s"
        data = "iris"
        model = "mlp"
        epochs = 5
        batch_size = "auto"
        seeds = 3
        schedule = "constant"
        <BLANKLINE>
        [[rules]]
        kind = "adam"
    """
    content: dict[str, Any] = {"name": study.name}
    notes = []
    if isinstance(study.data, Dataset):
        data = study.data
        sizes = " + ".join(f"{len(part):,}" for part in (data.train, data.validation, data.test))
        notes.append(f"data: {data.name}, {sizes} examples, fingerprint {data.fingerprint[:16]}")
    else:
        content["data"] = _table(study.data)
    notes += [f"{key}: {describe_factory(model)}" for key, model in _objects(study)]
    if not any(_objects(study)):
        content["model"] = _models(study)
    if study.epochs is not None:
        content["epochs"] = int(study.epochs) if study.epochs.is_integer() else study.epochs
    elif study.steps is not None:
        content["steps"] = study.steps
    content["batch_size"] = _alone(study.batch_size)
    counted = study.seeds == tuple(range(len(study.seeds)))
    content["seeds"] = len(study.seeds) if counted else list(study.seeds)
    content["schedule"] = _alone([_table(schedule) for schedule in study.schedule])
    if study.loss is not None and not study.loss.is_object:
        content["loss"] = study.loss.content()
    if study.label_smoothing != 0.0:
        content["label_smoothing"] = plain(study.label_smoothing)
    if study.precision is not None:
        content["precision"] = study.precision
    if study.augment is not None:
        content["augment"] = study.augment.content()
    if study.search != search_of(study.ladder, Search()):
        content["search"] = {"kind": study.search.kind, **study.search.changed()}
    if study.staged:
        content["tune"] = study.tune
    if study.regularize.changed():
        content["regularize"] = study.regularize.changed()
    if study.variants:
        content["variants"] = [each.content() for each in study.variants]
    if study.ladder is not None:
        content["ladder"] = study.ladder.content()
    if study.compare != compared(study.ladder, study.variants):
        content["compare"] = study.compare
    if study.metric is not None and not study.metric.is_object:
        content["metric"] = study.metric.content()
    if study.evaluations != 20:
        content["evaluations"] = study.evaluations
    if study.stop is not None:
        content["stop"] = study.stop.content()
    if study.keep is not None:
        content["keep"] = {"every": study.keep.every}
    if study.averages is not None:
        content["averages"] = study.averages.content()
    if study.test_time is not None:
        content["test_time"] = study.test_time.content()
    if study.phases:
        content["phases"] = [each.content() for each in study.phases]
    content["rules"] = [_rule(block) for block in study.rules]
    if study.loss is not None and study.loss.is_object:
        notes.append(f"loss: {study.loss.source}")
    if study.metric is not None and study.metric.is_object:
        notes.append(f"metric: {described(study.metric)}")
    notes += [f"rules.{i}: {block.kind}" for i, block in enumerate(study.rules) if block.is_object]
    return "".join(f"{_OBJECT}{note}\n" for note in notes) + toml_of(content)


def _own(study: Study) -> list[NamedModel]:
    """The models of a study without its variants, each with all of its rates."""
    if isinstance(study.model, tuple):
        return [replace(each, rates={**study.rates, **each.rates}) for each in study.model]
    return [NamedModel(label="", model=study.model, rates=study.rates)]


def _objects(study: Study) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The models that are objects of a Python program, with their keys."""
    for i, each in enumerate(_own(study)):
        if not isinstance(each.model, Form):
            yield f"model.{i}" if isinstance(study.model, tuple) else "model", each.model


def _models(study: Study) -> Any:
    """The model as its kind or as a table; of several a list, with labels unless they say what differs."""
    found = []
    for each in _own(study):
        assert isinstance(each.model, Form), "a text names no class"
        rates = {name: plain(values) for name, values in each.rates.items()}
        short = all(name in each.model.defaults for name in rates)
        found.append(_table(each.model, rates if short else {"rates": rates}))
    if not isinstance(study.model, tuple):
        return found[0]
    labels = [each.label for each in study.model]
    if labels == [each.label for each in models_in(found)]:
        return found
    tables = [{"kind": each} if isinstance(each, str) else each for each in found]
    return [{**table, "label": label} for table, label in zip(tables, labels, strict=True)]


def objects_of(definition: str) -> dict[str, str]:
    """The objects of a Python program that a study was made from, which its text only describes.

    Args:
        definition: what `definition_of` returned, or the text of a file.

    Returns:
        A description of each by its key, such as ``"model"``; {} if the text is the whole study.

    Example:
        >>> objects_of('# made in Python; rules.0: mine@3f2a\\nname = "s"\\n')
        {'rules.0': 'mine@3f2a'}
    """
    found = {}
    for line in takewhile(lambda line: line.startswith(_OBJECT), definition.splitlines()):
        key, _, words = line.removeprefix(_OBJECT).partition(": ")
        found[key] = words
    return found


def toml_of(content: Mapping[str, Any]) -> str:
    """Plain data as TOML: a line for each key, then the lists ``phases`` and ``rules`` with a header for each.

    Example:
        >>> print(toml_of({"a": {"b": [1, 2.5]}, "rules": [{"kind": "adam"}]}), end="")
        a = { b = [1, 2.5] }
        <BLANKLINE>
        [[rules]]
        kind = "adam"
    """
    lines = [f"{_key(key)} = {_value(item)}" for key, item in content.items() if key not in _HEADED]
    for head in _HEADED:
        for table in content.get(head, ()):
            lines += ["", f"[[{head}]]", *(f"{_key(key)} = {_value(item)}" for key, item in table.items())]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for one character that only TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }" if value else "{}"
        )
    assert isinstance(value, list | tuple), f"{type(value).__name__} is no TOML value"
    return "[" + ", ".join(_value(item) for item in value) + "]"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _table(model: Form, more: Mapping[str, Any] | None = None) -> Any:
    """A specification as its kind, or as a table where there is more to say."""
    kind = model.kind  # type: ignore[attr-defined]
    changed = {
        key: value.changed() if isinstance(value, Form) else value for key, value in model.changed().items()
    }
    rest = {**changed, **(more or {})}
    return {"kind": kind, **rest} if rest else kind


def _rule(block: RuleBlock) -> dict[str, Any]:
    content: dict[str, Any] = {"kind": block.target or block.kind}
    if block.label != block.kind.partition("@")[0]:
        content["label"] = block.label
    if block.preset != "lecture":
        content["preset"] = block.preset
    if block.exclude is not None:
        content["exclude"] = block.exclude
    return content | {name: plain(values) for name, values in block.hypers.items()}


def _alone(items: Sequence[Any]) -> Any:
    return items[0] if len(items) == 1 else list(items)
