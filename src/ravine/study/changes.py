"""What differs between two texts of a study, among the keys that must not change under one name."""

from __future__ import annotations

from ravine.augment.spec import Augment
from ravine.data import parse_data
from ravine.errors import InputError
from ravine.forms import Form
from ravine.messages import printable, shown
from ravine.nn.spec import RATES
from ravine.study.augment import parse_augment
from ravine.study.definition import objects_of
from ravine.study.fields import DEFAULT_BATCH, batch_sizes, num_epochs
from ravine.study.ladder import parse_ladder
from ravine.study.load import content_of
from ravine.study.parts import models_in
from ravine.study.phases import parse_phases
from ravine.study.shown import length

_NOT_GIVEN = "not given"


def changes(before: str, after: str) -> list[str]:
    """Each key that changed, as ``key: old -> new``; none where a text cannot be read.

    Args:
        before, after: definitions, as `read_study` and `definition_of` give them.

    Example:
        >>> text = 'data = "iris"\\nmodel = "mlp"\\nepochs = 5\\n'
        >>> changes(text, text.replace("5", "9").replace('"mlp"', '{ kind = "mlp", hidden = [] }'))
        ['model.hidden: [128, 128] -> []', 'epochs: 5 -> 9']
    """
    try:
        old, new = _fixed(before), _fixed(after)
    except InputError:
        return []
    for kind in ("data.kind", "model.kind"):  # another kind has other keys: the kind alone says it all
        if old.get(kind) != new.get(kind):
            part = kind.partition(".")[0] + "."
            old, new = (
                {key: v for key, v in fixed.items() if key == kind or not key.startswith(part)}
                for fixed in (old, new)
            )
    return [
        f"{key}: {old.get(key, _NOT_GIVEN)} -> {new.get(key, _NOT_GIVEN)}"
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    ]


def _fixed(definition: str) -> dict[str, str]:
    """The keys that must not change, dotted, with their values in words, defaults filled in."""
    content = content_of(definition)
    found = {key: printable(words) for key, words in objects_of(definition).items() if key != "metric"}
    if "data" in content:
        found |= _by_key("data", parse_data(content["data"]))
    if "model" in content:
        model = models_in(content["model"])[0].model
        assert isinstance(model, Form), "a text names no class"
        found |= _by_key("model", model)
        for name in RATES:
            found.pop(f"model.{name}", None)
    augment = parse_augment(content.get("augment"))
    found |= _by_key("augment", Augment() if augment is None else augment.options)
    batch_size = batch_sizes(content.get("batch_size", "auto"))[0]
    if "epochs" in content:
        found["epochs"] = f"{num_epochs(content['epochs']):.12g}"
    if "steps" in content:
        found["steps"] = shown(content["steps"])
    if (ladder := parse_ladder(content.get("ladder"))) is not None:
        found["ladder.least_steps"] = shown(ladder.least_steps)
    if "phases" in content:
        found["phases"] = length(None, None, parse_phases(content["phases"]))
    found["batch_size"] = shown(DEFAULT_BATCH if batch_size == "auto" else batch_size)
    found["evaluations"] = shown(content.get("evaluations", 20))
    found["precision"] = shown(content.get("precision", "float32"))
    return found


def _by_key(part: str, spec: Form) -> dict[str, str]:
    return {
        f"{part}.{key}": _NOT_GIVEN if value is None else shown(value) for key, value in spec.plain().items()
    }
