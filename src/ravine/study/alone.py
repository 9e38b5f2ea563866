"""An arm of a ladder as a study of its own, on all examples: what a model is made of once the ladder has answered."""

from __future__ import annotations

import re
from dataclasses import replace

from ravine.errors import InputError
from ravine.study.definition import definition_of
from ravine.study.load import content_of
from ravine.study.stored import parse_definition


def arm_alone(definition: str, arm: str) -> str | None:
    """The text of a study that trains as one arm of a ladder does, with the same hypers to choose from.

    Args:
        definition: of the ladder, as a store has it.
        arm: its label.

    Returns:
        None where it cannot be written down: the arms are no variants, models or arms with names, or something of the
        study is code of one's own, which is not run to show it.

    Example:
        >>> ladder = 'name = "s"\\ndata = "iris"\\nmodel = "mlp"\\nepochs = 5\\nseeds = 2\\nrules = ["adam"]\\n'
        >>> ladder += 'ladder = { per_class = [5], draws = 3 }\\n'
        >>> ladder += 'variants = [{ label = "a" }, { label = "b b", model = { hidden = [4] } }]'
        >>> print(arm_alone(ladder, "b b"), end="")
        name = "s-b-b"
        data = "iris"
        model = { kind = "mlp", hidden = [4] }
        epochs = 5
        batch_size = "auto"
        seeds = 2
        schedule = "constant"
        <BLANKLINE>
        [[rules]]
        kind = "adam"
    """
    try:
        rules = content_of(definition).get("rules", [])
        if any(":" in str(each.get("kind") if isinstance(each, dict) else each) for each in rules):
            return None
        study = parse_definition(definition)
        found = next((part.study for part in study.parts if arm in part.chosen.values()), None)
        if found is None:
            return None
        name = f"{study.name}-{re.sub('[^a-z0-9]+', '-', arm.lower()).strip('-') or 'arm'}"
        return definition_of(replace(found, name=name, ladder=None, compare="rule"))
    except InputError:
        return None
