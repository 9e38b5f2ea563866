"""For Griffe, which reads signatures and docstrings for the site: what is different here from what it expects."""

import re
from typing import Any

import griffe


class Ours(griffe.Extension):
    """Changes what was read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Show our section `Example:` as code: Griffe knows `Examples:`, and takes any other name for prose."""
        if obj.docstring:
            obj.docstring.value = re.sub(
                r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE
            )

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Leave private arguments out of a signature."""
        for name in [argument.name for argument in func.parameters if argument.name.startswith("_")]:
            del func.parameters[name]
