"""An exception in a user's module during training is the user's error: one line, not a traceback."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from ravine.errors import ModelError, RavineError, in_a_line


@contextmanager
def module_errors(module: nn.Module, about: str) -> Iterator[None]:
    """Within it, an exception from the module's own code becomes a `ModelError` with file and line.

    Args:
        module: the one in training.
        about: what the error names first.

    Raises:
        ModelError: in place of an exception that passed through a file that defines a part of the module.
    """
    try:
        yield
    except RavineError:
        raise
    except Exception as error:
        theirs = {_file(type(part)) for part in module.modules()} - {None}
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in theirs]
        if not frames:
            raise
        at = frames[-1]
        raise ModelError(
            f"{about}: {in_a_line(error)} ({at.filename}:{at.lineno}) during training; what was trained is kept"
        ) from error


def _file(kind: type) -> str | None:
    """The file that defines a class, unless it is PyTorch's or ravine's."""
    if kind.__module__.split(".")[0] in ("torch", "ravine"):
        return None
    try:
        return inspect.getsourcefile(kind)
    except (OSError, TypeError):
        return None
