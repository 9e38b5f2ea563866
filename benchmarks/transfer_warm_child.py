"""`ravine run` for `transfer_warm.py`: says when training begins, and how much processor time it has had by then.

PyTorch is imported when ravine wants it, so this looks for the training loop as it is imported.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

LOOP = "ravine.engine.training"


def say() -> None:
    """The moment, and the processor time of this process so far."""
    spent = os.times()
    print("begins", time.time(), spent.user + spent.system, file=sys.__stdout__, flush=True)


class Loop(MetaPathFinder):
    """Lets the loop say when it begins.

    Training itself begins where its records are asked for: whatever is tried before belongs to the planning.
    """

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != LOOP:
            return None
        sys.meta_path.remove(self)
        spec: Any = find_spec(name)
        execute = spec.loader.exec_module

        def then_wrap(module: Any) -> None:
            execute(module)
            records = module.Training.records

            def begin(self: Any, *given: Any, **named: Any) -> Any:
                say()
                return records(self, *given, **named)

            module.Training.records = begin

        spec.loader.exec_module = then_wrap
        return spec  # type: ignore[no-any-return]


if __name__ == "__main__":
    from ravine.cli import entry

    sys.meta_path.insert(0, Loop())
    sys.argv = ["ravine", "run", *sys.argv[1:]]
    entry()
