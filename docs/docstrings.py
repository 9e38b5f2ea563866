"""For Griffe, which reads the docstrings for the site: our section `Example:` is its section `Examples:`."""

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Griffe renders a section of the name that it knows as code; of any other name, as prose."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = re.sub(
                r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE
            )
