"""The ways to carry out a step, and the making of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ravine.engine.native.search import NativeSearch
from ravine.engine.setting import Setting
from ravine.engine.traced.step import Step, direct_step, traced_step


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """How the runs of a cohort are trained.

    Args:
        fused: all runs in one program; False: one run after another.
        traced: the step is traced once into a list of tensor operations; False: plain PyTorch each time.
        compiled: the traced step is compiled by torch's inductor.
        native: a run's step is compiled by LLVM, and each thread trains one run after another; of rules that search,
            its evaluation alone. Fused, in that all runs of a cohort are trained side by side.
    """

    fused: bool = True
    traced: bool = True
    compiled: bool = False
    native: bool = False

    def __str__(self) -> str:
        if self.native:
            return "native"
        how = "compiled" if self.compiled else "traced" if self.traced else "eager"
        return f"{'fused' if self.fused else 'serial'} ({how})"


def make_step(setting: Setting, backend: Backend) -> Step:
    """The step of a backend over all runs of a cohort: of a native one, if their rules search."""
    if backend.native:
        return NativeSearch(setting)
    if not backend.traced:
        return direct_step(setting)
    return traced_step(setting, _inductor if backend.compiled else None)


def _inductor(graph: Any, inputs: list[Any]) -> Callable[..., object]:
    """Compile a traced graph; it is kept in torch's own cache on disk, keyed by its content."""
    import torch._inductor

    compiled: Callable[..., object] = torch._inductor.standalone_compile(graph, inputs)
    return compiled
