"""All runs of a study for a terminal, the best validation score first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from ravine.outcomes.results import Results
from ravine.outcomes.runs import describe
from ravine.outcomes.words import NOTHING, signed
from ravine.report.terminal import RULE_WIDTH, plain_table

if TYPE_CHECKING:
    from ravine.outcomes.trivial import Trivial
    from ravine.store import RunRecord

SoFar = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """The number that runs are ordered by.

    Args:
        metric: its name among those of a run.
        title: over it.
        lower: lower is better.
        percent: it is a share, shown in per cent.
    """

    metric: str
    title: str
    lower: bool
    percent: bool

    def shown(self, value: float | None) -> str:
        if value is None:
            return NOTHING
        return signed(f"{100 * value:.2f} %" if self.percent else f"{value:.4g}")


def runs_of(results: Results, so_far: SoFar | None = None, *, limit: int | None = None) -> RenderableType:
    """A row per run of a study with a verdict, by the metric that the verdict is about.

    Args:
        results: of the study.
        so_far: by metric and run id, the last score of runs that have not finished.
        limit: how many to show; None for all.
    """
    measure = results.verdict.measure
    column = _Column(
        metric=results.score_metric,
        title=f"val {measure.short or 'acc'}",
        lower=measure.loss,
        percent=measure.percent,
    )
    return _table(results.runs, so_far, column, limit=limit, noun=results.noun, trivial=results.trivial)


def runs(records: Sequence[RunRecord], so_far: SoFar, *, limit: int | None = None) -> RenderableType:
    """A row per run of a study in which none has finished, by accuracy, or by the loss where there is none.

    Args:
        records: the runs.
        so_far, limit: as in `runs_of`.
    """
    accurate = any(so_far.get("validation_accuracy", {}))
    column = _Column(
        metric="validation_accuracy" if accurate else "validation_loss",
        title="val acc" if accurate else "val loss",
        lower=not accurate,
        percent=accurate,
    )
    return _table(records, so_far, column, limit=limit)


def _table(
    records: Sequence[RunRecord],
    so_far: SoFar | None,
    column: _Column,
    *,
    limit: int | None,
    noun: str = "rule",
    trivial: Trivial | None = None,
) -> RenderableType:
    known = (so_far or {}).get(column.metric, {})

    def score_of(run: RunRecord) -> float | None:
        return run.metrics.get(column.metric, known.get(run.id))

    def rank(run: RunRecord) -> tuple[bool, float]:
        value = score_of(run)
        return (value is None, 0.0 if value is None else value if column.lower else -value)

    table = plain_table()
    table.add_column("run", no_wrap=True)
    last = trivial is not None and column.metric in trivial.metrics
    names = [run.rule for run in records] + ([trivial.name] if trivial is not None and last else [])
    width = min(RULE_WIDTH, max(map(cell_len, names), default=0))
    table.add_column(noun, overflow="fold", min_width=width, max_width=RULE_WIDTH)
    table.add_column("lr", justify="right", no_wrap=True)
    table.add_column("other hypers", overflow="fold", ratio=1)
    table.add_column("seed", justify="right")
    table.add_column(column.title, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    ordered = sorted(records, key=rank)
    for run in ordered[:limit]:
        lr = run.hypers.get("lr")
        table.add_row(
            run.id[:8],
            Text(run.rule),
            f"{lr:.4g}" if isinstance(lr, (int, float)) else str(lr or NOTHING),
            Text(describe(run.hypers, [name for name in run.hypers if name != "lr"])),
            str(run.seed),
            column.shown(score_of(run)),
            _status(run),
        )
    hidden = len(ordered) - len(ordered[:limit])
    if trivial is not None and last:
        blank = ("", "", "", column.shown(trivial.metrics[column.metric]), "")
        table.add_row("", Text(trivial.name), *blank, style="dim")
    return Group(table, Text(f"and {hidden:,} more", style="dim")) if hidden else table


def _status(run: RunRecord) -> str:
    """How far a run is, in a few words."""
    if run.diverged_at is not None:
        return f"diverged, {run.diverged_at:,}"
    if run.status == "done":
        return f"stopped, {run.step:,}" if run.stopped else "done"
    return f"at step {run.step:,} of {run.num_steps:,}" if run.step else "waiting"
